"""Decoding: what comes out of files of known content, and what is said about files that cannot be used."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tests.media_files as files
from sglang_omni.errors import MediaError
from sglang_omni.media import MediaPolicy, load_audio, load_image, load_video

POLICY = MediaPolicy()


def every(step: int):
    return lambda total, rate: list(range(0, total, step))


def test_a_picture_is_rgb_and_upright():
    sideways = Image.Exif()
    sideways[0x0112] = 6
    image = load_image(files.picture(40, 30, "JPEG", exif=sideways), POLICY)
    assert image.mode == "RGB"
    assert image.size == (30, 40)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_a_picture_of_any_mode_is_rgb(mode):
    file = io.BytesIO()
    Image.new(mode, (8, 8)).save(file, "TIFF")
    assert load_image(file.getvalue(), POLICY).mode == "RGB"


def test_a_wav_at_16_khz_is_decoded_exactly():
    samples = files.tone()
    loaded = load_audio(files.sound(samples), POLICY)
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded, samples[0], atol=1 / 32768)


@pytest.mark.parametrize(("format", "codec"), [("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus")])
def test_compressed_sound_keeps_its_length_and_loudness(format, codec):
    samples = files.tone(1.0, 48_000)
    loaded = load_audio(files.sound(samples, 48_000, format, codec), POLICY)
    assert abs(len(loaded) - 16_000) <= 1200  # encoders pad
    assert abs(np.std(loaded) - np.std(samples)) < 0.02


def test_channels_are_averaged_and_resampled():
    samples = files.tone(1.0, 48_000, channels=2)
    loaded = load_audio(files.sound(samples, 48_000), POLICY)
    wanted = files.tone(1.0, 16_000, channels=2).mean(axis=0)
    assert abs(len(loaded) - 16_000) <= 2
    np.testing.assert_allclose(loaded[200:15_800], wanted[200:15_800], atol=2e-3)


@pytest.mark.parametrize(("format", "codec"), [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("webm", "libvpx")])
def test_the_chosen_frames_of_a_video(format, codec):
    loaded = load_video(files.video(format=format, codec=codec), POLICY, every(7))
    assert (loaded.total, loaded.rate) == (50, 25.0)
    assert loaded.frames.shape == (8, 48, 64, 3)
    assert loaded.frames.dtype == np.uint8
    levels = loaded.frames.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, 4 * np.array(loaded.indices), atol=3)
    assert loaded.sound is None


def test_a_video_with_its_sound():
    loaded = load_video(files.video(samples=files.tone(2.0)), POLICY, every(10), with_sound=True)
    assert len(loaded.frames) == 5
    assert abs(len(loaded.sound) - 32_000) <= 2048


def test_a_video_is_upright():
    """A telephone held upright says: turn the frames by 90 degrees clockwise."""
    identity, clockwise = (
        struct.pack(">9i", *m)
        for m in ([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30])
    )
    data = files.video(side=100)
    header = data.index(b"tkhd")
    position = data.index(identity, header)
    turned = data[:position] + clockwise + data[position + len(clockwise) :]
    lying, upright = (load_video(each, POLICY, every(25)).frames for each in (data, turned))
    assert lying.shape == (2, 48, 64, 3)
    assert upright.shape == (2, 64, 48, 3)
    assert lying[0, :, -8:].mean() > 80 > 20 > lying[0, :, :8].mean()
    assert upright[0, -8:].mean() > 80 > 20 > upright[0, :8].mean()  # what was right is below


def test_a_video_cut_short_still_has_its_frames():
    data = files.video(codec="mpeg4", format="matroska")
    loaded = load_video(data[: len(data) * 3 // 4], POLICY, every(7))
    assert 0 < loaded.total < 50


TEXT = b"this is no media file, only a sentence " * 20
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("data", [TEXT, PLAYLIST, files.picture()[:200], files.sound(files.tone())[:50]])
@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda data: load_image(data, POLICY, "images[0]"), "images[0]: the picture could not be decoded"),
        (lambda data: load_audio(data, POLICY, "audios[2]"), "audios[2]: the sound could not be decoded"),
        (lambda data: load_video(data, POLICY, every(1), name="v"), "v: the video could not be decoded"),
    ],
)
def test_what_cannot_be_decoded(data, load, words):
    with pytest.raises(MediaError) as error:
        load(data)
    if data[:4] != b"RIFF":  # FFmpeg opens a wav without samples
        assert str(error.value) == words
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda: load_audio(files.video(), POLICY), "audio: the file holds no sound"),
        (lambda: load_video(files.sound(files.tone()), POLICY, every(1)), "video: the file holds no video"),
        (lambda: load_video(files.video(), POLICY, every(1), True), "video: the video has no sound track"),
        (lambda: load_audio(files.sound(files.tone(0.01)), POLICY), "shorter than 25 ms"),
        (lambda: load_image(files.picture(402, 2), POLICY), "more than 200 times"),
        (lambda: load_image(b"", POLICY), "image: the file is empty"),
    ],
)
def test_what_cannot_be_used(load, words):
    with pytest.raises(MediaError) as error:
        load()
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("limit", "load"),
    [
        ({"max_pixels": 1000}, lambda policy: load_image(files.picture(), policy)),
        ({"max_pixels": 1000}, lambda policy: load_video(files.video(), policy, every(1))),
        ({"max_video_pixels": 10_000}, lambda policy: load_video(files.video(), policy, every(1))),
        ({"max_seconds": 1}, lambda policy: load_video(files.video(), policy, every(1))),
        ({"max_seconds": 0.3}, lambda policy: load_audio(files.sound(files.tone()), policy)),
        ({"max_bytes": 1000}, lambda policy: load_audio(files.sound(files.tone()), policy)),
        ({"decode_seconds": 0}, lambda policy: load_audio(files.sound(files.tone()), policy)),
        ({"decode_seconds": 0}, lambda policy: load_video(files.video(), policy, every(1))),
    ],
)
def test_limits(limit, load):
    load(POLICY)
    with pytest.raises(MediaError):
        load(replace(POLICY, **limit))
