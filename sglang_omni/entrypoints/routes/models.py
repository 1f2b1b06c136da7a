"""GET /v1/models and /v1/models/{id}."""

import time
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.openapi import describe

router = APIRouter()
STARTED = int(time.time())


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = STARTED
    owned_by: str = "sglang-omni"
    root: str
    max_model_len: int


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


def _card(client: Client) -> ModelCard:
    return ModelCard(id=client.model, root=client.model, max_model_len=client.thinker.model_config.context_len)


@router.get("/v1/models", **describe("The model that is served"))
async def models(request: Request) -> ModelList:
    return ModelList(data=[_card(request.app.state.omni)])


@router.get("/v1/models/{model:path}", **describe("One model", errors=(404,)))
async def model(model: str, request: Request) -> ModelCard:
    client: Client = request.app.state.omni
    client.check_model(model)
    return _card(client)
