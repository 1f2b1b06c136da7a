"""What the arrival of an answer's pieces amounts to, and what many answers amount to together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from sglang_omni.audio.player import Player
from sglang_omni.benchmark.adapters import Piece


@dataclass(frozen=True)
class Figures:
    """Of one answer; all but the counts in seconds, None for what it does not have."""

    first_token: float | None
    first_audio: float | None
    between_chunks: list[float]
    total: float
    audio: float
    first_chunk: float | None
    underruns: int
    silence: float

    @property
    def real_time_factor(self) -> float | None:
        return self.total / self.audio if self.audio else None


def measure(asked: float, ended: float, pieces: Iterable[tuple[float, Piece]]) -> Figures:
    """`pieces` with the times at which they came, on the clock of `asked` and `ended`."""
    player, texts, sounds = Player(), [], []
    for when, piece in pieces:
        if piece.text:
            texts.append(when)
        if piece.pcm:
            sounds.append((when, piece.seconds))
            player.add(when, piece.seconds)
    times = [when for when, _ in sounds]
    return Figures(
        first_token=texts[0] - asked if texts else None,
        first_audio=times[0] - asked if times else None,
        between_chunks=[later - sooner for sooner, later in pairwise(times)],
        total=ended - asked,
        audio=player.seconds,
        first_chunk=sounds[0][1] if sounds else None,
        underruns=player.gaps,
        silence=player.silence,
    )


@dataclass(frozen=True)
class Spread:
    """Of values from several repeats: percentiles of all, and the least and greatest of the repeats' medians."""

    median: float
    p95: float
    p99: float
    least: float
    greatest: float

    @classmethod
    def of(cls, repeats: Iterable[Sequence[float]]) -> "Spread | None":
        """None if there is no value. Between two values a percentile is interpolated."""
        repeats = [values for values in repeats if values]
        if not repeats:
            return None
        middle, p95, p99 = map(float, np.percentile([value for values in repeats for value in values], (50, 95, 99)))
        medians = [median(values) for values in repeats]
        return cls(middle, p95, p99, min(medians), max(medians))
