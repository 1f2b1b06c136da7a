"""How every request ended: counted by route, and told in the log."""

import logging
import time
from http import HTTPMethod

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sglang_omni.entrypoints.account import Account

logger = logging.getLogger(__name__)

NO_ROUTE = "none"  # refused on its way to one: a wrong key, an unknown path, a body that is too large


def note_failure(request: Request) -> None:
    """What is being answered failed after its status had left."""
    request.state.failed = True


class Outcomes:
    """Outermost ASGI layer. A POST request ends as `finished`, `refused` (4xx), `failed` or `aborted`: by its client,
    who left before the end."""

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
            if left:
                outcome = "aborted"
            elif not ended or status >= 500 or state.get("failed"):
                outcome = "failed"
            else:
                outcome = "refused" if status >= 400 else "finished"
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
