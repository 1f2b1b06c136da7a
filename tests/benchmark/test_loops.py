"""Who asks when."""

import asyncio
import time
from itertools import islice

import pytest

from sglang_omni.benchmark.loops import closed_loop, open_loop, poisson


def test_arrivals_of_a_seed_are_the_same_twice_and_come_at_the_rate():
    times = list(islice(poisson(5.0, seed=1), 20_000))
    assert times == list(islice(poisson(5.0, seed=1), 20_000))
    assert times[:9] != list(islice(poisson(5.0, seed=2), 9))
    gaps = [later - sooner for sooner, later in zip([0.0, *times], times, strict=False)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.2, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.06)  # exponential


def test_a_closed_loop_keeps_its_clients_busy_and_asks_each_number_once():
    running, seen = 0, []

    async def ask(number: int, due: float) -> int:
        nonlocal running
        running += 1
        await asyncio.sleep(0.001 * (number % 3))
        seen.append(running)
        running -= 1
        return number

    numbers = asyncio.run(closed_loop(4, range(40), ask))
    assert sorted(numbers) == [*range(40)]
    assert set(seen[:37]) == {4}  # the last three find nobody to follow them
    assert seen[37:] == [3, 2, 1]


def test_an_open_loop_asks_on_time_whoever_is_unanswered():
    times, late = [0.0, 0.05, 0.06, 0.15], []

    async def run() -> list[float]:
        all_asked = asyncio.Event()

        async def ask(number: int, due: float) -> float:
            late.append(time.perf_counter() - due)
            if len(late) == len(times):
                all_asked.set()
            await all_asked.wait()
            return due

        async with asyncio.timeout(10):
            return await open_loop(times, ask)

    due = asyncio.run(run())
    assert [moment - due[0] for moment in due] == pytest.approx(times)
    assert min(late) > -0.01  # of what a timer resolves
