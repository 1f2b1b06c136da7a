"""How fast a stage is: whether it can take one more stream and still make all of them faster than they are heard."""

SAFE_LOAD = 0.8
"""Of a stage's time that streams may take: chunks grow as fast as frames made at 1.25 times real time allow."""

SMOOTHING = 0.2


class Pace:
    """Measured as it goes: of steps that make `sound` seconds for each of `rows` streams, the share of real time that
    such a step takes."""

    def __init__(self) -> None:
        self._share: float | None = None
        self._rows = 1.0

    def step(self, seconds: float, sound: float, rows: int) -> None:
        """A step took `seconds`, and made `sound` seconds (the mean of its rows)."""
        share = seconds / sound
        if self._share is None:
            self._share, self._rows = share, float(rows)
        else:
            self._share += SMOOTHING * (share - self._share)
            self._rows += SMOOTHING * (rows - self._rows)

    def load(self, streams: int, shared: bool = False) -> float:
        """Of the stage's time, what `streams` take at the most: in steps as large as those measured or, if `shared`,
        in steps that one more stream joins at no cost."""
        if self._share is None:
            return 0.0
        return self._share * streams / (self._rows + shared)

    def is_safe(self, streams: int, settled: bool) -> bool:
        """Whether there may be so many, one of them new. While all others are `settled`, so that steps tell of them,
        one is let in on the hope that it comes along for nothing; the next one is not, if that proves wrong."""
        return streams == 1 or self.load(streams, shared=settled) <= SAFE_LOAD
