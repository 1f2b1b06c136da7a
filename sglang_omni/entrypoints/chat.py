"""SGLang's chat serving, extended: text that stays text, media, and answers that are spoken."""

import asyncio
import base64
import json
import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response
from sglang.srt.entrypoints.openai.protocol import ChatCompletionResponse, PromptTokensDetails, StreamOptions
from sglang.srt.entrypoints.openai.serving_chat import OpenAIServingChat
from sglang.srt.managers.io_struct import GenerateReqInput

from sglang_omni.audio.encode import encode, find_format
from sglang_omni.entrypoints.chat_request import STREAM_FORMATS, WHOLE_FORMATS, ChatRequest, apply_thinker_sampling
from sglang_omni.entrypoints.chat_stream import ABORTED, ChatStream, finish_choice, usage_details
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.concurrency import collect, first, interleave, together, until_disconnected
from sglang_omni.entrypoints.delivery import deliver
from sglang_omni.entrypoints.errors import OUR_FAULT, Refused, body_of, error_body, error_response
from sglang_omni.entrypoints.fields import check_fields
from sglang_omni.entrypoints.outcomes import note_late, outcome_of
from sglang_omni.entrypoints.sse import DONE, EventStream, event
from sglang_omni.errors import Aborted, InvalidRequest, OmniError
from sglang_omni.thinker.forwarder import SPEECH, STAGES

logger = logging.getLogger(__name__)

ROUTE = "/v1/chat/completions"


class OmniServingChat(OpenAIServingChat):
    """Requests that are a `ChatRequest` get our answers; others (Anthropic's route) get SGLang's."""

    def __init__(self, tokenizer_manager: Any, template_manager: Any, *, client: Client):
        super().__init__(tokenizer_manager, template_manager)
        self.client = client

    async def answer(self, request: ChatRequest, raw_request: Request) -> Any:
        """A response, whole or streamed. Raises OmniError for what cannot be served."""
        request.model = self.client.check_model(request.model)
        check_fields(request, self.tokenizer_manager.config_value)
        if SPEECH in (request.custom_params or {}):
            request.custom_params = {k: v for k, v in request.custom_params.items() if k != SPEECH}
        if request.speaks:
            formats = STREAM_FORMATS if request.stream else WHOLE_FORMATS
            asked = request.audio.format if request.audio else None
            format = find_format(asked or formats[0], formats, "audio.format")
            if not format.available:
                raise InvalidRequest(f"this machine cannot encode {format.name}; ask for wav", param="audio.format")
            request._format = format.name
            request._speech = self.client.chat_speech(request)
            if self.reasoning_parser and request.separate_reasoning:
                raise InvalidRequest(
                    "this server keeps reasoning apart (--reasoning-parser), and a spoken answer would say it; send "
                    'separate_reasoning: false, or modalities: ["text"]',
                    param="separate_reasoning",
                )
        apply_thinker_sampling(request)
        return await self.handle_request(request, raw_request)

    # The prompt: special tokens come from the template alone

    def _render_and_encode_chat_template(
        self,
        messages: list[dict],
        *,
        tools: list[dict] | None,
        template_kwargs: dict[str, Any],
        encode_kwargs: dict[str, Any],
        use_cache: bool,
        add_generation_prompt: bool = True,
    ) -> tuple[list[int], str | None]:
        ids = self.client.prompt_text.render(
            messages, tools=tools, add_generation_prompt=add_generation_prompt, **template_kwargs
        )
        return ids, ""  # the prompt as text is not used: the engine gets the ids

    def _append_assistant_prefix_to_prompt_ids(self, prompt_ids: list[int], assistant_prefix: str) -> list[int]:
        return prompt_ids + self.client.prompt_text.encode(assistant_prefix)

    def _engine_prompt(self, processed_messages: Any, is_multimodal: bool) -> tuple[str, Any]:
        return "input_ids", processed_messages.prompt_ids

    def _convert_to_internal_request(self, request: Any, raw_request: Request | None = None) -> tuple[Any, Any]:
        adapted, request = super()._convert_to_internal_request(request, raw_request)
        if isinstance(request, ChatRequest) and request._speech is not None:
            params = adapted.sampling_params
            speech = {SPEECH: request._speech.params(), STAGES: json.dumps(request._speech.stages)}
            params["custom_params"] = {**(params["custom_params"] or {}), **speech}
        if isinstance(request, ChatRequest) and request._audios is not None:
            adapted.audio_data = request._audios
        if request.n > 1:
            _share_media(adapted)
        return adapted, request

    def _continuous_usage_cached_details(self, content: dict[str, Any]) -> PromptTokensDetails:
        meta = content["meta_info"]
        kinds = "cached_tokens", "image_tokens", "audio_tokens", "video_tokens"
        return PromptTokensDetails(**{name: meta.get(name) or 0 for name in kinds})

    def create_error_response(
        self, message: str, err_type: str = "BadRequestError", status_code: int = 400, param: str | None = None
    ) -> Any:
        """SGLang calls this where it caught an error, and forgets which field that error is about."""
        error = sys.exception()
        if isinstance(error, InvalidRequest):
            param = param or error.param
        return super().create_error_response(message, err_type, status_code, param)

    # Whole answers

    async def _handle_non_streaming_request(
        self, adapted_request: GenerateReqInput, request: Any, raw_request: Request
    ) -> Any:
        if not isinstance(request, ChatRequest):
            return await super()._handle_non_streaming_request(adapted_request, request, raw_request)
        try:
            answer = self._speak_whole if request.speaks else self._write_whole
            return await first(answer(adapted_request, request, raw_request), until_disconnected(raw_request))
        except Refused as refused:
            return refused.response
        except OmniError as error:
            return error_response(error)

    async def _text(self, adapted_request: GenerateReqInput, request: ChatRequest, raw_request: Request) -> Any:
        response = await super()._handle_non_streaming_request(adapted_request, request, raw_request)
        if not isinstance(response, ChatCompletionResponse):
            raise Refused(response)
        if request.speaks and response.choices[0].finish_reason == ABORTED:
            raise Aborted()  # there will be no sound to wait for
        response.id = request.rid  # of several choices, each has an id of its own
        return response

    async def _write_whole(
        self, adapted_request: GenerateReqInput, request: ChatRequest, raw_request: Request
    ) -> Response:
        answer = _with_usage(await self._text(adapted_request, request, raw_request))
        for choice in answer["choices"]:
            finish_choice(choice, None)
        return _json(answer)

    async def _speak_whole(
        self, adapted_request: GenerateReqInput, request: ChatRequest, raw_request: Request
    ) -> Response:
        rate = self.client.spec.sample_rate
        with (
            deliver(self.client, raw_request.state.account, request.rid, ROUTE) as delivery,
            self.client.pipeline.listen(request.rid) as speech,
        ):
            adapted_request.external_trace_header = delivery.trace_headers
            text = self._text(adapted_request, request, raw_request)
            response, pcm = await together(text, collect(delivery.hear(request.rid, speech)))
        sound = await asyncio.get_running_loop().run_in_executor(None, encode, pcm, request._format, rate)
        answer = _with_usage(response, speech.frames)
        choice = answer["choices"][0]
        id = self.client.spoken.new_id()
        choice["message"]["audio"] = {
            "id": id,
            "data": base64.b64encode(sound).decode(),
            "expires_at": self.client.spoken.keep(id, choice["message"]["content"]),
            "transcript": choice["message"]["content"],
        }
        finish_choice(choice, speech)
        return _json(answer)

    # Streamed answers

    async def _handle_streaming_request(
        self, adapted_request: GenerateReqInput, request: Any, raw_request: Request
    ) -> Any:
        if not isinstance(request, ChatRequest):
            return await super()._handle_streaming_request(adapted_request, request, raw_request)
        try:
            begin = self._begin(adapted_request, request, raw_request)
            return await first(begin, until_disconnected(raw_request))
        except Refused as refused:
            return refused.response
        except OmniError as error:
            return error_response(error)
        except ValueError as error:
            return self.create_error_response(str(error))

    async def _begin(
        self, adapted_request: GenerateReqInput, request: ChatRequest, raw_request: Request
    ) -> EventStream:
        events = self._stream(adapted_request, request, raw_request)
        opening = await anext(events)  # what is refused now is refused with a status
        return EventStream(opening, events)

    async def _stream(
        self, adapted_request: GenerateReqInput, request: ChatRequest, raw_request: Request
    ) -> AsyncGenerator[bytes, None]:
        options = request.stream_options
        request._usage_in_own_chunk = bool(options and options.include_usage)
        # SGLang tells the usage only in a chunk of its own; `ChatStream` moves it where it belongs.
        request.stream_options = StreamOptions(
            include_usage=True, continuous_usage_stats=options.continuous_usage_stats if options else False
        )
        started = False
        try:
            async with aclosing(self._events(adapted_request, request, raw_request)) as events:
                async for data in events:
                    yield data
                    started = True
        except OmniError as error:
            if not started:
                raise
            note_late(raw_request, error.status)
            yield event(body_of(error))
        except Exception:
            if not started:
                raise
            logger.exception("%s failed", request.rid)  # the status has left: the stream itself must say it
            note_late(raw_request, 500)
            yield event(error_body(500, OUR_FAULT))
        yield DONE

    async def _events(
        self, adapted_request: GenerateReqInput, request: ChatRequest, raw_request: Request
    ) -> AsyncGenerator[bytes, None]:
        stream = ChatStream(request, self.client.spec.sample_rate, self.client.spoken)
        lines = self._generate_chat_stream(adapted_request, request, raw_request)
        if not request.speaks:
            async with aclosing(lines):
                async for line in lines:
                    for data in stream.text(line):
                        yield data
            if stream.late_status:
                note_late(raw_request, stream.late_status)
                return
            for data in stream.end():
                yield data
            return
        with (
            deliver(self.client, raw_request.state.account, request.rid, ROUTE) as delivery,
            self.client.pipeline.listen(request.rid) as speech,
        ):
            adapted_request.external_trace_header = delivery.trace_headers
            async with aclosing(interleave(text=lines, sound=delivery.hear(request.rid, speech))) as both:
                async for name, item in both:
                    for data in stream.text(item) if name == "text" else stream.sound(item):
                        yield data
                    if stream.late_status:
                        delivery.outcome = outcome_of(200, stream.late_status)
                        note_late(raw_request, stream.late_status)
                        return
            for data in stream.end(speech):
                yield data


def _share_media(adapted: GenerateReqInput) -> None:
    """Every choice gets all media: SGLang deals a flat list out among the choices, and forgets how to read videos."""
    for name in ("image_data", "audio_data", "video_data"):
        if data := getattr(adapted, name):
            setattr(adapted, name, [data])
    adapted.mm_processor_kwargs = {
        "use_audio_in_video": adapted.use_audio_in_video,
        **(adapted.video_config or {}),
        **(adapted.mm_processor_kwargs or {}),
    }


def _with_usage(response: ChatCompletionResponse, frames: int = 0) -> dict[str, Any]:
    answer = orjson.loads(response.model_dump_json(by_alias=True))
    answer["usage"] = usage_details(answer["usage"], frames)
    return answer


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")
