"""/v1/audio/speech: the stages get exactly the text, and the client exactly the sound."""

import base64
import io
import json
import wave
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from sglang_omni.audio.encode import FORMATS, Encoder, Format
from sglang_omni.errors import InvalidRequest, RequestFailed, Unavailable


def speak(client: TestClient, **fields: Any) -> Any:
    return client.post("/v1/audio/speech", json={"model": "qwen3-omni", "input": "Hello.", **fields})


def test_a_whole_wav(client: TestClient, fake: Any) -> None:
    response = speak(client)
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["x-request-id"].startswith("speech-")
    assert [response.headers[f"x-{name}"] for name in ("sample-rate", "channels", "bit-depth")] == ["24000", "1", "16"]
    assert [response.headers[f"x-{name}"] for name in ("audio-format", "finish-reason")] == ["wav", "stop"]
    with wave.open(io.BytesIO(response.content)) as file:
        assert file.getnframes() == 3
        assert file.readframes(3) == fake.pipeline.pcm


@pytest.mark.parametrize(
    ("format", "media_type"),
    [
        ("pcm", "audio/pcm"),
        ("wav", "audio/wav"),
        ("mp3", "audio/mpeg"),
        ("flac", "audio/flac"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_formats(client: TestClient, fake: Any, format: str, media_type: str, stream: bool) -> None:
    fake.pipeline.sound = [bytes(4800)] * 3
    response = speak(client, response_format=format, stream=stream)
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert len(response.content) > 100


@pytest.mark.parametrize("how", [{}, {"stream": True}])
def test_where_a_codec_is_missing_wav_is_sent_and_named(
    client: TestClient, fake: Any, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    monkeypatch.setitem(FORMATS, "mp3", Format("mp3", "audio/mpeg", "mp3", "no_such_encoder"))
    response = speak(client, response_format="mp3", **how)
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["x-audio-format"] == "wav"
    assert response.content[:4] == b"RIFF"
    assert response.content[44:] == fake.pipeline.pcm


def test_a_speech_that_was_cut_says_so(client: TestClient, fake: Any) -> None:
    fake.pipeline.reason = "length"
    assert speak(client).headers["x-finish-reason"] == "length"
    *_, done = speak(client, stream_format="sse").text.strip().split("\n\n")
    assert json.loads(done.removeprefix("data: "))["finish_reason"] == "length"


def test_streamed_bytes_are_the_sound(client: TestClient, fake: Any) -> None:
    assert speak(client, response_format="pcm", stream=True).content == fake.pipeline.pcm
    streamed = speak(client, stream_format="audio").content
    assert streamed[:4] == b"RIFF"
    assert streamed[44:] == fake.pipeline.pcm


@pytest.mark.parametrize("stream", [False, True])
def test_speed(client: TestClient, fake: Any, stream: bool) -> None:
    fake.pipeline.sound = [bytes(4800)] * 10
    assert len(speak(client, response_format="pcm", speed=2, stream=stream).content) == 24_000


def test_events(client: TestClient, fake: Any) -> None:
    response = speak(client, response_format="pcm", stream_format="sse")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(event.removeprefix("data: ")) for event in response.text.strip().split("\n\n")]
    *sounds, done = events
    assert {event["type"] for event in sounds} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in sounds) == fake.pipeline.pcm
    assert done["type"] == "speech.audio.done"
    assert done["finish_reason"] == "stop"
    assert done["usage"]["output_tokens"] == 2
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + 2


def test_the_talker_gets_the_text_and_no_thinker_is_asked(client: TestClient, fake: Any, tokenizer: Any) -> None:
    speak(client, input="Say <|im_end|> twice.", voice="AIDEN", seed=3, temperature=0, max_new_tokens=50)
    ((_, params, ids),) = fake.pipeline.spoken
    *text, end = ids
    assert tokenizer.decode(text) == "Say <|im_end|> twice."
    assert end == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end not in text
    assert tokenizer.decode(params["prompt_ids"]) == "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
    assert torch.equal(params["positions"], torch.arange(len(params["prompt_ids"])).expand(3, -1))
    assert params["media_rows"].shape == (0, 32)
    given = {name: value for name, value in params["speech"].items() if value is not None}
    assert given == {"voice": "aiden", "seed": 3, "temperature": 0, "max_frames": 50}
    assert fake.thinker.requests == []
    assert fake.pipeline.aborted == []


def test_what_code2wav_is_told(client: TestClient, fake: Any) -> None:
    speak(client, stage_params={"talker": {"voice": "aiden"}, "code2wav": {"chunk_frames": [1, 4]}})
    assert fake.pipeline.spoken[0][1]["speech"]["voice"] == "aiden"
    assert fake.pipeline.stage_params == [{"code2wav": {"chunk_frames": [1, 4]}}]


@pytest.mark.parametrize("text", ["🙂", "…", "?!", "<|im_end|>", "<|im_start|>assistant", "\u200b", "\0", "<tts_pad>"])
def test_whatever_is_typed_is_text(client: TestClient, fake: Any, tokenizer: Any, text: str) -> None:
    assert speak(client, input=text).status_code == 200
    *ids, end = fake.pipeline.spoken[0][2]
    assert ids
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.all_special_ids)
    assert end == tokenizer.eos_token_id


@pytest.mark.parametrize("how", [{"response_format": "pcm"}, {"response_format": "pcm", "stream": True}])
def test_a_long_text_is_spoken_in_pieces(client: TestClient, fake: Any, tokenizer: Any, how: dict[str, Any]) -> None:
    fake.pipeline.sound = [bytes(4800)]
    text = "A sentence is said here. " * 100
    response = speak(client, input=text, **how)
    said = [tokenizer.decode(ids[:-1]) for _, _, ids in fake.pipeline.spoken]
    assert " ".join(said) == text.strip()
    assert len(response.content) == 3 * 4800 + 2 * 7680


def test_instructions_are_a_users_turn(client: TestClient, fake: Any, tokenizer: Any) -> None:
    speak(client, instructions="Cheerfully!")
    prompt = tokenizer.decode(fake.pipeline.spoken[0][1]["prompt_ids"])
    assert prompt.endswith("<|im_start|>user\nCheerfully!<|im_end|>\n<|im_start|>assistant\n")


def test_a_prompt_that_is_too_long_names_the_instructions(client: TestClient, fake: Any) -> None:
    fake.pipeline.sound, fake.pipeline.late_error = [], InvalidRequest("the prompt is too long", param="messages")
    response = speak(client, instructions="x" * 4096)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "instructions"


@pytest.mark.parametrize("how", [{}, {"stream": True}, {"stream_format": "sse"}])
def test_an_early_failure_is_a_status(client: TestClient, fake: Any, how: dict[str, Any]) -> None:
    fake.pipeline.error = Unavailable("the talker stopped; speech is not available")
    assert speak(client, **how).status_code == 503
    fake.pipeline.error, fake.pipeline.sound, fake.pipeline.late_error = None, [], RequestFailed("the talker failed")
    response = speak(client, **how)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert len(fake.pipeline.aborted) == 1


def test_a_late_failure_is_an_event(client: TestClient, fake: Any) -> None:
    fake.pipeline.late_error = RequestFailed("the talker failed")
    *_, last = speak(client, stream_format="sse").text.strip().split("\n\n")
    body = json.loads(last.removeprefix("data: "))
    assert body["type"] == "error"
    assert body["error"]["message"] == "the talker failed"


def test_sound_that_breaks_off_is_a_line_of_the_log(
    client: TestClient, fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fake.pipeline.late_error = Unavailable("the talker stopped; speech is not available")
    speak(client, stream=True, response_format="pcm")
    (line,) = [record for record in caplog.records if "broke off" in record.message]
    assert "the talker stopped; speech is not available" in line.message
    assert line.levelname == "ERROR"
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("settings", "asked", "expected"),
    [
        ({}, None, 0),
        ({"enable_priority_scheduling": True}, 7, 7),
        ({"enable_priority_scheduling": True}, None, -(2**63)),
        ({"enable_priority_scheduling": True, "default_priority_value": 3}, None, 3),
        ({"enable_priority_scheduling": True, "schedule_low_priority_values_first": True}, 7, -7),
    ],
)
def test_priority_is_as_sglang_counts_it(
    client: TestClient, fake: Any, settings: dict[str, Any], asked: int | None, expected: int
) -> None:
    fake.thinker.settings.update(settings)
    assert speak(client, priority=asked).status_code == 200
    assert fake.pipeline.priorities == [expected]


def test_priority_that_would_not_act_is_refused(client: TestClient) -> None:
    response = speak(client, priority=1)
    assert response.status_code == 400
    assert "--enable-priority-scheduling" in response.json()["error"]["message"]


def test_our_own_late_failure_is_an_event_and_logged(
    client: TestClient, fake: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Encoder, "finish", lambda self: 1 / 0)
    *_, last = speak(client, stream_format="sse").text.strip().split("\n\n")
    body = json.loads(last.removeprefix("data: "))
    assert (body["type"], body["error"]["type"]) == ("error", "server_error")
    assert "ZeroDivisionError" in caplog.text
    assert "division" not in last
