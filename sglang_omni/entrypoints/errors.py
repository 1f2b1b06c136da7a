"""Every error leaves in OpenAI's body: `{"error": {"message", "type", "param", "code"}}`.

Our routes raise `OmniError`; its class decides the status. What SGLang's own routes answer in other shapes is
rewritten on its way out.
"""

import logging
import re
from collections.abc import Sequence
from http.client import responses as phrases
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sglang_omni.entrypoints.layers import surround
from sglang_omni.entrypoints.request_id import RequestIds
from sglang_omni.errors import OmniError

logger = logging.getLogger(__name__)

ANTHROPIC = "/v1/messages"
SYSTEM_ONE = "/v1/systemone"
OTHER_DIALECTS = (ANTHROPIC, SYSTEM_ONE, "/api/")  # with bodies of their own, as has Ollama
NO_FIELDS = ("body", "query", "str", "constrained-str", "int", "float", "bool")  # in pydantic's locations
RETRY_AFTER = {429: "1", 503: "5"}
CODES = {401: "invalid_api_key", 403: "forbidden"}
SOURCE = re.compile(r"\[?(?:[\w.+-]*/)+[\w.+-]+\.(?:py|cc|cpp|cu|h|rs)(?::\d+)*\]?:?\s*")
OUR_FAULT = "The server failed on this request; its log says why."


def error_body(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code or CODES.get(status)}}


def body_of(error: OmniError) -> dict[str, Any]:
    return error_body(error.status, str(error), error.param, error.code)


def error_response(error: OmniError) -> Response:
    return response_of(error.status, body_of(error))


class Refused(Exception):
    """SGLang answered with an error response instead of text."""

    def __init__(self, response: Any):
        super().__init__()
        self.response = response


def response_of(status: int, body: dict[str, Any]) -> Response:
    headers = {"Retry-After": RETRY_AFTER[status]} if status in RETRY_AFTER else None
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def describe(errors: Sequence[Any]) -> tuple[str, str | None]:
    """One sentence and the field at fault, from pydantic's list of errors."""
    # A value that fits no branch of a union gives an error per branch: the longest path got furthest.
    error = max(errors, key=lambda error: len(_path(error["loc"])))
    if error["type"] == "json_invalid":
        return f"The body is not valid JSON: {error['ctx']['error']} at character {error['loc'][-1]}", None
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    field = "".join(_path(error["loc"])).removeprefix(".")
    return (f"{field}: {message}" if field else message), field or None


def _path(location: tuple[str | int, ...]) -> list[str]:
    """The part of pydantic's location that is written in the request: no class names, no `list[str]`."""
    steps = [part for part in location if part not in NO_FIELDS]
    named = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    return [step for step in named if re.fullmatch(r"\[\d+\]|\.[a-z_0-9-]+", step)]


def normalize(status: int, body: Any) -> dict[str, Any]:
    """Any JSON error body in OpenAI's shape."""
    if status == 500:
        return error_body(status, OUR_FAULT)
    message, param, code = _told(status, body)
    return error_body(status, without_paths(message), param, code)


def _told(status: int, body: Any) -> tuple[str, str | None, str | None]:
    """Message, param and code."""
    found = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(found, str):
        return found, None, None
    if not isinstance(found, dict):
        return phrases.get(status, OUR_FAULT), None, None
    message = found.get("message") or found.get("detail") or phrases.get(status, OUR_FAULT)
    code = found.get("code")
    return str(message), found.get("param"), code if isinstance(code, str) else None


def without_paths(message: str) -> str:
    """`message` without the places in source code that libraries put in theirs."""
    return SOURCE.sub("", message).strip()


class OpenAIErrors:
    """ASGI layer that rewrites responses with an error status and logs them; everything else passes untouched."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        held = b""

        async def rewrite(message: Message) -> None:
            nonlocal start, held
            if message["type"] == "http.response.start":
                if message["status"] < 400:
                    await send(message)
                else:
                    start = message
            elif start is None:
                await send(message)
            else:
                held += message.get("body", b"")
                if not message.get("more_body"):
                    await _send_error(start, held, scope, receive, send)

        try:
            await self.app(scope, receive, rewrite)
        except ClientDisconnect:
            pass  # while it sent its body: nobody reads an answer
        except Exception as error:
            if isinstance(error.__cause__, OmniError):  # too late for a status, in a stream that has no events
                logger.error("%s: %s %r broke off: %s", *_request(scope), error.__cause__)
            else:  # whatever it is, it is our fault, and Starlette has answered with 500 if it still could
                logger.exception("%s: %s %r failed", *_request(scope))


def _request(scope: Scope) -> tuple[str, str, str]:
    return scope["state"]["request_id"], scope["method"], scope["path"]


async def _send_error(start: Message, held: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = orjson.loads(held)
    except orjson.JSONDecodeError:
        body = None
    status = start["status"]
    if not _reports_health(body):
        _log(scope, status, body)
    if _reports_health(body) or _is_of_another_dialect(scope["path"], body):
        await send(start)
        await send({"type": "http.response.body", "body": held})
        return
    told = normalize(status, body)
    if scope["path"].startswith(ANTHROPIC):
        told["type"] = "error"
    response = response_of(status, told)
    response.raw_headers += [(name, value) for name, value in start["headers"] if name.decode() not in response.headers]
    await response(scope, receive, send)


def _log(scope: Scope, status: int, body: Any) -> None:
    """What a client was told, or, of our own faults, what it was not; quoted, as parts of it are the client's."""
    level = logging.ERROR if status >= 500 else logging.INFO
    id, method, path = scope["state"]["request_id"], scope["method"], scope["path"]
    logger.log(level, "%s: %s %r answered %d: %.1000r", id, method, path, status, _told(status, body)[0])


def _is_of_another_dialect(path: str, body: Any) -> bool:
    known = isinstance(body, dict) and ("error" in body or path == SYSTEM_ONE)
    return known and path.startswith(OTHER_DIALECTS)


def _reports_health(body: Any) -> bool:
    return isinstance(body, dict) and "status" in body


async def _on_omni_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OmniError)
    return error_response(error)


def install(app: FastAPI) -> None:
    """Gives `app` our handlers, and puts `RequestIds` and `OpenAIErrors` around all it will ever answer."""
    elsewhere = app.exception_handlers.get(RequestValidationError)

    async def on_invalid(request: Request, error: Exception) -> Response:
        if elsewhere is not None and request.url.path.startswith(OTHER_DIALECTS):
            return await elsewhere(request, error)  # type: ignore[misc]
        assert isinstance(error, RequestValidationError)
        message, param = describe(error.errors())
        return response_of(400, error_body(400, message, param))

    app.add_exception_handler(OmniError, _on_omni_error)
    app.add_exception_handler(RequestValidationError, on_invalid)

    surround(app, OpenAIErrors)
    surround(app, RequestIds)
