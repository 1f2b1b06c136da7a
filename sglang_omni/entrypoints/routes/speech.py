"""POST /v1/audio/speech: the model speaks exactly `input`. The thinker is not asked."""

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from sglang_omni.audio.encode import Encoder, Format, encode, find_format
from sglang_omni.entrypoints.account import Account
from sglang_omni.entrypoints.body import check, read_object
from sglang_omni.entrypoints.client import Client, staged_voice
from sglang_omni.entrypoints.concurrency import collect, first, until_disconnected
from sglang_omni.entrypoints.errors import OUR_FAULT, body_of, error_body
from sglang_omni.entrypoints.openapi import BYTES, EVENTS, describe, json_body
from sglang_omni.entrypoints.outcomes import note_late
from sglang_omni.entrypoints.request_id import clients_id, new_id, rename
from sglang_omni.entrypoints.speaking import ROUTE, Speaking
from sglang_omni.entrypoints.sse import EventStream, event
from sglang_omni.entrypoints.stages import (
    Count,
    Priority,
    RepetitionPenalty,
    Section,
    Seed,
    SpeechOptions,
    StageParams,
    StageSampling,
    Temperature,
    TopK,
    TopP,
    VoiceId,
    told,
)
from sglang_omni.errors import InvalidRequest, OmniError

logger = logging.getLogger(__name__)
router = APIRouter()

FORMATS = ("wav", "mp3", "opus", "aac", "flac", "pcm")
WAV = find_format("wav", FORMATS, "response_format")


class SpeechSettings(Section):
    """What a request may say beside its text."""

    model: str | None = None
    voice: str | VoiceId | None = None
    response_format: Annotated[str, told(*FORMATS)] = "wav"
    speed: Annotated[float, Field(ge=0.25, le=4.0)] = 1.0
    instructions: Annotated[str, Field(max_length=4096)] | None = None
    seed: Seed | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    repetition_penalty: RepetitionPenalty | None = None
    max_new_tokens: Count | None = None
    priority: Priority | None = None
    stage_sampling: StageSampling | None = None
    stage_params: StageParams | None = None


class SpeechItem(SpeechSettings):
    input: Annotated[str, Field(max_length=4096)]


class SpeechRequest(SpeechItem):
    stream: bool = False
    stream_format: Literal["audio", "sse"] | None = None

    @property
    def streams(self) -> bool:
        return self.stream or self.stream_format is not None


def prepare(
    client: Client, account: Account, asked: SpeechItem, id: str, route: str = ROUTE
) -> tuple[Speaking, Format]:
    """What can be said, and as which file: WAV where this machine lacks the encoder of another. Raises OmniError."""
    client.check_model(asked.model)
    if not asked.input.strip():
        raise InvalidRequest("input must not be blank", param="input")
    if asked.stage_sampling and asked.stage_sampling.thinker:
        raise InvalidRequest("stage_sampling.thinker: no thinker takes part in speech", param="stage_sampling.thinker")
    format = find_format(asked.response_format, FORMATS, "response_format")
    options = SpeechOptions.make(
        client.voice(staged_voice(asked.stage_params) or asked.voice, "voice"),
        asked.stage_sampling,
        asked.stage_params,
        seed=asked.seed,
        temperature=asked.temperature,
        top_k=asked.top_k,
        top_p=asked.top_p,
        repetition_penalty=asked.repetition_penalty,
        max_frames=asked.max_new_tokens,
        priority=client.priority(asked.priority),
    )
    speaking = Speaking(client, account, id, asked.input, asked.instructions, options, asked.speed, route)
    return speaking, format if format.available else WAV


DESCRIPTION = describe(
    "Speak a text",
    body=json_body(SpeechRequest),
    answers={
        **{find_format(name, FORMATS, "").media_type: {"schema": BYTES} for name in FORMATS},
        EVENTS: {"schema": {"description": "With `stream_format` `sse`, as OpenAI's"}},
    },
    errors=(404, 429),
    headers={
        **{name: {"schema": {"type": "integer"}} for name in ("X-Sample-Rate", "X-Channels", "X-Bit-Depth")},
        "X-Audio-Format": {
            "schema": {"type": "string", "enum": list(FORMATS)},
            "description": "What was sent: `wav` where the machine lacks the encoder of what was asked for",
        },
        "X-Finish-Reason": {
            "schema": {"type": "string", "enum": ["stop", "length"]},
            "description": "`length`: the talker was cut by its number of frames. Of a whole answer; "
            "the event `speech.audio.done` has it as `finish_reason`",
        },
    },
)


@router.post(ROUTE, **DESCRIPTION)
async def speech(request: Request) -> Response:
    asked = check(SpeechRequest, await read_object(request))
    id = new_id(clients_id(request, "speech"))
    speaking, format = prepare(request.app.state.omni, request.state.account, asked, id)
    rename(request, speaking.id)
    return await first(_answer(asked, speaking, format, request), until_disconnected(request))


async def _answer(asked: SpeechRequest, speaking: Speaking, format: Format, request: Request) -> Response:
    headers = {**speaking.headers, "X-Audio-Format": format.name}
    if not asked.streams:
        file = await whole_file(speaking, format)
        headers["X-Finish-Reason"] = speaking.finish_reason
        return Response(file, media_type=format.media_type, headers=headers)
    as_events = asked.stream_format == "sse"
    data = _sse(speaking, format, request) if as_events else _bytes(speaking, format)
    opening = await anext(data)  # what fails before the first sound fails with a status
    media_type = "text/event-stream" if as_events else format.media_type
    return EventStream(opening, data, media_type=media_type, headers=headers)


async def whole_file(speaking: Speaking, format: Format) -> bytes:
    async with aclosing(speaking.pcm()) as sound:
        pcm = await collect(sound)
    return await asyncio.to_thread(encode, pcm, format.name, speaking.sample_rate)


async def _bytes(speaking: Speaking, format: Format) -> AsyncGenerator[bytes, None]:
    encoder = Encoder(format.name, speaking.sample_rate)
    async with aclosing(speaking.pcm()) as sound:
        async for pcm in sound:
            if format.codec is None:
                yield encoder.encode(pcm)
            else:  # a second of MP3 takes 15 ms
                yield await asyncio.to_thread(encoder.encode, pcm)
    yield encoder.finish()


async def _sse(speaking: Speaking, format: Format, request: Request) -> AsyncGenerator[bytes, None]:
    started = False
    try:
        async with aclosing(_bytes(speaking, format)) as pieces:
            async for data in pieces:
                yield event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}) if data else b""
                started = True
    except OmniError as error:
        if not started:
            raise
        note_late(request, error.status)
        yield event({"type": "error", **body_of(error)})
        return
    except Exception:
        if not started:
            raise
        logger.exception("%s failed", speaking.id)  # the status has left: the stream itself must say it
        note_late(request, 500)
        yield event({"type": "error", **error_body(500, OUR_FAULT)})
        return
    yield event({"type": "speech.audio.done", "usage": speaking.usage, "finish_reason": speaking.finish_reason})
