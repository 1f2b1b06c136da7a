"""Every route, ours and SGLang's, refuses alike: the status, OpenAI's four keys, no path, and the request's id."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sglang.srt.entrypoints.anthropic.serving import AnthropicServing

from sglang_omni.entrypoints import openapi
from sglang_omni.entrypoints.app import install
from tests.entrypoints.fakes import Fake

LIMIT = 100_000
USER = {"messages": [{"role": "user", "content": "hi"}]}
OURS = {
    "/v1/chat/completions": (USER, {**USER, "temperature": "hot"}),
    "/v1/audio/speech": ({"input": "hi"}, {"input": 5}),
    "/v1/audio/speech/batch": ({"items": [{"input": "hi"}]}, {"items": "hi"}),
}
SGLANGS = {
    "/v1/completions": {"prompt": "hi", "max_tokens": "many"},
    "/v1/responses": {"input": 5},
    "/v1/messages": {"messages": 5},
    "/v1/messages/count_tokens": {"messages": 5},
    "/v1/tokenize": {"prompt": 5},
    "/v1/detokenize": {"tokens": "many"},
    "/generate": {"text": 5},
}
READ_ONLY = ("/v1/models", "/v1/models/qwen3-omni", "/v1/audio/voices", "/health")
BODIES = [*OURS, *SGLANGS]
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def app() -> Any:
    from sglang.srt.entrypoints.http_server import app

    routes, build = list(app.router.routes), app.build_middleware_stack
    install(app, None, max_body_bytes=LIMIT)
    yield app
    app.router.routes[:], app.build_middleware_stack, app.middleware_stack = routes, build, None


@pytest.fixture
def client(app: Any, fake: Fake) -> TestClient:
    for name in ("omni", "openai_serving_chat"):
        setattr(app.state, name, getattr(fake.app.state, name))
    return TestClient(app, raise_server_exceptions=False)  # not entered: SGLang's start-up wants its engine


def refused(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert len(response.headers.get_list("x-request-id")) == 1
    assert response.headers["content-type"].startswith("application/json")
    body = response.json()
    assert "detail" not in body
    error = body["error"]
    if "type" in body:  # Anthropic's form, on its own routes
        assert body["type"] == "error"
        assert {"type", "message"} <= set(error)
    else:
        assert set(body) == {"error"}
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert ".py" not in error["message"]
    assert "site-packages" not in error["message"]
    return error


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("body", [b'{"a": ', b"[]", b'"text"', b"3", b"null", b"", b"\xff\xfe"], ids=repr)
def test_a_body_that_is_no_object(client: TestClient, path: str, body: bytes) -> None:
    refused(client.post(path, content=body, headers=JSON), 400)


@pytest.mark.parametrize("path", BODIES)
def test_a_value_of_the_wrong_type(client: TestClient, path: str) -> None:
    body = OURS[path][1] if path in OURS else SGLANGS[path]
    error = refused(client.post(path, json=body), 400)
    assert any(name in error["message"] for name in body)


def test_a_tool_whose_type_is_none(client: TestClient) -> None:
    body = {**USER, "model": "m", "max_tokens": 1, "tools": [{"name": "f", "type": ["custom"]}]}
    error = refused(client.post("/v1/messages", json=body), 400)
    assert error["message"].startswith("tools.0.type: ")


def test_what_cannot_be_converted_is_one_line_of_the_log(
    app: Any, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    app.state.anthropic_serving = AnthropicServing(app.state.openai_serving_chat)
    choice = {"type": "tool", "name": "f"}
    refused(client.post("/v1/messages", json={**USER, "model": "m", "max_tokens": 1, "tool_choice": choice}), 400)
    assert any("tool_choice" in record.getMessage() for record in caplog.records)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("path", OURS)
def test_an_unknown_field(client: TestClient, path: str) -> None:
    error = refused(client.post(path, json={**OURS[path][0], "colour": "red"}), 400)
    assert (error["param"], "'colour'" in error["message"]) == ("colour", True)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("told", [True, False], ids=["with its length", "in chunks"])
def test_a_body_that_is_too_large(client: TestClient, path: str, told: bool) -> None:
    body = b'{"a": "' + b"x" * LIMIT + b'"}'
    refused(client.post(path, content=body if told else iter([body[:5], body[5:]]), headers=JSON), 413)


@pytest.mark.parametrize("path", [*BODIES, "/v1/audio/transcriptions", *READ_ONLY])
def test_a_wrong_method(client: TestClient, path: str) -> None:
    response = client.delete(path)
    refused(response, 405)
    assert response.headers["allow"]


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/chat", "/v1/audio/speech/nothing", "/v1/models/other"])
def test_what_does_not_exist(client: TestClient, path: str) -> None:
    refused(client.get(path), 404)


def test_the_table_has_every_route_that_the_schema_shows(app: Any) -> None:
    shown = {path for path, operations in app.openapi()["paths"].items() if "post" in operations}
    assert shown == {*BODIES, "/v1/audio/transcriptions", "/v1/responses/{response_id}/cancel"}
    assert {path for _, path in openapi.SGLANG_ROUTES} <= app.openapi()["paths"].keys()


def test_every_operation_has_an_id_of_its_own(app: Any) -> None:
    ids = [operation["operationId"] for path in app.openapi()["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids) > 15


def test_the_schema_shows_every_method_that_a_route_allows(app: Any, client: TestClient) -> None:
    allowed = set(client.request("OPTIONS", "/generate").headers["allow"].lower().split(", "))
    assert allowed == app.openapi()["paths"]["/generate"].keys() == {"post", "put"}
