"""Server-sent events."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

import orjson
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask
from starlette.types import Send

DATA = b"data: "
DONE = DATA + b"[DONE]\n\n"


def event(payload: Any) -> bytes:
    return DATA + orjson.dumps(payload) + b"\n\n"


class EventStream(StreamingResponse):
    """`opening` and the rest of a generator that has already begun: it is closed whatever happens, so that a client
    that goes away leaves nothing running."""

    def __init__(
        self,
        opening: bytes,
        rest: AsyncGenerator[bytes, None],
        media_type: str = "text/event-stream",
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ):
        super().__init__(self._pieces(opening, rest), 200, headers, media_type, background)
        self._rest = rest

    @staticmethod
    async def _pieces(opening: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        yield opening
        async for piece in rest:
            if piece:
                yield piece

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._rest):
            await super().stream_response(send)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """What would be sent, for a route that says it in another form."""
        async with aclosing(self._rest):
            async for piece in self.body_iterator:
                yield cast(bytes, piece)
