"""A moment after which work is given up."""

import threading
import time


class Deadline:
    """`seconds` from now, or as soon as `cancelled` is set."""

    def __init__(self, seconds: float, cancelled: threading.Event | None = None):
        self._end = time.monotonic() + seconds
        self._cancelled = cancelled or threading.Event()

    @property
    def passed(self) -> bool:
        return self._cancelled.is_set() or time.monotonic() >= self._end

    def remaining(self) -> float:
        """Seconds left. TimeoutError if there are none."""
        seconds = self._end - time.monotonic()
        if self.passed or seconds <= 0:
            raise TimeoutError
        return seconds
