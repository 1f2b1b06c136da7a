"""A trace of chunks in, gaps out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sglang_omni.audio.player import Player

CHUNKS = st.lists(st.tuples(st.floats(0, 2), st.floats(0.01, 2)), min_size=1)
"""Each: seconds after the one before, and seconds of sound."""


def play(*trace: tuple[float, float]) -> Player:
    """`trace`: when each chunk came, and seconds of sound in it."""
    player = Player()
    for now, seconds in trace:
        player.add(now, seconds)
    return player


@pytest.mark.parametrize(
    ("trace", "gaps", "silence"),
    [
        ([(7.0, 0.2)], 0, 0.0),
        ([(7.0, 0.2), (7.2, 0.2)], 0, 0.0),
        ([(7.0, 0.2), (7.0, 0.4), (7.6, 0.1)], 0, 0.0),
        ([(7.0, 0.25), (7.5, 0.25)], 1, 0.25),
        ([(7.0, 0.25), (7.5, 0.25), (7.75, 1.0), (9.0, 0.5)], 2, 0.5),
        ([(7.0, 0.0), (9.0, 0.5)], 0, 0.0),
        ([(7.0, 0.5), (6.0, 0.5), (8.0, 0.5)], 0, 0.0),
    ],
    ids=["one chunk", "just in time", "early", "late", "two late", "nothing is no chunk", "made before its turn"],
)
def test_gaps(trace: list[tuple[float, float]], gaps: int, silence: float) -> None:
    player = play(*trace)
    assert (player.gaps, player.silence) == (gaps, silence)
    assert player.seconds == sum(seconds for _, seconds in trace)


def test_first_and_last_sound() -> None:
    player = play((1.0, 0.0), (2.0, 0.5), (3.0, 0.5), (4.0, 0.0))
    assert (player.began, player.last) == (2.0, 3.0)
    silent = play((1.0, 0.0))
    assert (silent.began, silent.last) == (None, None)


@given(CHUNKS)
def test_playing_takes_its_sound_and_its_silence(chunks: list[tuple[float, float]]) -> None:
    """The player is never ahead of what has come, and stops only when it has played everything."""
    player, now = Player(), 0.0
    for pause, seconds in chunks:
        now += pause
        player.add(now, seconds)
    assert player.began is not None
    end = player.began + player.seconds + player.silence
    assert end >= now + chunks[-1][1] - 1e-9
    assert (player.silence > 0) == (player.gaps > 0)


@given(CHUNKS, st.floats(0, 1))
def test_whoever_waits_before_the_first_chunk_hears_the_same(chunks: list[tuple[float, float]], wait: float) -> None:
    def trace(now: float) -> list[tuple[float, float]]:
        result = []
        for pause, seconds in chunks:
            now += pause
            result.append((now, seconds))
        return result

    assert play(*trace(0)).silence == pytest.approx(play(*trace(wait)).silence, abs=1e-6)
