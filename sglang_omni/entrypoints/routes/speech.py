"""POST /v1/audio/speech: the model speaks exactly `input`. The thinker is not asked."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from sglang_omni.audio.clip import BYTES_PER_SAMPLE, CHANNELS
from sglang_omni.audio.encode import Encoder, Format, encode, find_format
from sglang_omni.audio.tempo import Tempo
from sglang_omni.entrypoints.body import check, read_object
from sglang_omni.entrypoints.client import Client, staged_voice
from sglang_omni.entrypoints.concurrency import collect, first, until_disconnected
from sglang_omni.entrypoints.errors import body_of
from sglang_omni.entrypoints.openapi import BYTES, EVENTS, describe, json_body
from sglang_omni.entrypoints.request_id import clients_id, new_id, rename
from sglang_omni.entrypoints.sse import EventStream, event
from sglang_omni.entrypoints.stages import (
    Count,
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
)
from sglang_omni.errors import InvalidRequest, OmniError

router = APIRouter()

FORMATS = ("wav", "mp3", "opus", "aac", "flac", "pcm")


class SpeechRequest(Section):
    input: Annotated[str, Field(max_length=4096)]
    model: str | None = None
    voice: str | VoiceId | None = None
    response_format: str = "wav"
    speed: Annotated[float, Field(ge=0.25, le=4.0)] = 1.0
    instructions: str | None = None
    stream: bool = False
    stream_format: Literal["audio", "sse"] | None = None
    seed: Seed | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    repetition_penalty: RepetitionPenalty | None = None
    max_new_tokens: Count | None = None
    stage_sampling: StageSampling | None = None
    stage_params: StageParams | None = None

    @property
    def streams(self) -> bool:
        return self.stream or self.stream_format is not None


def _options(request: SpeechRequest, client: Client) -> SpeechOptions:
    if request.stage_sampling and request.stage_sampling.thinker:
        raise InvalidRequest("stage_sampling.thinker: no thinker takes part in speech", param="stage_sampling.thinker")
    return SpeechOptions.make(
        client.voice(staged_voice(request.stage_params) or request.voice, "voice"),
        request.stage_sampling,
        request.stage_params,
        seed=request.seed,
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        repetition_penalty=request.repetition_penalty,
        max_frames=request.max_new_tokens,
    )


DESCRIPTION = describe(
    "Speak a text",
    body=json_body(SpeechRequest),
    answers={
        **{find_format(name, FORMATS, "").media_type: {"schema": BYTES} for name in FORMATS},
        EVENTS: {"schema": {"type": "string", "description": "With `stream_format` `sse`, as OpenAI's"}},
    },
    errors=(404, 429),
    headers={name: {"schema": {"type": "integer"}} for name in ("X-Sample-Rate", "X-Channels", "X-Bit-Depth")},
)


@router.post("/v1/audio/speech", **DESCRIPTION)
async def speech(request: Request) -> Response:
    asked = check(SpeechRequest, await read_object(request))
    client: Client = request.app.state.omni
    client.check_model(asked.model)
    if not asked.input.strip():
        raise InvalidRequest("input must not be blank", param="input")
    format = find_format(asked.response_format, FORMATS, "response_format")
    speaking = Speaking(client, asked, _options(asked, client), new_id(clients_id(request, "speech")))
    rename(request, speaking.id)
    if not asked.streams:
        return await first(_whole(speaking, format), until_disconnected(request))
    as_events = asked.stream_format == "sse"
    data = _sse(speaking, format) if as_events else _bytes(speaking, format)
    opening = await anext(data)  # what fails before the first sound fails with a status
    media_type = "text/event-stream" if as_events else format.media_type
    return EventStream(opening, data, media_type=media_type, headers=speaking.headers)


class Speaking:
    """One request on its way through the stages."""

    def __init__(self, client: Client, asked: SpeechRequest, options: SpeechOptions, id: str):
        self.id = id
        self.sample_rate = client.spec.sample_rate
        self.headers = {
            "X-Sample-Rate": str(self.sample_rate),
            "X-Channels": str(CHANNELS),
            "X-Bit-Depth": str(8 * BYTES_PER_SAMPLE),
        }
        self._pipeline = client.pipeline
        self._prompt = client.speech_prompt(asked.instructions)
        self._text = client.prompt_text.encode(asked.input)
        self._end = client.thinker.tokenizer.eos_token_id
        self._params = client.speech_params(self._prompt, options)
        self._stages = options.stages
        self._speed = asked.speed
        self._frames = 0

    async def pcm(self) -> AsyncGenerator[bytes, None]:
        """The sound as it is made; to close the generator early frees the request in every stage."""
        with self._pipeline.listen(self.id) as speech:
            self._pipeline.speak(self.id, self._params, [*self._text, self._end], self._stages)
            async for pcm in speech if self._speed == 1 else at_speed(self._speed, speech, self.sample_rate):
                yield pcm
            self._frames = speech.frames

    @property
    def usage(self) -> dict[str, int]:
        given = len(self._prompt) + len(self._text)
        return {"input_tokens": given, "output_tokens": self._frames, "total_tokens": given + self._frames}


async def at_speed(speed: float, sound: AsyncIterable[bytes], sample_rate: int) -> AsyncGenerator[bytes, None]:
    tempo = Tempo(speed, sample_rate)
    async for pcm in sound:
        if stretched := tempo.stretch(pcm):
            yield stretched
    yield tempo.finish()


async def _whole(speaking: Speaking, format: Format) -> Response:
    async with aclosing(speaking.pcm()) as sound:
        pcm = await collect(sound)
    work = asyncio.get_running_loop().run_in_executor(None, encode, pcm, format.name, speaking.sample_rate)
    return Response(await work, media_type=format.media_type, headers=speaking.headers)


async def _bytes(speaking: Speaking, format: Format) -> AsyncGenerator[bytes, None]:
    encoder = Encoder(format.name, speaking.sample_rate)
    async with aclosing(speaking.pcm()) as sound:
        async for pcm in sound:
            yield encoder.encode(pcm)
    yield encoder.finish()


async def _sse(speaking: Speaking, format: Format) -> AsyncGenerator[bytes, None]:
    started = False
    try:
        async with aclosing(_bytes(speaking, format)) as pieces:
            async for data in pieces:
                yield event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}) if data else b""
                started = True
    except OmniError as error:
        if not started:
            raise
        yield event({"type": "error", **body_of(error)})
        return
    yield event({"type": "speech.audio.done", "usage": speaking.usage})
