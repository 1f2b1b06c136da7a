"""GET /v1/models and /v1/models/{id}."""

import time
from typing import Any

from fastapi import APIRouter, Request

from sglang_omni.entrypoints.client import Client

router = APIRouter()
STARTED = int(time.time())


def _card(client: Client) -> dict[str, Any]:
    return {
        "id": client.model,
        "object": "model",
        "created": STARTED,
        "owned_by": "sglang-omni",
        "root": client.model,
        "max_model_len": client.thinker.model_config.context_len,
    }


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    return {"object": "list", "data": [_card(request.app.state.omni)]}


@router.get("/v1/models/{model:path}")
async def model(model: str, request: Request) -> dict[str, Any]:
    client: Client = request.app.state.omni
    client.check_model(model)
    return _card(client)
