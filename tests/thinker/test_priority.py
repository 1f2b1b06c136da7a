"""A request is as urgent to the talker as it is to SGLang."""

from types import SimpleNamespace

import pytest

from sglang_omni.sidecar.messages import Start, decode, encode
from sglang_omni.thinker.scheduler import Scheduler

LOWEST = -(2**63)


@pytest.mark.parametrize(
    ("enabled", "low_first", "given", "expected"),
    [
        (True, False, 5, 5),
        (True, False, LOWEST, LOWEST),
        (True, True, 5, -5),
        (True, True, LOWEST, -LOWEST),
        (True, False, None, 0),
        (False, False, 5, 0),
        (False, True, None, 0),
    ],
)
def test_the_higher_the_sooner_whichever_way_sglang_counts(enabled, low_first, given, expected):
    scheduler = SimpleNamespace(enable_priority_scheduling=enabled, schedule_low_priority_values_first=low_first)
    priority = Scheduler._priority(scheduler, SimpleNamespace(priority=given))
    assert priority == expected
    (start,) = decode(encode([Start("a", {}, {}, priority)]))
    assert start.priority == expected
