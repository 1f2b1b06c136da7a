"""GET and HEAD /health: what is known about every stage, at no cost."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from sglang_omni.entrypoints.client import Client

router = APIRouter()


@router.get("/health")
@router.head("/health", include_in_schema=False)
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
