"""What runs side by side ends together."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from sglang_omni.entrypoints.concurrency import first, interleave, together


class Stubborn:
    """Work without an end that loses the first cancellation, as `asyncio.wait_for` of Python 3.11 may."""

    def __init__(self) -> None:
        self.ended = False

    async def run(self) -> None:
        try:
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(3600)
            await asyncio.sleep(3600)
        finally:
            self.ended = True

    async def words(self) -> AsyncGenerator[str, None]:
        await self.run()
        yield "never"


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("a bug")


async def failing() -> AsyncGenerator[str, None]:
    await fail()
    yield "never"


async def consume(source: AsyncGenerator) -> None:
    async for _ in source:
        pass


@pytest.mark.parametrize("how", ["first", "together", "interleave"])
def test_an_error_ends_what_loses_a_cancellation(how: str) -> None:
    work = Stubborn()

    async def act() -> None:
        ways = {
            "first": lambda: first(work.run(), fail()),
            "together": lambda: together(work.run(), fail()),
            "interleave": lambda: consume(interleave(one=work.words(), two=failing())),
        }
        async with asyncio.timeout(5):
            with pytest.raises(ValueError, match="a bug"):
                await ways[how]()
        assert work.ended

    asyncio.run(act())


def test_so_does_who_is_cancelled_himself_again_and_again() -> None:
    work = Stubborn()

    async def act() -> None:
        task = asyncio.create_task(consume(interleave(one=work.words())))
        await asyncio.sleep(0.01)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while not work.ended:
                await asyncio.sleep(0.01)

    asyncio.run(act())
