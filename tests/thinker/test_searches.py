"""However its stop pattern backtracks, a request takes no more than its time; and any other pattern acts."""

import re
import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest
from sglang.srt.managers.schedule_batch import FINISH_ABORT

from sglang_omni.thinker import searches
from sglang_omni.thinker.searches import BUDGET_SECONDS, Searches, limit_searches


def request(pattern: str, text: str) -> Any:
    req = SimpleNamespace(sampling_params=SimpleNamespace(stop_regex_strs=[pattern] if pattern else []))
    req.finished_reason = None
    req._check_str_based_finish = lambda new=1: re.search(pattern, text) is not None
    limit_searches(req)
    return req


@pytest.mark.parametrize("pattern", [r"(?:.|.)*\x00", r"(a+)+$", "a?" * 40 + "a" * 20 + "[bc]", r".*.*.*.*\x00"])
def test_one_that_backtracks_without_end_ends_its_request(pattern: str) -> None:
    req = request(pattern, "a" * 4000 + "d")
    begun = time.process_time()
    assert req._check_str_based_finish(1)
    assert time.process_time() - begun < BUDGET_SECONDS + 0.3
    assert isinstance(req.finished_reason, FINISH_ABORT)
    assert "stop_regex" in req.finished_reason.message
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


@pytest.mark.parametrize(("text", "found"), [("one 12.5", True), ("one", False)])
def test_any_other_says_what_it_finds(text: str, found: bool) -> None:
    req = request(r"\d+\.\d", text)
    for _ in range(1000):
        assert req._check_str_based_finish() is found
    assert req.finished_reason is None


def test_many_slow_searches_are_one_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "REFILL_SECONDS", 0.0)
    req = request(r"(?:.|.)*\x00", "a" * 12)
    assert not req._check_str_based_finish()
    assert any(req._check_str_based_finish() for _ in range(20_000))


def test_a_request_without_patterns_is_left_alone() -> None:
    assert not isinstance(request("", "")._check_str_based_finish, Searches)
