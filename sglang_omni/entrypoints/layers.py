"""ASGI layers around everything that an app answers."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp


def surround(app: FastAPI, layer: Callable[[ASGIApp], ASGIApp]) -> None:
    """Puts `layer` outermost, also around what SGLang adds to `app` later, as the check of API keys."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: layer(build())  # type: ignore[method-assign]
