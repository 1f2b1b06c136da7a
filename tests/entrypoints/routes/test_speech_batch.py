import asyncio
import base64
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sglang_omni.entrypoints.routes.speech_batch import AT_ONCE
from sglang_omni.errors import Aborted, RequestFailed, Unavailable
from tests.entrypoints.fakes import Fake, make
from tests.entrypoints.test_disconnect import leave

PATH = "/v1/audio/speech/batch"


def test_every_item_is_a_file(client: TestClient, fake: Fake) -> None:
    items = [{"input": "One."}, {"input": "Two.", "voice": "aiden", "response_format": "wav", "seed": None}]
    body = {"model": "qwen3-omni", "voice": "chelsie", "response_format": "pcm", "seed": 5, "items": items}
    response = client.post(PATH, json=body)
    assert response.status_code == 200
    answer = response.json()
    assert answer["id"] == response.headers["x-request-id"]
    assert {name: answer[name] for name in ("total", "succeeded", "failed")} == {
        "total": 2,
        "succeeded": 2,
        "failed": 0,
    }
    one, two = answer["results"]
    assert [one["index"], two["index"]] == [0, 1]
    assert [one["media_type"], two["media_type"]] == ["audio/pcm", "audio/wav"]
    assert base64.b64decode(one["audio_data"]) == fake.pipeline.pcm
    assert base64.b64decode(two["audio_data"])[44:] == fake.pipeline.pcm
    assert {one["status"], two["status"]} == {"success"}
    assert {one["error"], two["error"]} == {None}
    assert [params["speech"]["voice"] for _, params, _ in fake.pipeline.spoken] == ["Chelsie", "aiden"]
    assert [params["speech"]["seed"] for _, params, _ in fake.pipeline.spoken] == [5, 5]
    assert len({id for id, _, _ in fake.pipeline.spoken}) == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": [{"input": "x"}] * 33}, "items"),
        ({"items": ["x"]}, "items[0]"),
        ({"items": [{"input": "x"}, {"input": " "}]}, "items[1].input"),
        ({"items": [{"input": "x"}, {"voice": "aiden"}]}, "items[1].input"),
        ({"items": [{"input": "x"}, {"input": "x", "voice": "nobody"}]}, "items[1].voice"),
        ({"items": [{"input": "x"}, {"input": "x", "speed": 9}]}, "items[1].speed"),
        ({"items": [{"input": "x", "stream": True}]}, "items[0].stream"),
        ({"items": [{"input": "x"}], "response_format": "tape"}, "items[0].response_format"),
        ({"items": [{"input": "x"}], "model": "tts-1"}, "items[0].model"),
        ({"items": [{"input": "x"}], "speed": 9}, "speed"),
        ({"items": [{"input": "x"}], "stream": True}, "stream"),
    ],
)
def test_what_is_wrong_is_named(client: TestClient, fake: Fake, body: dict[str, Any], param: str) -> None:
    response = client.post(PATH, json=body)
    assert response.status_code == (404 if "model" in body else 400)
    assert response.json()["error"]["param"] == param
    assert param.partition(".")[0] in response.json()["error"]["message"]
    assert fake.pipeline.spoken == []


def test_an_item_that_fails_leaves_the_others(client: TestClient, fake: Fake) -> None:
    fake.pipeline.late_error = RequestFailed("the talker failed on this request")
    answer = client.post(PATH, json={"items": [{"input": "One."}]}).json()
    assert answer["failed"] == 1
    (result,) = answer["results"]
    assert result == {
        "index": 0,
        "status": "error",
        "audio_data": None,
        "media_type": None,
        "error": "the talker failed on this request",
    }


def test_a_stage_that_is_gone_fails_the_batch(client: TestClient, fake: Fake) -> None:
    fake.pipeline.error = Unavailable("the talker stopped")
    assert client.post(PATH, json={"items": [{"input": "One."}] * 3}).status_code == 503


def test_a_server_that_cannot_speak_refuses_the_batch(tokenizer: Any) -> None:
    with TestClient(make(tokenizer, text_only=True).app) as client:
        response = client.post(PATH, json={"items": [{"input": "One."}]})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "This server was started with --text-only and cannot speak"


def test_a_server_that_cannot_speak_may_have_no_voices(tokenizer: Any) -> None:
    fake = make(tokenizer, text_only=True)
    fake.app.state.omni.voices = ()
    with TestClient(fake.app) as client:
        response = client.post("/v1/audio/speech", json={"input": "One."})
    assert response.status_code == 400
    assert "--text-only" in response.json()["error"]["message"]


def test_a_batch_that_is_aborted_by_its_id_has_no_results(fake: Fake) -> None:
    fake.pipeline.late_error = Aborted()
    with TestClient(fake.app) as client:
        response = client.post(PATH, json={"items": [{"input": "One."}] * 9})
    assert response.status_code == 499  # which no client takes for a reason to ask again
    assert response.json()["error"]["message"] == "the request was aborted"


def test_a_client_that_goes_away_frees_the_items_under_way(fake: Fake) -> None:
    fake.pipeline.forever = True
    asyncio.run(leave(fake.app, PATH, {"items": [{"input": "One."}] * 9}, 0))
    assert len(fake.pipeline.spoken) == len(fake.pipeline.aborted) == AT_ONCE
