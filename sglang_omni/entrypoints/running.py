"""The requests that are being answered: none takes longer than it may, none is kept for a client that has stopped
reading, and when the server is to end those that have begun are finished first."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sglang_omni.entrypoints.errors import ANTHROPIC, body_of, error_response
from sglang_omni.entrypoints.sse import DONE, event
from sglang_omni.errors import OmniError, TimedOut, Unavailable

logger = logging.getLogger(__name__)

ANSWERING = ("/v1/", "/api/", "/generate", "/encode", "/classify", "/invocations", "/vertex_generate")
EVENTS = "text/event-stream"
TYPED = "/v1/audio/speech", "/v1/audio/transcriptions"  # whose events have forms of their own
UNREAD_SECONDS = 60.0  # for which a client may leave all unread that lies ready for it
PIECE = 2**18  # bytes of an answer handed over at once: what a client leaves unread is then freed with its request
FAREWELL_SECONDS = 1.0
POLL_SECONDS = 0.05


@dataclass(eq=False)
class Running:
    """A request, and what has been sent of its answer."""

    scope: Scope
    send: Send
    limit: asyncio.Timeout
    started: bool = False
    streams: bool = False
    cut: bool = False  # what was sent last is a part of a message
    whole: bool = False
    error: OmniError | None = None

    def end(self, error: OmniError) -> None:
        """Cancels whoever works on it: to leave their blocks frees it in every stage."""
        if self.error or self.limit.expired():  # it is ending already
            return
        self.error = error
        self.limit.reschedule(asyncio.get_running_loop().time())

    async def fail(self, error: OmniError) -> None:
        """By a status or, where that has left, by an event. Sound or an event that breaks off has neither."""
        if not self.started:
            await error_response(error)(self.scope, _no_more, self.send)
        elif self.streams and not self.cut:
            await self.send({"type": "http.response.body", "body": self._last_event(error)})

    def _last_event(self, error: OmniError) -> bytes:
        path, body = self.scope["path"], body_of(error)
        if path.startswith(ANTHROPIC):
            return b"event: error\n" + event({"type": "error", **body})
        return event({"type": "error", **body}) if path in TYPED else event(body) + DONE


async def _no_more() -> Message:
    return {"type": "http.disconnect"}


class RunningRequests:
    """`seconds` is how long one may take, None without a limit."""

    def __init__(self, seconds: float | None = None, unread_seconds: float = UNREAD_SECONDS):
        self._seconds = seconds
        self._unread_seconds = unread_seconds
        self._running: list[Running] = []
        self._draining = False

    def around(self, app: ASGIApp) -> ASGIApp:
        """An ASGI layer. Its cost per streamed chunk is a timer, set and stopped."""

        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(ANSWERING):
                await app(scope, receive, send)
            elif self._draining:
                await error_response(Unavailable("the server is going down"))(scope, receive, send)
            else:
                await self._answer(app, scope, receive, send)

        return layer

    async def _answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        limit = asyncio.timeout(self._seconds)
        request = Running(scope, send, limit)
        self._running.append(request)
        try:
            async with limit:
                await app(scope, receive, self._watched(request))
        except TimeoutError:
            if not limit.expired():
                raise
            if request.whole:  # in the very moment in which it would have been ended
                return
            error = request.error or TimedOut(f"the request took longer than {self._seconds:g} s (--request-timeout)")
            if request.started:  # it will have no status that says so
                scope["state"]["late_status"] = error.status
                logger.warning("%s ended: %s", scope["state"]["request_id"], error)
            with suppress(TimeoutError):  # it does not read
                await asyncio.wait_for(request.fail(error), FAREWELL_SECONDS)
        finally:
            self._running.remove(request)

    def _watched(self, request: Running) -> Send:
        loop, unread = asyncio.get_running_loop(), TimedOut("its client reads nothing of the answer")

        async def hand_over(message: Message) -> None:
            patience = loop.call_later(self._unread_seconds, request.end, unread)
            try:
                await request.send(message)
            finally:
                patience.cancel()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await hand_over(message)
                request.started = True
                request.streams = Headers(raw=message["headers"]).get("content-type", "").startswith(EVENTS)
                return
            body = message.get("body", b"")
            last = max(0, len(body) - 1) // PIECE * PIECE
            for begin in range(0, last, PIECE):
                request.cut = True
                await hand_over({**message, "body": body[begin : begin + PIECE], "more_body": True})
            await hand_over({**message, "body": body[last:]} if last else message)
            request.cut = False
            request.whole = not message.get("more_body")

        return send

    async def drain(self, seconds: float) -> None:
        """Lets no request begin any more, and waits until none runs; those that still do after `seconds` are ended."""
        self._draining = True
        logger.info("%d requests are being finished", len(self._running))
        if not await self._none_within(seconds):
            for request in self._running:
                request.end(Unavailable("the server went down before this was answered"))
            await self._none_within(2 * FAREWELL_SECONDS)

    async def _none_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        return not self._running
