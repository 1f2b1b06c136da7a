"""POST /v1/chat/completions."""

from typing import Any

from fastapi import APIRouter, Request
from sglang.srt.utils.json_response import model_json_response

from sglang_omni.entrypoints.body import read_object
from sglang_omni.entrypoints.chat_request import parse_chat
from sglang_omni.entrypoints.request_id import clients_id, rename

router = APIRouter()


@router.post("/v1/chat/completions")
async def chat_completions(request: Request) -> Any:
    chat = parse_chat(await read_object(request), clients_id(request, "chatcmpl"))
    rename(request, chat.rid)
    return model_json_response(await request.app.state.openai_serving_chat.answer(chat, request))
