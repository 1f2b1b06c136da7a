"""GET and HEAD /health: what is known about every stage, at no cost."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.openapi import describe

router = APIRouter()


class Health(BaseModel):
    status: Literal["healthy", "unhealthy"]
    running: bool
    """No stage is gone."""
    stages: dict[str, Literal["healthy", "starting", "stuck", "stopping", "dead"]]
    slots: dict[str, dict[str, int]]
    """Of each stage behind the thinker: `slots` in all, those `free`, and requests `waiting`; `pages` of memory that
    its requests share, `free_pages`, and how often one was `parked`."""

    model_config = ConfigDict(use_attribute_docstrings=True)


UNHEALTHY: dict[int | str, Any] = {503: {"model": Health, "description": "A stage is starting, stuck or dead"}}


DESCRIPTION = describe("Whether every stage is well", others=UNHEALTHY)


@router.api_route("/health", methods=["GET", "HEAD"], response_model=Health, **DESCRIPTION)
async def health(request: Request) -> JSONResponse:
    """200 when every stage is healthy; 503 when one is starting, stuck or dead. `running`: none of them is gone."""
    client: Client = request.app.state.omni
    stages = client.health()
    healthy = all(status == "healthy" for status in stages.values())
    running = "dead" not in stages.values()
    body = {
        "status": "healthy" if healthy else "unhealthy",
        "running": running,
        "stages": stages,
        "slots": client.slots(),
    }
    return JSONResponse(body, 200 if healthy else 503)
