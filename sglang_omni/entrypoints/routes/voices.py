"""GET /v1/audio/voices."""

from fastapi import APIRouter, Request

router = APIRouter()


@router.get("/v1/audio/voices")
async def voices(request: Request) -> dict[str, list[str]]:
    return {"voices": list(request.app.state.omni.voices)}
