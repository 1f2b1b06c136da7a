"""A stop pattern that backtracks without end is its request's trouble, not everybody's.

SGLang searches for the patterns of `stop_regex` in the scheduler's process, after every token. There is none that tells
which patterns will take long, but Python's search looks for signals while it works: a timer ends it.
"""

import signal
import time
from http import HTTPStatus
from types import FrameType

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


class Searches:
    """Takes the place of `req._check_str_based_finish`, in the main thread of its process; the request is aborted when
    its time is used up."""

    def __init__(self, req: Req):
        signal.signal(signal.SIGVTALRM, _interrupt)
        self.req = req
        self.check = req._check_str_based_finish
        self.left = BUDGET_SECONDS

    def __call__(self, new_accepted_len: int = 1) -> bool:
        """Whether the request ends here."""
        begun = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, self.left)
            try:
                ends = self.check(new_accepted_len)
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            self.left -= time.process_time() - begun  # the timer counts in ticks
            if self.left <= 0:
                raise SearchTookTooLong
            self.left = min(BUDGET_SECONDS, self.left + REFILL_SECONDS)
            return ends
        except SearchTookTooLong:
            self.req.finished_reason = FINISH_ABORT(TOO_LONG, HTTPStatus.BAD_REQUEST, "BadRequestError")
            return True


def limit_searches(req: Req) -> None:
    if req.sampling_params.stop_regex_strs:
        req._check_str_based_finish = Searches(req)  # type: ignore[method-assign]
