"""A while of everything at once, and several times as long among the slow tests; `scripts/bench soak` does it for
longer still."""

import asyncio

import pytest

from sglang_omni.benchmark.soak import Soak, summary
from tests.e2e.server import Server


@pytest.mark.parametrize("seconds", [15, pytest.param(90, marks=pytest.mark.slow)])
def test_every_answer_under_load_is_the_one_it_got_alone_and_nothing_stays(server: Server, seconds: int):
    soak = Soak(server.url, seconds=seconds, pid=server.process.pid)
    asyncio.run(soak.run())
    told = summary(soak, "pytest")
    assert not soak.broken, told
    assert soak.counts["spoken chat", "equal"] > seconds / 5, told
    assert soak.counts["speech", "equal"] > seconds / 5, told
    assert sum(count for (_, outcome), count in soak.counts.items() if outcome == "given up") > seconds / 10, told
