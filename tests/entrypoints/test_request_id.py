"""Every answer tells the id under which its request ran and was logged."""

import logging
import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from sglang_omni.entrypoints import errors
from sglang_omni.entrypoints.sse import EventStream
from tests.entrypoints.fakes import Fake

HELLO = {"messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"
SPEECH = "/v1/audio/speech"


def id_of(response: Any) -> str:
    (id,) = response.headers.get_list("x-request-id")
    return id


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/health", None, 200),
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/nothing", None, 404),
        ("GET", CHAT, None, 405),
        ("POST", CHAT, {}, 400),
        ("POST", SPEECH, {}, 400),
    ],
)
def test_every_answer_has_one(client: TestClient, method: str, path: str, body: Any, status: int) -> None:
    response = client.request(method, path, json=body)
    assert response.status_code == status
    assert re.fullmatch(r"request-[0-9a-f]{32}", id_of(response))
    again = client.request(method, path, json=body, headers={"X-Request-Id": "mine"})
    assert re.fullmatch(r"mine-[0-9a-f]{32}", id_of(again))


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_runs_under_it(client: TestClient, fake: Fake, stream: bool) -> None:
    plain = client.post(CHAT, json={**HELLO, "stream": stream})
    by_header = client.post(CHAT, json={**HELLO, "stream": stream}, headers={"X-Request-Id": "mine"})
    by_body = client.post(
        CHAT, json={**HELLO, "stream": stream, "request_id": "yours"}, headers={"X-Request-Id": "mine"}
    )
    ids = [id_of(plain), id_of(by_header), id_of(by_body)]
    assert ids == [request.rid for request in fake.thinker.requests]
    assert [id.rpartition("-")[0] for id in ids] == ["chatcmpl", "mine", "yours"]


@pytest.mark.parametrize("stream", [False, True])
def test_speech_runs_under_it(client: TestClient, fake: Fake, stream: bool) -> None:
    plain = client.post(SPEECH, json={"input": "hi", "stream": stream})
    named = client.post(SPEECH, json={"input": "hi", "stream": stream}, headers={"X-Request-Id": "mine"})
    ids = [id_of(plain), id_of(named)]
    assert ids == [id for id, _, _ in fake.pipeline.spoken]
    assert [id.rpartition("-")[0] for id in ids] == ["speech", "mine"]


@pytest.mark.parametrize(
    ("sent", "kept"), [(b"a b\tc", "abc"), (b"caf\xe9", "caf"), (b"x" * 500, "x" * 128), (b" ", "request")]
)
def test_what_a_client_sends_is_cut_to_printable_characters(client: TestClient, sent: bytes, kept: str) -> None:
    response = client.get("/health", headers={b"X-Request-Id": sent})
    assert id_of(response).rpartition("-")[0] == kept


@pytest.mark.parametrize("field", ["request_id", "rid"])
@pytest.mark.parametrize("value", ["a\nb", "a b", "é", "x" * 129, "a\n"])
def test_in_a_body_it_must_be_printable(client: TestClient, fake: Fake, field: str, value: str) -> None:
    response = client.post(CHAT, json={**HELLO, field: value})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field
    assert fake.thinker.requests == []


def test_a_refusal_is_logged_under_it(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    id = id_of(client.post(f"{CHAT}?a=%0Afake", json={"messages": "\n"}))
    line, ended = [record.getMessage() for record in caplog.records if id in record.getMessage()]
    assert ended.startswith(f"ended request={id} ")
    assert line == f"{id}: POST '{CHAT}' answered 400: 'messages must be a list of at least one message'"


def test_our_own_fault_is_logged_under_it_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    errors.install(app)

    @app.get("/fails")
    async def fails() -> None:
        raise ZeroDivisionError("at /secret")

    @app.get("/fails/late")
    async def fails_late() -> EventStream:
        async def pieces() -> Any:
            raise ZeroDivisionError("at /secret")
            yield b""

        return EventStream(b"opening", pieces())

    client = TestClient(app, raise_server_exceptions=False)
    response = client.get("/fails")
    assert response.status_code == 500
    assert response.json()["error"]["message"] == errors.OUR_FAULT
    late = client.get("/fails/late")
    assert late.content == b"opening"
    traced = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage().partition(":")[0] for record in traced] == [id_of(response), id_of(late)]
