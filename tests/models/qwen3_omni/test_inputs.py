"""The thinker's inputs equal those of transformers' processor and get_rope_index, whatever the mixture of media."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoConfig, Qwen3OmniMoeThinkerForConditionalGeneration
from transformers.video_utils import VideoMetadata

from sglang_omni.errors import InvalidRequest
from sglang_omni.media import Video
from sglang_omni.models.qwen3_omni.inputs import build_inputs, choose_frames
from sglang_omni.prompt_text import PromptText
from tests.reference import reference_inputs, reference_processor


@pytest.fixture(scope="module")
def processor(tiny_model):
    return reference_processor(tiny_model)


@pytest.fixture(scope="module")
def config(tiny_model):
    return AutoConfig.from_pretrained(tiny_model).thinker_config


@pytest.fixture(scope="module")
def model(config):
    """Without weights: only its positions are asked for."""
    with torch.device("meta"):
        return Qwen3OmniMoeThinkerForConditionalGeneration(config)


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8))


def sound(samples: int) -> np.ndarray:
    return np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)


def video(frames: int, samples: int = 20_000) -> Video:
    pixels = np.random.default_rng(frames).integers(0, 256, (frames, 48, 64 + frames, 3), np.uint8)
    return Video(pixels, list(range(frames)), frames, 1.0, sound(samples))


def check(tiny_model, processor, config, model, media, use_audio_in_video):
    """`media` are lists of pictures, sounds and videos, one list for each user message."""
    messages, given = [], {"images": [], "audios": [], "videos": []}
    sounds = []  # in prompt order, as transformers wants them
    for i, message in enumerate(media):
        content = []
        for medium in message:
            kind = {Image.Image: "image", np.ndarray: "audio", Video: "video"}[type(medium)]
            content.append({"type": kind})
            given[f"{kind}s"].append(medium)
            if kind == "audio":
                sounds.append(medium)
            elif kind == "video" and use_audio_in_video:
                sounds.append(medium.sound)
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": f"Look, {i}"}]})
        messages.append({"role": "assistant", "content": "I see"})
    messages.append({"role": "user", "content": "And now?"})
    prompt = PromptText(processor.tokenizer).render(messages, add_generation_prompt=True)
    inputs = build_inputs(processor, config, prompt, use_audio_in_video=use_audio_in_video, **given)

    expected = reference_inputs(
        tiny_model,
        messages,
        images=given["images"] or None,
        audio=sounds or None,
        videos=[torch.from_numpy(video.frames).permute(0, 3, 1, 2) for video in given["videos"]] or None,
        use_audio_in_video=use_audio_in_video,
    )
    positions, delta = model.get_rope_index(
        expected["input_ids"],
        expected.get("image_grid_thw"),
        expected.get("video_grid_thw"),
        expected["attention_mask"],
        use_audio_in_video,
        expected["feature_attention_mask"].sum(1) if sounds else None,
        expected.get("video_second_per_grid"),
    )
    assert torch.equal(inputs.ids, expected["input_ids"][0])
    assert torch.equal(inputs.positions.float(), positions[:, 0])
    assert torch.equal(inputs.delta, delta)

    features = {kind: [item for item in inputs.items if item.kind == kind] for kind in ("image", "audio", "video")}
    for kind, values in (("image", "pixel_values"), ("video", "pixel_values_videos")):
        assert len(features[kind]) == len(given[f"{kind}s"])
        if features[kind]:
            assert torch.equal(torch.cat([item.feature for item in features[kind]]), expected[values])
            assert torch.equal(torch.cat([item.grid for item in features[kind]]), expected[f"{kind}_grid_thw"])
    assert len(features["audio"]) == len(sounds)
    for i, item in enumerate(features["audio"]):
        valid = expected["feature_attention_mask"][i].bool()
        assert torch.equal(item.feature, expected["input_features"][i][:, valid])

    for kind, token in (
        ("image", config.image_token_id),
        ("audio", config.audio_token_id),
        ("video", config.video_token_id),
    ):
        runs = [torch.arange(first, last + 1) for item in features[kind] for first, last in item.runs]
        covered = torch.cat(runs) if runs else torch.empty(0).long()
        assert torch.equal(covered, (inputs.ids == token).nonzero()[:, 0])


medium = st.one_of(
    st.builds(picture, st.integers(20, 90), st.integers(20, 90)),
    st.builds(sound, st.integers(400, 40_000)),
    st.builds(video, st.integers(1, 5), st.integers(400, 90_000)),
)


@settings(deadline=None, max_examples=25)
@given(
    media=st.lists(st.lists(medium, max_size=3), min_size=1, max_size=2).filter(any),
    use_audio_in_video=st.booleans(),
)
def test_any_mixture(tiny_model, processor, config, model, media, use_audio_in_video):
    check(tiny_model, processor, config, model, media, use_audio_in_video)


@pytest.mark.parametrize("use_audio_in_video", [False, True])
def test_every_kind_twice(tiny_model, processor, config, model, use_audio_in_video):
    media = [[picture(50, 40), sound(9000), video(4)], [video(3, 100_000), picture(70, 30), sound(30_000)]]
    check(tiny_model, processor, config, model, media, use_audio_in_video)


@pytest.mark.parametrize(("fps", "max_frames"), [(None, None), (2.0, None), (5.0, 6), (0.5, 3)])
@pytest.mark.parametrize(("total", "rate"), [(2, 25.0), (3, 25.0), (37, 10.0), (250, 29.97), (60, 0.5)])
def test_the_frames_transformers_samples(processor, total, rate, fps, max_frames):
    frames = torch.arange(total, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)
    indices = choose_frames(processor, total, rate, fps, max_frames)
    sampled = processor.video_processor([frames[indices]], do_sample_frames=False, return_tensors="pt")
    expected = processor.video_processor(
        [frames],
        video_metadata=[VideoMetadata(total_num_frames=total, fps=rate)],
        do_sample_frames=True,
        fps=fps or 1.0,
        **({} if max_frames is None else {"max_frames": max_frames}),
        return_tensors="pt",
    )
    assert torch.equal(sampled["pixel_values_videos"], expected["pixel_values_videos"])
    assert len(indices) <= (max_frames or total)


@pytest.mark.parametrize(("total", "rate"), [(143, 10.0), (734, 24.0)])
def test_transformers_rounding_chooses_no_frame_behind_the_last(processor, total, rate):
    raw = processor.video_processor.sample_frames(VideoMetadata(total_num_frames=total, fps=rate), fps=1.0).tolist()
    assert raw[-1] == total
    assert choose_frames(processor, total, rate) == raw[:-1]


@pytest.mark.parametrize(("total", "max_frames"), [(1, None), (20, 1)])
def test_a_single_frame_of_which_transformers_samples_none(processor, total, max_frames):
    assert choose_frames(processor, total, 25.0, max_frames=max_frames) == [0]


@pytest.mark.parametrize("fps", [0.5, 1, 2, 3])
def test_positions_in_time_follow_the_rate_of_sampling(processor, config, model, fps):
    content = [{"type": "video"}, {"type": "text", "text": "When?"}]
    prompt = PromptText(processor.tokenizer).render([{"role": "user", "content": content}])
    clip = video(5)
    inputs = build_inputs(processor, config, prompt, videos=[clip], use_audio_in_video=True, fps=fps)
    expected = processor(
        text=processor.tokenizer.decode(prompt),
        videos=[torch.from_numpy(clip.frames).permute(0, 3, 1, 2)],
        audio=[clip.sound],
        videos_kwargs={"use_audio_in_video": True, "fps": fps},
        return_tensors="pt",
    )
    positions, _ = model.get_rope_index(
        expected["input_ids"],
        None,
        expected["video_grid_thw"],
        expected["attention_mask"],
        True,
        expected["feature_attention_mask"].sum(1),
        expected["video_second_per_grid"],
    )
    assert torch.equal(inputs.ids, expected["input_ids"][0])
    assert torch.equal(inputs.positions, positions[:, 0].floor().long())
    if fps != 3:  # 26/3 position ids between frames: transformers has fractions, SGLang whole numbers
        assert torch.equal(inputs.positions.float(), positions[:, 0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "the prompt has <|image_pad|> 0 times, for images: 1"),
        ("<|image_pad|>", "must stand between <|vision_start|> and <|vision_end|>"),
        ("<|vision_start|><|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|> that begins nothing"),
        ("<|vision_start|><|image_pad|><|vision_end|><|audio_start|>", "<|audio_start|> that begins nothing"),
    ],
)
def test_raw_prompts_that_do_not_fit_their_media(processor, config, text, words):
    with pytest.raises(InvalidRequest) as error:
        build_inputs(processor, config, processor.tokenizer.encode(text), [picture(40, 40)])
    assert words in str(error.value)
