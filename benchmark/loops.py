"""When requests are sent: by clients that wait for their answers, or at times that no answer changes."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import accumulate, repeat
from typing import TypeVar

Answered = TypeVar("Answered")
Ask = Callable[[int, float], Awaitable[Answered]]
"""Asks request number n, which is due at a time of `time.perf_counter`."""


async def closed_loop(clients: int, numbers: Iterable[int], ask: Ask[Answered]) -> list[Answered]:
    """Each client takes the next number as soon as it is answered, until there are none."""
    shared = iter(numbers)

    async def be_client() -> list[Answered]:
        return [await ask(number, time.perf_counter()) for number in shared]

    answered = await asyncio.gather(*(be_client() for _ in range(clients)))
    return [answer for own in answered for answer in own]


async def open_loop(times: Iterable[float], ask: Ask[Answered]) -> list[Answered]:
    """Requests at `times`, in seconds from now, however many are unanswered."""
    began = time.perf_counter()
    asked = []
    async with asyncio.TaskGroup() as group:
        for number, offset in enumerate(times):
            await asyncio.sleep(began + offset - time.perf_counter())
            asked.append(group.create_task(_await(ask(number, began + offset))))
    return [task.result() for task in asked]


async def _await(answer: Awaitable[Answered]) -> Answered:
    return await answer


def poisson(rate: float, seed: int | str) -> Iterator[float]:
    """Times of a Poisson process with `rate` arrivals a second, without end."""
    draw = random.Random(seed)
    return accumulate(draw.expovariate(rate) for _ in repeat(None))
