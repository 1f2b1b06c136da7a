"""POST /v1/audio/speech/batch: several texts in one request, each answered by a file of its own."""

import asyncio
import base64
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, model_validator

from sglang_omni.audio.encode import Format
from sglang_omni.entrypoints.account import Account
from sglang_omni.entrypoints.body import check, read_object
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.concurrency import first, together, until_disconnected
from sglang_omni.entrypoints.openapi import JSON, describe, json_body
from sglang_omni.entrypoints.request_id import clients_id, new_id, rename
from sglang_omni.entrypoints.routes.speech import SpeechItem, SpeechSettings, prepare, whole_file
from sglang_omni.entrypoints.speaking import Speaking
from sglang_omni.errors import Aborted, OmniError, Unavailable

router = APIRouter()

ROUTE = "/v1/audio/speech/batch"
AT_ONCE = 4  # items of one batch: other requests want to speak too


class BatchItem(SpeechItem):
    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, item: Any) -> Any:
        return {name: value for name, value in item.items() if value is not None} if isinstance(item, dict) else item


class SpeechBatchRequest(SpeechSettings):
    """Settings for all items, each of which may have its own."""

    items: Annotated[list[BatchItem], Field(min_length=1, max_length=32)]

    def merged(self, item: BatchItem) -> BatchItem:
        names = self.model_fields_set - item.model_fields_set - {"items"}
        return item.model_copy(update={name: getattr(self, name) for name in names})


RESULT = {
    "type": "object",
    "properties": {
        "index": {"type": "integer"},
        "status": {"type": "string", "enum": ["success", "error"]},
        "audio_data": {"type": ["string", "null"], "description": "A file, in base64"},
        "media_type": {"type": ["string", "null"]},
        "error": {"type": ["string", "null"]},
        "finish_reason": {"type": "string", "enum": ["stop", "length"]},
        "usage": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
ANSWER = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "results": {"type": "array", "items": RESULT},
        **{name: {"type": "integer"} for name in ("total", "succeeded", "failed")},
    },
}
DESCRIPTION = describe(
    "Speak several texts", body=json_body(SpeechBatchRequest), answers={JSON: {"schema": ANSWER}}, errors=(404,)
)


@router.post(ROUTE, **DESCRIPTION)
async def speech_batch(request: Request) -> Response:
    batch = check(SpeechBatchRequest, await read_object(request))
    id = new_id(clients_id(request, "speech-batch"))
    rename(request, id)
    client: Client = request.app.state.omni
    account = request.state.account
    prepared = [_prepare(client, account, batch.merged(item), id, index) for index, item in enumerate(batch.items)]
    return await first(_answer(id, prepared), until_disconnected(request))


def _prepare(client: Client, account: Account, item: BatchItem, id: str, index: int) -> tuple[Speaking, Format]:
    try:
        return prepare(client, account, item, f"{id}.item{index}", ROUTE)
    except OmniError as error:
        if error.param is None:
            raise
        where = f"items[{index}]"
        raise type(error)(f"{where}: {error}", param=f"{where}.{error.param}") from None


async def _answer(id: str, prepared: list[tuple[Speaking, Format]]) -> Response:
    turn = asyncio.Semaphore(AT_ONCE)
    results = await together(*(_result(index, turn, *one) for index, one in enumerate(prepared)))
    failed = sum(result["status"] == "error" for result in results)
    counts = {"total": len(results), "succeeded": len(results) - failed, "failed": failed}
    return Response(orjson.dumps({"id": id, "results": results, **counts}), media_type="application/json")


async def _result(index: int, turn: asyncio.Semaphore, speaking: Speaking, format: Format) -> dict[str, Any]:
    result = {"index": index, "status": "error", "audio_data": None, "media_type": None, "error": None}
    async with turn:
        try:
            file = await whole_file(speaking, format)
        except (Aborted, Unavailable):
            raise  # nor will the others be spoken
        except OmniError as error:
            return {**result, "error": str(error)}
    audio = base64.b64encode(file).decode()
    finish = {"finish_reason": speaking.finish_reason, "usage": speaking.usage}
    return {**result, "status": "success", "audio_data": audio, "media_type": format.media_type, **finish}
