from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sglang_omni.audio.join import Fade, silence

RATE = 24_000
LENGTH = 240
NOISE = np.random.default_rng(0).integers(-20_000, 20_000, 2_000).astype("<i2")
TONE = (20_000 * np.cos(2 * np.pi * 440 * np.arange(5_000) / RATE)).astype("<i2")  # begins at its loudest


def faded(samples: np.ndarray, begin: bool, end: bool, cuts: tuple[int, ...] | list[int] = ()) -> np.ndarray:
    fade = Fade(RATE, begin, end)
    edges = [0, *sorted(cuts), len(samples)]
    parts = [fade.sound(samples[a:b].tobytes()) for a, b in pairwise(edges)]
    return np.frombuffer(b"".join([*parts, fade.finish()]), "<i2")


@pytest.mark.parametrize("begin", [False, True])
@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("samples", [0, 1, 100, 300, 2_000])
def test_outside_its_fades_a_sound_is_untouched(begin: bool, end: bool, samples: int) -> None:
    sound = faded(NOISE[:samples], begin, end)
    assert len(sound) == samples
    inside = slice(LENGTH if begin else 0, samples - LENGTH if end else samples)
    assert np.array_equal(sound[inside], NOISE[:samples][inside])
    if begin and samples:
        assert abs(sound[0]) < 2
    if end and samples > LENGTH:
        assert abs(sound[-1]) < 2


@given(begin=st.booleans(), end=st.booleans(), cuts=st.lists(st.integers(0, 2_000), max_size=6))
def test_any_chunking_gives_the_whole(begin: bool, end: bool, cuts: list[int]) -> None:
    assert np.array_equal(faded(NOISE, begin, end, cuts), faded(NOISE, begin, end))


def test_a_join_has_no_larger_step_than_the_sounds_have() -> None:
    joined = [faded(TONE, False, True), np.frombuffer(silence(0.02, RATE), "<i2"), faded(TONE, True, False)]
    assert len(joined[1]) == 480
    steps = np.abs(np.diff(np.concatenate(joined).astype(int)))
    assert steps.max() <= np.abs(np.diff(TONE.astype(int))).max()
    assert np.abs(np.diff(np.concatenate([TONE, TONE]).astype(int))).max() > 2 * steps.max()
