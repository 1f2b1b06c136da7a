"""Every field of a chat request is decided about, and one that would not act is refused by name."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from sglang_omni.entrypoints.chat_request import ChatRequest
from sglang_omni.entrypoints.fields import ACTS, NEEDS, REFUSED, SAYS_NOTHING
from tests.entrypoints.fakes import Fake

HELLO = {"messages": [{"role": "user", "content": "Hello!"}]}
LISTS = [names.split() for names in (*ACTS.values(), SAYS_NOTHING)] + [list(REFUSED), list(NEEDS)]
VALUES: dict[str, Any] = {
    "images_config": {"max_pixels": 9},
    "min_dynamic_patch": 1,
    "max_dynamic_patch": 1,
    "session_params": {"id": "a"},
    "task": "query",
    "thinking": {"type": "enabled"},
    "return_routed_experts": True,
    "routed_experts_start_len": 3,
    "return_spec_tokens_details": True,
    "session_id": "a",
    "priority": 3,
    "reasoning_effort": "high",
    "separate_reasoning": True,
    "stream_reasoning": True,
    "bootstrap_host": "10.0.0.1",
    "bootstrap_port": 8998,
    "bootstrap_room": 7,
    "disagg_prefill_dp_rank": 1,
}
QUIET = {
    "metadata": {"a": 1, "b": None},
    "store": True,
    "user": "somebody",
    "service_tier": "auto",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
}


def test_each_field_is_decided_about_once() -> None:
    decided = [name for names in LISTS for name in names]
    assert sorted(decided) == sorted(ChatRequest.model_fields)


@pytest.mark.parametrize("name", [*REFUSED, *NEEDS])
def test_what_would_not_act_is_refused(client: TestClient, fake: Fake, name: str) -> None:
    default = ChatRequest.model_fields[name].default
    response = client.post("/v1/chat/completions", json={**HELLO, name: VALUES[name]})
    if VALUES[name] == default:  # as always, which clients may say
        assert response.status_code == 200
        return
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == name
    assert error["message"].startswith(name)
    assert (NEEDS[name][1] if name in NEEDS else "") in error["message"]
    assert fake.thinker.requests == []


@pytest.mark.parametrize("name", NEEDS)
def test_what_the_server_was_started_for_acts(client: TestClient, fake: Fake, name: str) -> None:
    fake.thinker.settings = {NEEDS[name][0]: True}
    assert client.post("/v1/chat/completions", json={**HELLO, name: VALUES[name]}).status_code == 200


def test_what_says_nothing_changes_nothing(client: TestClient, fake: Fake) -> None:
    assert sorted(QUIET) == sorted(SAYS_NOTHING.split())
    for fields in ({}, QUIET):
        assert client.post("/v1/chat/completions", json={**HELLO, **fields}).status_code == 200
    plain, quiet = fake.thinker.requests
    assert plain.input_ids == quiet.input_ids
    assert plain.sampling_params == quiet.sampling_params


@pytest.mark.parametrize("fields", [{"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}])
def test_no_reasoning_is_what_there_is(client: TestClient, fields: dict[str, Any]) -> None:
    assert client.post("/v1/chat/completions", json={**HELLO, **fields}).status_code == 200
