import random
from itertools import pairwise

import numpy as np
import pytest

from sglang_omni.audio.tempo import Tempo

RATE = 24_000
SPEEDS = [0.25, 0.4, 0.5, 0.8, 1.5, 2.0, 3.3, 4.0]


def tone(seconds: float, hertz: float = 440) -> bytes:
    time = np.arange(int(seconds * RATE)) / RATE
    return (8000 * np.sin(2 * np.pi * hertz * time)).astype("<i2").tobytes()


def stretched(pcm: bytes, speed: float, chunks: list[int] | None = None) -> np.ndarray:
    """`chunks` are places to cut `pcm` at, in samples."""
    tempo = Tempo(speed, RATE)
    cuts = [0, *sorted(chunks or []), len(pcm) // 2]
    pieces = [tempo.stretch(pcm[2 * a : 2 * b]) for a, b in pairwise(cuts)]
    return np.frombuffer(b"".join([*pieces, tempo.finish()]), "<i2")


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("samples", [24_000, 30_001])
def test_length_is_divided_by_the_speed(speed: float, samples: int):
    assert len(stretched(tone(samples / RATE + 1e-9), speed)) == round(samples / speed)


@pytest.mark.parametrize("speed", SPEEDS)
def test_pitch_and_loudness_stay(speed: float):
    sound = stretched(tone(4.0), speed)
    middle = sound[len(sound) // 4 : len(sound) // 4 + RATE // 4].astype(float)
    assert np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax() * 4 == pytest.approx(440, abs=8)
    assert np.abs(middle).max() == pytest.approx(8000, rel=0.1)


@pytest.mark.parametrize("speed", SPEEDS)
def test_any_chunking_gives_the_whole(speed: float):
    pcm = np.random.default_rng(0).integers(-9000, 9000, 20_000).astype("<i2").tobytes()
    dice = random.Random(int(speed * 100))
    whole = stretched(pcm, speed)
    for _ in range(3):
        cuts = [dice.randrange(20_001) for _ in range(dice.randrange(30))]
        assert np.array_equal(stretched(pcm, speed, cuts), whole)


def test_the_end_is_not_lost():
    quiet_then_loud = bytes(2 * RATE) + tone(0.1)
    for speed in SPEEDS:
        assert np.abs(stretched(quiet_then_loud, speed)[-int(0.05 * RATE / speed) :]).max() > 4000


def test_silence_of_no_length():
    assert len(stretched(b"", 2.0)) == 0
