"""POST /v1/audio/transcriptions: the thinker writes down what is said in an uploaded file.

A transcription is a chat of one turn, the sound and Qwen3-Omni's own instruction for it. The model tells no times:
`verbose_json` has no `segments`, and `timestamp_granularities` is refused. Nor does it tell the language: there
`language` is the one asked for, or null.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, Field
from starlette.datastructures import FormData, UploadFile
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from sglang_omni.entrypoints.body import check
from sglang_omni.entrypoints.chat_request import ChatRequest, parse_chat
from sglang_omni.entrypoints.chat_stream import ABORTED
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.errors import body_of
from sglang_omni.entrypoints.openapi import BYTES, EVENTS, JSON, LINES, describe, form_body
from sglang_omni.entrypoints.request_id import clients_id, rename
from sglang_omni.entrypoints.sse import DATA, DONE, EventStream, event
from sglang_omni.entrypoints.stages import Count, Section, Seed
from sglang_omni.errors import Aborted, InvalidRequest, TooLarge
from sglang_omni.media import MediaPolicy
from sglang_omni.media.audio import SAMPLE_RATE

router = APIRouter()

FORM_BYTES = 2**20
"""What a body may hold besides its file."""

REFUSED = {
    "timestamp_granularities": "the model tells no times; leave timestamp_granularities out",
    "include": "the model's log probabilities are not told; leave include out",
}


def _language_name(asked: str) -> str:
    """`english` for `en` and `English` alike."""
    key = asked.strip().lower()
    name = LANGUAGES.get(TO_LANGUAGE_CODE.get(key, key))
    if name is None:
        raise ValueError(f"{asked!r} is neither the code of a language, such as 'en', nor its English name")
    return name


class TranscriptionRequest(Section):
    """The fields of the form beside `file`, which come as text."""

    model_config = ConfigDict(strict=False)

    model: str | None = None
    language: Annotated[str, AfterValidator(_language_name)] | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "verbose_json"] = "json"
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    stream: bool = False
    seed: Seed | None = None
    max_completion_tokens: Count | None = None
    chunking_strategy: Literal["auto"] | None = None

    def chat(self, sound: NDArray[np.float32], called: str) -> ChatRequest:
        """`sound` is (samples,) at 16 kHz; the request's id begins with what it is `called`."""
        kind = f"{self.language.title()} audio" if self.language else "audio"
        instruction = f"Transcribe the {kind} into text."
        parts = [
            {"type": "audio_url", "audio_url": {"url": "file"}},
            {"type": "text", "text": f"{instruction}\n{self.prompt}" if self.prompt else instruction},
        ]
        sampling = self.model_dump(include={"temperature", "stream", "seed", "max_completion_tokens"})
        messages = [{"role": "user", "content": parts}]
        chat = parse_chat({"messages": messages, "model": self.model, **sampling}, called)
        chat._audios = [sound]
        return chat


class Upload(Request):
    """A request whose body may have `max_bytes`."""

    max_bytes: int

    async def stream(self) -> AsyncGenerator[bytes, None]:
        self._check(int(self.headers.get("content-length", 0)))
        received = 0
        async for chunk in super().stream():
            received += len(chunk)
            self._check(received)
            yield chunk

    def _check(self, size: int) -> None:
        if size > self.max_bytes:
            raise TooLarge(f"The body is larger than {self.max_bytes / 2**20:g} MiB", param="file")


TEXT = {"type": "string"}
TRANSCRIPTION = {
    "type": "object",
    "properties": {
        "text": TEXT,
        "task": TEXT,
        "language": {"type": ["string", "null"]},
        "duration": {"type": "number", "description": "Seconds"},
        "usage": {"type": "object"},
    },
    "required": ["text", "usage"],
}
DESCRIPTION = describe(
    "Write down what is said in a file",
    body=form_body(TranscriptionRequest, file=BYTES),
    answers={JSON: {"schema": TRANSCRIPTION}, "text/plain": {"schema": TEXT}, EVENTS: {"schema": LINES}},
    errors=(404, 429),
)


@router.post("/v1/audio/transcriptions", **DESCRIPTION)
async def transcriptions(request: Request) -> Response:
    client: Client = request.app.state.omni
    media = client.thinker.mm_processor.media
    upload = Upload(request.scope, request.receive)
    upload.max_bytes = media.policy.max_bytes + FORM_BYTES
    async with upload.form(max_files=1) as form:
        asked = _fields(form)
        client.check_model(asked.model)
        data = await _file(form, media.policy)
    sound = await media.audio(data, "file")
    chat = asked.chat(sound, clients_id(request, "transcription"))
    rename(request, chat.rid)
    answer = await request.app.state.openai_serving_chat.answer(chat, request)
    if answer.status_code != 200:
        return answer
    if isinstance(answer, EventStream):
        events = _events(answer)
        return EventStream(await anext(events), events, background=answer.background)
    return _whole(asked, orjson.loads(answer.body), len(sound) / SAMPLE_RATE)


def _fields(form: FormData) -> TranscriptionRequest:
    """An empty field is one left out."""
    fields: dict[str, Any] = {name.removesuffix("[]"): value for name, value in form.items() if name != "file"}
    for name, value in fields.items():
        if name in REFUSED:
            raise InvalidRequest(REFUSED[name], param=name)
        if not isinstance(value, str):
            raise InvalidRequest(f"{name} must be text, not a file", param=name)
    asked = check(TranscriptionRequest, {name: value for name, value in fields.items() if value})
    if asked.stream and asked.response_format == "verbose_json":
        raise InvalidRequest("verbose_json cannot be streamed; json can", param="response_format")
    return asked


async def _file(form: FormData, policy: MediaPolicy) -> bytes:
    file = form.get("file")
    if file is None:
        raise InvalidRequest("file is required, as a part of a multipart/form-data body", param="file")
    if not isinstance(file, UploadFile):
        raise InvalidRequest("file must be a file: a part of a multipart/form-data body with a file name", param="file")
    if file.size is not None and file.size > policy.max_bytes:
        raise TooLarge(f"file: the file is larger than {policy.max_bytes / 2**20:g} MiB", param="file")
    return await file.read()


def _whole(asked: TranscriptionRequest, answer: dict[str, Any], seconds: float) -> Response:
    choice = answer["choices"][0]
    if choice["finish_reason"] == ABORTED:
        raise Aborted()
    text = choice["message"]["content"] or ""
    if asked.response_format == "text":
        return PlainTextResponse(text)
    said = {"text": text, "usage": _usage(answer["usage"])}
    if asked.response_format == "verbose_json":
        said = {
            "task": "transcribe",
            "language": asked.language,
            "duration": seconds,
            "text": text,
            "usage": {"type": "duration", "seconds": seconds},
        }
    return Response(orjson.dumps(said), media_type="application/json")


async def _events(answer: EventStream) -> AsyncGenerator[bytes, None]:
    """OpenAI's events of a transcription, from those of a chat."""
    text, usage = "", None
    async with aclosing(answer.events()) as chunks:
        async for data in chunks:
            if data == DONE or not data.startswith(DATA):  # a named event that a client asked for by header
                continue
            chunk = orjson.loads(data.removeprefix(DATA))
            choices = chunk.get("choices", ())  # none where a client asked for more than text by header
            if any(choice["finish_reason"] == ABORTED for choice in choices):
                chunk = body_of(Aborted())
            if "error" in chunk:
                yield event({"type": "error", **chunk})
                return
            for delta in filter(None, (choice["delta"].get("content") for choice in choices)):
                text += delta
                yield event({"type": "transcript.text.delta", "delta": delta})
            usage = chunk.get("usage") or usage
    yield event({"type": "transcript.text.done", "text": text, "usage": _usage(usage)})


def _usage(usage: Any) -> dict[str, Any]:
    details = usage["prompt_tokens_details"]
    return {
        "type": "tokens",
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "total_tokens": usage["total_tokens"],
        "input_token_details": {name: details[name] for name in ("audio_tokens", "text_tokens")},
    }
