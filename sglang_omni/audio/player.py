"""A listener who is not there: whether a stream of sound would have played without a gap."""


class Player:
    """Begins with the first chunk and plays in real time, with no buffer but what has come. When it has played all of
    that it waits in silence, and plays on as soon as there is more. Times are seconds of one clock."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.last: float | None = None  # when the last sound came
        self.seconds = 0.0  # of sound
        self.gaps = 0
        self.silence = 0.0  # seconds of all gaps
        self._plays_until = 0.0

    def add(self, now: float, seconds: float) -> None:
        """`seconds` of sound came at the time `now`."""
        if not seconds:
            return
        if self.began is None:
            self.began = self._plays_until = now
        if now > self._plays_until:
            self.gaps += 1
            self.silence += now - self._plays_until
            self._plays_until = now
        self._plays_until += seconds
        self.seconds += seconds
        self.last = now
