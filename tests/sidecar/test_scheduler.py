import random
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sglang_omni.sidecar.memory import Pages
from sglang_omni.sidecar.messages import Abort, Chunk, Failed, Finish, Message, Start, Times
from sglang_omni.sidecar.pace import Pace
from sglang_omni.sidecar.runner import Outputs
from sglang_omni.sidecar.scheduler import Scheduler
from tests.sidecar.countdown import Countdown


class Stage:
    """A scheduler, and what it said; how long it took is kept apart."""

    def __init__(self, slots: int = 3, **limits: Any):
        self.runner = Countdown(slots)
        self.sent: list[Message] = []
        self.told: list[Message] = []
        self.times: dict[str, dict[str, Times]] = {}
        self.scheduler = Scheduler("stage", self.runner, self._hear, self.told.extend, **limits)

    def _hear(self, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, Finish):
                self.times[message.request_id], message.times = message.times, {}
            self.sent.append(message)

    def receive(self, *messages: Message) -> None:
        for message in messages:
            self.scheduler.receive(message)

    def run(self) -> None:
        while self.scheduler.step():
            self.scheduler.check_integrity()
        self.scheduler.check_integrity()

    def run_until_heard(self) -> None:
        while not self.sent:
            self.scheduler.step()

    def slots(self) -> dict[str, int]:
        state = self.scheduler.state()
        return {name: state[name] for name in ("slots", "free", "waiting")}

    def chunks(self, request_id: str) -> list[int]:
        return [m.data for m in self.sent if isinstance(m, Chunk) and m.request_id == request_id]


@pytest.fixture(autouse=True, params=["at once", "later"])
def when(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The laws hold whenever the outputs of a step come."""
    monkeypatch.setattr(Countdown, "is_late", request.param == "later")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def solo(numbers: list[int]) -> list[int]:
    return [said for number in numbers for said in range(number, 0, -1)]


def test_a_request_from_start_to_finish(stage: Stage):
    stage.receive(Start("a", {}), Chunk("a", 2), Finish("a", "stop", {"before": 7}))
    stage.run()
    assert stage.sent == [
        Start("a", {}),
        Chunk("a", 2),
        Chunk("a", 1),
        Finish("a", "stop", {"before": 7, "stage": 2}),
    ]
    assert stage.slots() == {"slots": 3, "free": 3, "waiting": 0}


@pytest.mark.parametrize("when", ["at once"], indirect=True)
def test_a_request_brings_along_when_each_stage_had_it():
    now = iter(range(100))
    stage = Stage(slots=1, clock=lambda: float(next(now)))
    before = Times(50.0, 1.0, 2.0, 3.0, 0.5)
    stage.receive(
        Start("a", {}), Start("b", {}), Chunk("a", 2), Chunk("b", 1), Finish("b", "stop", {}, {"before": before})
    )
    stage.receive(Finish("a", "stop"))
    stage.run()
    assert stage.times["b"]["before"] == before
    a, b = stage.times["a"]["stage"], stage.times["b"]["stage"]
    assert 0 < a.admitted < b.admitted, "it waited for the only slot"
    assert a.admitted < a.first < a.ended
    assert a.worked == 2, "two steps, which the clock says take a second each"
    assert b.worked == 1
    assert abs(time.time() - a.arrived) < 60


def test_a_stage_reads_what_it_is_told_and_hands_all_of_it_on(stage: Stage):
    stages = {"stage": {"kind": "red"}, "next": {"size": 2}}
    stage.receive(Start("a", {"kind": "blue"}, stages), Chunk("a", 1), Finish("a", "stop"))
    assert stage.scheduler.requests["a"].state.kind == "red"
    stage.run()
    assert stage.sent[0] == Start("a", {}, stages)


def test_nobody_waits_for_one_that_has_nothing_to_do(stage: Stage):
    stage.receive(Start("idle", {}), Start("busy", {}), Chunk("busy", 3), Finish("busy", "stop"))
    stage.run()
    assert stage.chunks("busy") == [3, 2, 1]
    stage.receive(Chunk("idle", 1), Finish("idle", "stop"))
    stage.run()
    assert stage.chunks("idle") == [1]


def test_equal_buckets_share_a_step(stage: Stage):
    stage.receive(
        *(Start(name, {"kind": kind}) for name, kind in [("a", "x"), ("b", "x"), ("c", "y")]),
        *(Chunk(name, 2) for name in "abc"),
    )
    stage.run()
    assert stage.runner.batches == [[0, 1], [0, 1], [2], [2]]


def test_an_answer_cut_upstream_is_cut_here(stage: Stage):
    stage.receive(Start("a", {}), Chunk("a", 1), Finish("a", "length"))
    stage.run()
    assert stage.sent[-1] == Finish("a", "length", {"stage": 1})


def test_an_answer_without_chunks_still_finishes(stage: Stage):
    stage.receive(Start("a", {}), Finish("a", "stop"))
    assert stage.sent == [Start("a", {}), Finish("a", "stop", {"stage": 0})]


def test_more_requests_than_slots_wait_in_order():
    stage = Stage(slots=1)
    for name in "abc":
        stage.receive(Start(name, {}), Chunk(name, 1), Finish(name, "stop"))
    assert stage.slots() == {"slots": 1, "free": 0, "waiting": 2}
    stage.run()
    assert [m.request_id for m in stage.sent if isinstance(m, Chunk)] == ["a", "b", "c"]


def test_who_has_the_higher_priority_waits_less():
    stage = Stage(slots=1)
    for name, priority in (("a", 0), ("b", 1), ("c", -(2**63)), ("d", 5), ("e", 1), ("f", 0)):
        stage.receive(Start(name, {}, {}, priority), Chunk(name, 1), Finish(name, "stop"))
    stage.run()
    assert [m.request_id for m in stage.sent if isinstance(m, Chunk)] == ["a", "d", "b", "e", "f", "c"]
    told = {m.request_id: m.priority for m in stage.sent if isinstance(m, Start)}
    assert told["d"] == 5, "the next stage hears of it"


def test_an_impossible_request_fails_alone(stage: Stage):
    stage.receive(Start("a", {}), Start("b", {"kind": "impossible"}), Chunk("b", 1), Chunk("a", 1))
    stage.run()
    assert stage.told == [Failed("b", "InvalidRequest", "kind 'impossible' is not known", "kind")]
    assert stage.chunks("a") == [1]


@pytest.mark.parametrize("moment", ["broken", "breaks_later"])
def test_a_device_that_is_lost_ends_the_stage_after_its_listeners_have_heard(moment: str) -> None:
    stage = Stage()
    stage.runner.bug = torch.AcceleratorError("illegal memory access")
    setattr(stage.runner, moment, True)
    stage.receive(Start("a", {}), Chunk("a", 1))
    with pytest.raises(torch.AcceleratorError):
        stage.run()
    assert [type(message) for message in stage.told] == [Failed]


def test_a_bug_fails_its_step_and_frees_the_slots(stage: Stage):
    stage.receive(Start("a", {}), Chunk("a", 3))
    stage.run_until_heard()
    stage.runner.broken = True
    stage.run()
    assert stage.told == [Failed("a", "RequestFailed", "the stage failed on this request")]
    assert stage.sent[-1] == Abort("a")  # downstream has heard of it, and holds a slot
    assert stage.scheduler.state()["free"] == 3


LATER = pytest.mark.parametrize("when", ["later"], indirect=True)


@LATER
def test_a_step_begins_before_the_last_is_handed_on(stage: Stage):
    stage.receive(Start("a", {}), Chunk("a", 2), Finish("a", "stop"))
    said = []
    while stage.scheduler.step():
        said.append((len(stage.runner.batches), stage.chunks("a")))
    assert said == [(1, []), (2, [2]), (2, [2, 1])]
    assert stage.sent[-1] == Finish("a", "stop", {"stage": 2})


@LATER
def test_a_step_that_fails_while_it_is_under_way_fails_its_requests_alone(stage: Stage):
    stage.receive(Start("a", {"kind": "x"}), Chunk("a", 3), Start("b", {"kind": "y"}))
    stage.scheduler.step()
    stage.runner.breaks_later = True
    stage.receive(Chunk("b", 2), Finish("b", "stop"), Abort("a"), Start("a", {}), Chunk("a", 3))
    stage.scheduler.step()
    stage.runner.breaks_later = False
    stage.run()
    assert stage.told == [], "who was in that step is gone, and another of the same name is not meant"
    assert (stage.chunks("a"), stage.chunks("b")) == ([3, 2, 1], [2, 1])
    stage.receive(Chunk("a", 1))
    stage.scheduler.step()
    stage.runner.breaks_later = True
    stage.scheduler.step()
    assert stage.told == [Failed("a", "RequestFailed", "the stage failed on this request")]
    assert stage.slots() == {"slots": 3, "free": 3, "waiting": 0}


@LATER
def test_a_slot_may_be_given_away_while_a_step_with_it_is_under_way():
    stage = Stage(slots=1)
    stage.receive(Start("a", {}), Chunk("a", 3))
    stage.scheduler.step()
    stage.receive(Abort("a"), Start("a", {}), Chunk("a", 2), Finish("a", "stop"))
    stage.run()
    assert stage.runner.batches == [[0], [0], [0]]
    assert stage.chunks("a") == [2, 1], "what was under way is dropped"


def test_an_abort_may_overtake_its_start(stage: Stage):
    stage.receive(Abort("a"), Start("a", {}), Chunk("a", 1), Finish("a", "stop"))
    stage.run()
    assert stage.sent == []
    stage.receive(Start("a", {}), Chunk("a", 1), Finish("a", "stop"))
    stage.run()
    assert stage.chunks("a") == [1]


@given(
    requests=st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=8),
    slots=st.integers(1, 4),
    kinds=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_any_arrival_order_gives_the_solo_answer_and_frees_every_slot(requests, slots, kinds, seed):
    dice = random.Random(seed)
    stage = Stage(slots)
    inbox: dict[str, list[Message]] = defaultdict(list)
    aborted = set()
    for index, numbers in enumerate(requests):
        name = str(index)
        inbox[name] = [
            Start(name, {"kind": str(dice.randrange(kinds))}),
            *(Chunk(name, number) for number in numbers),
            Finish(name, "stop"),
        ]
        if dice.random() < 0.3:
            inbox[name].insert(dice.randrange(len(inbox[name]) + 1), Abort(name))
            aborted.add(name)
    while any(inbox.values()):
        name = dice.choice([name for name, messages in inbox.items() if messages])
        stage.receive(inbox[name].pop(0))
        for _ in range(dice.randrange(3)):
            stage.scheduler.step()
        stage.scheduler.check_integrity()
    stage.run()
    assert stage.slots() == {"slots": slots, "free": slots, "waiting": 0}
    for index, numbers in enumerate(requests):
        said = stage.chunks(str(index))
        if str(index) in aborted:
            assert said == solo(numbers)[: len(said)]
        else:
            assert said == solo(numbers)


def test_an_abort_goes_on_to_where_the_request_is_known(stage: Stage):
    stage.receive(Start("silent", {}), Start("heard", {}), Chunk("heard", 2))
    stage.run_until_heard()
    stage.receive(Abort("silent"), Abort("heard"))
    assert stage.sent == [Start("heard", {}), Chunk("heard", 2), Abort("heard")]


@pytest.mark.parametrize("kind", ["impossible", "plain"])
def test_a_thousand_that_end_as_soon_as_they_are_admitted(kind: str):
    stage = Stage(slots=1)
    stage.receive(Start("first", {}))
    for i in range(1000):
        stage.receive(Start(str(i), {"kind": kind}), Finish(str(i), "stop"))
    stage.receive(Abort("first"))
    stage.run()
    assert len(stage.told if kind == "impossible" else stage.sent) >= 1000
    assert stage.slots() == {"slots": 1, "free": 1, "waiting": 0}


class Hungry(Countdown):
    """Every number that was said is a row, of which a page holds two; `room` pages are there for all."""

    def __init__(self, slots: int, room: int):
        super().__init__(slots)
        self.pool = torch.zeros(room, 2, 1)
        self.memory = Pages([self.pool], lambda state: max(state.length + 1, state.expected if not state.length else 0))

    def open(self, slot: int, params: dict[str, Any]) -> Any:
        state = super().open(slot, params)
        state.pages, state.parked, state.expected, state.length = [], [], params.get("expected", 1), 0
        return state

    def begin(self, states: Sequence[Any]) -> Outputs:
        said = super().begin(states)
        for state, number in zip(states, said, strict=True):
            self.pool[state.pages[state.length // 2], state.length % 2] = number
            state.length += 1
        return said


class Kitchen(Stage):
    """A stage of hungry requests, on a clock that stands unless it is moved."""

    def __init__(self, slots: int, room: int):
        self.now = 0.0
        super().__init__(slots, clock=lambda: self.now)
        self.scheduler.runner = Hungry(slots, room)
        self.scheduler.memory = self.scheduler.runner.memory
        self.scheduler.pace = Pace()

    def ask(self, name: str, numbers: int, **params: Any) -> None:
        self.receive(Start(name, {"kind": name, **params}), *[Chunk(name, 1)] * numbers, Finish(name, "stop"))

    def held(self) -> dict[str, int]:
        return {name: len(request.state.pages) for name, request in self.scheduler.requests.items()}


def test_who_is_new_is_given_what_it_is_expected_to_need_or_waits():
    stage = Kitchen(slots=3, room=4)
    stage.ask("a", 6, expected=6)
    stage.scheduler.step()
    assert stage.held() == {"a": 3}
    stage.ask("b", 3, expected=3)
    for _ in range(3):
        stage.scheduler.step()
    assert stage.held() == {"a": 3, "b": 0}, "one page is free, and two are expected"
    stage.run()
    assert stage.chunks("b") == [1, 1, 1]
    assert stage.scheduler.parked == 0


def test_a_stream_well_ahead_gives_its_memory_to_a_new_one_and_goes_on_where_it_was():
    stage = Kitchen(slots=3, room=20)
    stage.ask("ahead", 40, expected=40)
    for _ in range(35):
        stage.scheduler.step()  # 2.8 s of sound at once
    stage.ask("new", 4, expected=4)
    stage.scheduler.step()
    assert stage.held() == {"ahead": 0, "new": 2}
    assert stage.scheduler.parked == 1
    stage.run()
    assert stage.chunks("ahead") == [1] * 40
    assert stage.chunks("new") == [1] * 4


def test_a_stream_that_is_heard_meanwhile_keeps_its_memory_however_long_the_new_one_waits():
    stage = Kitchen(slots=3, room=20)
    stage.ask("playing", 40, expected=40)
    stage.scheduler.step()
    stage.ask("new", 4, expected=4)
    for _ in range(38):
        stage.scheduler.step()
        stage.now += 0.08  # as fast as it is heard
        assert stage.held() == {"playing": 20, "new": 0}
    assert stage.now > 2.5
    stage.run()
    assert stage.chunks("new") == [1] * 4


def test_if_nobody_could_go_on_the_most_urgent_takes_what_it_needs():
    stage = Kitchen(slots=3, room=2)
    for name in "ab":
        stage.receive(Start(name, {"kind": name}), *[Chunk(name, 1)] * 2)
    stage.run()
    assert stage.held() == {"a": 1, "b": 1}
    for name in "ab":
        stage.receive(*[Chunk(name, 1)] * 2, Finish(name, "stop"))
    stage.run()
    assert [stage.chunks(name) for name in "ab"] == [[1] * 4] * 2
    assert stage.scheduler.parked > 0
    assert stage.scheduler.memory.free == 2
