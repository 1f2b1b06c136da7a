"""SGLang's FastAPI app with our routes in front: the first match wins, and all of SGLang's others stay."""

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from sglang.srt.entrypoints.engine import init_tokenizer_manager
from sglang.srt.managers.io_struct import GenerateReqInput
from sglang.srt.managers.tokenizer_manager import TokenizerManager
from sglang.srt.sampling.sampling_params import SamplingParams
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from sglang_omni.entrypoints import errors, openapi
from sglang_omni.entrypoints.chat import OmniServingChat
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.crash import CrashHandler
from sglang_omni.entrypoints.routes import chat, health, models, speech, speech_batch, transcriptions, voices
from sglang_omni.media import MediaPolicy
from sglang_omni.models.spec import ModelSpec
from sglang_omni.pipeline import Pipeline
from sglang_omni.thinker.forwarder import SPEECH
from sglang_omni.thinker.seeds import next_seed

MAX_BODY_BYTES = 2 * MediaPolicy.max_bytes
"""Of a request: room for a file of the largest size in base64, and for some more."""


class OmniTokenizerManager(TokenizerManager):
    """SGLang's, naming our chat serving as the one to use."""

    client: Client

    def stop_watching(self) -> None:
        """From now on the end of a process is no crash."""
        if self._subprocess_watchdog is not None:
            self._subprocess_watchdog.stop()

    def _validate_one_request(self, obj: Any, input_ids: list[int] | None) -> None:
        """SGLang's checks, and some it leaves out: what they refuse would end the scheduler's process."""
        super()._validate_one_request(obj, input_ids)
        size = self.model_config.vocab_size
        if input_ids and not (min(input_ids) >= 0 and max(input_ids) < size):
            raise ValueError(f"input_ids must be token ids, from 0 to {size - 1}")
        if isinstance(obj, GenerateReqInput):
            if (obj.logprob_start_len or 0) < -1:
                raise ValueError("logprob_start_len must be at least -1")
            if not 0 <= (obj.top_logprobs_num or 0) <= size:
                raise ValueError(f"no more than {size} log probabilities per token exist")
            custom = (obj.sampling_params or {}).get("custom_params")
            if not isinstance(custom, dict | None):
                raise ValueError("custom_params must be an object")
            if SPEECH in (custom or {}):
                if not self.client.listens_to(obj.rid):
                    raise ValueError(f"custom_params.{SPEECH} is not for clients: ask /v1/chat/completions for audio")
                self.client.pipeline.check_prompt(input_ids or [])

    async def _send_one_request(self, tokenized_obj: Any) -> None:
        """Gives each of `n` choices a seed of its own: SGLang sends all of them, in order, with the same parameters."""
        params = tokenized_obj.sampling_params
        tokenized_obj.sampling_params = copy.copy(params)
        await super()._send_one_request(tokenized_obj)
        if isinstance(params, SamplingParams) and params.n > 1 and params.sampling_seed is not None:
            params.sampling_seed = next_seed(params.sampling_seed)

    @property
    def serving_chat_class(self) -> Callable[..., OmniServingChat]:
        return partial(OmniServingChat, client=self.client)


def make_tokenizer_manager(
    app: FastAPI, spec: ModelSpec, model_path: Path, pipeline: Pipeline | None, media: MediaPolicy
) -> Callable[..., Any]:
    """For `launch_server(init_tokenizer_manager_func=...)`: SGLang's own, which also makes the client of `app`."""

    def init(server_args: Any, port_args: Any) -> Any:
        tokenizer_manager, templates = init_tokenizer_manager(server_args, port_args, OmniTokenizerManager)
        tokenizer_manager.mm_processor.policy = media
        tokenizer_manager.signal_handler_class = CrashHandler
        tokenizer_manager.client = app.state.omni = Client(spec, model_path, tokenizer_manager, pipeline)
        return tokenizer_manager, templates

    return init


def install(app: FastAPI, pipeline: Pipeline | None, max_body_bytes: int = MAX_BODY_BYTES) -> None:
    """Routes, error bodies, and the coordinator's life on the server's event loop."""
    ours = [
        route
        for part in (chat, speech, speech_batch, transcriptions, voices, models, health)
        for route in part.router.routes
    ]
    app.router.routes[:0] = ours
    openapi.install(app, ours)
    app.user_middleware = [layer for layer in app.user_middleware if layer.cls is not CORSMiddleware]  # closed
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=max_body_bytes)
    errors.install(app)
    theirs = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        if pipeline is not None:
            pipeline.start()
        async with theirs(app) as state:
            yield state
        if pipeline is not None:
            await pipeline.stop()

    app.router.lifespan_context = lifespan
