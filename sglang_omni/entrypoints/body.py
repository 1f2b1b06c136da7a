"""From the bytes of a request to a checked value; every way to be wrong is an InvalidRequest in the user's words."""

import difflib
from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from sglang_omni.entrypoints.errors import describe
from sglang_omni.errors import InvalidRequest

DEEPEST = 100
"""Levels of objects and lists in a body."""
Model = TypeVar("Model", bound=BaseModel)


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body, its null fields left out."""
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object")
    if _is_deeper(body, DEEPEST):
        raise InvalidRequest(f"The body is nested more than {DEEPEST} levels deep")
    return {name: value for name, value in body.items() if value is not None}


def _is_deeper(value: Any, levels: int) -> bool:
    inside = [value]
    for _ in range(levels):
        every = (item for one in inside for item in (one.values() if isinstance(one, dict) else one))
        inside = [item for item in every if isinstance(item, dict | list)]
        if not inside:
            return False
    return True


def without_nulls(value: Any, kept: frozenset[str]) -> Any:
    """A copy without the null fields of objects at any depth, but for what the fields named in `kept` hold."""
    if isinstance(value, dict):
        return {
            name: item if name in kept else without_nulls(item, kept)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [without_nulls(item, kept) for item in value]
    return value


def check(model: type[Model], body: dict[str, Any]) -> Model:
    """`body` as a `model`, with no field that `model` does not know."""
    known = set(model.model_fields)
    for name in body:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidRequest(f"Unknown field {name!r}{hint}", param=name)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        message, param = describe(error.errors())
        raise InvalidRequest(message, param=param) from None
