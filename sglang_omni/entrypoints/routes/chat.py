"""POST /v1/chat/completions."""

from typing import Any

from fastapi import APIRouter, Request
from sglang.srt.utils.json_response import model_json_response

from sglang_omni.entrypoints import chat_schema, fields
from sglang_omni.entrypoints.body import read_object
from sglang_omni.entrypoints.chat import ROUTE
from sglang_omni.entrypoints.chat_request import ChatRequest, parse_chat
from sglang_omni.entrypoints.openapi import EVENTS, JSON, describe, json_body
from sglang_omni.entrypoints.request_id import clients_id, rename

router = APIRouter()


DESCRIPTION = describe(
    "Answer a conversation, in text, speech or both",
    body=json_body(ChatRequest, hidden=fields.REFUSED, messages=chat_schema.MESSAGES),
    answers={JSON: {"schema": chat_schema.ANSWER}, EVENTS: {"schema": chat_schema.EVENTS}},
    errors=(404, 429),
)


@router.post(ROUTE, **DESCRIPTION)
async def chat_completions(request: Request) -> Any:
    serving = request.app.state.openai_serving_chat
    chat = parse_chat(await read_object(request), clients_id(request, "chatcmpl"), serving.client.spoken)
    rename(request, chat.rid)
    return model_json_response(await serving.answer(chat, request))
