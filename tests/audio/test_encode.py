"""The law: any chunking gives the bytes of the whole stream, and decoding gives the sound back."""

import io
import itertools
import wave

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglang_omni.audio.encode import FORMATS, Encoder, Format, encode, find_format
from sglang_omni.errors import InvalidRequest

RATE = 24_000
TONE = (8_000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("<i2").tobytes()


def decode(data: bytes) -> np.ndarray:
    """(samples,) in -1..1 at the container's own rate."""
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler("flt", "mono", RATE)
        frames = [sound for frame in container.decode(audio=0) for sound in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def stream(pcm: bytes, format: str, cuts: list[int]) -> bytes:
    encoder = Encoder(format, RATE)
    edges = [0, *sorted(2 * cut for cut in cuts), len(pcm)]
    parts = [encoder.encode(pcm[start:end]) for start, end in itertools.pairwise(edges)]
    return b"".join([*parts, encoder.finish()])


@pytest.mark.parametrize("format", sorted(FORMATS))
@given(cuts=st.lists(st.integers(0, RATE), max_size=5))
@settings(max_examples=8, deadline=None)
def test_any_chunking_gives_the_same_bytes(format: str, cuts: list[int]) -> None:
    assert stream(TONE, format, cuts) == stream(TONE, format, [])


@pytest.mark.parametrize("format", ["wav", "mp3", "flac", "opus", "aac"])
@pytest.mark.parametrize("how", ["whole", "streamed"])
def test_decoding_gives_the_sound_back(format: str, how: str) -> None:
    data = encode(TONE, format, RATE) if how == "whole" else stream(TONE, format, [5_000, 5_001])
    heard = decode(data)
    spectrum = np.abs(np.fft.rfft(heard[:RATE]))
    assert abs(len(heard) - RATE) < 3_000  # codecs pad
    assert abs(spectrum.argmax() * RATE / min(len(heard), RATE) - 440) < 2


def test_a_whole_wav_states_its_true_size() -> None:
    with wave.open(io.BytesIO(encode(TONE, "wav", RATE))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        assert file.getnframes() == RATE
        assert file.readframes(RATE) == TONE


def test_pcm_is_untouched() -> None:
    assert encode(TONE, "pcm", RATE) == encode(TONE, "pcm16", RATE) == stream(TONE, "pcm16", [1]) == TONE


def test_silence_and_nothing_are_files_too() -> None:
    for format in FORMATS:
        encode(b"", format, RATE)
        stream(b"", format, [])


def test_an_unknown_format_names_the_known() -> None:
    with pytest.raises(InvalidRequest, match="response_format 'ogg' is not one of wav, mp3") as caught:
        find_format("ogg", ("wav", "mp3"), "response_format")
    assert caught.value.param == "response_format"


def test_a_codec_that_the_machine_lacks_is_known_beforehand() -> None:
    assert all(format.available for format in FORMATS.values())
    assert not Format("mp3", "audio/mpeg", "mp3", "no_such_encoder").available
