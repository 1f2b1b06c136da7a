"""A moment after which work is given up."""

import time


class Deadline:
    """`seconds` from now, or as soon as someone calls `cancel`, from any thread."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left. TimeoutError if there are none."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def cancel(self) -> None:
        self._end = 0.0
