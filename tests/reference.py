"""What transformers answers: the definition of correct for every parity test."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoProcessor,
    BatchFeature,
    Qwen3OmniMoeForConditionalGeneration,
    Qwen3OmniMoeProcessor,
)


@dataclass(frozen=True)
class Answer:
    """One greedy answer of the reference.

    prompt_ids    (prompt,)               media placeholders expanded
    text_ids      (tokens,)               a final end of turn included
    hidden        (prompt + tokens - 1, thinker hidden)   `hidden_states[accept_hidden_layer]`
    codes         (frames, code groups)   empty without speech
    waveform      (samples,)              24 kHz; empty without speech
    """

    prompt_ids: torch.Tensor
    text_ids: torch.Tensor
    hidden: torch.Tensor
    codes: torch.Tensor
    waveform: torch.Tensor


@cache
def reference_model(model_path: Path) -> Qwen3OmniMoeForConditionalGeneration:
    """The whole model in float32; kept, so that a test session loads it once."""
    model = Qwen3OmniMoeForConditionalGeneration.from_pretrained(model_path, dtype="float32").eval()
    # transformers 5.19's talker looks for the audio encoder's window here when sound comes with pictures or video
    model.talker.config.audio_config = model.thinker.config.audio_config
    return model


@cache
def reference_processor(model_path: Path) -> Qwen3OmniMoeProcessor:
    return AutoProcessor.from_pretrained(model_path)


def reference_inputs(model_path: Path, messages: list[dict[str, Any]] | str, **media: Any) -> BatchFeature:
    """A conversation (or just what the user says) as the model's inputs.

    `messages` hold placeholders such as {"type": "image"}; the media come as the processor's arguments:
    `images`, `audio` (16 kHz arrays), `videos`, `use_audio_in_video`.
    """
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    processor = reference_processor(model_path)
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return processor(text=prompt, return_tensors="pt", **media)


@torch.no_grad()
def reference_generate(
    model_path: Path,
    inputs: BatchFeature | list[dict[str, Any]] | str,
    *,
    voice: str = "ethan",
    audio: bool = True,
    max_tokens: int = 64,
    max_frames: int = 512,
    **options: Any,
) -> Answer:
    """A greedy answer. `options` go to `generate`, as `use_audio_in_video` or `talker_do_sample`.

    transformers computes a frame's residual codes when it prepares the next step, so an answer cut by
    `max_frames` has one frame less than that.
    """
    if not isinstance(inputs, BatchFeature):
        inputs = reference_inputs(model_path, inputs)
    model = reference_model(model_path)
    config = model.config
    thinker, codes = _Recorder(model.thinker.generate), _Recorder(model.code2wav.chunked_decode)
    model.thinker.generate, model.code2wav.chunked_decode = thinker, codes
    try:
        answer = model.generate(
            **inputs,
            speaker=voice,
            return_audio=audio,
            thinker_max_new_tokens=max_tokens,
            thinker_eos_token_id=config.im_end_token_id,
            thinker_do_sample=False,
            thinker_output_hidden_states=True,
            thinker_return_dict_in_generate=True,
            talker_max_new_tokens=max_frames,
            **{"talker_do_sample": False, **options},
        )
    finally:
        del model.thinker.generate, model.code2wav.chunked_decode
    length = inputs["input_ids"].shape[1]
    steps = thinker.result.hidden_states
    return Answer(
        prompt_ids=inputs["input_ids"][0],
        text_ids=thinker.result.sequences[0, length:],
        hidden=torch.cat([step[config.talker_config.accept_hidden_layer][0] for step in steps]),
        codes=codes.arguments[0][0].T if audio else torch.empty(0, config.talker_config.num_code_groups).long(),
        waveform=answer[1].flatten() if audio else torch.empty(0),
    )


def reference_positions(model_path: Path, inputs: BatchFeature, use_audio_in_video: bool = False) -> torch.Tensor:
    """The thinker's mrope positions of a prompt, (3, prompt)."""
    sounds = inputs["feature_attention_mask"].sum(1) if "feature_attention_mask" in inputs else None
    positions, _ = reference_model(model_path).thinker.get_rope_index(
        inputs["input_ids"],
        inputs.get("image_grid_thw"),
        inputs.get("video_grid_thw"),
        inputs["attention_mask"],
        use_audio_in_video,
        sounds,
        inputs.get("video_second_per_grid"),
    )
    return positions[:, 0].long()


class _Recorder:
    """Calls a function and remembers the last call: intermediate results that `generate` keeps to itself."""

    def __init__(self, function: Any):
        self.function = function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.arguments = arguments
        self.result = self.function(*arguments, **keywords)
        return self.result
