import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest

from sglang_omni.errors import InvalidRequest, Overloaded, RequestFailed, Unavailable
from sglang_omni.pipeline import Pipeline, Speech
from sglang_omni.sidecar.messages import Chunk, Finish, Heartbeat, Start
from sglang_omni.sidecar.port import HTTP, Inbox, Outbox
from sglang_omni.sidecar.scheduler import Scheduler
from tests.sidecar.countdown import Countdown


class Threads:
    """Two countdown stages in threads, in place of sidecar processes: `first` feeds `second`, which feeds HTTP."""

    def __init__(self, directory: str):
        self.ended: dict[str, int] = {}
        self.names = ["first", "second"]
        self.running = True
        self.schedulers: dict[str, Scheduler] = {}
        self.threads = [
            threading.Thread(target=self._serve, args=(directory, name, next_name))
            for name, next_name in [("first", "second"), ("second", HTTP)]
        ]
        for thread in self.threads:
            thread.start()

    def _serve(self, directory: str, name: str, next_name: str) -> None:
        inbox, downstream, listener = (
            Inbox(directory, name),
            Outbox(directory, next_name),
            Outbox(directory, HTTP),
        )
        scheduler = self.schedulers[name] = Scheduler(name, Countdown(), downstream.send, listener.send)
        listener.send([Heartbeat(name, os.getpid(), scheduler.state())])
        while self.running:
            for message in inbox.receive(5):
                scheduler.receive(message)
            scheduler.step()
        for port in (inbox, downstream, listener):
            port.close()

    def pid(self, name: str) -> int:
        return os.getpid()

    def dead(self) -> dict[str, int]:
        return self.ended

    def will_start_in(self, name: str) -> float | None:
        return None

    def start_again(self, name: str) -> bool:
        return False

    def stop(self) -> None:
        self.running = False
        for thread in self.threads:
            thread.join()


@pytest.fixture
def stages(sockets):
    threads = Threads(sockets)
    yield sockets, threads
    threads.stop()


def run(stages, scenario):
    """Runs `scenario(pipeline)` once every stage is healthy; the test's own outcome is what it returns."""

    async def body():
        pipeline = Pipeline(*stages)
        pipeline.start()
        while not pipeline.healthy:
            await asyncio.sleep(0.01)
        try:
            return await asyncio.wait_for(scenario(pipeline), 10)
        finally:
            await pipeline.stop()

    return asyncio.run(body())


async def hear(pipeline: Pipeline, name: str, number: int) -> tuple[list[int], dict[str, int]]:
    with pipeline.listen(name) as speech:
        pipeline.speak(name, {}, number, {})
        return [said async for said in speech], speech.usage


def test_text_goes_in_and_what_the_last_stage_makes_comes_out(stages):
    said, usage = run(stages, lambda pipeline: hear(pipeline, "a", 3))
    assert said == [3, 2, 1, 2, 1, 1]  # each number of the first countdown is counted down by the second
    assert usage == {"first": 3, "second": 6}


def test_requests_do_not_hear_each_other(stages):
    async def scenario(pipeline: Pipeline):
        return await asyncio.gather(*(hear(pipeline, str(n), n) for n in range(1, 9)))

    answers = run(stages, scenario)
    for n, (said, _) in zip(range(1, 9), answers, strict=True):
        assert said == [number for first in range(n, 0, -1) for number in range(first, 0, -1)]


def test_leaving_early_frees_the_slots_of_every_stage(stages):
    _, threads = stages

    async def scenario(pipeline: Pipeline):
        with pipeline.listen("a") as speech:
            pipeline._outboxes["first"].send([Start("a", {}), Chunk("a", 2)])  # and no Finish: it would wait forever
            async for _ in speech:
                break
        while any(scheduler.state()["free"] < 3 for scheduler in threads.schedulers.values()):
            await asyncio.sleep(0.01)

    run(stages, scenario)


def test_one_request_listens_to_one_id(stages):
    async def scenario(pipeline: Pipeline):
        with pipeline.listen("a") as speech:
            with pytest.raises(InvalidRequest, match="already"), pipeline.listen("a"):
                pass
            pipeline.speak("a", {}, 1, {})
            return [said async for said in speech]

    assert run(stages, scenario) == [1]


def test_a_failure_raises_where_the_request_listens(stages):
    async def scenario(pipeline: Pipeline):
        with pipeline.listen("a") as speech:
            pipeline.speak("a", {"kind": "impossible"}, 3, {})
            return [said async for said in speech]

    with pytest.raises(InvalidRequest, match="impossible") as raised:
        run(stages, scenario)
    assert raised.value.param == "kind"


def test_a_dead_stage_fails_its_requests_and_refuses_new_ones(stages):
    _, threads = stages

    async def scenario(pipeline: Pipeline):
        with pytest.raises(Unavailable, match="second"), pipeline.listen("a") as speech:
            pipeline._outboxes["first"].send([Start("a", {}), Chunk("a", 1)])
            async for _ in speech:
                threads.ended = {"second": -9}
        assert pipeline.health() == {"first": "healthy", "second": "dead"}
        assert not pipeline.healthy
        with pytest.raises(Unavailable, match="second"), pipeline.listen("b"):
            pass

    run(stages, scenario)


def test_more_than_can_wait_are_refused(stages):
    async def scenario(pipeline: Pipeline):
        pipeline.max_speeches = 1
        refused = pytest.raises(Overloaded, match="1 answers are being spoken")
        with pipeline.listen("a"), refused, pipeline.listen("b"):
            pass
        return await hear(pipeline, "c", 1)

    assert run(stages, scenario)[0] == [1]


def test_what_goes_on_with_an_answer_counts_with_it(stages):
    async def scenario(pipeline: Pipeline):
        pipeline.max_speeches = 1
        refused = pytest.raises(Overloaded)
        with pipeline.listen("a"), pipeline.listen("a.1", goes_on=True), refused, pipeline.listen("b"):
            pass
        return await hear(pipeline, "c", 1)

    assert run(stages, scenario)[0] == [1]


@pytest.mark.parametrize(
    ("asked", "ended"),
    [("a-1", {"a-1", "a-1.2"}), ("a", set()), ("a-1.2", {"a-1.2"}), (None, {"a-1", "a-1.2", "a-10"})],
)
def test_a_request_is_given_up_by_its_whole_id_with_its_parts(stages, asked, ended):
    async def scenario(pipeline: Pipeline):
        with pipeline.listen("a-1") as one, pipeline.listen("a-1.2") as part, pipeline.listen("a-10") as other:
            pipeline.give_up(asked)
            speeches = {"a-1": one, "a-1.2": part, "a-10": other}
            return {id for id, speech in speeches.items() if not speech._arrived.empty()}

    assert run(stages, scenario) == ended


def test_who_looks_after_the_stages_goes_on_when_a_look_fails(stages, monkeypatch: pytest.MonkeyPatch):
    looks = []

    async def scenario(pipeline: Pipeline):
        monkeypatch.setattr(pipeline, "_look_after_stages", lambda: looks.append(1) or 1 // 0)
        while len(looks) < 2:
            await asyncio.sleep(0.05)

    run(stages, scenario)


def test_all_can_be_told_that_it_is_over(stages):
    async def scenario(pipeline: Pipeline):
        with pytest.raises(Unavailable, match="the end"), pipeline.listen("a") as speech:
            pipeline.fail_all(Unavailable("the end"))
            async for _ in speech:
                pass

    run(stages, scenario)


def test_a_finish_for_a_stranger_is_ignored(stages):
    async def scenario(pipeline: Pipeline):
        pipeline._deliver(Finish("nobody", "stop"))
        pipeline._deliver(Chunk("nobody", b""))
        return await hear(pipeline, "a", 1)

    assert run(stages, scenario)[0] == [1]


def test_only_the_owner_enters_the_socket_directory(sockets):
    assert stat.S_IMODE(Path(sockets).stat().st_mode) == 0o700


def test_the_rest_of_a_speech_that_fails_is_dropped():
    async def run() -> None:
        speech = Speech()
        speech.put(b"ab" * 10)
        assert speech.unread == 20
        speech.fail(RequestFailed("the request was aborted"))
        assert speech.unread == 0
        with pytest.raises(RequestFailed, match="aborted"):
            await anext(aiter(speech))

    asyncio.run(run())
