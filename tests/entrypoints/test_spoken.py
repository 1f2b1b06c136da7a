"""Earlier spoken answers, named by id."""

import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sglang_omni.entrypoints.spoken import SpokenAnswers
from tests.entrypoints.fakes import Fake
from tests.entrypoints.test_chat import SPOKEN, deltas, post, stream

HELLO, AGAIN = {"role": "user", "content": "Hello!"}, {"role": "user", "content": "Again!"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_kept_until_they_expire_and_no_more_than_so_many() -> None:
    clock = Clock()
    spoken = SpokenAnswers(seconds=60, count=2, clock=clock)
    assert spoken.keep("a", "one") == 1060
    clock.now += 59
    assert spoken.transcript("a") == "one"
    assert spoken.keep("b", "two") == 1119
    clock.now += 1
    assert spoken.transcript("a") is None
    assert spoken.transcript("b") == "two"
    spoken.keep("c", "three")
    spoken.keep("d", "four")
    assert [spoken.transcript(id) for id in "abcd"] == [None, None, "three", "four"]
    assert len(spoken._kept) == 2
    assert len({spoken.new_id() for _ in range(9)}) == 9


def prompt(client: TestClient, fake: Fake, answer: dict[str, Any]) -> list[int]:
    response = post(client, {"messages": [HELLO, answer, AGAIN]})
    assert response.status_code == 200, response.text
    return fake.thinker.requests[-1].input_ids


def said_whole(client: TestClient, modalities: list[str]) -> dict[str, Any]:
    return post(client, SPOKEN, modalities=modalities).json()["choices"][0]["message"]["audio"]


def said_streamed(client: TestClient, modalities: list[str]) -> dict[str, Any]:
    audio: dict[str, Any] = {}
    for delta in deltas(stream(client, SPOKEN, modalities=modalities)):
        audio |= delta.get("audio") or {}
    return audio


@pytest.mark.parametrize("modalities", [["text", "audio"], ["audio"]])
@pytest.mark.parametrize("say", [said_whole, said_streamed])
def test_the_model_reads_an_earlier_answer_by_its_id(
    client: TestClient, fake: Fake, say: Any, modalities: list[str]
) -> None:
    audio = say(client, modalities)
    words = prompt(client, fake, {"role": "assistant", "content": "Hello there."})
    for answer in ({}, {"content": None}, {"content": ""}, {"content": None, "refusal": None, "tool_calls": None}):
        assert prompt(client, fake, {"role": "assistant", "audio": {"id": audio["id"]}, **answer}) == words
    assert audio["expires_at"] == pytest.approx(time.time() + 3600, abs=5)


def test_content_wins(client: TestClient, fake: Fake) -> None:
    audio = said_whole(client, ["audio"])
    plain = prompt(client, fake, {"role": "assistant", "content": "Bye."})
    assert prompt(client, fake, {"role": "assistant", "content": "Bye.", "audio": {"id": audio["id"]}}) == plain
    parts = [{"type": "text", "text": "Bye."}]
    assert prompt(client, fake, {"role": "assistant", "content": parts, "audio": {"id": "unknown"}}) == plain


def test_a_message_of_the_sdk_as_it_is(client: TestClient, fake: Fake) -> None:
    """`messages.append(completion.choices[0].message)`, with every field that the SDK has."""
    audio = said_whole(client, ["text", "audio"])
    nothing = dict.fromkeys(("refusal", "annotations", "function_call", "tool_calls"))
    message = {"role": "assistant", "content": "Hello there.", "audio": audio, **nothing, "reasoning_content": None}
    plain = prompt(client, fake, {"role": "assistant", "content": "Hello there."})
    assert prompt(client, fake, message) == plain
    assert prompt(client, fake, {**message, "annotations": []}) == plain


@pytest.mark.parametrize("audio", [{"id": "audio_unknown"}, {"id": 3}, {}, "audio_unknown"])
def test_an_unknown_answer_is_refused(client: TestClient, audio: Any) -> None:
    response = post(client, {"messages": [HELLO, {"role": "assistant", "audio": audio}, AGAIN]})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"].startswith("messages[1].audio")
    if audio == {"id": "audio_unknown"}:
        assert error["param"] == "messages[1].audio.id"
        assert "send what was said as the message's content" in error["message"]
