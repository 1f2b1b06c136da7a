"""Our reading of a config.json is transformers'."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen3OmniMoeConfig

from sglang_omni.errors import CheckpointError
from sglang_omni.models.qwen3_omni.config import omni_config

ROPE = {"interleaved": True, "mrope_section": [12, 10, 10], "rope_type": "default", "type": "default"}


def assert_same(ours: Any, theirs: Any) -> None:
    for field in fields(ours):
        value, expected = getattr(ours, field.name), getattr(theirs, field.name, None)
        if is_dataclass(value):
            assert_same(value, expected)
        elif field.name == "rope_parameters":
            for name in ("rope_theta", "mrope_section"):
                if name in expected:
                    assert value[name] == expected[name], name
        else:
            assert value == expected, field.name


@pytest.mark.parametrize(
    ("text", "predictor"),
    [
        ({}, {}),
        ({"rope_theta": 1_000_000, "rope_scaling": ROPE, "head_dim": 64}, {"rope_theta": 50_000, "rope_scaling": None}),
        (
            {"rope_parameters": {**ROPE, "rope_theta": 7}},
            {"rope_parameters": {"rope_type": "default", "rope_theta": 3}},
        ),
    ],
)
def test_configs_old_and_new_are_read_as_transformers_does(
    text: dict[str, Any], predictor: dict[str, Any], tmp_path: Path
) -> None:
    config = {
        "architectures": ["Qwen3OmniMoeForConditionalGeneration"],
        "model_type": "qwen3_omni_moe",
        "thinker_config": {"image_token_id": 5},
        "talker_config": {
            "text_config": {"shared_expert_intermediate_size": 768, "num_experts_per_tok": 6, **text},
            "code_predictor_config": {"num_code_groups": 16, **predictor},
            "num_code_groups": 16,
            "speaker_id": {"ethan": 3},
        },
        "user_token_id": 7,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert_same(omni_config(tmp_path), Qwen3OmniMoeConfig.from_pretrained(tmp_path))


def test_the_demos_config_is_read_as_transformers_does(demo_model: Path) -> None:
    assert_same(omni_config(demo_model), Qwen3OmniMoeConfig.from_pretrained(demo_model))


def test_a_model_without_talker_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"thinker_config": {}}))
    with pytest.raises(CheckpointError, match="has no talker_config"):
        omni_config(tmp_path)
