"""Qwen3-Omni: a thinker in SGLang, then talker and code2wav as sidecars."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sglang_omni.models.spec import ModelSpec, Option, Stage, StageOptions
from sglang_omni.sidecar.runner import Runner


def _thinker() -> type:
    from sglang_omni.models.qwen3_omni.thinker import Qwen3OmniMoeForConditionalGeneration

    return Qwen3OmniMoeForConditionalGeneration


def _processor() -> type:
    from sglang_omni.models.qwen3_omni.processor import Qwen3OmniProcessor

    return Qwen3OmniProcessor


def _talker(options: StageOptions) -> Runner:
    from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner

    return TalkerRunner(options)


def _code2wav(options: StageOptions) -> Runner:
    from sglang_omni.models.qwen3_omni.code2wav_stage import Code2WavRunner

    return Code2WavRunner(options)


def _prompt_check(options: StageOptions) -> Callable[[Sequence[int]], None]:
    from sglang_omni.models.qwen3_omni.talker_stage import prompt_check

    return prompt_check(options)


def _voices(model_path: Path) -> tuple[str, ...]:
    import json

    config = json.loads((model_path / "config.json").read_text())
    return tuple((config.get("talker_config") or {}).get("speaker_id") or ())


def _longest_text(model_path: Path) -> int:
    from sglang_omni.models.qwen3_omni.config import longest_text

    return longest_text(model_path)


TALKER_OPTIONS = {
    "max_length": Option("rows of a request, prompt and frames together (default: 8192)"),
    "total_rows": Option("rows of all requests together, each given what it is expected to need (default: 65536)"),
    "prefill_rows": Option("rows of a prompt read in one step; streams go on between two (default: 256)"),
}
CODE2WAV_OPTIONS = {
    "chunk_frames": Option(
        "frames of a stream's chunks; the last repeats (default: 2 2 2 2 3 3 4 5 6 7 8 10 12 14 16)", many=True
    )
}

SPEC = ModelSpec(
    architecture="Qwen3OmniMoeForConditionalGeneration",
    served_name="qwen3-omni",
    thinker=_thinker,
    processor=_processor,
    stages=(Stage("talker", _talker, TALKER_OPTIONS), Stage("code2wav", _code2wav, CODE2WAV_OPTIONS)),
    sample_rate=24_000,
    prompt_check=_prompt_check,
    tool_call_parser="qwen25",
    voices=_voices,
    longest_text=_longest_text,
)
