"""Decoding: what comes out of files of known content, and what is said about files that cannot be used."""

import io
import struct
import wave

import numpy as np
import pytest
from PIL import Image, ImageOps

import tests.media_files as files
from sglang_omni.errors import MediaError
from sglang_omni.media import MediaPolicy
from sglang_omni.media.audio import decode_audio
from sglang_omni.media.images import decode_image
from sglang_omni.media.video import decode_video

POLICY = MediaPolicy()


def every(step: int):
    return lambda total, rate: list(range(0, total, step))


def test_a_picture_is_rgb_and_upright():
    sideways = Image.Exif()
    sideways[0x0112] = 6
    assert decode_image(files.picture(40, 30, "JPEG", exif=sideways), POLICY, "image").shape == (40, 30, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = files.picture(40, 30, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode_image(data, POLICY, "image"), upright)


@pytest.mark.parametrize(
    ("mode", "format"),
    [("L", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("RGBA", "WEBP"), ("CMYK", "JPEG"), ("1", "BMP"), ("I;16", "PNG")],
)
def test_a_picture_of_any_mode_is_rgb(mode, format):
    file = io.BytesIO()
    Image.new(mode, (8, 9)).save(file, format)
    image = decode_image(file.getvalue(), POLICY, "image")
    assert (image.shape, image.dtype) == ((9, 8, 3), np.uint8)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(format):
    file = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "blue")]
    frames[0].save(file, format, save_all=True, append_images=frames[1:], lossless=True)
    assert decode_image(file.getvalue(), POLICY, "image")[4, 4].tolist() == [255, 0, 0]


def test_several_pictures_in_a_jpeg_are_the_first_one():
    """As some telephones write them."""
    file = io.BytesIO()
    red, blue = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    red.save(file, "MPO", save_all=True, append_images=[blue])
    assert decode_image(file.getvalue(), POLICY, "image")[8, 8, 0] > 250


def test_a_wav_at_16_khz_is_decoded_exactly():
    samples = files.tone()
    loaded = decode_audio(files.sound(samples), POLICY, "audio")
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded, samples[0], atol=1 / 32768)


@pytest.mark.parametrize(("format", "codec"), [("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus")])
def test_compressed_sound_keeps_its_length_and_loudness(format, codec):
    samples = files.tone(1.0, 48_000)
    loaded = decode_audio(files.sound(samples, 48_000, format, codec), POLICY, "audio")
    assert abs(len(loaded) - 16_000) <= 1200  # encoders pad
    assert abs(np.std(loaded) - np.std(samples)) < 0.02


def test_channels_are_averaged_and_resampled():
    samples = files.tone(1.0, 48_000, channels=2)
    loaded = decode_audio(files.sound(samples, 48_000), POLICY, "audio")
    wanted = files.tone(1.0, 16_000, channels=2).mean(axis=0)
    assert abs(len(loaded) - 16_000) <= 2
    np.testing.assert_allclose(loaded[200:15_800], wanted[200:15_800], atol=2e-3)


@pytest.mark.parametrize("channels", [6, 8, 9])
def test_the_channels_of_a_cinema(channels):
    samples = files.tone(1.0, 48_000, channels)
    with io.BytesIO() as file:
        with wave.open(file, "wb") as writer:
            writer.setparams((channels, 2, 48_000, 0, "NONE", ""))
            writer.writeframes((samples.T * 32767).astype("<i2").tobytes())
        loaded = decode_audio(file.getvalue(), POLICY, "audio")
    wanted = files.tone(1.0, 16_000, channels).mean(axis=0)
    np.testing.assert_allclose(loaded[200:15_800], wanted[200:15_800], atol=2e-3)


@pytest.mark.parametrize(("format", "codec"), [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("webm", "libvpx")])
def test_the_chosen_frames_of_a_video(format, codec):
    loaded = decode_video(files.video(format=format, codec=codec), POLICY, "video", every(7))
    assert (loaded.total, loaded.rate) == (50, 25.0)
    assert loaded.frames.shape == (8, 48, 64, 3)
    assert loaded.frames.dtype == np.uint8
    levels = loaded.frames.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, 4 * np.array(loaded.indices), atol=3)
    assert loaded.sound is None


def test_a_video_with_its_sound():
    loaded = decode_video(files.video(samples=files.tone(2.0)), POLICY, "video", every(10), True)
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
    lying, upright = (decode_video(each, POLICY, "video", every(25)).frames for each in (data, turned))
    assert lying.shape == (2, 48, 64, 3)
    assert upright.shape == (2, 64, 48, 3)
    assert lying[0, :, -8:].mean() > 80 > 20 > lying[0, :, :8].mean()
    assert upright[0, -8:].mean() > 80 > 20 > upright[0, :8].mean()  # what was right is below


def test_a_video_cut_short_still_has_its_frames():
    data = files.video(codec="mpeg4", format="matroska")
    loaded = decode_video(data[: len(data) * 3 // 4], POLICY, "video", every(7))
    assert 0 < loaded.total < 50


TEXT = b"this is no media file, only a sentence " * 20
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("data", [TEXT, PLAYLIST, files.picture()[:200], files.sound(files.tone())[:50]])
@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda data: decode_image(data, POLICY, "images[0]"), "images[0]: the "),
        (lambda data: decode_audio(data, POLICY, "audios[2]"), "audios[2]: the sound could not be decoded"),
        (lambda data: decode_video(data, POLICY, "v", every(1)), "v: the video could not be decoded"),
    ],
)
def test_what_cannot_be_decoded(data, load, words):
    with pytest.raises(MediaError) as error:
        load(data)
    if data[:4] != b"RIFF":  # FFmpeg opens a wav without samples
        assert str(error.value).startswith(words)
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda: decode_audio(files.video(), POLICY, "audio"), "audio: the file holds no sound"),
        (lambda: decode_video(files.sound(files.tone()), POLICY, "video", every(1)), "video: the file holds no video"),
        (lambda: decode_video(files.video(), POLICY, "video", every(1), True), "video: the video has no sound track"),
        (lambda: decode_audio(files.sound(files.tone(0.01)), POLICY, "audio"), "shorter than 25 ms"),
        (lambda: decode_image(files.picture(402, 2), POLICY, "image"), "more than 200 times"),
        (lambda: decode_image(TEXT, POLICY, "image"), "image: the file is no picture in JPEG, PNG, WebP, GIF or BMP"),
    ],
)
def test_what_cannot_be_used(load, words):
    with pytest.raises(MediaError) as error:
        load()
    assert words in str(error.value)
