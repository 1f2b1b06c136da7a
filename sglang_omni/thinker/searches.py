"""A stop pattern that backtracks without end is its request's trouble, not everybody's.

SGLang searches for the patterns of `stop_regex` in the scheduler's process, after every token. There is none that tells
which patterns will take long, but Python's search looks for signals while it works: a timer ends it.
"""

import signal
import time
from http import HTTPStatus
from types import FrameType
from typing import Any

from sglang.srt.managers.schedule_batch import FINISH_ABORT, Req

BUDGET_SECONDS = 0.25
"""Of CPU time, for the searches of a request."""

REFILL_SECONDS = 0.002
"""What a token adds to that again, up to the whole."""

TOO_LONG = "stop_regex takes too long to search for: its parts can match the same text in too many ways"


class SearchTookTooLong(Exception):
    pass


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise SearchTookTooLong


class OmniReq(Req):
    """SGLang's request, aborted when the time of its searches is used up. Lives in the main thread of its process."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.search_seconds = BUDGET_SECONDS
        signal.signal(signal.SIGVTALRM, _interrupt)

    def _check_str_based_finish(self, new_accepted_len: int = 1) -> bool:
        """Whether the request ends here."""
        if not self.sampling_params.stop_regex_strs:
            return super()._check_str_based_finish(new_accepted_len)
        begun = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, self.search_seconds)
            try:
                ends = super()._check_str_based_finish(new_accepted_len)
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            self.search_seconds -= time.process_time() - begun  # the timer counts in ticks
            if self.search_seconds <= 0:
                raise SearchTookTooLong
            self.search_seconds = min(BUDGET_SECONDS, self.search_seconds + REFILL_SECONDS)
            return ends
        except SearchTookTooLong:
            self.finished_reason = FINISH_ABORT(TOO_LONG, HTTPStatus.BAD_REQUEST, "BadRequestError")
            return True
