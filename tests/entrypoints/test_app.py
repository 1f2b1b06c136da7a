"""Our routes in front of SGLang's own app, and error bodies around all of it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sglang.srt.managers.io_struct import GenerateReqInput
from sglang.srt.managers.tokenizer_manager import TokenizerManager

from sglang_omni.entrypoints import errors
from sglang_omni.entrypoints.app import install
from sglang_omni.entrypoints.tokenizer_manager import OmniTokenizerManager
from tests.entrypoints.fakes import Fake


@pytest.fixture(scope="module")
def sglang_app() -> Iterator[FastAPI]:
    from sglang.srt.entrypoints.http_server import app

    routes, build, layers = list(app.router.routes), app.build_middleware_stack, list(app.user_middleware)
    install(app, None)
    yield app
    app.user_middleware = layers
    app.router.routes[:], app.build_middleware_stack, app.middleware_stack = routes, build, None


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


@pytest.mark.parametrize("path", ["/v1/completions", "/generate"])
def test_malformed_json_on_sglangs_routes(client: TestClient, path: str) -> None:
    error = client.post(path, content=b'{"prompt": ', headers={"content-type": "application/json"}).json()["error"]
    assert "not valid JSON" in error["message"]
    assert error["param"] is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/speech"])
@pytest.mark.parametrize(("begin", "end"), [('{"a": ', "}"), ("[", "]")])
def test_a_body_of_many_levels(client: TestClient, path: str, begin: str, end: str) -> None:
    body = '{"messages": ' + 600 * begin + "1" + 600 * end + "}"
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "100 levels" in response.json()["error"]["message"]


def test_a_refused_method_names_the_allowed(client: TestClient) -> None:
    assert client.get("/v1/chat/completions").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("ids", "fields", "message"),
    [
        ([-1], {}, "from 0 to 1023"),
        ([1024], {}, "from 0 to 1023"),
        ([3, 2**40], {}, "from 0 to 1023"),
        ([3], {"sampling_params": {"stop_token_ids": [5, 1024]}}, "stop_token_ids"),
        ([3], {"logprob_start_len": -2}, "logprob_start_len"),
        ([3], {"top_logprobs_num": 1025}, "no more than 1024"),
        ([3], {"top_logprobs_num": -1}, "no more than 1024"),
        ([], {}, "the prompt is empty"),
        ([3], {"rid": "x", "sampling_params": {"custom_params": {"omni": {}}}}, "/v1/chat/completions"),
    ],
)
def test_what_would_end_the_thinker_never_reaches_it(
    ids: list[int], fields: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenizerManager, "_validate_one_request", lambda *_: None)
    manager = OmniTokenizerManager.__new__(OmniTokenizerManager)
    checked: list[list[int]] = []
    pipeline = SimpleNamespace(check_prompt=checked.append)
    manager.client = SimpleNamespace(listens_to=lambda request_id: request_id == "speaks", pipeline=pipeline)
    manager.model_config = SimpleNamespace(vocab_size=1024)  # type: ignore[assignment]
    manager._validate_one_request(GenerateReqInput(), [0, 1023])
    manager._validate_one_request(GenerateReqInput(), None)  # embeddings instead of ids
    manager._validate_one_request(GenerateReqInput(logprob_start_len=-1, sampling_params={"custom_params": {}}), [0])
    manager._validate_one_request(GenerateReqInput(rid="speaks", sampling_params={"custom_params": {"omni": {}}}), [7])
    assert checked == [[7]]
    with pytest.raises(ValueError, match=message):
        manager._validate_one_request(GenerateReqInput(**fields), ids)


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
