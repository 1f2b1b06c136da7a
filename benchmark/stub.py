"""A server that only streams what was prepared: what a load's client costs, and what it makes of times that are known.

`python -m sglang_omni.benchmark.stub --port 8001`, and load it: `sgl-omni bench load --url http://localhost:8001`.
"""

import argparse
import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

RATE = 24_000
DONE = b"data: [DONE]\n\n"
MODELS = json.dumps({"data": [{"id": "stub"}]}).encode()


@dataclass(frozen=True)
class Reply:
    """`pieces`: seconds to wait before each, and its bytes. If it is not `whole` the connection breaks after them."""

    pieces: Sequence[tuple[float, bytes]]
    status: int = 200
    type: str = "text/event-stream"
    whole: bool = True


def event(finish_reason: str | None = None, **delta: object) -> bytes:
    """A chunk of a chat, as this server streams it; with a finish reason it is the last, and the stream ends."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    data = json.dumps({"object": "chat.completion.chunk", "choices": [choice]}).encode()
    return b"data: " + data + b"\n\n" + (DONE if finish_reason else b"")


def sound(seconds: float) -> bytes:
    """A chunk of silence."""
    return event(audio={"data": base64.b64encode(bytes(2 * round(seconds * RATE))).decode()})


def at_once(tokens: int = 32, chunks: Sequence[float] = (0.16, 0.16, 0.32, 0.64, 1.28, 1.28, 1.28)) -> Reply:
    """An answer of so many words and `chunks` seconds of sound, each piece right after the one before."""
    return Reply([(0, piece) for piece in (*[event(content=" word")] * tokens, *map(sound, chunks), event("stop"))])


@dataclass
class Stub:
    """Answers each POST with `reply(body)`."""

    reply: Callable[[dict], Reply]
    running: int = 0
    most: int = 0  # answers at once, so far
    asked: list[dict] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """The block gets its address."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", port, limit=2**24)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):  # one of us has left
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether there may be another on this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if head.startswith("get"):
            reply = Reply([(0, MODELS)], type="application/json")
        else:
            length = next(line for line in head.splitlines() if line.startswith("content-length:"))
            self.asked.append(json.loads(await reader.readexactly(int(length.split(":")[1]))))
            reply = self.reply(self.asked[-1])
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            writer.write(
                f"HTTP/1.1 {reply.status} \r\ncontent-type: {reply.type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
            )
            for wait, piece in reply.pieces:
                await asyncio.sleep(wait)
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
        finally:
            self.running -= 1
        writer.write(b"0\r\n\r\n" if reply.whole else b"")
        await writer.drain()
        return reply.whole


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8001)
    reply = at_once()
    async with Stub(lambda body: reply).serve(parser.parse_args().port) as address:
        print(address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
