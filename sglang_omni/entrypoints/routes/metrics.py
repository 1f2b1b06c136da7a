"""GET /metrics, for Prometheus."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.openapi import describe

router = APIRouter()

DESCRIPTION = describe("Counters and gauges for Prometheus", answers={"text/plain": {"schema": {"type": "string"}}})


@router.get("/metrics", **DESCRIPTION)
def metrics(request: Request) -> Response:
    """In a thread: SGLang's values lie in files."""
    client: Client = request.app.state.omni
    page, content_type = client.metrics.page(client, request.headers.get("accept", ""))
    return Response(page, headers={"Content-Type": content_type})
