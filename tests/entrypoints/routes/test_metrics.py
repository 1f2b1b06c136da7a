"""/metrics: what requests and stages leave on the page."""

import asyncio
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from sglang_omni.errors import Aborted, InvalidRequest, RequestFailed, Unavailable
from tests.entrypoints.fakes import Fake, make
from tests.entrypoints.test_disconnect import leave

CHATS, SPEECHES, BATCHES = "/v1/chat/completions", "/v1/audio/speech", "/v1/audio/speech/batch"
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
ALOUD = {**CHAT, "modalities": ["text", "audio"]}
SECONDS = 3 / 24_000  # of the fake pipeline's sound


def page(client: TestClient) -> dict[tuple[str, ...], float]:
    """(name, label values...) -> value, of ours."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {(s.name.removeprefix("sglang_omni:"), *_labels(s.labels)): s.value for s in samples}


def _labels(labels: dict[str, str]) -> list[str]:
    return [labels[name] for name in ("stage", "route", "outcome", "le") if name in labels]


def test_it_is_prometheus_text(client: TestClient) -> None:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "# HELP sglang_omni:time_to_first_audio_seconds " in response.text
    newer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert newer.headers["content-type"].startswith("application/openmetrics-text")
    assert newer.text.endswith("# EOF\n")


def test_stages(client: TestClient, fake: Fake) -> None:
    fake.pipeline.states["talker"] = {"slots": 8, "free": 3, "waiting": 2, "pages": 9, "free_pages": 4, "parked": 5}
    fake.pipeline.stages["code2wav"] = "stuck"
    fake.pipeline.restarts["code2wav"] = 4
    values = page(client)
    assert [values["stage_up", stage] for stage in ("thinker", "talker", "code2wav")] == [1, 1, 0]
    slots = "stage_slots", "stage_slots_free", "stage_requests_waiting", "stage_pages", "stage_pages_free"
    assert [values[name, "talker"] for name in slots] == [8, 3, 2, 9, 4]
    assert values["stage_parked_total", "talker"] == 5
    assert (values["stage_restarts_total", "talker"], values["stage_restarts_total", "code2wav"]) == (0, 4)


def test_a_text_server_has_one_stage(tokenizer: Any) -> None:
    with TestClient(make(tokenizer, text_only=True).app) as client:
        values = page(client)
    assert values["stage_up", "thinker"] == 1
    assert not [key for key in values if "talker" in key]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHATS, ALOUD),
        (CHATS, {**ALOUD, "stream": True}),
        (SPEECHES, {"input": "hi"}),
        (SPEECHES, {"input": "hi", "stream": True, "response_format": "pcm"}),
        (SPEECHES, {"input": "hi", "stream_format": "sse", "response_format": "pcm"}),
        (BATCHES, {"items": [{"input": "hi"}]}),
    ],
)
def test_a_spoken_answer(client: TestClient, path: str, body: dict[str, Any]) -> None:
    assert client.post(path, json=body).status_code == 200
    values = page(client)
    assert values["requests_total", path, "finished"] == 1
    assert values["time_to_first_audio_seconds_count", path] == 1
    assert values["real_time_factor_count", path] == 1
    assert 0 < values["time_to_first_audio_seconds_sum", path] < 5
    assert values["real_time_factor_sum", path] * SECONDS >= values["time_to_first_audio_seconds_sum", path]
    assert values["audio_seconds_total", path] == pytest.approx(SECONDS)
    assert values["audio_frames_total", path] == 2
    silence = values["silence_seconds_total", path]
    assert (silence > 0) == bool(values.get(("streams_ran_dry_total", path), 0))


def test_text_has_no_sound(client: TestClient) -> None:
    client.post(CHATS, json=CHAT)
    client.post(CHATS, json={**CHAT, "stream": True})
    values = page(client)
    assert values["requests_total", CHATS, "finished"] == 2
    assert not [key for key in values if key[0] == "time_to_first_audio_seconds_count"]


@pytest.mark.parametrize(
    ("path", "body", "route"),
    [
        (CHATS, {"messages": []}, CHATS),
        (SPEECHES, {"input": " "}, SPEECHES),
        (CHATS, {**CHAT, "model": "other"}, CHATS),
        ("/v1/nothing", {}, "none"),
    ],
)
def test_refusals(client: TestClient, path: str, body: dict[str, Any], route: str) -> None:
    client.post(path, json=body)
    assert page(client)["requests_total", route, "refused"] == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHATS, ALOUD),
        (CHATS, {**ALOUD, "stream": True}),
        (SPEECHES, {"input": "hi"}),
        (SPEECHES, {"input": "hi", "stream_format": "sse", "response_format": "pcm"}),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_failures(client: TestClient, fake: Fake, path: str, body: dict[str, Any], late: bool) -> None:
    """Also those whose status, 200, had left."""
    if late:
        fake.pipeline.late_error = RequestFailed("the talker failed on this request")
    else:
        fake.pipeline.error = Unavailable("the talker cannot serve now; speech is not available")
    client.post(path, json=body)
    values = page(client)
    assert values["requests_total", path, "failed"] == 1
    assert ("real_time_factor_count", path) not in values
    assert values.get(("time_to_first_audio_seconds_count", path), 0) == late


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), [(CHATS, ALOUD), (SPEECHES, {"input": "hi", "stream_format": "sse"})])
def test_what_is_ended_by_its_id(client: TestClient, fake: Fake, path: str, body: dict[str, Any], stream: bool) -> None:
    fake.pipeline.late_error = Aborted()
    client.post(path, json={**body, "stream": stream})
    assert page(client)["requests_total", path, "aborted"] == 1


@pytest.mark.parametrize("body", [CHAT, ALOUD])
def test_a_late_failure_of_the_thinker(client: TestClient, fake: Fake, body: dict[str, Any]) -> None:
    fake.thinker.late_error = ValueError("no more room")
    fake.pipeline.forever = True
    assert client.post(CHATS, json={**body, "stream": True}).status_code == 200
    assert page(client)["requests_total", CHATS, "failed"] == 1


@pytest.mark.parametrize(
    ("path", "body", "after"),
    [
        (CHATS, {**CHAT, "stream": True}, 2),
        (CHATS, ALOUD, 0),
        (CHATS, {**ALOUD, "stream": True}, 2),
        (SPEECHES, {"input": "hi"}, 0),
        (SPEECHES, {"input": "hi", "stream": True}, 2),
    ],
)
def test_a_client_that_leaves(client: TestClient, fake: Fake, path: str, body: dict[str, Any], after: int) -> None:
    fake.thinker.forever = fake.pipeline.forever = True
    asyncio.run(leave(fake.app, path, body, after))
    values = page(client)
    assert values["requests_total", path, "aborted"] == 1
    if "messages" not in body or "modalities" in body:
        assert values["audio_seconds_total", path] > 0


def test_a_prompt_that_the_talker_refuses_is_the_clients_mistake(client: TestClient, fake: Fake) -> None:
    fake.pipeline.late_error = InvalidRequest("the prompt is too long")
    client.post(SPEECHES, json={"input": "hi"})
    assert page(client)["requests_total", SPEECHES, "refused"] == 1


def test_asking_for_the_page_is_not_counted(client: TestClient) -> None:
    client.get("/health")
    page(client)
    assert not [key for key in page(client) if key[0] == "requests_total"]
