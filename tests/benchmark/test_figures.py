"""What figures mean, on timelines made by hand."""

import pytest

from sglang_omni.benchmark.adapters import Piece
from sglang_omni.benchmark.figures import Spread, measure


def sound(seconds: float) -> Piece:
    return Piece(pcm=bytes(2 * round(24_000 * seconds)))


def test_the_figures_of_an_answer_are_those_of_their_definitions():
    pieces = [
        (10.25, Piece()),  # the role: neither text nor sound
        (10.5, Piece(text="Hi")),
        (11.0, sound(0.5)),
        (11.25, Piece(text=" there")),
        (11.5, sound(1.0)),  # just in time
        (13.0, sound(2.5)),  # half a second late
        (13.25, Piece(last=True)),
    ]
    figures = measure(10.0, 15.0, pieces)
    assert figures.first_token == 0.5
    assert figures.first_audio == 1.0
    assert figures.between_chunks == [0.5, 1.5]
    assert (figures.audio, figures.first_chunk) == (4.0, 0.5)
    assert figures.total == 5.0
    assert figures.real_time_factor == 1.25
    assert (figures.underruns, figures.silence) == (1, 0.5)


def test_an_answer_without_sound_has_no_figures_of_sound():
    figures = measure(1.0, 2.0, [(1.5, Piece(text="Hi"))])
    assert (figures.first_audio, figures.first_chunk, figures.real_time_factor) == (None, None, None)
    assert (figures.first_token, figures.total, figures.audio, figures.between_chunks) == (0.5, 1.0, 0.0, [])


def test_seconds_of_sound_go_by_rate_and_channels():
    assert Piece(pcm=bytes(48_000), rate=8_000, channels=2).seconds == 1.5


def test_percentiles_are_of_all_values_and_the_spread_is_of_the_repeats_medians():
    spread = Spread.of([[float(n) for n in range(0, 50)], [float(n) for n in range(50, 101)]])
    assert spread is not None
    assert (spread.median, spread.p95, spread.p99) == (50.0, 95.0, 99.0)
    assert (spread.least, spread.greatest) == (24.5, 75.0)
    assert Spread.of([[], []]) is None


def test_a_repeat_without_a_value_takes_no_part_in_the_spread():
    assert Spread.of([[], [3.0]]) == Spread(*[pytest.approx(3.0)] * 5)
