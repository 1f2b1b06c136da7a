"""SGLang's FastAPI app with our routes in front: the first match wins, and all of SGLang's others stay."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from sglang.srt.entrypoints.engine import init_tokenizer_manager
from sglang.srt.managers.load_snapshot import shm_path_for
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from sglang_omni.entrypoints import directory, errors, openapi, serving
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.crash import CrashHandler
from sglang_omni.entrypoints.layers import surround
from sglang_omni.entrypoints.outcomes import Outcomes
from sglang_omni.entrypoints.routes import chat, health, metrics, models, speech, speech_batch, transcriptions, voices
from sglang_omni.entrypoints.running import RunningRequests
from sglang_omni.entrypoints.tokenizer_manager import OmniTokenizerManager
from sglang_omni.media import MediaPolicy
from sglang_omni.models.spec import ModelSpec
from sglang_omni.pipeline import Pipeline

MAX_BODY_BYTES = 2 * MediaPolicy.max_bytes
"""Of a request: room for a file of the largest size in base64, and for some more."""


def make_tokenizer_manager(
    app: FastAPI,
    spec: ModelSpec,
    model_path: Path,
    pipeline: Pipeline | None,
    media: MediaPolicy,
    drain: Callable[[], Awaitable[None]],
) -> Callable[..., Any]:
    """For `launch_server(init_tokenizer_manager_func=...)`: SGLang's own, which also makes the client of `app`.

    `drain` ends what is to end before the thinker does, when the server is told to.
    """

    def init(server_args: Any, port_args: Any) -> Any:
        tokenizer_manager, templates = init_tokenizer_manager(server_args, port_args, OmniTokenizerManager)
        directory.add(tempfile.gettempdir(), shm_path_for(port_args.instance_id))
        tokenizer_manager.mm_processor.media.start(media)
        tokenizer_manager.signal_handler_class = CrashHandler
        tokenizer_manager.drain = drain
        tokenizer_manager.client = app.state.omni = Client(spec, model_path, tokenizer_manager, pipeline)
        return tokenizer_manager, templates

    return init


def install(
    app: FastAPI,
    pipeline: Pipeline | None,
    max_body_bytes: int = MAX_BODY_BYTES,
    requests: RunningRequests | None = None,
) -> None:
    """Routes, error bodies, limits, and the coordinator's life on the server's event loop."""
    ours = [
        route
        for part in (chat, speech, speech_batch, transcriptions, voices, models, health, metrics)
        for route in part.router.routes
    ]
    app.router.routes[:0] = ours
    openapi.install(app, ours)
    app.user_middleware = [layer for layer in app.user_middleware if layer.cls is not CORSMiddleware]  # closed
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=max_body_bytes)
    surround(app, (requests or RunningRequests()).around)
    errors.install(app)
    surround(app, Outcomes)
    serving.check_first(app)
    theirs = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        if pipeline is not None:
            pipeline.start()
        async with theirs(app) as state:
            serving.replace(app.state)
            yield state
        if pipeline is not None:
            await pipeline.stop()

    app.router.lifespan_context = lifespan
