"""How every request ended: counted by route, and told in the log."""

import logging
import time
from http import HTTPMethod

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sglang_omni.entrypoints.account import Account
from sglang_omni.errors import Aborted

logger = logging.getLogger(__name__)

NO_ROUTE = "none"  # refused on its way to one: a wrong key, an unknown path, a body that is too large


def outcome_of(status: int, late: int | None = None) -> str:
    """`late` would have been the status of an error that came after it had left: too late to refuse anything."""
    if Aborted.status in (status, late):
        return "aborted"
    if late or status >= 500:
        return "failed"
    return "refused" if status >= 400 else "finished"


def note_late(request: Request, status: int) -> None:
    """Of an error after the status had left."""
    request.state.late_status = status


class Outcomes:
    """Outermost ASGI layer. A POST request ends as `finished`, `refused` (4xx), `failed` or `aborted`: by its client
    who left before the end, or by its id."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        account = state["account"] = Account(Headers(scope=scope))
        if scope["method"] != HTTPMethod.POST:
            await self.app(scope, receive, send)
            return
        status, left, counted = 0, False, False

        def count(ended: bool) -> None:
            nonlocal counted
            if counted:
                return
            counted = True
            outcome = "aborted" if left else outcome_of(status if ended else 500, state.get("late_status"))
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            scope["app"].state.omni.metrics.request(route, outcome)
            logger.info("ended %s", account.line(state["request_id"], route, outcome, status or None))

        async def watched_receive() -> Message:
            nonlocal left
            message = await receive()
            left = left or message["type"] == "http.disconnect"
            if not left and not message.get("more_body"):
                account.read = time.monotonic()
            return message

        async def watched_send(message: Message) -> None:
            nonlocal status
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body"):
                count(ended=True)

        try:
            await self.app(scope, watched_receive, watched_send)
        finally:  # later than the end by SGLang's task that runs in the background of a stream
            count(ended=False)
