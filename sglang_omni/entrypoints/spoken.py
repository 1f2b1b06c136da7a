"""Spoken answers of the last hour: a client names one by its audio's id, the model reads its words."""

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable

SECONDS = 3600
COUNT = 4096


class SpokenAnswers:
    """Transcripts by audio id: of `count` answers at most, each until `seconds` after its end.

    The ids cannot be guessed, so that only who was given an answer can have it read. They live in this process.
    """

    def __init__(self, seconds: float = SECONDS, count: int = COUNT, clock: Callable[[], float] = time.time):
        self._seconds, self._count, self._clock = seconds, count, clock
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()  # id -> (when it expires, transcript)

    @staticmethod
    def new_id() -> str:
        return f"audio_{uuid.uuid4().hex}"

    def keep(self, id: str, transcript: str) -> int:
        """When it will be forgotten at the latest, in seconds since the epoch."""
        expires = int(self._clock() + self._seconds)
        self._kept[id] = expires, transcript
        while len(self._kept) > self._count or next(iter(self._kept.values()))[0] <= self._clock():
            self._kept.popitem(last=False)
        return expires

    def transcript(self, id: str) -> str | None:
        expires, transcript = self._kept.get(id, (0, None))
        return transcript if expires > self._clock() else None
