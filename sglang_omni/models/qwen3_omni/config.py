"""What the talker needs of a checkpoint's config.json, with the names and defaults of transformers' classes.

Classes of our own because importing transformers' costs three seconds of a sidecar's start.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from sglang_omni.errors import CheckpointError

Config = TypeVar("Config")
LONGEST_TEXT = 1000
"""Characters that a checkpoint speaks at once, unless it says otherwise: a minute of English, four of Chinese."""

Rope = dict[str, Any]


@dataclass(frozen=True)
class CodePredictorConfig:
    """Of Qwen3OmniMoeTalkerCodePredictorConfig."""

    vocab_size: int = 2048
    num_code_groups: int = 32
    hidden_size: int = 1024
    intermediate_size: int = 3072
    num_hidden_layers: int = 5
    num_attention_heads: int = 16
    num_key_value_heads: int = 8
    head_dim: int = 128
    rms_norm_eps: float = 1e-6
    attention_bias: bool = False
    rope_parameters: Rope = field(default_factory=dict)


@dataclass(frozen=True)
class TalkerTextConfig:
    """Of Qwen3OmniMoeTalkerTextConfig."""

    shared_expert_intermediate_size: int
    vocab_size: int = 3072
    hidden_size: int = 1024
    intermediate_size: int = 2048
    moe_intermediate_size: int = 384
    num_experts: int = 128
    num_experts_per_tok: int = 8
    norm_topk_prob: bool = False
    num_hidden_layers: int = 20
    num_attention_heads: int = 16
    num_key_value_heads: int = 2
    head_dim: int | None = None
    rms_norm_eps: float = 1e-6
    attention_bias: bool = False
    rope_parameters: Rope = field(default_factory=dict)


@dataclass(frozen=True)
class TalkerConfig:
    """Of Qwen3OmniMoeTalkerConfig."""

    text_config: TalkerTextConfig
    code_predictor_config: CodePredictorConfig
    speaker_id: dict[str, int]
    num_code_groups: int = 32
    thinker_hidden_size: int = 2048
    codec_eos_token_id: int = 4198
    codec_nothink_id: int = 4203
    codec_think_bos_id: int = 4204
    codec_think_eos_id: int = 4205
    codec_pad_id: int = 4196
    codec_bos_id: int = 4197
    audio_start_token_id: int = 151669
    vision_start_token_id: int = 151652


@dataclass(frozen=True)
class MediaIds:
    """Of Qwen3OmniMoeThinkerConfig."""

    audio_token_id: int = 151646
    image_token_id: int = 151655
    video_token_id: int = 151656


@dataclass(frozen=True)
class OmniConfig:
    """Of Qwen3OmniMoeConfig."""

    talker_config: TalkerConfig
    thinker_config: MediaIds
    im_start_token_id: int = 151644
    im_end_token_id: int = 151645
    tts_pad_token_id: int = 151671
    tts_bos_token_id: int = 151672
    tts_eos_token_id: int = 151673
    user_token_id: int = 872
    assistant_token_id: int = 77091


def omni_config(model_path: str | Path) -> OmniConfig:
    values = json.loads((Path(model_path) / "config.json").read_text())
    talker = values.get("talker_config")
    if talker is None:
        raise CheckpointError(f"{model_path}/config.json has no talker_config: this model does not speak")
    text, predictor = dict(talker["text_config"]), dict(talker["code_predictor_config"])
    text["rope_parameters"] = {"mrope_section": [24, 20, 20], **_rope(text)}
    text.setdefault("num_experts", text.get("num_local_experts"))  # transformers 5 saves it by this name
    predictor["rope_parameters"] = _rope(predictor)
    parts = {
        "text_config": _known(TalkerTextConfig, text),
        "code_predictor_config": _known(CodePredictorConfig, predictor),
    }
    known = {
        "talker_config": _known(TalkerConfig, talker | parts),
        "thinker_config": _known(MediaIds, values["thinker_config"]),
    }
    return _known(OmniConfig, values | known)


def _known(kind: type[Config], values: Mapping[str, Any]) -> Config:
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: values[name] for name in names if values.get(name) is not None})


def _rope(values: Mapping[str, Any]) -> Rope:
    """Rotary parameters, which the published checkpoint keeps in two places."""
    found = values.get("rope_parameters") or values.get("rope_scaling") or {}
    return {"rope_theta": values.get("rope_theta") or 10_000.0, **found}


def generation_config(model_path: Path) -> dict[str, Any]:
    """A checkpoint's generation_config.json, empty where it has none.

    Of transformers' names it may hold `talker_temperature`, `_top_k`, `_top_p`, `_repetition_penalty` and
    `_max_new_tokens`. Ours are `code_predictor_temperature`, `_top_k` and `_top_p`, and `talker_max_text_length`: the
    characters of the longest text that the talker speaks at once.
    """
    path = model_path / "generation_config.json"
    return json.loads(path.read_text()) if path.exists() else {}


def longest_text(model_path: Path) -> int:
    """Characters that the talker speaks at once."""
    return int(generation_config(model_path).get("talker_max_text_length") or LONGEST_TEXT)
