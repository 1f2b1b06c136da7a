"""How fast a stage is: whether it can take one more stream and still make all of them faster than they are heard."""

SAFE_LOAD = 0.8
"""Of a stage's time that streams may take: frames are then made at 1.25 times real time, a little more than chunks of
sound need that grow as ours do."""

SMOOTHING = 0.2
ENOUGH_VARIANCE = 0.02


class Pace:
    """Learned from the steps as they come: the share of real time that one takes, and how that grows with its rows."""

    def __init__(self) -> None:
        self._share: float | None = None  # as the next, a moving mean
        self._rows = 0.0
        self._variance = self._covariance = 0.0  # of the rows; of rows and share
        self._slope: float | None = None  # what one more row adds to the share

    def step(self, seconds: float, sound: float, rows: int) -> None:
        """A step took `seconds`, and made `sound` seconds for each of `rows` streams."""
        share = seconds / sound
        if self._share is None:
            self._share, self._rows = share, rows
            return
        more_rows, more_share = rows - self._rows, share - self._share
        self._rows += SMOOTHING * more_rows
        self._share += SMOOTHING * more_share
        self._variance = (1 - SMOOTHING) * (self._variance + SMOOTHING * more_rows**2)
        self._covariance = (1 - SMOOTHING) * (self._covariance + SMOOTHING * more_rows * more_share)
        if self._variance > ENOUGH_VARIANCE:
            self._slope = min(max(0.0, self._covariance / self._variance), self._share / self._rows)

    def load(self, streams: int, playing: int) -> float:
        """Of the stage's time, what `streams` take, of which `playing` make the steps that were seen.

        Nothing, before the first step. Until it is known what one more row costs, it is expected to cost what one alone
        does.
        """
        if self._share is None:
            return 0.0
        new = streams - playing
        slope = self._share / self._rows if self._slope is None else self._slope
        rows = min(self._rows, playing) + new
        share = self._share + slope * (rows - self._rows)
        return share * streams / rows

    def is_safe(self, streams: int, playing: int) -> bool:
        """A stage that is too slow for one stream takes one all the same."""
        return streams == 1 or self.load(streams, playing) <= SAFE_LOAD
