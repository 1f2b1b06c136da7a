"""Things that happen side by side, and all end when one fails or when nobody waits any more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

AHEAD = 16  # items that sources may be ahead of who reads them
AGAIN_SECONDS = 0.1


async def interleave(**sources: AsyncIterable[Any]) -> AsyncGenerator[tuple[str, Any], None]:
    """(name, item) of every source as they come. The first error ends all; so does closing the generator."""
    arrived: asyncio.Queue[tuple[str, Any, BaseException | None]] = asyncio.Queue(AHEAD)
    end = object()

    async def pump(name: str, source: AsyncIterable[Any]) -> None:
        error = None
        try:
            async for item in source:
                await arrived.put((name, item, None))
        except Exception as raised:  # handed to whoever iterates
            error = raised
        await arrived.put((name, end, error))

    tasks = [asyncio.create_task(pump(name, source)) for name, source in sources.items()]
    running = len(tasks)
    try:
        while running:
            name, item, error = await arrived.get()
            if error is not None:
                raise error
            if item is end:
                running -= 1
            else:
                yield name, item
    finally:
        await _cancel(tasks)


async def collect(source: AsyncIterable[bytes]) -> bytes:
    return b"".join([part async for part in source])


async def together(*coroutines: Coroutine) -> list[Any]:
    """All results. The first error cancels the others, as does being cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _cancel(tasks)


async def first(*coroutines: Coroutine) -> Any:
    """The result of whichever ends first; the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        await _cancel(tasks)


async def until_disconnected(request: Request) -> Response:
    """For requests whose body has been read. Whoever else asks is told too: the server says it to every caller."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return JSONResponse({"error": "the client has left"}, 499)  # for the log: nobody reads it


async def _cancel(tasks: list[asyncio.Task]) -> None:
    """To the end, also if whoever waits here is cancelled."""
    await asyncio.shield(_end(tasks))


async def _end(tasks: list[asyncio.Task]) -> None:
    """Once is not enough: `asyncio.wait_for` of Python 3.11 loses a cancellation that comes when its wait is just over,
    and SGLang waits so for every token."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
