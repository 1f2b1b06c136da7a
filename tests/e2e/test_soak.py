"""A minute and a half of everything at once; `scripts/bench soak` does it for longer."""

import asyncio

from sglang_omni.benchmark.soak import Soak, summary
from tests.e2e.server import Server


def test_every_answer_under_load_is_the_one_it_got_alone_and_nothing_stays(server: Server):
    soak = Soak(server.url, seconds=90, pid=server.process.pid)
    asyncio.run(soak.run())
    told = summary(soak, "pytest")
    assert not soak.broken, told
    assert soak.counts["spoken chat", "equal"] > 20, told
    assert soak.counts["speech", "equal"] > 20, told
    assert sum(count for (_, outcome), count in soak.counts.items() if outcome == "given up") > 10, told
