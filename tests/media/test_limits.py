"""Files that are larger than they look: each is refused in time, and says which limit it is over."""

import io
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tests.media_files as files
from sglang_omni.errors import MediaError
from sglang_omni.media import MediaPolicy, Video
from sglang_omni.media.audio import decode_audio
from sglang_omni.media.budget import Budget
from sglang_omni.media.images import FORMATS, decode_image
from sglang_omni.media.video import decode_video
from tests.media import hostile

POLICY = MediaPolicy()


def every_frame(total: int, rate: float) -> list[int]:
    return list(range(total))


def decode(kind: str, data: bytes, policy: MediaPolicy = POLICY) -> object:
    if kind == "image":
        return decode_image(data, policy, "x")
    return decode_audio(data, policy, "x") if kind == "audio" else decode_video(data, policy, "x", every_frame)


@pytest.mark.parametrize(
    ("limit", "kind", "data", "flag"),
    [
        ({"max_pixels": 1199}, "image", files.picture(40, 30), "--media-max-pixels"),
        ({"max_pixels": 3071}, "video", files.video(3), "--media-max-pixels"),
        ({"max_total_pixels": 3 * 3072 - 1}, "video", files.video(3), "--media-max-total-pixels"),
        ({"max_seconds": 1.9}, "video", files.video(50, 25), "--media-max-seconds"),
        ({"max_seconds": 60}, "audio", hostile.wav(1, 1000, 60_500), "--media-max-seconds"),
        ({"max_seconds": 0.4}, "audio", files.sound(files.tone(0.5)), "--media-max-seconds"),
    ],
)
def test_limits(limit: dict[str, float], kind: str, data: bytes, flag: str) -> None:
    with pytest.raises(MediaError, match=flag):
        decode(kind, data, replace(POLICY, **limit))  # type: ignore[arg-type]
    (name, value) = limit.popitem()
    decode(kind, data, replace(POLICY, **{name: value + 1}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("image", hostile.png(60_000, 60_000), "million pixels"),
        ("image", hostile.png(2**31 - 1, 2**31 - 1), "million pixels"),
        ("image", hostile.png(9_000, 9_000), "more than 64 million pixels (--media-max-pixels)"),
        ("image", hostile.png(8_000, 8_000), "could not be decoded"),
        ("image", hostile.png(0, 5), "no picture"),
        ("image", hostile.png(100_000, 1), "more than 200 times"),
        ("image", hostile.png_of_text(100), "no picture"),
        ("image", files.picture(200, 200, "JPEG")[:3000], "could not be decoded"),
        ("video", hostile.mp4_of_frames(10**6), ""),
        ("video", files.video(2401, 1, size=(16, 16)), "longer than 2400 s (--media-max-seconds)"),
        ("audio", hostile.wav(65, 8000, 8000), "more than 64 channels"),
        ("audio", hostile.wav(1000, 8000, 800), ""),
        ("audio", hostile.wav(1, 1, 10_000), "1000 to 768000 samples per second"),
        ("audio", hostile.wav(1, 999, 10_000), "1000 to 768000 samples per second"),
        ("audio", hostile.wav(1, 2**31 - 1, 10_000), "1000 to 768000 samples per second"),
    ],
)
def test_bombs(kind: str, data: bytes, words: str) -> None:
    assert len(data) < 3_000_000
    with pytest.raises(MediaError) as error:
        decode(kind, data)
    assert words in str(error.value)


def test_an_honest_picture_may_be_compressed_well() -> None:
    data = hostile.png_of_zeros(4000, 4000)
    assert len(data) < 60_000
    assert decode_image(data, POLICY, "x").shape == (4000, 4000, 3)


@pytest.mark.parametrize("format", sorted(set(Image.SAVE) - set(FORMATS) - {"MPO", "PALM"}))
def test_rare_formats_of_pictures_are_not_opened(format: str) -> None:
    file = io.BytesIO()
    with suppress(OSError, KeyError, ValueError):  # Pillow cannot write it without help
        Image.new("RGB", (16, 16)).save(file, format)
    with pytest.raises(MediaError, match="no picture in JPEG, PNG, WebP, GIF or BMP"):
        decode_image(file.getvalue(), POLICY, "x")


def test_a_video_whose_frames_grow_has_frames_of_one_size() -> None:
    video = decode("video", hostile.growing_video())
    assert isinstance(video, Video)
    assert video.frames.shape[0] > 15
    assert video.frames.shape[1:] == (48, 64, 3)
    assert video.frames[-1].mean() == pytest.approx(36, abs=4)


def test_a_video_whose_frames_grow_over_the_limit() -> None:
    with pytest.raises(MediaError, match="--media-max-pixels"):
        decode("video", hostile.growing_video(), replace(POLICY, max_pixels=64 * 48))


def test_a_video_whose_header_is_modest() -> None:
    """The frames count, whatever the container says of them."""
    data = files.video(10, size=(128, 96))
    modest = data.replace((128).to_bytes(2, "big") + (96).to_bytes(2, "big"), b"\0\x10\0\x10")
    assert modest != data
    with pytest.raises(MediaError, match=r"million pixels|could not be decoded"):
        decode("video", modest, replace(POLICY, max_pixels=128 * 96 - 1))


@pytest.mark.parametrize("channels", [1, 2, 6, 8, 9, 64])
def test_many_channels(channels: int) -> None:
    assert len(decode_audio(hostile.wav(channels, 8000, 8000), POLICY, "x")) == pytest.approx(16_000, abs=64)


SAMPLES = {
    "image": [
        files.picture(64, 48, "JPEG", progressive=True),
        files.picture(64, 48, "PNG"),
        files.picture(64, 48, "WEBP"),
        files.picture(64, 48, "GIF"),
        files.picture(64, 48, "BMP"),
    ],
    "audio": [
        files.sound(files.tone(), 16_000),
        files.sound(files.tone(1.0, 48_000), 48_000, "mp3", "libmp3lame"),
        files.sound(files.tone(), 16_000, "flac", "flac"),
        files.sound(files.tone(1.0, 48_000), 48_000, "ogg", "libopus"),
    ],
    "video": [files.video(10), files.video(10, format="matroska"), files.video(10, format="webm", codec="libvpx")],
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_broken_files_are_decoded_or_refused(kind: str) -> None:
    refused = 0
    for sample in SAMPLES[kind]:
        for data in hostile.mutations(sample, 60):
            try:
                decode(kind, data, replace(POLICY, max_pixels=2**20, max_total_pixels=2**24))
            except MediaError:
                refused += 1
    assert refused > 10


def test_a_requests_media_count_together() -> None:
    picture, second = Image.new("RGB", (20, 20)), np.zeros(16_000, np.float32)
    video = Video(np.zeros((2, 10, 10, 3), np.uint8), [0, 1], 2, 1.0, second)
    budget = Budget(replace(POLICY, max_total_pixels=1000, max_seconds=3))
    for medium in (picture, second, video, second, picture):  # 1000 pixels, 3 seconds
        budget.spend(medium, "x")
    with pytest.raises(MediaError, match=r"images\[2\]: .*--media-max-total-pixels"):
        budget.spend(Image.new("RGB", (1, 1)), "images[2]")
    budget = Budget(replace(POLICY, max_seconds=3))
    for medium in (second, second, video):
        budget.spend(medium, "x")
    with pytest.raises(MediaError, match=r"audios\[2\]: .*--media-max-seconds"):
        budget.spend(second[:1], "audios[2]")
