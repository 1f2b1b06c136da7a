"""What ends is started again: soon, and less often if it does not last."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from sglang_omni.errors import Unavailable
from sglang_omni.pipeline import Pipeline
from sglang_omni.sidecar.group import LONGEST_DELAY, BackOff, Sidecars
from sglang_omni.sidecar.messages import Chunk, Start
from sglang_omni.sidecar.port import HTTP


def test_delays_double_up_to_a_limit_and_forget_after_a_steady_minute():
    now, delays = 100.0, []
    back_off = BackOff(started=now)
    for _ in range(9):
        delays.append(back_off.ended(now))
        assert back_off.ended(now) is None, "it is told once"
        assert not back_off.is_over(now)
        now += delays[-1]
        assert back_off.is_over(now)
        assert not back_off.is_over(now), "it is started once"
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert LONGEST_DELAY == 30
    assert back_off.ended(now + 61) == 0.5


async def until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def hear(pipeline: Pipeline, name: str, count: int) -> list[int]:
    with pipeline.listen(name) as speech:
        pipeline.speak(name, {}, count, {})
        return [said async for said in speech]


async def hear_on(pipeline: Pipeline, name: str) -> None:
    """A request whose text has no end."""
    with pipeline.listen(name) as speech:
        pipeline._outboxes["first"].send([Start(name, {}), Chunk(name, 2)])
        async for _ in speech:
            pass


def scenario(directory: str, act, starter: Sequence[str] = ()) -> None:
    """`act(pipeline, sidecars)` with two stages in processes of their own, once they are healthy. `starter` is the
    begin of the first one's command."""

    async def body() -> None:
        commands = {
            name: [sys.executable, "-m", "tests.sidecar.stage", name, directory, downstream, str(os.getpid())]
            for name, downstream in (("first", "second"), ("second", HTTP))
        }
        commands["first"] = [*starter, *commands["first"]]
        with Sidecars(commands) as sidecars:
            pipeline = Pipeline(directory, sidecars)
            pipeline.start()
            await until(lambda: pipeline.healthy)
            try:
                await act(pipeline, sidecars)
            finally:
                await pipeline.stop()
        assert set(sidecars.dead()) == {"first", "second"}

    asyncio.run(body())


@pytest.mark.parametrize("victim", ["first", "second"])
def test_a_killed_stage_fails_its_requests_at_once_and_comes_back(sockets: str, victim: str):
    async def act(pipeline: Pipeline, sidecars: Sidecars) -> None:
        assert await hear(pipeline, "before", 3) == [3, 2, 1, 2, 1, 1]
        running = [asyncio.create_task(hear_on(pipeline, f"endless {n}")) for n in range(2)]
        await until(lambda: sum(state.get("free", 3) for state in pipeline.states.values()) == 2)
        killed = time.monotonic()
        os.kill(sidecars.pid(victim), signal.SIGKILL)
        for failed in await asyncio.gather(*running, return_exceptions=True):
            assert isinstance(failed, Unavailable)
            assert victim in str(failed)
        assert time.monotonic() - killed < 1
        assert pipeline.health()[victim] == "dead"
        with pytest.raises(Unavailable, match=victim):
            await hear(pipeline, "refused", 1)
        await until(lambda: pipeline.healthy)
        assert await hear(pipeline, "after", 3) == [3, 2, 1, 2, 1, 1]
        await until(lambda: all(state["free"] == 3 for state in pipeline.states.values()))

    scenario(sockets, act)


def test_a_silent_stage_is_ended_and_comes_back(sockets: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sglang_omni.pipeline.STUCK_SECONDS", 1.5)

    async def act(pipeline: Pipeline, sidecars: Sidecars) -> None:
        stuck = sidecars.pid("first")
        os.kill(stuck, signal.SIGSTOP)
        await until(lambda: sidecars.pid("first") != stuck)
        await until(lambda: pipeline.healthy)
        assert await hear(pipeline, "after", 2) == [2, 1, 1]

    scenario(sockets, act)


def test_a_stage_that_cannot_come_back_is_tried_again_and_again(
    sockets: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """It ran once, and ends at every later start."""

    async def act(pipeline: Pipeline, sidecars: Sidecars) -> None:
        assert await hear(pipeline, "before", 2) == [2, 1, 1]
        seen = set()

        def refuses() -> None:
            seen.add(pipeline.health()["first"])
            with pytest.raises(Unavailable, match="the first cannot serve"), pipeline.listen("refused"):
                pass

        os.kill(sidecars.pid("first"), signal.SIGKILL)
        await until(lambda: len(caplog.messages) == 2)
        descriptors = psutil.Process().num_fds()
        while len(caplog.messages) < 4:
            refuses()
            await asyncio.sleep(0.02)
        assert seen <= {"dead", "starting"}
        assert caplog.messages == [
            "the first was killed by SIGKILL: starting it again in 0.5 s",
            *(f"the first ended with exit code 7: starting it again in {delay} s" for delay in (1, 2, 4)),
        ]
        assert pipeline.health() == {"first": "dead", "second": "healthy"}
        assert pipeline.restarts == {"first": 3, "second": 0}
        assert not pipeline.listens_to("refused")
        assert pipeline.states["second"]["free"] == 3
        assert psutil.Process().num_fds() <= descriptors
        ended = [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
        assert not ended, "one that ended is not waited for"

    once = tmp_path / "ran"
    scenario(sockets, act, ["sh", "-c", f'mkdir {once} 2>/dev/null || exit 7; exec "$@"', "sh"])


def test_nothing_is_started_once_all_were_stopped(sockets: str):
    sidecars = Sidecars({"first": [sys.executable, "-c", "pass"]})
    sidecars.processes["first"].wait()
    assert sidecars.will_start_in("first") == 0.5
    sidecars.stop()
    time.sleep(0.6)
    assert not sidecars.start_again("first")
