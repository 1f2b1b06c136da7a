"""The demo checkpoint: genuine in layout, equal on every run, lively in its answers."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoProcessor,
    AutoTokenizer,
    GenerationConfig,
    Qwen3OmniMoeForConditionalGeneration,
    Qwen3OmniMoeProcessor,
)

from sglang_omni.errors import ConfigError
from sglang_omni.models.qwen3_omni.config import longest_text
from sglang_omni.models.qwen3_omni.demo import (
    SIZES,
    cached_demo_model,
    demo_config,
    fill_weights,
    write_companions,
    write_demo_model,
)
from sglang_omni.models.qwen3_omni.demo.tokenizer import SPECIAL_TOKENS
from tests.reference import Answer, reference_generate, reference_inputs, reference_processor

PROMPTS = ("Hello!", "What is the capital of France?", "1 2 3")


@pytest.fixture(scope="module")
def tokenizer(demo_model):
    return AutoTokenizer.from_pretrained(demo_model)


@pytest.fixture(scope="module")
def answers(demo_model) -> list[Answer]:
    return [reference_generate(demo_model, prompt, max_tokens=128) for prompt in PROMPTS]


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_every_run_writes_the_same_bytes(tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        torch.manual_seed(len(name))  # whatever the caller's generator was
        write_demo_model(tmp_path / name, "tiny", seed=seed)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one") != files(tmp_path / "other")


@pytest.mark.parametrize("size", ["tiny", "trained"])
def test_every_parameter_is_set(size):
    model = Qwen3OmniMoeForConditionalGeneration(demo_config(size)).eval()
    for parameter in model.parameters():
        parameter.data.fill_(math.nan)
    fill_weights(model)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_transformers_finds_exactly_the_weights_it_expects(demo_model):
    _, info = Qwen3OmniMoeForConditionalGeneration.from_pretrained(demo_model, output_loading_info=True)
    assert not any(info.values()), info


def test_weights_are_sharded_and_named_as_published(demo_model):
    index = json.loads((demo_model / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 2
    assert "thinker.model.layers.0.mlp.experts.7.gate_proj.weight" in index
    assert "talker.model.layers.0.mlp.experts.0.down_proj.weight" in index
    assert "code2wav.decoder.1.block.1.conv.weight" in index


def test_voices_and_special_ids_are_shaped_like_the_published_ones(demo_model):
    config = AutoConfig.from_pretrained(demo_model)
    talker = config.talker_config
    assert set(talker.speaker_id) == {"ethan", "chelsie", "aiden"}
    last_1024 = range(talker.text_config.vocab_size - 1024, talker.text_config.vocab_size)
    special = (talker.codec_bos_id, talker.codec_eos_token_id, talker.codec_pad_id, *talker.speaker_id.values())
    assert all(id in last_1024 for id in special)
    assert config.thinker_config.text_config.num_hidden_layers >= 5
    assert talker.accept_hidden_layer > len(config.thinker_config.vision_config.deepstack_visual_indexes) == 3
    generation = GenerationConfig.from_pretrained(demo_model)
    assert generation.eos_token_id[0] == config.im_end_token_id
    assert generation.talker_repetition_penalty == 1.05


@pytest.mark.parametrize("size", SIZES)
def test_the_talker_listens_to_a_layer_behind_the_pictures(size):
    config = demo_config(size)
    deepstack = len(config.thinker_config.vision_config.deepstack_visual_indexes)
    layers = config.thinker_config.text_config.num_hidden_layers
    assert deepstack < config.talker_config.accept_hidden_layer < layers


def test_the_real_size_is_the_published_model():
    with torch.device("meta"):
        model = Qwen3OmniMoeForConditionalGeneration(demo_config("real"))
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e9 == pytest.approx(35.26, abs=0.01)
    assert (model.config.im_end_token_id, model.config.tts_eos_token_id) == (151645, 151673)
    assert model.config.thinker_config.audio_token_id == 151675


def test_the_real_size_is_not_written(tmp_path):
    with pytest.raises(ConfigError, match="Available: tiny, demo"):
        write_demo_model(tmp_path / "model", "real")
    assert not (tmp_path / "model").exists()


def test_what_lies_beside_trained_weights(tmp_path):
    write_companions(tmp_path, "trained")
    ids, config = SIZES["trained"].vocabulary, demo_config("trained")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == ids.size == config.thinker_config.text_config.vocab_size
    assert tokenizer("<|im_start|>assistant\n").input_ids == [ids["<|im_start|>"], ids["assistant"], 198]
    text = "My name is Omni, and 7 is a number."
    pieces = tokenizer(text).input_ids
    assert tokenizer.decode(pieces) == text
    assert len(text) / 2 <= len(pieces)
    generation = GenerationConfig.from_pretrained(tmp_path)
    assert generation.eos_token_id == [config.im_end_token_id, ids["<|endoftext|>"]]
    assert longest_text(tmp_path) == generation.talker_max_text_length == 120
    assert generation.temperature == 0.1, "a thinker that answers questions is hardly to draw"


def test_the_cache_is_filled_once_by_starters_that_collide(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ThreadPoolExecutor(3) as starters:
        paths = set(starters.map(cached_demo_model, ["tiny"] * 3))
    (path,) = paths
    assert list((tmp_path / "sglang-omni").iterdir()) == [path]
    written = (path / "config.json").stat().st_mtime_ns
    assert cached_demo_model("tiny") == path
    assert (path / "config.json").stat().st_mtime_ns == written


def test_the_processor_loads_as_the_familys(demo_model):
    processor = AutoProcessor.from_pretrained(demo_model)
    assert isinstance(processor, Qwen3OmniMoeProcessor)
    assert processor.feature_extractor.feature_size == 128
    assert processor.image_processor.patch_size == processor.video_processor.patch_size == 16


@pytest.mark.parametrize(
    "text", ["Hello world!", "naïve café, 12 345", "你好\n\n\tworld  ", "'s we'LL <|not_special|>"]
)
def test_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_text_is_normalised(tokenizer):
    assert tokenizer("e\u0301").input_ids == tokenizer("\u00e9").input_ids


def test_roles_and_special_tokens_are_single_ids(tokenizer, demo_model):
    config = AutoConfig.from_pretrained(demo_model)
    roles = {"system": config.system_token_id, "user": config.user_token_id, "assistant": config.assistant_token_id}
    for role, id in roles.items():
        assert tokenizer(f"<|im_start|>{role}\n").input_ids == [config.im_start_token_id, id, 198]
    ids = [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS]
    assert ids == list(range(len(tokenizer) - len(SPECIAL_TOKENS), len(tokenizer)))
    assert len(tokenizer) == config.thinker_config.text_config.vocab_size
    assert tokenizer.image_token == "<|image_pad|>"


def test_template_of_a_conversation_with_media(tokenizer):
    media = [{"type": kind} for kind in ("image", "audio", "video")]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [*media, {"type": "text", "text": "What is this?"}]},
    ]
    assert tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|image_pad|><|vision_end|><|audio_start|><|audio_pad|><|audio_end|>"
        "<|vision_start|><|video_pad|><|vision_end|>What is this?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_template_of_tools(tokenizer):
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "sun"},
    ]
    text = tokenizer.apply_chat_template(messages, tools=[tool], add_generation_prompt=True, tokenize=False)
    called = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    assert text.startswith("<|im_start|>system\n# Tools")
    assert json.dumps(tool) in text
    assert text.endswith(
        f"<|im_start|>assistant\n{called}\n{called}<|im_end|>\n<|im_start|>user\n<tool_response>\nrain\n"
        "</tool_response>\n<tool_response>\nsun\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_text_wanders_and_ends(answers, demo_model, tokenizer):
    for answer in answers:
        words = answer.text_ids.tolist()
        assert 10 <= len(words) < 128
        assert words[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")
        assert len(set(words)) > len(words) / 2
    assert len({tuple(answer.text_ids.tolist()) for answer in answers}) == len(PROMPTS)


def test_speech_takes_about_two_frames_per_token(answers):
    for answer in answers:
        assert 1.5 < len(answer.codes) / len(answer.text_ids) < 3
        assert len(answer.codes.unique(dim=0)) == len(answer.codes)


@pytest.mark.parametrize("seed", [0, 1])
def test_sampled_speech_ends_too(demo_model, seed):
    torch.manual_seed(seed)
    answer = reference_generate(demo_model, PROMPTS[0], max_tokens=10, talker_do_sample=True)
    assert 1.5 < len(answer.codes) / len(answer.text_ids) < 3


def test_the_waveform_is_neither_silent_nor_clipped(answers):
    for answer in answers:
        assert len(answer.waveform) == 1920 * len(answer.codes) - 555
        assert 0.03 < answer.waveform.std() < 0.3
        assert answer.waveform.abs().max() < 1
        assert abs(answer.waveform.mean()) < 0.001


def test_pictures_and_sounds_change_the_answer(demo_model):
    second = np.arange(16_000) / 16_000
    media = {
        "image": [{"images": [Image.new("RGB", (64, 64), colour)]} for colour in ("red", "blue")],
        "audio": [{"audio": [np.sin(2 * np.pi * pitch * second).astype(np.float32)]} for pitch in (220, 880)],
    }
    for kind, choices in media.items():
        messages = [{"role": "user", "content": [{"type": kind}, {"type": "text", "text": "What is it?"}]}]
        said = {
            tuple(reference_generate(demo_model, inputs, audio=False, max_tokens=24).text_ids.tolist())
            for inputs in (reference_inputs(demo_model, messages, **choice) for choice in choices)
        }
        assert len(said) == 2, kind


def test_media_fill_the_placeholders(demo_model):
    messages = [{"role": "user", "content": [{"type": "image"}]}]
    inputs = reference_inputs(demo_model, messages, images=[Image.new("RGB", (2000, 2000))])
    pads = inputs["input_ids"] == reference_processor(demo_model).tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert pads.sum() == 144
