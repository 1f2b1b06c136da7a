"""Loading for many requests at once: slow media hold up neither the event loop nor other media."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

import tests.media_files as files
from sglang_omni.errors import MediaError, Overloaded
from sglang_omni.media import Loader, MediaPolicy, loader
from tests.media import hostile

PICTURE = files.picture()
POLICY = MediaPolicy(directory=None, private=True)
SLOW = 0.5


@asynccontextmanager
async def slow_server(seconds: float) -> AsyncIterator[str]:
    """Each picture takes this long, whoever else asks."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(seconds)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def scenario(
    test: Callable[[Loader, str], Awaitable[None]], seconds: float = SLOW, policy: MediaPolicy = POLICY
) -> None:
    async def run() -> None:
        media = Loader(policy, decoders=2)
        try:
            await media.image(PICTURE, "x")  # a decoder has started
            async with slow_server(seconds) as url:
                await asyncio.wait_for(test(media, url), 30)
        finally:
            media.stop()

    asyncio.run(run())


async def ticks(work: Awaitable[Any]) -> int:
    """How often the event loop came round meanwhile."""
    count, task = 0, asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0.001)
        count += 1
    await task
    return count


def test_downloads_side_by_side_take_the_time_of_one() -> None:
    async def test(media: Loader, url: str) -> None:
        begun = time.monotonic()
        assert await ticks(asyncio.gather(*[media.image(url, f"images[{i}]") for i in range(16)])) > 50
        assert SLOW <= time.monotonic() - begun < 8 * SLOW

    scenario(test)


def test_decoding_does_not_stop_the_event_loop() -> None:
    data = hostile.png_of_zeros(4000, 4000)

    async def test(media: Loader, url: str) -> None:
        assert await ticks(asyncio.gather(*[media.image(data, "x") for _ in range(2)])) > 20

    scenario(test)


def test_a_flood_of_downloads_holds_up_nothing_else() -> None:
    async def test(media: Loader, url: str) -> None:
        flood = [asyncio.create_task(media.image(url, "x")) for _ in range(3 * loader.DOWNLOADS)]
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await media.image(PICTURE, "y")
        assert time.monotonic() - begun < 2
        assert not any(task.done() for task in flood)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)

    scenario(test, seconds=20)


def test_who_waits_too_long_for_a_download_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "DOWNLOADS", 2)

    async def test(media: Loader, url: str) -> None:
        results = await asyncio.gather(*[media.image(url, f"images[{i}]") for i in range(6)], return_exceptions=True)
        assert {type(result) for result in results[:2]} == {MediaError}
        late = {i: result for i, result in enumerate(results) if not isinstance(result, MediaError)}
        assert len(late) >= 2, "two more at most began in time"
        for i, result in late.items():
            assert isinstance(result, Overloaded)
            assert (result.status, result.param) == (429, f"images[{i}]")

    scenario(test, 5, replace(POLICY, fetch_seconds=1.0))


@pytest.mark.parametrize("work", ["download", "decoding"])
def test_what_nobody_waits_for_ends(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled task gives its thread back."""
    if work == "decoding":
        monkeypatch.setattr(loader, "decode_image", partial(hostile.hang, seconds=30))

    async def test(media: Loader, url: str) -> None:
        tasks = [asyncio.create_task(media.image(url if work == "download" else b"x", "x")) for _ in range(2)]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        monkeypatch.undo()
        begun = time.monotonic()
        await asyncio.gather(*[media.image(PICTURE, "x") for _ in range(2)])
        media._downloads.shutdown()  # waits for its threads
        assert time.monotonic() - begun < 10

    async def run() -> None:
        media = Loader(POLICY, decoders=2)
        try:
            async with slow_server(30) as url:
                await asyncio.wait_for(test(media, url), 30)
        finally:
            media.stop()

    asyncio.run(run())


def test_an_error_names_its_medium() -> None:
    async def test(media: Loader, url: str) -> None:
        for load in (media.image, media.audio):
            with pytest.raises(MediaError, match=r"^images\[3\]: ") as error:
                await load(b"no picture", "images[3]")
            assert error.value.param == "images[3]"

    scenario(test)


def test_a_slow_name_server_holds_up_its_own_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: stuck.wait(20))

    async def test(media: Loader, url: str) -> None:
        lost = [asyncio.create_task(media.image(f"http://host{i}.example.org/", "x")) for i in range(40)]
        await asyncio.sleep(0.05)
        await media.image(PICTURE, "y")
        results = await asyncio.gather(*lost, return_exceptions=True)
        assert all(isinstance(result, MediaError | Overloaded) for result in results)
        stuck.set()

    scenario(test, policy=replace(POLICY, fetch_seconds=1))
