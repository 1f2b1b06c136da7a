"""Every answer carries the id of its request in `X-Request-Id`, and what fails is logged under it.

It is also the id that a request has in the thinker and in every stage. It begins with the client's own, if the client
sent that header, and ends so that no id begins another: SGLang aborts every request whose id begins with the one given.
"""

import re
import uuid

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
MAX_LENGTH = 128
PRINTABLE = re.compile(r"[!-~]+")  # and no space


def new_id(own: str) -> str:
    return f"{own}-{uuid.uuid4().hex}"


def rename(request: Request, id: str) -> None:
    """Gives `request` another id, before it is answered."""
    request.state.request_id = id


def claim(request: Request) -> str | None:
    """The id of `request` for what it asks of the thinker, once: None if that was asked before."""
    claimed = getattr(request.state, "claimed", False)
    request.state.claimed = True
    return None if claimed else request.state.request_id


def clients_id(request: Request, default: str) -> str:
    """What the client calls its request."""
    return request.state.clients_id or default


class RequestIds:
    """Outermost ASGI layer. Its cost per streamed chunk is one call."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own = "".join(PRINTABLE.findall(Headers(scope=scope).get(HEADER, "")))[:MAX_LENGTH]
        state = scope.setdefault("state", {})
        state["clients_id"], state["request_id"] = own, new_id(own or "request")

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (HEADER.lower().encode(), state["request_id"].encode())]
            await send(message)

        await self.app(scope, receive, named)
