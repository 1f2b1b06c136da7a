"""Who plays stays safe: a new stream is let in only where all will still be made faster than they are heard."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglang_omni.sidecar.messages import Chunk, Finish, Message, Start
from sglang_omni.sidecar.pace import SAFE_LOAD, Pace
from sglang_omni.sidecar.scheduler import Scheduler
from tests.sidecar.countdown import SECONDS, Countdown, State


def learned(base: float, row: float, *rows: int) -> Pace:
    """After steps of so many rows, which cost `base`, and `row` for each, in shares of real time."""
    pace = Pace()
    for count in rows:
        pace.step((base + row * count) * SECONDS, SECONDS, count)
    return pace


def test_before_the_first_step_all_are_let_in():
    assert Pace().is_safe(9, 0)


def test_a_stage_that_is_too_slow_for_one_serves_one():
    pace = learned(2.0, 0.0, 1, 1, 1)
    assert pace.is_safe(1, 0)
    assert not pace.is_safe(2, 1)


def test_until_more_is_known_a_row_is_expected_to_cost_what_one_alone_does():
    pace = learned(0.2, 0.0, 1, 1)
    assert pace.is_safe(4, 1)
    assert not pace.is_safe(5, 1)


@pytest.mark.parametrize(("base", "row"), [(0.1, 0.1), (0.5, 0.05), (0.0, 0.3), (0.7, 0.0)])
def test_once_two_sizes_were_seen_all_are_known(base: float, row: float):
    pace = learned(base, row, *[1] * 9, *[2] * 40)
    for streams in range(3, 20):
        assert pace.load(streams, playing=2) == pytest.approx(base + row * streams, rel=1e-3)
        assert pace.is_safe(streams, 2) == (base + row * streams < SAFE_LOAD - 0.01)


def test_streams_that_do_not_share_steps_count_one_by_one():
    assert learned(0.1, 0.0, *[1] * 9).load(6, playing=6) == pytest.approx(0.1 * 6)


class Clocked(Countdown):
    """Steps take time: `base`, and `row` for each request in them."""

    def __init__(self, slots: int, base: float, row: float):
        super().__init__(slots)
        self.base, self.row, self.now = base, row, 0.0

    def step(self, states: Sequence[State]) -> list[int | None]:
        self.now += self.base + self.row * len(states)
        return super().step(states)


Arrivals = list[tuple[float, int]]


def simulate(base: float, row: float, arrivals: Arrivals) -> tuple[list[float], int]:
    """Seconds for which each listener had nothing to hear, and the largest step there was."""
    runner = Clocked(16, base, row)
    heard: dict[str, list[float]] = {}

    def hear(sent: list[Message]) -> None:
        for message in sent:
            if isinstance(message, Chunk):
                heard.setdefault(message.request_id, []).append(runner.now)

    scheduler = Scheduler("stage", runner, hear, hear, clock=lambda: runner.now)
    waiting = sorted((when, number, str(index)) for index, (when, number) in enumerate(arrivals))
    while waiting or scheduler.requests:
        while waiting and waiting[0][0] <= runner.now:
            _, number, name = waiting.pop(0)
            for message in (Start(name, {}), *[Chunk(name, 1)] * number, Finish(name, "stop")):
                scheduler.receive(message)
        if not scheduler.step():
            assert not scheduler.requests, "nobody waits while nobody runs"
            runner.now = max(runner.now, waiting[0][0]) if waiting else runner.now
    assert len(heard) == len(arrivals)
    return [dry(times) for _, times in sorted(heard.items())], max(map(len, runner.batches))


def dry(times: list[float]) -> float:
    silence, end = 0.0, times[0] + SECONDS
    for made in times[1:]:
        silence += max(0.0, made - end)
        end = max(end, made) + SECONDS
    return silence


@settings(max_examples=200, deadline=None)
@given(
    base=st.floats(0.001, 0.06),
    row=st.floats(0.0005, 0.03),
    arrivals=st.lists(st.tuples(st.floats(0.2, 6), st.integers(2, 120)), min_size=1, max_size=24),
)
def test_no_player_runs_dry_however_many_come(base: float, row: float, arrivals: Arrivals):
    """To a stage that is fast enough for one, and has served one."""
    base = min(base, SAFE_LOAD * SECONDS - row)
    silences, _ = simulate(base, row, [(0.0, 20), *arrivals])
    assert max(silences) <= 1e-9


def test_a_fast_stage_takes_all_at_once():
    silences, largest = simulate(0.004, 0.0005, [(1.0, 50)] * 16 + [(0.0, 20)])
    assert largest == 16
    assert max(silences) == 0


def test_without_the_gate_they_would_run_dry(monkeypatch: pytest.MonkeyPatch):
    crowd = [(0.0, 20), *((0.5 + 0.1 * index, 60) for index in range(12))]
    assert max(simulate(0.01, 0.012, crowd)[0]) == 0
    monkeypatch.setattr("sglang_omni.sidecar.pace.SAFE_LOAD", 99.0)
    assert max(simulate(0.01, 0.012, crowd)[0]) > 1
