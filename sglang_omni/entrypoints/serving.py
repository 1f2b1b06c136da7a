"""SGLang's serving classes of other routes than chat, as far as they must know of ours."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sglang.srt.entrypoints.anthropic import serving as anthropic
from sglang.srt.entrypoints.http_server import validate_json_request
from sglang.srt.entrypoints.openai.protocol import DEFAULT_MODEL_NAME, DetokenizeRequest, TokenizeRequest
from sglang.srt.entrypoints.openai.serving_completions import OpenAIServingCompletion
from sglang.srt.entrypoints.openai.serving_responses import OpenAIServingResponses, _MediaInputValidationError
from sglang.srt.entrypoints.openai.serving_tokenize import OpenAIServingDetokenize, OpenAIServingTokenize
from starlette.datastructures import State

from sglang_omni.entrypoints.chat import OmniServingChat
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.engine_request import ClientError, clients_fault
from sglang_omni.entrypoints.errors import ANTHROPIC
from sglang_omni.entrypoints.messages import read_messages


class _ServedModel:
    """Another model's name is a 404, as in chat."""

    client: Client

    async def handle_request(self, request: Any, raw_request: Request) -> Any:
        if request.model != DEFAULT_MODEL_NAME:
            self.client.check_model(request.model)
        return await super().handle_request(request, raw_request)  # type: ignore[misc]


class OmniServingCompletion(_ServedModel, OpenAIServingCompletion):
    pass


class OmniServingTokenize(_ServedModel, OpenAIServingTokenize):
    """Tokenizes a chat as our chat serving does."""

    def _validate_request(self, request: TokenizeRequest) -> str | None:  # type: ignore[override]
        if request.messages is not None:
            with clients_fault():
                read_messages(request.model_dump(exclude_none=True)["messages"], None)
        return None


class OmniServingDetokenize(_ServedModel, OpenAIServingDetokenize):
    def _validate_request(self, request: DetokenizeRequest) -> str | None:  # type: ignore[override]
        size = self.tokenizer_manager.model_config.vocab_size
        for ids in request.tokens:
            for id in ids if isinstance(ids, list) else [ids]:
                if not 0 <= id < size:
                    return f"tokens must be token ids, from 0 to {size - 1}"
        return None


class OmniServingResponses(OpenAIServingResponses):
    """Special tokens come from the template alone, as in our chat serving; a wrong request is no failure of ours."""

    client: Client
    _render_and_encode_chat_template = OmniServingChat._render_and_encode_chat_template
    _append_assistant_prefix_to_prompt_ids = OmniServingChat._append_assistant_prefix_to_prompt_ids
    _engine_prompt = OmniServingChat._engine_prompt

    async def _make_request(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with clients_fault():
                return await super()._make_request(*args, **kwargs)
        except ClientError as error:
            raise _MediaInputValidationError(str(error)) from None  # the one that SGLang answers without a traceback


async def check_json(raw_request: Request) -> None:
    """SGLang's check of a JSON body, and of what the model of Anthropic's tools trips over."""
    await validate_json_request(raw_request)
    if raw_request.url.path.startswith(ANTHROPIC) and await raw_request.body():
        body = await raw_request.json()
        tools = body.get("tools") if isinstance(body, dict) else None
        for index, tool in enumerate(tools if isinstance(tools, list) else ()):
            if isinstance(tool, dict) and not isinstance(tool.get("type"), str | None):
                fault = {
                    "loc": ("body", "tools", index, "type"),
                    "msg": "Input should be a string",
                    "type": "string_type",
                }
                raise RequestValidationError([fault])


def _without_traceback(record: logging.LogRecord) -> bool:
    """A request that cannot be converted is its client's mistake: one line of the log is enough."""
    if record.exc_info and isinstance(record.exc_info[1], ValueError):
        record.exc_info = None
    return True


def check_first(app: FastAPI) -> None:
    """Puts `check_json` in front of SGLang's routes."""
    app.dependency_overrides[validate_json_request] = check_json
    anthropic.logger.addFilter(_without_traceback)


def replace(state: State) -> None:
    """Puts our classes in the place of SGLang's, once those are made."""
    thinker, chat = state.omni.thinker, state.openai_serving_chat
    state.openai_serving_completion = OmniServingCompletion(thinker, chat.template_manager)
    state.openai_serving_tokenize = OmniServingTokenize(thinker)
    state.openai_serving_tokenize.chat_serving = chat
    state.openai_serving_detokenize = OmniServingDetokenize(thinker)
    if responses := getattr(state, "openai_serving_responses", None):  # SGLang goes on without it if it must
        state.openai_serving_responses = OmniServingResponses(
            thinker, chat.template_manager, enable_prompt_tokens_details=True, tool_server=responses.tool_server
        )
    for name in ("completion", "tokenize", "detokenize", "responses"):
        if serving := getattr(state, f"openai_serving_{name}", None):
            serving.client = state.omni
