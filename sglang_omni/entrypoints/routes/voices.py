"""GET /v1/audio/voices."""

from fastapi import APIRouter, Request

from sglang_omni.entrypoints.openapi import describe

router = APIRouter()


@router.get("/v1/audio/voices", **describe("The names of the voices"))
async def voices(request: Request) -> dict[str, list[str]]:
    return {"voices": list(request.app.state.omni.voices)}
