"""SGLang's processor: from a request's sources to what SGLang's scheduler takes."""

import asyncio
import base64
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from sglang.srt.managers.io_struct import GenerateReqInput
from sglang.srt.managers.schedule_batch import Modality
from sglang.srt.runtime_context import publish
from sglang.srt.server_args import ServerArgs
from sglang.srt.utils import ImageData
from transformers import AutoConfig

from sglang_omni.errors import InvalidRequest, MediaError
from sglang_omni.media import MediaPolicy, Video
from sglang_omni.models.qwen3_omni.inputs import build_inputs
from sglang_omni.models.qwen3_omni.processor import Qwen3OmniProcessor
from sglang_omni.prompt_text import PromptText
from tests import media_files
from tests.reference import reference_processor


@pytest.fixture(scope="module")
def processor(tiny_model):
    arguments = ServerArgs(model_path=str(tiny_model), device="cpu")
    publish(arguments, role="tokenizer")
    config = AutoConfig.from_pretrained(tiny_model)
    processor = Qwen3OmniProcessor(config, arguments, reference_processor(tiny_model), "default")
    yield processor
    processor.shutdown()


@pytest.fixture
def files(tmp_path, processor, monkeypatch):
    """A directory with a picture, a sound and a video that has a sound track, where the processor may read."""
    monkeypatch.setattr(processor.media, "policy", MediaPolicy(directory=tmp_path))
    picture(50, 40).save(tmp_path / "picture.png")
    (tmp_path / "sound.wav").write_bytes(media_files.sound(media_files.tone(1.0)))
    (tmp_path / "video.mp4").write_bytes(media_files.video(30, 10, samples=media_files.tone(3.0)))
    return tmp_path


def picture(width: int, height: int, grey: int | None = None) -> Image.Image:
    if grey is not None:
        return Image.new("RGB", (width, height), (grey,) * 3)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def request(processor, *kinds: str, **fields) -> GenerateReqInput:
    content = [*({"type": kind} for kind in kinds), {"type": "text", "text": "Look"}]
    prompt = PromptText(processor._tokenizer).render([{"role": "user", "content": content}])
    return GenerateReqInput(input_ids=prompt, **fields)


async def process(processor, request):
    return await processor.process_mm_data_async(
        request.image_data, request.audio_data, request.input_ids, request, max_req_input_len=None
    )


@pytest.mark.parametrize("use_audio_in_video", [False, True])
def test_sources_become_inputs(processor, files, use_audio_in_video):
    sound = base64.b64encode((files / "sound.wav").read_bytes()).decode()
    made = request(
        processor,
        "image",
        "audio",
        "video",
        image_data=[ImageData(url="picture.png")],
        audio_data=[f"data:audio/wav;base64,{sound}"],
        video_data=[f"file://{files}/video.mp4"],
        use_audio_in_video=use_audio_in_video,
    )
    output = asyncio.run(process(processor, made))
    assert isinstance(made.video_data[0], Video)
    assert made.video_data[0].indices == [0, 7, 15, 22]

    inputs = build_inputs(
        processor._processor,
        processor.hf_config,
        made.input_ids,
        made.image_data,
        made.audio_data,
        made.video_data,
        use_audio_in_video,
    )
    assert output.input_ids == inputs.ids.tolist()
    assert torch.equal(output.mrope_positions, inputs.positions)
    assert torch.equal(output.mrope_position_delta, inputs.delta)
    modalities = [item.modality for item in output.mm_items]
    assert modalities == [Modality.IMAGE] + [Modality.AUDIO] * (1 + use_audio_in_video) + [Modality.VIDEO]
    for item, expected in zip(output.mm_items, inputs.items, strict=True):
        assert torch.equal(item.feature, expected.feature)
        assert item.offsets == expected.runs
        if expected.grid is not None:
            assert torch.equal(getattr(item, f"{expected.kind}_grid_thw"), expected.grid)
    assert (output.im_token_id, output.audio_token_id, output.video_token_id) == (
        processor.hf_config.image_token_id,
        processor.hf_config.audio_token_id,
        processor.hf_config.video_token_id,
    )


def test_media_are_loaded_once(processor, files):
    made = request(processor, "image", image_data="picture.png")
    asyncio.run(processor.load_media(made))
    (loaded,) = made.image_data
    asyncio.run(process(processor, made))
    assert made.image_data == [loaded]
    assert made.audio_data is None


@pytest.mark.parametrize(("detail", "size"), [("low", (512, 256)), ("high", (1024, 512)), ("auto", (1024, 512))])
def test_low_detail_makes_a_picture_small(processor, files, detail, size):
    picture(1024, 512).save(files / "large.png")
    asked = request(processor, "image", image_data=[ImageData(url="large.png", detail=detail)])
    asyncio.run(processor.load_media(asked))
    assert asked.image_data[0].size == size


def test_an_item_is_known_by_its_values_and_shape(processor, files):
    def hash_of(image):
        output = asyncio.run(process(processor, request(processor, "image", image_data=[image])))
        return output.mm_items[0].hash

    assert hash_of("picture.png") == hash_of(picture(50, 40))
    assert hash_of(picture(64, 64, 7)) != hash_of(picture(64, 64, 8))
    assert hash_of(picture(128, 64, 7)) != hash_of(picture(64, 128, 7))


@pytest.mark.parametrize("field", ["video_config", "mm_processor_kwargs"])
def test_how_videos_are_read(processor, files, field):
    def read(**options):
        made = request(processor, "video", video_data=["video.mp4"], **{field: options})
        output = asyncio.run(process(processor, made))
        return made.video_data[0].indices, output

    assert read()[0] == [0, 7, 15, 22]
    assert read(fps=2)[0] == [0, 5, 10, 15, 20, 25]
    assert read(fps=2, max_frames=3)[0] == [0, 15]
    slow, fast = read(fps=1)[1], read(fps=0.5)[1]  # as many frames, but further apart
    assert torch.equal(slow.mm_items[0].feature, fast.mm_items[0].feature)
    assert slow.mrope_positions.max() < fast.mrope_positions.max()
    assert slow.mm_items[0].hash != fast.mm_items[0].hash
    with_sound = read(use_audio_in_video=True)[1]
    assert [item.modality for item in with_sound.mm_items] == [Modality.AUDIO, Modality.VIDEO]
    for wrong in ({"fps": 0}, {"fps": "2"}, {"max_frames": 2.5}, {"use_audio_in_video": 1}, {"size": 3}):
        with pytest.raises(InvalidRequest):
            read(**wrong)


@pytest.mark.parametrize(
    ("fields", "error", "words", "param"),
    [
        ({"image_data": ["picture.png", "gone.png"]}, MediaError, "images[1]: no such file", "images[1]"),
        ({"audio_data": ["picture.png"]}, MediaError, "audios[0]: the sound could not be", "audios[0]"),
        ({"video_data": ["sound.wav"]}, MediaError, "videos[0]: the file holds no video", "videos[0]"),
        ({"image_data": [{"format": "processor_output"}]}, InvalidRequest, "must be a path", "images[0]"),
        ({"image_data": ["picture.png"]}, InvalidRequest, "0 times, for images: 1", None),
    ],
)
def test_errors_name_the_medium(processor, files, fields, error, words, param):
    with pytest.raises(error) as raised:
        asyncio.run(process(processor, request(processor, **fields)))
    assert words in str(raised.value)
    assert raised.value.param == param


def test_media_load_at_the_same_time_and_an_error_ends_the_others(processor, monkeypatch):
    """Nine sounds of three requests wait for one another; then one is refused, and nobody waits for the rest."""
    ended = []

    async def scenario():
        together = asyncio.Barrier(10)

        async def load(source, name):
            await together.wait()
            if source == "bad":
                raise MediaError(f"{name}: no", param=name)
            try:
                await asyncio.sleep(60 if source == "slow" else 0)
            except asyncio.CancelledError:
                ended.append(name)
                raise
            return np.zeros(400, np.float32)

        monkeypatch.setattr(processor.media, "audio", load)
        made = [request(processor, audio_data=["x"] * 3) for _ in range(3)]
        await asyncio.gather(together.wait(), *map(processor.load_media, made))
        assert all(isinstance(sound, np.ndarray) for each in made for sound in each.audio_data)

        together = asyncio.Barrier(3)
        with pytest.raises(MediaError) as error:
            await processor.load_media(request(processor, audio_data=["slow", "bad", "slow"]))
        assert error.value.param == "audios[1]"

    asyncio.run(asyncio.wait_for(scenario(), 10))
    assert sorted(ended) == ["audios[0]", "audios[2]"]


def test_a_requests_media_count_together(processor, files, monkeypatch):
    monkeypatch.setattr(processor.media, "policy", replace(processor.media.policy, max_total_pixels=3 * 2000))
    asyncio.run(processor.load_media(request(processor, image_data=["picture.png"] * 3)))
    with pytest.raises(MediaError, match="--media-max-total-pixels"):
        asyncio.run(processor.load_media(request(processor, image_data=["picture.png"] * 4)))


def test_the_policy_holds(processor, files, monkeypatch):
    monkeypatch.setattr(processor.media, "policy", replace(processor.media.policy, max_pixels=100))
    with pytest.raises(MediaError, match="million pixels"):
        asyncio.run(processor.load_media(request(processor, image_data=["picture.png"])))
