"""`/openapi.json`: what the server takes and answers, generated from the models that requests are checked with.

Our routes read their bodies by hand, so each says in its decorator what FastAPI would otherwise find out:

    @router.post("/v1/audio/speech", **describe("Speak a text", body=json_body(SpeechRequest), answers=SOUND))
"""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from sglang_omni.entrypoints.descriptions import DESCRIPTIONS

OURS = "sglang-omni"
SGLANG = "SGLang"
COMPONENTS = "#/components/schemas/"
JSON = "application/json"
EVENTS = "text/event-stream"
LINES: dict[str, Any] = {"description": "`data: ` lines of JSON"}
BYTES = {"type": "string", "format": "binary"}

SGLANG_ROUTES = {
    ("POST", "/v1/completions"): "Continue a text",
    ("POST", "/v1/responses"): "Answer, in the form of OpenAI's Responses API",
    ("GET", "/v1/responses/{response_id}"): "An answer that was stored",
    ("POST", "/v1/responses/{response_id}/cancel"): "Stop an answer that is made in the background",
    ("POST", "/v1/messages"): "Answer, in the form of Anthropic's Messages API",
    ("POST", "/v1/messages/count_tokens"): "Count the tokens of a conversation",
    ("POST", "/v1/tokenize"): "The token ids of a text",
    ("POST", "/v1/detokenize"): "The text of token ids",
    ("POST", "/generate"): "Continue a prompt, in SGLang's own form",
    ("PUT", "/generate"): "The same",
}
"""SGLang's routes that the schema shows: those with which clients of a speaking model ask for something.

All others work as SGLang documents them, and are left out for one of three reasons: they change the server (weights,
adapters, caches, sessions, profiling, logging, pausing), so a schema that invites to try them out would be a trap; they
tell an operator about it (`/server_info`, `/v1/loads`, `/ping`); or they need another kind of model (embeddings,
classes, scores, rankings) or client (Ollama, SageMaker, Vertex AI, System One).
"""

REASONS = {
    400: "Something about the request is wrong; `param` names the field, if one is at fault",
    404: "There is no such thing; of a model, `code` is `model_not_found`",
    413: "The body is too large",
    429: "No room for another request now; `Retry-After` says when to try again",
    500: "The server failed; the log tells why, under the id in `X-Request-Id`",
    503: "A stage is starting, stuck or dead; `Retry-After` says when to try again",
}
WITH_BODY = (400, 413)
ALWAYS = (500, 503)

ERROR = {
    "type": "object",
    "description": "OpenAI's error body, of every route of ours and SGLang's.",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "additionalProperties": False,
            "properties": {
                "message": {"type": "string", "description": "A sentence for the user"},
                "type": {"type": "string", "enum": ["invalid_request_error", "server_error"]},
                "param": {"type": ["string", "null"], "description": "The field at fault, as `messages[0].content`"},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
ANTHROPIC_ERROR = {
    "type": "object",
    "description": "Anthropic's error body.",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}
REQUEST_ID = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "The request's id, in the server's log and stages"}
}


def describe(
    summary: str,
    *,
    answers: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
    errors: Iterable[int] = (),
    headers: dict[str, Any] | None = None,
    others: dict[int | str, Any] | None = None,
) -> dict[str, Any]:
    """What a route's decorator takes. `answers`: content type -> media type object, of status 200.

    `errors` are statuses beside those that any request may get; `others` are described as FastAPI wants it.
    """
    statuses = {*errors, *ALWAYS, *(WITH_BODY if body else ())}
    responses: dict[int | str, Any] = {status: _error(status) for status in sorted(statuses)}
    responses.update(others or {})
    described: dict[str, Any] = {"summary": summary, "tags": [OURS], "responses": responses}
    if answers is not None:  # otherwise FastAPI knows, from the type that the function returns
        responses[200] = {"description": "The answer", "content": answers, "headers": headers or {}}
        described["response_class"] = Response
    if body is not None:
        described["openapi_extra"] = {"requestBody": {"required": True, "content": body}}
    return described


def json_body(model: type[BaseModel], hidden: Iterable[str] = (), **properties: Any) -> dict[str, Any]:
    """The content of a body read by `read_object` and `check`; `properties` are described by hand."""
    schema = _closed(model, properties)
    for name in hidden:
        del schema["properties"][name]
    for name, field in schema["properties"].items():  # null is a field left out
        if name not in schema.get("required", ()) and {"type": "null"} not in field.get("anyOf", ()):
            shape = {key: field.pop(key) for key in list(field) if key not in ("default", "description", "title")}
            field["anyOf"] = [shape, {"type": "null"}]
    return {JSON: {"schema": schema}}


def form_body(model: type[BaseModel], **properties: Any) -> dict[str, Any]:
    """The content of a multipart form whose text fields `check` reads; `properties` are required."""
    schema = _closed(model, properties)
    schema["required"] = [*schema.get("required", ()), *properties]
    return {"multipart/form-data": {"schema": schema}}


def _closed(model: type[BaseModel], properties: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=COMPONENTS + "{model}")
    schema["properties"].update(properties)
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part.get("properties", {}).items():
            if name in DESCRIPTIONS and "description" not in field:
                part["properties"][name] = {**field, "description": DESCRIPTIONS[name]}
    return {**schema, "additionalProperties": False}


def _error(status: int, body: str = "Error") -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": COMPONENTS + body}}}
    return {"description": REASONS[status], "content": content, "headers": REQUEST_ID}


# The whole document


def install(app: FastAPI, ours: list[APIRoute]) -> None:
    """Gives `app` the schema of `ours` and of those of its other routes that clients use."""
    theirs = [
        route
        for route in app.router.routes
        if isinstance(route, APIRoute) and any((method, route.path) in SGLANG_ROUTES for method in route.methods or ())
    ]
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(_document([*ours, *theirs]))
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _document(routes: list[APIRoute]) -> dict[str, Any]:
    document = get_openapi(title="sglang-omni", version=version("sglang-omni"), description=ABOUT, routes=routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(Error=ERROR, AnthropicError=ANTHROPIC_ERROR)
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which no client sees
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for method in list(operations):
            operation = operations[method]
            if (method.upper(), path) in SGLANG_ROUTES:
                _describe_sglangs(operation, path, method)
            elif OURS not in operation.get("tags", ()) or method == "head":
                del operations[method]
                continue
            operation["responses"].pop("422", None)
            for answer in operation["responses"].values():
                answer["headers"] = {**REQUEST_ID, **answer.get("headers", {})}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schemas.update(content["schema"].pop("$defs", {}))
    return document


def _describe_sglangs(operation: dict[str, Any], path: str, method: str) -> None:
    operation.update(tags=[SGLANG], summary=SGLANG_ROUTES[method.upper(), path])
    operation["operationId"] += f"_{method}"  # FastAPI gives one to all methods of a route
    body = "AnthropicError" if path.startswith("/v1/messages") else "Error"
    for status in REASONS:
        operation["responses"][str(status)] = _error(status, body)
    operation["responses"]["200"]["content"][EVENTS] = {"schema": LINES}


ABOUT = """An OpenAI-compatible server for models that hear, see and speak.

Errors have OpenAI's body, `{"error": {"message", "type", "param", "code"}}`, whoever found them. Every answer carries
`X-Request-Id`, which begins with the one that the client sent, if it did. A field of a request acts or is refused, and
null is a field left out.
"""
