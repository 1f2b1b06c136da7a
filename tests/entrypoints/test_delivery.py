"""One line in the log for every spoken answer."""

import asyncio
import logging
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sglang_omni.errors import RequestFailed
from tests.entrypoints.fakes import Fake
from tests.entrypoints.test_disconnect import leave

ALOUD: dict[str, Any] = {"messages": [{"role": "user", "content": "my secret"}], "modalities": ["text", "audio"]}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "sglang_omni.entrypoints.delivery")
    return caplog


def lines(log: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """Their keys and values."""
    said = [record.getMessage() for record in log.records if record.name == "sglang_omni.entrypoints.delivery"]
    return [dict(part.split("=", 1) for part in line.removeprefix("spoke ").split(" ")) for line in said]


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat(client: TestClient, log: pytest.LogCaptureFixture, stream: bool) -> None:
    response = client.post("/v1/chat/completions", json={**ALOUD, "stream": stream})
    (line,) = lines(log)
    assert line["request"] == response.headers["x-request-id"]
    assert (line["route"], line["outcome"]) == ("/v1/chat/completions", "finished")
    assert (line["text_tokens"], line["frames"], line["audio_s"]) == ("3", "2", "0.00")
    assert float(line["first_text_s"]) <= float(line["last_text_s"]) <= float(line["total_s"])
    assert float(line["first_audio_s"]) <= float(line["last_audio_s"]) <= float(line["total_s"])
    assert float(line["real_time_factor"]) > 0
    assert "secret" not in log.text
    assert "Hello" not in log.text


def test_speech(client: TestClient, log: pytest.LogCaptureFixture) -> None:
    client.post("/v1/audio/speech", json={"input": "my secret"}, headers={"X-Request-Id": "mine"})
    (line,) = lines(log)
    assert line["request"].startswith("mine-")
    assert int(line["text_tokens"]) > 0
    assert (line["frames"], line["first_text_s"], line["outcome"]) == ("2", "-", "finished")
    assert "secret" not in log.text


def test_every_item_of_a_batch_has_its_own(client: TestClient, log: pytest.LogCaptureFixture) -> None:
    response = client.post("/v1/audio/speech/batch", json={"items": [{"input": "one"}, {"input": "two"}]})
    id = response.headers["x-request-id"]
    assert sorted(line["request"] for line in lines(log)) == [f"{id}.item0", f"{id}.item1"]


def test_text_is_silent(client: TestClient, log: pytest.LogCaptureFixture) -> None:
    client.post("/v1/chat/completions", json={"messages": ALOUD["messages"]})
    assert lines(log) == []


def test_what_failed_and_who_left(client: TestClient, fake: Fake, log: pytest.LogCaptureFixture) -> None:
    fake.pipeline.late_error = RequestFailed("the talker failed on this request")
    client.post("/v1/audio/speech", json={"input": "hi"})
    fake.pipeline.late_error, fake.pipeline.forever = None, True
    asyncio.run(leave(fake.app, "/v1/chat/completions", {**ALOUD, "stream": True}, 3))
    assert [line["outcome"] for line in lines(log)] == ["failed", "aborted"]
    assert {line["real_time_factor"] for line in lines(log)} == {"-"}
