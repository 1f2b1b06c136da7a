"""However its stop pattern backtracks, a request takes no more than its time; and any other pattern acts."""

import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest
from sglang.srt.managers.schedule_batch import FINISH_ABORT, FINISHED_MATCHED_REGEX, Req

from sglang_omni.thinker import searches
from sglang_omni.thinker.searches import BUDGET_SECONDS, OmniReq


class Fake(OmniReq):
    """Of which nothing is there but what a search needs."""

    def __init__(self, pattern: str, text: str):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Req, "__init__", lambda self: None)
            super().__init__()
        self.sampling_params: Any = SimpleNamespace(stop_regex_strs=[pattern] if pattern else [], stop_strs=[])
        self.tail_str = lambda new_accepted_len: text  # type: ignore[method-assign]
        self._locate_str_stop_finished_len = lambda *args, **kwargs: 1  # type: ignore[method-assign]
        self.finished_reason: Any = None


@pytest.mark.parametrize("pattern", [r"(?:.|.)*\x00", r"(a+)+$", "a?" * 40 + "a" * 20 + "[bc]", r".*.*.*.*\x00"])
def test_one_that_backtracks_without_end_ends_its_request(pattern: str) -> None:
    req = Fake(pattern, "a" * 4000 + "d")
    begun = time.process_time()
    assert req._check_str_based_finish(1)
    assert time.process_time() - begun < BUDGET_SECONDS + 0.3
    assert isinstance(req.finished_reason, FINISH_ABORT)
    assert "stop_regex" in req.finished_reason.message
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


@pytest.mark.parametrize(("text", "found"), [("one 12.5", True), ("one", False)])
def test_any_other_says_what_it_finds(text: str, found: bool) -> None:
    req = Fake(r"\d+\.\d", text)
    for _ in range(1000):
        assert req._check_str_based_finish() is found
    assert isinstance(req.finished_reason, FINISHED_MATCHED_REGEX if found else type(None))


def test_many_slow_searches_are_one_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "REFILL_SECONDS", 0.0)
    req = Fake(r"(?:.|.)*\x00", "a" * 12)
    assert not req._check_str_based_finish()
    assert any(req._check_str_based_finish() for _ in range(20_000))


def test_a_request_without_patterns_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    req = Fake("", "a")
    monkeypatch.delattr(signal, "setitimer")
    assert req._check_str_based_finish() is False
