"""code2wav against transformers' Qwen3OmniMoeCode2Wav, in float32."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeCode2WavConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeCode2Wav

from sglang_omni.layers.streaming import Stream
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig
from sglang_omni.models.qwen3_omni.code2wav_stage import load
from sglang_omni.models.spec import StageOptions
from sglang_omni.models.weights import read_tensors

SMALL = {
    "codebook_size": 32,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "decoder_dim": 32,
}
CONFIGS = {
    "as released": SMALL,
    "short window, grouped keys, biases": {
        **SMALL,
        "sliding_window": 5,
        "num_key_value_heads": 1,
        "attention_bias": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
    },
    "other rates": {**SMALL, "num_quantizers": 4, "upsampling_ratios": [3], "upsample_rates": [4, 2]},
}


def models(changes: dict[str, Any]) -> tuple[Qwen3OmniMoeCode2Wav, Code2Wav]:
    """The reference and ours with the same weights, in which every part has a say and nothing saturates."""
    torch.manual_seed(0)
    reference = Qwen3OmniMoeCode2Wav(Qwen3OmniMoeCode2WavConfig(**changes)).eval()
    for name, parameter in reference.named_parameters():
        if parameter.ndim > 1:
            fan_in = parameter.shape[0] if "upsample" in name or "block.1." in name else parameter[0].numel()
            torch.nn.init.normal_(parameter, std=1.0 if "embedding" in name else 0.5 * fan_in**-0.5)
        else:
            torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.2)
    ours = Code2Wav(Code2WavConfig.of(reference.config.to_dict()))
    ours.load_state_dict(reference.state_dict())
    return reference, ours


def test_the_config_has_the_references_defaults() -> None:
    reference = Qwen3OmniMoeCode2WavConfig()
    for name, value in vars(Code2WavConfig()).items():
        assert getattr(reference, name) == value


def test_an_older_config_names_rope_theta_by_itself() -> None:
    assert Code2WavConfig.of({"rope_theta": 500.0}).rope_parameters["rope_theta"] == 500.0


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_the_whole_equals_the_reference(name: str) -> None:
    reference, ours = models(CONFIGS[name])
    for frames in (1, 2, 100):
        codes = torch.randint(32, (2, reference.config.num_quantizers, frames))
        expected = reference(codes)
        assert 0.05 < expected.std() < 0.5
        torch.testing.assert_close(ours(codes), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_chunks_equal_the_reference_beyond_the_window(name: str) -> None:
    """Two streams in one step, in slots that others have used."""
    reference, ours = models(CONFIGS[name])
    ours.prepare(3)
    dice = random.Random(0)
    slots = torch.tensor([2, 0])
    for frames in (7, 100):
        codes = torch.randint(32, (2, reference.config.num_quantizers, frames))
        heard, done = [], 0
        while done < frames:
            length = min(dice.randint(1, 16), frames - done)
            stream = Stream(slots, torch.full((2,), done), first=done == 0)
            heard.append(ours(codes[..., done : done + length], stream))
            done += length
        torch.testing.assert_close(torch.cat(heard, -1), reference(codes), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_the_demo_checkpoint_sounds_as_with_the_reference(demo_model: Path) -> None:
    config = json.loads((demo_model / "config.json").read_text())["code2wav_config"]
    reference = Qwen3OmniMoeCode2Wav(Qwen3OmniMoeCode2WavConfig(**config)).eval()
    reference.load_state_dict(read_tensors(demo_model, "code2wav."))
    ours = load(StageOptions(str(demo_model), dtype="float32"))
    ours.prepare(1)
    codes = torch.randint(config["codebook_size"], (1, 16, 90))
    expected = reference(codes)
    assert expected.std() > 0.05
    sizes, done, heard = [2, 2, 4, 8, 16, 16, 16, 16, 10], 0, []
    for size in sizes:
        stream = Stream(torch.tensor([0]), torch.tensor([done]), first=done == 0)
        heard.append(ours(codes[..., done : done + size], stream))
        done += size
    torch.testing.assert_close(torch.cat(heard, -1), expected, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_frame_is_1920_samples_and_the_first_lacks_555() -> None:
    _, ours = models(SMALL)
    ours.prepare(1)
    assert ours.config.samples_per_frame == 1920
    codes = torch.randint(32, (1, 16, 3))
    assert ours(codes).shape == (1, 1, 3 * 1920 - 555)
    lengths = [
        ours(codes[..., i : i + 1], Stream(torch.tensor([0]), torch.tensor([i]), i == 0)).shape[-1] for i in range(3)
    ]
    assert lengths == [1365, 1920, 1920]
