"""Chat answers, whole and streamed, with and without sound, through the app with a fake thinker and fake stages."""

import base64
import io
import json
import wave
from http import HTTPStatus
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sglang_omni.audio.encode import FORMATS, Format
from sglang_omni.errors import MediaError, RequestFailed, Unavailable
from tests.entrypoints.fakes import Fake, make

HELLO = {"model": "qwen3-omni", "messages": [{"role": "user", "content": "Hello!"}]}
SPOKEN = {**HELLO, "modalities": ["text", "audio"]}


def post(client: TestClient, body: dict[str, Any], **fields: Any) -> Any:
    return client.post("/v1/chat/completions", json={**body, **fields})


def stream(client: TestClient, body: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a streamed answer; checks what all streams have in common."""
    response = post(client, body, stream=True, **fields)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    said = [chunk for chunk in chunks if "error" not in chunk]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in said}) <= 1
    return chunks


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def joined(chunks: list[dict[str, Any]], *path: str) -> str:
    found = []
    for delta in deltas(chunks):
        value: Any = delta
        for name in path:
            value = (value or {}).get(name)
        found.append(value or "")
    return "".join(found)


def sound(chunks: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(delta["audio"].get("data", "")) for delta in deltas(chunks) if "audio" in delta)


def finishes(chunks: list[dict[str, Any]]) -> list[str]:
    return [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]]


class TestText:
    def test_whole(self, client: TestClient, fake: Fake) -> None:
        answer = post(client, HELLO).json()
        assert answer["object"] == "chat.completion"
        assert answer["model"] == "qwen3-omni"
        assert answer["choices"][0]["message"]["content"] == "Hello there."
        assert "audio" not in answer["choices"][0]["message"]
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"] == {
            "prompt_tokens": 20,
            "completion_tokens": 3,
            "total_tokens": 23,
            "prompt_tokens_details": {
                "cached_tokens": 4,
                "text_tokens": 15,
                "audio_tokens": 0,
                "image_tokens": 5,
                "video_tokens": 0,
            },
            "completion_tokens_details": {"reasoning_tokens": 0, "text_tokens": 3, "audio_tokens": 0},
        }
        assert (fake.thinker.requests[0].sampling_params["custom_params"] or {}).get("omni") is None

    def test_streamed(self, client: TestClient) -> None:
        chunks = stream(client, HELLO)
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert joined(chunks, "content") == "Hello there."
        assert finishes(chunks) == ["stop"]
        assert [bool(chunk.get("usage")) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert chunks[-1]["usage"] == post(client, HELLO).json()["usage"]

    def test_include_usage_has_a_chunk_of_its_own(self, client: TestClient) -> None:
        chunks = stream(client, HELLO, stream_options={"include_usage": True})
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["total_tokens"] == 23
        assert not any(chunk.get("usage") for chunk in chunks[:-1])
        assert finishes(chunks[:-1]) == ["stop"]

    @pytest.mark.parametrize("n", [1, 2])
    @pytest.mark.parametrize("body", [HELLO, SPOKEN], ids=["text", "spoken"])
    def test_the_usage_so_far_adds_up(self, client: TestClient, fake: Fake, body: dict[str, Any], n: int) -> None:
        if body is SPOKEN and n > 1:
            return
        chunks = stream(client, body, n=n, stream_options={"include_usage": True, "continuous_usage_stats": True})
        used = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
        assert len(used) == 3 * n + 1
        for usage in used:
            completion, prompt = usage["completion_tokens_details"], usage["prompt_tokens_details"]
            assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
            assert usage["completion_tokens"] == sum(completion.values())
            assert usage["prompt_tokens"] == sum(prompt.values()) - prompt["cached_tokens"]
            assert (prompt["image_tokens"], prompt["cached_tokens"]) == (5, 4)
        counts = [usage["completion_tokens"] for usage in used]
        assert counts == sorted(counts)
        assert counts[-1] == 3 * n + (2 if body is SPOKEN else 0)

    def test_several_choices(self, client: TestClient, fake: Fake) -> None:
        fake.thinker.own_ids = True
        answer = post(client, HELLO, n=3).json()
        assert [c["index"] for c in answer["choices"]] == [0, 1, 2]
        chunks = stream(client, HELLO, n=3)
        assert finishes(chunks) == ["stop"] * 3
        assert [answer["id"], chunks[0]["id"]] == [request.rid for request in fake.thinker.requests]

    def test_null_means_left_out(self, client: TestClient) -> None:
        nothing = dict.fromkeys(
            ["temperature", "max_tokens", "audio", "images", "stop", "seed", "n", "modalities", "tools"]
        )
        assert post(client, HELLO, **nothing).status_code == 200

    def test_sampling_comes_from_the_checkpoint_and_the_request(self, client: TestClient, fake: Fake) -> None:
        post(client, HELLO, top_p=0, stage_sampling={"thinker": {"temperature": 0.2, "max_tokens": 9, "stop": ["x"]}})
        params = fake.thinker.requests[0].sampling_params
        assert (params["temperature"], params["max_new_tokens"], params["stop"]) == (0.2, 9, ["x"])
        assert (params["top_p"], params["top_k"]) == (1.0, 1)
        post(client, HELLO)
        assert fake.thinker.requests[1].sampling_params["temperature"] == 0.7

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_stop_pattern_is_told_as_it_was_sent(self, client: TestClient, fake: Fake, streamed: bool) -> None:
        """SGLang looks for the pattern's letters in the text, and would cut a whole answer there."""
        fake.thinker.finish = {"type": "stop", "matched": "e.(?:)"}
        if streamed:
            *_, last = stream(client, HELLO, stop_regex="e.")
            choice = last["choices"][0]
        else:
            choice = post(client, HELLO, stop_regex="e.").json()["choices"][0]
        assert choice["matched_stop"] == "e."
        assert fake.thinker.requests[0].sampling_params["stop_regex"] == ["e.(?:)"]

    def test_typed_special_tokens_stay_text(self, client: TestClient, fake: Fake, tokenizer: Any) -> None:
        post(client, {"messages": [{"role": "user", "content": "<|im_end|><|image_pad|>"}]})
        ids = fake.thinker.requests[0].input_ids
        assert fake.thinker.requests[0].text is None
        assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1
        assert tokenizer.convert_tokens_to_ids("<|image_pad|>") not in ids
        assert "<|im_end|><|image_pad|>" in tokenizer.decode(ids)

    def test_a_request_id_never_begins_another(self, client: TestClient, fake: Fake) -> None:
        for fields in ({"request_id": "a"}, {"rid": "a"}, {"request_id": "ab"}, {"rid": "ab"}):
            post(client, HELLO, **fields)
        ids = [request.rid for request in fake.thinker.requests]
        assert ids[0].startswith("a-")
        assert ids[1].startswith("a-")
        assert not any(other.startswith(id) for id in ids for other in ids if other is not id)


class TestMedia:
    def test_media_stand_in_the_last_user_message_before_its_text(
        self, client: TestClient, fake: Fake, tokenizer: Any
    ) -> None:
        messages = [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "second"},
        ]
        answer = post(client, {"messages": messages}, images=["/a.png", "/b.png"], audios=["/c.wav"], videos=["/d.mp4"])
        assert answer.status_code == 200
        request = fake.thinker.requests[0]
        assert [image.url for image in request.image_data] == ["/a.png", "/b.png"]
        assert request.audio_data == ["/c.wav"]
        assert request.video_data == ["/d.mp4"]
        prompt = tokenizer.decode(request.input_ids)
        last = prompt[prompt.rindex("<|im_start|>user") :]
        assert last.count("<|image_pad|>") == 2
        assert last.index("<|video_pad|>") < last.index("second")
        assert "pad|>" not in prompt[: prompt.rindex("<|im_start|>user")]

    def test_content_parts(self, client: TestClient, fake: Fake) -> None:
        content = [
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,xx"}},
            {"type": "text", "text": "what?"},
        ]
        body = {"messages": [{"role": "user", "content": content}]}
        post(client, body, use_audio_in_video=True, video_fps=1, video_max_frames=9)
        request = fake.thinker.requests[0]
        assert request.audio_data == ["data:audio/wav;base64,UklGRg=="]
        assert request.mm_processor_kwargs == {"use_audio_in_video": True, "fps": 1, "max_frames": 9}

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_bad_medium_is_a_400(self, client: TestClient, fake: Fake, streamed: bool) -> None:
        fake.thinker.error = MediaError("images[0]: no such file", param="images[0]")
        response = post(client, HELLO, images=["/none.png"], stream=streamed)
        assert response.status_code == 400
        assert response.json()["error"] == {
            "message": "images[0]: no such file",
            "type": "invalid_request_error",
            "param": "images[0]",
            "code": None,
        }


class TestSpoken:
    def test_whole(self, client: TestClient, fake: Fake) -> None:
        answer = post(client, SPOKEN).json()
        message = answer["choices"][0]["message"]
        assert set(message["audio"]) == {"id", "data", "expires_at", "transcript"}
        assert message["audio"]["transcript"] == message["content"] == "Hello there."
        with wave.open(io.BytesIO(base64.b64decode(message["audio"]["data"]))) as file:
            assert file.readframes(9) == fake.pipeline.pcm
        assert answer["usage"]["completion_tokens"] == 5
        assert answer["usage"]["total_tokens"] == 25
        assert answer["usage"]["completion_tokens_details"]["audio_tokens"] == 2
        assert fake.pipeline.aborted == []

    @pytest.mark.parametrize("format", ["wav", "mp3", "flac", "opus", "aac", "pcm16"])
    def test_formats(self, client: TestClient, fake: Fake, format: str) -> None:
        fake.pipeline.sound = [bytes(4800)]
        data = post(client, SPOKEN, audio={"format": format}).json()["choices"][0]["message"]["audio"]["data"]
        assert len(base64.b64decode(data)) > 40

    def test_a_format_that_the_machine_cannot_encode(
        self, client: TestClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(FORMATS, "mp3", Format("mp3", "audio/mpeg", "mp3", "no_such_encoder"))
        error = post(client, SPOKEN, audio={"format": "mp3"}).json()["error"]
        assert (error["message"], error["param"]) == ("this machine cannot encode mp3; ask for wav", "audio.format")
        assert fake.thinker.requests == []

    @pytest.mark.parametrize("format", ["pcm16", "wav"])
    def test_streamed_equals_whole(self, client: TestClient, fake: Fake, format: str) -> None:
        chunks = stream(client, SPOKEN, audio={"format": format})
        heard = sound(chunks)
        assert heard[44 if format == "wav" else 0 :] == fake.pipeline.pcm
        assert (heard[:4] == b"RIFF") == (format == "wav")
        assert base64.b64decode(joined(chunks, "audio", "data")) == heard, "clients join the strings"
        assert joined(chunks, "content") == "Hello there."
        assert not joined(chunks, "audio", "transcript")

    def test_the_end_comes_after_text_and_sound(self, client: TestClient) -> None:
        chunks = stream(client, SPOKEN)
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert finishes(chunks) == ["stop"]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert chunks[-1]["usage"]["completion_tokens_details"]["audio_tokens"] == 2
        assert [("usage" in chunk) for chunk in chunks].count(True) == 1
        audio = [delta["audio"] for delta in deltas(chunks) if "audio" in delta]
        assert ["id" in part for part in audio] == [True] + [False] * (len(audio) - 1)
        assert "expires_at" in audio[-1]

    def test_sound_alone_has_its_text_as_transcript(self, client: TestClient, fake: Fake) -> None:
        chunks = stream(client, SPOKEN, modalities=["audio"])
        assert joined(chunks, "audio", "transcript") == "Hello there."
        assert joined(chunks, "content") == ""
        assert sound(chunks) == fake.pipeline.pcm

    @pytest.mark.parametrize("streamed", [False, True])
    def test_the_longest_speech_says_length(self, client: TestClient, fake: Fake, streamed: bool) -> None:
        fake.pipeline.reason = "length"
        if streamed:
            assert finishes(stream(client, SPOKEN)) == ["length"]
        else:
            assert post(client, SPOKEN).json()["choices"][0]["finish_reason"] == "length"

    def test_what_the_talker_is_told(self, client: TestClient, fake: Fake) -> None:
        post(
            client,
            SPOKEN,
            audio={"voice": "CHELSIE"},
            seed=7,
            talker_top_k=5,
            talker_temperature=0.5,
            stage_sampling={"talker": {"temperature": 0.3, "max_tokens": 99}, "code_predictor": {"top_p": 0.4}},
            stage_params={"code2wav": {"chunk_frames": [1, 4]}},
        )
        custom = fake.thinker.requests[0].sampling_params["custom_params"]
        assert json.loads(custom["omni_stages"]) == {"code2wav": {"chunk_frames": [1, 4]}}
        assert custom["omni"] == {
            "voice": "Chelsie",
            "seed": 7,
            "temperature": 0.3,
            "top_k": 5,
            "top_p": None,
            "repetition_penalty": None,
            "max_frames": 99,
            "code_predictor_temperature": None,
            "code_predictor_top_k": None,
            "code_predictor_top_p": 0.4,
        }

    @pytest.mark.parametrize(
        ("fields", "temperature"),
        [({}, None), ({"temperature": 0}, 0.0), ({"temperature": 0, "talker_temperature": 0.8}, 0.8)],
    )
    def test_temperature_0_is_for_the_talker_too(
        self, client: TestClient, fake: Fake, fields: dict[str, Any], temperature: float | None
    ) -> None:
        post(client, SPOKEN, **fields)
        assert fake.thinker.requests[0].sampling_params["custom_params"]["omni"]["temperature"] == temperature

    def test_what_the_thinker_alone_is_told_the_talker_is_not(self, client: TestClient, fake: Fake) -> None:
        post(client, SPOKEN, seed=1, stage_sampling={"thinker": {"seed": 2, "temperature": 0}})
        params = fake.thinker.requests[0].sampling_params
        assert (params["sampling_seed"], params["temperature"]) == (2, 0)
        assert (params["custom_params"]["omni"]["seed"], params["custom_params"]["omni"]["temperature"]) == (1, None)

    def test_reasoning_that_is_kept_apart_cannot_be_spoken(self, client: TestClient, fake: Fake) -> None:
        serving = client.app.state.openai_serving_chat  # type: ignore[attr-defined]
        serving.reasoning_parser = "qwen3"
        for streamed in (False, True):
            response = post(client, SPOKEN, stream=streamed)
            assert response.status_code == 400
            assert response.json()["error"]["param"] == "separate_reasoning"
            assert "--reasoning-parser" in response.json()["error"]["message"]
        assert post(client, SPOKEN, separate_reasoning=False).status_code == 200
        assert post(client, HELLO).status_code == 200

    @pytest.mark.parametrize("voice", ["ethan", "Ethan", "default", {"id": "ethan"}, None])
    def test_voices(self, client: TestClient, fake: Fake, voice: Any) -> None:
        assert post(client, SPOKEN, audio={"voice": voice}).status_code == 200
        assert fake.thinker.requests[0].sampling_params["custom_params"]["omni"]["voice"] == "ethan"


class TestFailures:
    def test_a_stage_that_is_down_is_a_503(self, client: TestClient, fake: Fake) -> None:
        fake.pipeline.error = Unavailable("the talker stopped; speech is not available")
        for streamed in (False, True):
            response = post(client, SPOKEN, stream=streamed)
            assert response.status_code == 503
            assert response.headers["retry-after"]
            assert response.json()["error"]["type"] == "server_error"

    def test_sound_that_fails_late_ends_the_stream_with_an_error(self, client: TestClient, fake: Fake) -> None:
        fake.pipeline.late_error = RequestFailed("the talker failed")
        *_, last = stream(client, SPOKEN)
        assert last["error"]["message"] == "the talker failed"
        assert len(fake.pipeline.aborted) == 1
        assert len(fake.thinker.closed) == 1
        assert post(client, SPOKEN).status_code == 500
        assert len(fake.pipeline.aborted) == 2

    @pytest.mark.parametrize("body", [HELLO, SPOKEN])
    def test_text_that_fails_late_ends_the_stream_with_an_error(
        self, client: TestClient, fake: Fake, body: dict[str, Any]
    ) -> None:
        for error, message in ((ValueError("too long"), "too long"), (RuntimeError("/secret/path"), "log says why")):
            fake.thinker.late_error, fake.pipeline.forever = error, True
            *_, last = stream(client, body)
            assert message in last["error"]["message"]
            assert set(last["error"]) == {"message", "type", "param", "code"}
        assert len(fake.pipeline.aborted) == (2 if body is SPOKEN else 0)

    def test_what_the_thinker_refuses_is_a_400_in_openais_body(self, client: TestClient, fake: Fake) -> None:
        fake.thinker.error = ValueError("The input is longer than the model's context length")
        fake.pipeline.forever = True
        for streamed in (False, True):
            for body in (HELLO, SPOKEN):
                response = post(client, body, stream=streamed)
                assert response.status_code == 400
                assert set(response.json()["error"]) == {"message", "type", "param", "code"}
                assert "context length" in response.json()["error"]["message"]
        assert len(fake.pipeline.aborted) == 2

    @pytest.mark.parametrize("body", [HELLO, SPOKEN])
    @pytest.mark.parametrize("status", [HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE])
    def test_what_the_scheduler_refuses_has_its_status(
        self, client: TestClient, fake: Fake, body: dict[str, Any], status: HTTPStatus
    ) -> None:
        fake.thinker.words = [""]
        fake.thinker.finish = {"type": "abort", "status_code": status, "message": "no such grammar"}
        fake.pipeline.forever = True
        response = post(client, body, stream=True)
        assert response.status_code == status
        assert response.json()["error"]["message"] == "no such grammar"
        assert len(fake.pipeline.aborted) == (1 if body is SPOKEN else 0)

    def test_nobody_waits_for_the_sound_of_an_aborted_answer(self, client: TestClient, fake: Fake) -> None:
        fake.thinker.finish = {"type": "abort", "message": "Aborted"}
        fake.pipeline.forever = True
        assert post(client, SPOKEN).status_code == 499
        *_, last, done = post(client, SPOKEN, stream=True).text.split("\n\n")[:-1]
        assert json.loads(last.removeprefix("data: "))["error"]["message"] == "the request was aborted"
        assert done == "data: [DONE]"
        assert len(fake.pipeline.aborted) == 2

    def test_our_own_faults_tell_nothing(self, client: TestClient, fake: Fake) -> None:
        fake.thinker.error = RuntimeError("at /secret/path")
        response = post(client, HELLO)
        assert response.status_code == 500
        assert response.json()["error"]["type"] == "server_error"
        assert "secret" not in response.text

    def test_text_only(self, tokenizer: Any) -> None:
        with TestClient(make(tokenizer, text_only=True).app) as client:
            assert post(client, HELLO).status_code == 200
            response = post(client, SPOKEN)
        assert response.status_code == 400
        assert "--text-only" in response.json()["error"]["message"]
