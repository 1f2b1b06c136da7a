"""Who runs next is who runs dry first, on a clock of our own: a player starts with the first sound and never waits."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sglang_omni.sidecar.messages import Chunk, Finish, Message, Start
from sglang_omni.sidecar.scheduler import PATIENCE, Scheduler
from tests.sidecar.countdown import SECONDS, Countdown

STEP = SECONDS / 4
"""What a step takes: four streams that never share one are all that can be served in time."""


class Stage:
    """A scheduler whose steps take `STEP` of its clock. Every number is `SECONDS` of sound."""

    def __init__(self, slots: int):
        self.now = 0.0
        self.heard: dict[str, list[float]] = {}  # when each number of a request was made
        self.scheduler = Scheduler("stage", Countdown(slots), self._hear, self._hear, clock=lambda: self.now)

    def _hear(self, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, Chunk):
                self.heard.setdefault(message.request_id, []).append(self.now)

    def ask(self, name: str, numbers: int, pieces: int = 0) -> None:
        """A request that shares its steps with no other."""
        for message in (Start(name, {"kind": name, "pieces": pieces}), Chunk(name, numbers), Finish(name, "stop")):
            self.scheduler.receive(message)

    def step(self) -> bool:
        self.now += STEP  # what a step makes is there when it is over
        return self.scheduler.step()

    def dry(self, name: str) -> float:
        """Seconds for which the player of a request had nothing to play."""
        first, *rest = self.heard[name]
        silence, end = 0.0, first + SECONDS
        for made in rest:
            silence += max(0.0, made - end)
            end = max(end, made) + SECONDS
        return silence


def test_a_new_request_goes_before_streams_that_are_well_ahead():
    stage = Stage(slots=2)
    stage.ask("old", 100)
    for _ in range(20):
        stage.step()  # 1.6 s of sound in 0.4 s
    stage.ask("new", 5)
    asked = stage.now
    while stage.step():
        pass
    assert stage.heard["new"][0] == asked + STEP
    assert stage.dry("old") == stage.dry("new") == 0


def test_a_new_request_waits_for_streams_that_would_run_dry():
    stage = Stage(slots=4)
    for name in "abc":
        stage.ask(name, 50)
    for _ in range(3):
        stage.step()
    stage.ask("new", 5)
    asked = stage.now
    while stage.step():
        pass
    assert asked + STEP < stage.heard["new"][0] < asked + 2 * PATIENCE
    assert [stage.dry(name) for name in "abc"] == [0, 0, 0]


def test_a_long_prompt_stops_no_stream():
    """A hundred pieces, two seconds of steps, while three streams play: they go on between two, and never run dry."""
    stage = Stage(slots=4)
    for name in "abc":
        stage.ask(name, 100)
    for _ in range(30):
        stage.step()
    stage.ask("long", 5, pieces=100)
    while stage.step():
        pass
    assert [stage.dry(name) for name in "abc"] == [0, 0, 0]
    assert len(stage.heard["long"]) == 5
    between = sum(2.0 < made < stage.heard["long"][0] for name in "abc" for made in stage.heard[name])
    assert between > 50


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 60)), min_size=1, max_size=12))
def test_no_player_runs_dry_while_the_slots_are_what_the_stage_can_serve(requests: list[tuple[float, int]]):
    """Three slots of the four that time would allow: one step that cannot be interrupted is what is left to chance."""
    stage = Stage(slots=3)
    arrivals = sorted((when, f"{index}", numbers) for index, (when, numbers) in enumerate(requests))
    while arrivals or stage.scheduler.requests:
        while arrivals and arrivals[0][0] <= stage.now:
            _, name, numbers = arrivals.pop(0)
            stage.ask(name, numbers)
        stage.step()
    assert len(stage.heard) == len(requests)
    for name in stage.heard:
        assert stage.dry(name) <= 1e-9
