"""/health, /v1/models and /v1/audio/voices."""

import time
from types import SimpleNamespace
from typing import Any

from fastapi.testclient import TestClient
from sglang.srt.managers.tokenizer_manager import ServerStatus

from tests.entrypoints.fakes import make


def test_healthy(client: TestClient, fake: Any) -> None:
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json()["status"] == "healthy"
    assert response.json()["running"] is True
    assert fake.thinker.requests == []


def test_a_dead_stage(client: TestClient, fake: Any) -> None:
    fake.pipeline.stages["talker"] = "dead"
    response = client.get("/health")
    assert response.status_code == 503
    body = response.json()
    assert (body["status"], body["running"]) == ("unhealthy", False)
    assert body["stages"] == {"thinker": "healthy", "talker": "dead", "code2wav": "healthy"}


def test_starting(client: TestClient, fake: Any) -> None:
    fake.thinker.server_status = ServerStatus.Starting
    response = client.get("/health")
    assert response.status_code == 503
    assert response.json()["running"] is True


def test_a_thinker_that_says_nothing_is_stuck(client: TestClient, fake: Any) -> None:
    waits = SimpleNamespace(dispatched=True, time_stats=SimpleNamespace(created_time=time.perf_counter() - 100))
    fake.thinker.rid_to_state["a"] = waits
    fake.thinker.last_receive_tstamp = time.time() - 1
    assert client.get("/health").status_code == 200
    fake.thinker.last_receive_tstamp = time.time() - 100
    assert client.get("/health").json()["stages"]["thinker"] == "stuck"
    waits.dispatched = False  # its media are still being fetched
    assert client.get("/health").status_code == 200


def test_text_only_has_no_other_stages(tokenizer: Any) -> None:
    with TestClient(make(tokenizer, text_only=True).app) as client:
        assert client.get("/health").json()["stages"] == {"thinker": "healthy"}


def test_models(client: TestClient) -> None:
    (card,) = client.get("/v1/models").json()["data"]
    assert card["id"] == "qwen3-omni"
    assert client.get("/v1/models/qwen3-omni").json() == card
    response = client.get("/v1/models/org/other")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_voices(client: TestClient) -> None:
    assert client.get("/v1/audio/voices").json() == {"voices": ["Chelsie", "ethan", "aiden"]}
