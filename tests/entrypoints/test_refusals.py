"""Every wrong request is a 400 in OpenAI's body whose message names the field, before anything starts."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.entrypoints.fakes import Fake

CHAT = "/v1/chat/completions"
SPEECH = "/v1/audio/speech"
USER = {"role": "user", "content": "hi"}


def refused(response: Any, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert str(Path.cwd()) not in error["message"]
    assert ".py" not in error["message"]
    return error


@pytest.mark.parametrize("path", [CHAT, SPEECH])
@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"', b"null", b'{"a": NaN}', b"\xff"])
def test_bodies_that_are_no_json_object(client: TestClient, path: str, body: bytes) -> None:
    refused(client.post(path, content=body, headers={"content-type": "application/json"}))


CHAT_FAULTS: list[tuple[dict[str, Any], str, str]] = [
    # what is wrong, what the message says, param
    ({"messages": None}, "messages is required", "messages"),
    ({"messages": []}, "at least one message", "messages"),
    ({"messages": "hi"}, "must be a list", "messages"),
    ({"messages": ["hi"]}, "messages[0] must be an object", "messages[0]"),
    ({"messages": [{"role": "cat", "content": "hi"}]}, "messages[0].role must be one of", "messages[0].role"),
    ({"messages": [{"role": 1, "content": "hi"}]}, "messages[0].role", "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "hi"}]}, "messages[0].role", "messages[0].role"),
    ({"messages": [{"role": "User", "content": "hi"}]}, "messages[0].role must be one of", "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content must be", "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content must be", "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "object with a type", "messages[0].content[0]"),
    (
        {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
        "'smell' is not one of text, image_url",
        "messages[0].content[0].type",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        "image_url must be an object",
        "messages[0].content[0].image_url",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": 3}}]}]},
        "video_url.url must be a string",
        "messages[0].content[0].video_url.url",
    ),
    ({"temperature": 2.5}, "temperature", "temperature"),
    ({"temperature": "hot"}, "temperature", "temperature"),
    ({"top_p": -0.1}, "top_p", "top_p"),
    ({"max_tokens": 0}, "max_tokens", "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens", "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens", "max_completion_tokens"),
    ({"presence_penalty": 3}, "presence_penalty", "presence_penalty"),
    ({"n": 0}, "n: ", "n"),
    ({"n": 129}, "n: ", "n"),
    ({"stop": ["a"] * 5}, "stop", "stop"),
    ({"stop": ""}, "at least 1 character", "stop"),
    ({"stop": ["a", ""]}, "stop[1]: ", "stop[1]"),
    ({"stop_regex": "["}, "stop_regex '[' is no regular expression", "stop_regex"),
    ({"stop_regex": ["a", "(" * 9]}, "is no regular expression", "stop_regex"),
    ({"rid": ["a"]}, "rid: Input should be a valid string", "rid"),
    ({"top_logprobs": 2}, "top_logprobs acts only with logprobs", "top_logprobs"),
    ({"stream_options": {"include_usage": True}}, "stream_options acts only with stream", "stream_options"),
    ({"chat_template_kwargs": {"tokenize": True}}, "cannot have tokenize", "chat_template_kwargs"),
    ({"chat_template_kwargs": {"self": 1}}, "cannot have self", "chat_template_kwargs"),
    ({"chat_template_kwargs": {"messages": []}}, "cannot have messages", "chat_template_kwargs"),
    ({"seed": 1.5}, "seed", "seed"),
    ({"stream": "yes"}, "stream", "stream"),
    ({"response_format": "json"}, "response_format must be an object", "response_format"),
    ({"tools": {}}, "tools must be a list", "tools"),
    ({"tools": [{"type": "function"}]}, "tools[0].function: Field required", "tools[0].function"),
    ({"stream_options": {"include_usage": "yes"}, "stream": True}, "include_usage", "stream_options.include_usage"),
    ({"stream_options": {"include_obfuscation": True}, "stream": True}, "include_obfuscation", "stream_options"),
    ({"video_config": {"speed": 2}}, "video_config.speed", "video_config.speed"),
    ({"mm_processor_kwargs": {"fps": 0}}, "mm_processor_kwargs.fps", "mm_processor_kwargs.fps"),
    ({"video_fps": 0}, "video_fps", "video_fps"),
    ({"logit_bias": {"hi": 1}}, "logit_bias", "logit_bias"),
    ({"logit_bias": {"1": 101}}, "logit_bias", "logit_bias"),
    ({"top_k": 2**31}, "top_k", "top_k"),
    ({"max_tokens": 2**31}, "max_tokens", "max_tokens"),
    ({"min_tokens": -1}, "min_tokens", "min_tokens"),
    ({"stop": "x" * 1001}, "stop", "stop"),
    ({"stop_token_ids": [-1]}, "stop_token_ids", "stop_token_ids"),
    ({"seed": 2**63}, "seed", "seed"),
    ({"custom_params": {"a": 1}}, "custom_params acts only with", "custom_params"),
    ({"input_ids": [1], "images": ["/a.png"]}, "input_ids cannot be combined", "input_ids"),
    ({"images": "/a.png"}, "images must be a list", "images"),
    ({"audios": [3]}, "audios must be a list", "audios"),
    ({"messages": [{"role": "system", "content": "hi"}], "images": ["/a.png"]}, "need a user message", "messages"),
    ({"modalities": ["smell"]}, "'smell'", "modalities"),
    ({"modalities": []}, "modalities must name", "modalities"),
    ({"modalities": "text"}, "modalities", "modalities"),
    ({"temprature": 1}, "did you mean 'temperature'", "temprature"),
    ({"audio": {"voice": "ethan"}}, 'audio acts only with "audio" in modalities', "audio"),
    ({"talker_top_k": 3}, "talker_top_k acts only", "talker_top_k"),
    ({"stage_sampling": {"singer": {}}}, "stage_sampling.singer", "stage_sampling.singer"),
    ({"stage_sampling": {"thinker": {"heat": 1}}}, "stage_sampling.thinker.heat", "stage_sampling.thinker.heat"),
    ({"stage_params": {"code2waves": {}}}, "stage_params.code2waves", "stage_params.code2waves"),
]
SPOKEN_FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"audio": {"voice": "nobody"}}, "not one of default, Chelsie, ethan, aiden", "audio.voice"),
    ({"audio": {"voice": {"name": "ethan"}}}, "audio.voice", "audio.voice"),
    ({"audio": {"format": "ogg"}}, "audio.format 'ogg' is not one of wav, mp3", "audio.format"),
    ({"audio": {"format": "mp3"}, "stream": True}, "'mp3' is not one of pcm16, wav", "audio.format"),
    ({"audio": {"volume": 3}}, "audio.volume", "audio.volume"),
    ({"audio": "wav"}, "audio", "audio"),
    ({"n": 2}, "n must be 1", "n"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools cannot be combined", "tools"),
    ({"talker_temperature": 3}, "talker_temperature", "talker_temperature"),
    (
        {"messages": [USER, {"role": "assistant", "content": "a"}], "continue_final_message": True},
        "continue_final_message cannot be combined",
        "continue_final_message",
    ),
]


@pytest.mark.parametrize(("fault", "message", "param"), CHAT_FAULTS, ids=str)
def test_chat(client: TestClient, fake: Fake, fault: dict[str, Any], message: str, param: str) -> None:
    error = refused(client.post(CHAT, json={"messages": [USER], **fault}))
    assert message in error["message"]
    assert (error["param"] or "").startswith(param)
    assert fake.thinker.requests == []


@pytest.mark.parametrize(("fault", "message", "param"), SPOKEN_FAULTS, ids=str)
def test_spoken_chat(client: TestClient, fake: Fake, fault: dict[str, Any], message: str, param: str) -> None:
    error = refused(client.post(CHAT, json={"messages": [USER], "modalities": ["text", "audio"], **fault}))
    assert message in error["message"]
    assert (error["param"] or "").startswith(param)
    assert fake.thinker.requests == []


SPEECH_FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"input": None}, "input: Field required", "input"),
    ({"input": ""}, "input must not be blank", "input"),
    ({"input": " \n"}, "input must not be blank", "input"),
    ({"input": "x" * 4097}, "input", "input"),
    ({"input": 3}, "input", "input"),
    ({"instructions": "x" * 4097}, "at most 4096", "instructions"),
    ({"voice": "nobody"}, "not one of default, Chelsie", "voice"),
    ({"voice": 3}, "voice", "voice"),
    ({"response_format": "ogg"}, "'ogg' is not one of wav", "response_format"),
    ({"speed": 5}, "speed", "speed"),
    ({"stream_format": "tape"}, "stream_format", "stream_format"),
    ({"max_new_tokens": 0}, "max_new_tokens", "max_new_tokens"),
    ({"inputs": "hi"}, "did you mean 'input'", "inputs"),
    ({"stage_sampling": {"thinker": {"temperature": 1}}}, "no thinker takes part", "stage_sampling.thinker"),
    ({"stage_params": {"code2wav": {"chunk_frames": []}}}, "at least 1 item", "stage_params.code2wav.chunk_frames"),
    ({"stage_params": {"code2wav": {"chunk_frames": [2, 0]}}}, "greater", "stage_params.code2wav.chunk_frames"),
    ({"stage_params": {"code2wav": {"chunk_frames": [65]}}}, "less", "stage_params.code2wav.chunk_frames"),
    ({"stage_params": {"code2wav": {"chunk_frames": [1] * 65}}}, "at most 64", "stage_params.code2wav.chunk_frames"),
    ({"stage_params": {"code2wav": {"voice": "x"}}}, "voice", "stage_params.code2wav.voice"),
]


@pytest.mark.parametrize(("fault", "message", "param"), SPEECH_FAULTS, ids=str)
def test_speech(client: TestClient, fake: Fake, fault: dict[str, Any], message: str, param: str) -> None:
    error = refused(client.post(SPEECH, json={"input": "hi", **fault}))
    assert message in error["message"]
    assert (error["param"] or "").startswith(param)
    assert fake.pipeline.spoken == []


@pytest.mark.parametrize("path", [CHAT, SPEECH])
def test_another_model(client: TestClient, path: str) -> None:
    error = refused(
        client.post(
            path, json={"model": "tts-1", "input": "hi"} if path == SPEECH else {"model": "tts-1", "messages": [USER]}
        ),
        404,
    )
    assert (error["code"], error["param"]) == ("model_not_found", "model")


def test_unknown_paths_and_methods(client: TestClient) -> None:
    refused(client.get("/v1/nothing"), 404)
    refused(client.get(CHAT), 405)
