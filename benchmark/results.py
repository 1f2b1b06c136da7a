"""What a load found: answers of repeats at points, and what they amount to."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sglang_omni.benchmark.asking import Answer
from sglang_omni.benchmark.figures import Figures, Spread
from sglang_omni.benchmark.words import error_rate


def _one(value: float | None) -> Sequence[float]:
    return () if value is None else (value,)


OF_ANSWERS: dict[str, Callable[[Figures], Sequence[float]]] = {
    "first token (s)": lambda figures: _one(figures.first_token),
    "first audio (s)": lambda figures: _one(figures.first_audio),
    "between chunks (s)": lambda figures: figures.between_chunks,
    "whole answer (s)": lambda figures: (figures.total,),
    "real-time factor": lambda figures: _one(figures.real_time_factor),
    "sound of an answer (s)": lambda figures: (figures.audio,),
    "sound of the first chunk (s)": lambda figures: _one(figures.first_chunk),
}


@dataclass(frozen=True)
class Point:
    """So many clients, or so many requests a second."""

    clients: int | None = None
    rate: float | None = None

    @property
    def value(self) -> float:
        return self.clients or self.rate or 0

    def __str__(self) -> str:
        return f"{self.rate:g} a second" if self.rate else f"{self.clients} client{'s' * (self.clients != 1)}"


@dataclass(frozen=True)
class Run:
    """One repeat; `seconds` from its start to the end of the last answer."""

    seconds: float
    answers: list[Answer]

    @property
    def answered(self) -> list[Answer]:
        return [answer for answer in self.answers if not answer.error]


OF_RUNS: dict[str, Callable[[Run], float]] = {
    "sound a second (s)": lambda run: sum(answer.figures.audio for answer in run.answered) / run.seconds,
    "requests a second": lambda run: len(run.answered) / run.seconds,
}


@dataclass(frozen=True)
class Result:
    """All repeats at one point."""

    point: Point
    runs: list[Run]

    @property
    def answers(self) -> list[Answer]:
        return [answer for run in self.runs for answer in run.answers]

    @property
    def answered(self) -> list[Answer]:
        return [answer for run in self.runs for answer in run.answered]

    @property
    def errors(self) -> Counter[str]:
        return Counter(answer.error for answer in self.answers if answer.error)

    @property
    def ran_dry(self) -> list[Answer]:
        return [answer for answer in self.answered if answer.figures.underruns]

    @property
    def silence(self) -> float:
        """Seconds in which the players of all answers had nothing to play."""
        return sum(answer.figures.silence for answer in self.answered)

    @property
    def equal(self) -> list[bool]:
        """Of each answer that was compared: whether it is the one that its request got alone."""
        return [answer.equal for answer in self.answered if answer.equal is not None]

    @property
    def word_error_rate(self) -> float | None:
        return error_rate([(a.line.words or a.text, a.heard) for a in self.answered if a.heard is not None])

    def spread(self, name: str) -> Spread | None:
        """Of a figure of answers or of runs, by its name in the tables above."""
        if name in OF_RUNS:
            return Spread.of([[OF_RUNS[name](run)] for run in self.runs])
        values = OF_ANSWERS[name]
        return Spread.of([[value for answer in run.answered for value in values(answer.figures)] for run in self.runs])
