"""The conversation: whatever form it is sent in, the model reads the same; what it would not read is refused."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from sglang_omni.entrypoints.messages import AUDIO_FORMATS
from tests.entrypoints.fakes import Fake

USER = {"role": "user", "content": "Hello!"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def post(client: TestClient, *messages: Any, **fields: Any) -> Any:
    return client.post("/v1/chat/completions", json={"messages": list(messages), **fields})


def prompt(client: TestClient, fake: Fake, *messages: Any, **fields: Any) -> list[int]:
    response = post(client, *messages, **fields)
    assert response.status_code == 200, response.text
    return fake.thinker.requests[-1].input_ids


def text(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


SAME = {
    "parts": ([{"role": "user", "content": text("Hello!")}], [USER]),
    "two parts": ([{"role": "user", "content": text("Hel", "lo!")}], [USER]),
    "system in parts": (
        [{"role": "system", "content": text("Be ", "kind.")}, USER],
        [{"role": "system", "content": "Be kind."}, USER],
    ),
    "developer": (
        [{"role": "developer", "content": "Be kind."}, USER],
        [{"role": "system", "content": "Be kind."}, USER],
    ),
    "name": ([{**USER, "name": "Ann"}], [USER]),
    "nulls": ([{**USER, "name": None, "tool_calls": None, "audio": None}], [USER]),
    "cache control": ([{"role": "user", "content": [{**text("Hello!")[0], "cache_control": {}}]}], [USER]),
    "refusal": (
        [USER, {"role": "assistant", "content": None, "refusal": "No."}, USER],
        [USER, {"role": "assistant", "content": "No."}, USER],
    ),
    "refusal part": (
        [USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, USER],
        [USER, {"role": "assistant", "content": "No."}, USER],
    ),
    "a call without arguments": (
        [USER, {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": ""}}]}],
        [USER, {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{}"}}]}],
    ),
    "function": (
        [USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "function", "name": "f", "content": "2"}],
        [USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "1", "content": "2"}],
    ),
    "a tool's parts": (
        [USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": text("2")}],
        [USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": "2"}],
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_prompt(client: TestClient, fake: Fake, name: str) -> None:
    one, other = SAME[name]
    assert prompt(client, fake, *one) == prompt(client, fake, *other)


def test_every_turn_is_read(client: TestClient, fake: Fake, tokenizer: Any) -> None:
    ids = prompt(
        client,
        fake,
        {"role": "system", "content": "<system>"},
        {"role": "user", "content": "<first>"},
        {"role": "assistant", "content": "<answer>", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "<result>"},
        {"role": "user", "content": ""},
    )
    read = tokenizer.decode(ids)
    order = [read.index(part) for part in ("<system>", "<first>", "<answer>", '"name": "f"', "<result>")]
    assert order == sorted(order)


def part(kind: str, url: str) -> dict[str, Any]:
    return {"type": kind, kind: {"url": url}}


def test_media_keep_their_places(client: TestClient, fake: Fake, tokenizer: Any) -> None:
    content = [
        part("audio_url", "/a.wav"),
        *text("one"),
        part("image_url", "https://host/b.png"),
        *text("two"),
        part("video_url", "data:video/mp4;base64,AAAA"),
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "flac"}},
    ]
    ids = prompt(client, fake, {"role": "user", "content": content}, images=["/first.png"])
    request = fake.thinker.requests[-1]
    assert [image.url for image in request.image_data] == ["/first.png", "https://host/b.png"]
    assert request.audio_data == ["/a.wav", "data:audio/flac;base64,AAAA"]
    assert request.video_data == ["data:video/mp4;base64,AAAA"]
    read = tokenizer.decode(ids)
    pads = ("<|image_pad|>", "<|audio_pad|>", "one", "<|vision_start|><|image_pad|>", "two", "<|video_pad|>")
    place = -1
    for pad in pads:
        place = read.index(pad, place + 1)
    assert read.rindex("<|audio_pad|>") > place


@pytest.mark.parametrize("format", AUDIO_FORMATS)
def test_sounds_of_every_format(client: TestClient, fake: Fake, format: str) -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": format}}
    prompt(client, fake, {"role": "user", "content": [sound]})
    assert fake.thinker.requests[-1].audio_data == [f"data:audio/{format};base64,AAAA"]


def test_a_sound_may_be_a_data_uri(client: TestClient, fake: Fake) -> None:
    uri = "data:audio/wav;base64,AAAA"
    prompt(
        client,
        fake,
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": uri, "format": "wav"}}]},
    )
    assert fake.thinker.requests[-1].audio_data == [uri]


@pytest.mark.parametrize("detail", ["auto", "low", "high", None])
def test_the_detail_of_a_picture_reaches_the_processor(client: TestClient, fake: Fake, detail: str | None) -> None:
    picture = {"type": "image_url", "image_url": {"url": "/a.png", "detail": detail}}
    prompt(client, fake, {"role": "user", "content": [picture]})
    assert fake.thinker.requests[-1].image_data[0].detail == (detail or "auto")


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


FAULTS: list[tuple[Any, str, str]] = [
    # a message, what is said of it, and of which of its fields
    ({**USER, "colour": "red"}, "does not act in a message of role 'user'", "colour"),
    ({**USER, "tool_calls": [CALL]}, "does not act in a message of role 'user'", "tool_calls"),
    ({"role": "system", "content": "hi", "tools": []}, "does not act in a message of role 'system'", "tools"),
    (
        {"role": "assistant", "function_call": {"name": "f"}},
        "does not act in a message of role 'assistant'",
        "function_call",
    ),
    ({"role": "assistant", "content": "hi", "prefix": True}, "does not act", "prefix"),
    ({"role": "assistant", "content": [part("image_url", "/a.png")]}, "is not one of text, refusal", "content[0].type"),
    ({"role": "assistant", "refusal": 3}, "must be a string", "refusal"),
    (user({"type": "text", "text": 3}), "must be a string", "content[0].text"),
    (user({"type": "text"}), "must be a string", "content[0].text"),
    (user({**text("a")[0], "colour": 1}), "does not act in a part", "content[0].colour"),
    (user({"type": "file", "file": {}}), "'file' is not one of text, image_url", "content[0].type"),
    (user(None), "must be an object with a type", "content[0]"),
    (
        user({"type": "image_url", "image_url": {"url": "/a.png", "detail": "best"}}),
        "must be one of auto, low, high",
        "content[0].image_url.detail",
    ),
    (
        user({"type": "image_url", "image_url": {"url": "/a.png", "max_dynamic_patch": 2}}),
        "does not act",
        "content[0].image_url.max_dynamic_patch",
    ),
    (
        user({"type": "video_url", "video_url": {"url": "/a.mp4", "fps": 2}}),
        "send video_fps",
        "content[0].video_url.fps",
    ),
    (
        user({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "midi"}}),
        "must be one of wav, mp3",
        "content[0].input_audio.format",
    ),
    (
        user({"type": "input_audio", "input_audio": {"format": "wav"}}),
        "must be a string",
        "content[0].input_audio.data",
    ),
    *[
        (
            {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": arguments}}]},
            "must be a JSON object",
            "tool_calls[0].function.arguments",
        )
        for arguments in ("{", "[]", "3", "[" * 9999)
    ],
]


@pytest.mark.parametrize(("message", "why", "field"), FAULTS, ids=lambda value: str(value)[:60])
def test_refused_by_name(client: TestClient, fake: Fake, message: Any, why: str, field: str) -> None:
    response = post(client, USER, message)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == f"messages[1].{field}"
    assert error["message"].startswith(f"messages[1].{field}")
    assert why in error["message"]
    assert fake.thinker.requests == []
