"""Our routes in front of SGLang's own app, and error bodies around all of it."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from sglang_omni.entrypoints import errors
from sglang_omni.entrypoints.app import install
from tests.entrypoints.fakes import Fake


@pytest.fixture(scope="module")
def sglang_app() -> FastAPI:
    from sglang.srt.entrypoints.http_server import app

    install(app, None)
    return app


@pytest.fixture
def client(sglang_app: FastAPI, fake: Fake) -> TestClient:
    sglang_app.state.omni = fake.app.state.omni
    sglang_app.state.openai_serving_chat = fake.app.state.openai_serving_chat
    return TestClient(sglang_app, raise_server_exceptions=False)  # not entered: SGLang's start-up wants its engine


def test_our_routes_win_and_sglangs_stay(sglang_app: FastAPI, client: TestClient) -> None:
    assert client.get("/health").json()["stages"]["thinker"] == "healthy"
    assert client.get("/v1/audio/voices").status_code == 200
    answer = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there."
    paths = {getattr(route, "path", None) for route in sglang_app.router.routes}
    assert {"/generate", "/v1/completions", "/v1/responses", "/v1/messages"} <= paths


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/completions", {"prompt": 5, "model": "x", "max_tokens": "many"}, 400),
        ("POST", "/v1/completions", [], 400),
        ("POST", "/v1/embeddings", {}, 400),
        ("GET", "/v1/nothing", None, 404),
        ("DELETE", "/v1/models", None, 405),
        ("POST", "/generate", {"text": 1, "sampling_params": "x"}, 400),
    ],
)
def test_sglangs_errors_have_openais_body(client: TestClient, method: str, path: str, body: Any, status: int) -> None:
    response = client.request(method, path, json=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert ".py" not in error["message"]


def test_anthropics_route_keeps_its_own_body(client: TestClient) -> None:
    response = client.post("/v1/messages", json={"model": 1})
    assert response.status_code == 400
    assert response.json()["type"] == "error"


def test_no_other_site_may_call(client: TestClient) -> None:
    response = client.get("/health", headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [
        (400, {"object": "error", "message": "no", "type": "BadRequest", "param": None, "code": 400}, "no", None),
        (401, {"error": "Unauthorized"}, "Unauthorized", "invalid_api_key"),
        (404, {"detail": "Not Found"}, "Not Found", None),
        (400, {"error": {"message": "no", "code": "bad"}}, "no", "bad"),
        (500, {"error": {"message": "at /secret"}}, errors.OUR_FAULT, None),
        (500, None, errors.OUR_FAULT, None),
        (503, None, "Service Unavailable", None),
    ],
)
def test_every_shape_becomes_openais(status: int, body: Any, message: str, code: str | None) -> None:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    expected = {"message": message, "type": kind, "param": None, "code": code}
    assert errors.normalize(status, body) == {"error": expected}
