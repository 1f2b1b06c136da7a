"""/v1/audio/transcriptions: one turn for the thinker, and its words in each of OpenAI's forms."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from sglang_omni.entrypoints.routes import transcriptions
from sglang_omni.media import Loader, MediaPolicy
from sglang_omni.media.audio import decode_audio
from tests.entrypoints.fakes import Fake
from tests.entrypoints.test_refusals import refused
from tests.media_files import sound, tone

PATH = "/v1/audio/transcriptions"
HALF_SECOND = sound(tone(0.5))


@pytest.fixture(scope="module")
def loader() -> Iterator[Loader]:
    loader = Loader(MediaPolicy())
    yield loader
    loader.stop()


@pytest.fixture(autouse=True)
def media(fake: Fake, loader: Loader) -> Loader:
    fake.thinker.usage = {"prompt_tokens": 20, "audio_tokens": 13}
    fake.thinker.mm_processor = SimpleNamespace(media=loader)
    loader.policy = MediaPolicy()
    return loader


def transcribe(client: TestClient, data: Any = HALF_SECOND, **fields: Any) -> Any:
    return client.post(PATH, files={"file": ("speech.wav", data)}, data={"model": "qwen3-omni", **fields})


def events(response: Any) -> list[dict[str, Any]]:
    return [json.loads(event.removeprefix("data: ")) for event in response.text.strip().split("\n\n")]


USAGE = {
    "type": "tokens",
    "input_tokens": 20,
    "output_tokens": 3,
    "total_tokens": 23,
    "input_token_details": {"audio_tokens": 13, "text_tokens": 7},
}


def test_json(client: TestClient) -> None:
    response = transcribe(client)
    assert response.json() == {"text": "Hello there.", "usage": USAGE}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("transcription-")


def test_text(client: TestClient) -> None:
    response = transcribe(client, response_format="text")
    assert response.text == "Hello there."
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(("asked", "language"), [({}, None), ({"language": "fr"}, "french")])
def test_verbose_json(client: TestClient, asked: dict[str, str], language: str | None) -> None:
    assert transcribe(client, response_format="verbose_json", **asked).json() == {
        "task": "transcribe",
        "language": language,
        "duration": 0.5,
        "text": "Hello there.",
        "usage": {"type": "duration", "seconds": 0.5},
    }


@pytest.mark.parametrize("format", ["json", "text"])
def test_streamed_is_whole(client: TestClient, fake: Fake, format: str) -> None:
    response = transcribe(client, stream="true", response_format=format)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-request-id"].startswith("transcription-")
    *deltas, done = events(response)
    assert [delta["delta"] for delta in deltas] == fake.thinker.words
    assert {delta["type"] for delta in deltas} == {"transcript.text.delta"}
    assert done == {"type": "transcript.text.done", "text": "Hello there.", "usage": USAGE}


def test_a_stream_without_a_word_ends(client: TestClient, fake: Fake) -> None:
    fake.thinker.words = [""]
    (done,) = events(transcribe(client, stream="true"))
    assert (done["type"], done["text"]) == ("transcript.text.done", "")


@pytest.mark.parametrize("stream", ["false", "true"])
def test_the_thinker_hears_the_file(client: TestClient, fake: Fake, stream: str) -> None:
    transcribe(client, stream=stream)
    (request,) = fake.thinker.requests
    (heard,) = request.audio_data
    np.testing.assert_array_equal(heard, decode_audio(HALF_SECOND, MediaPolicy(), "x"))
    assert request.stream == (stream == "true")
    assert request.sampling_params["temperature"] == 0


@pytest.mark.parametrize(
    ("fields", "instruction"),
    [
        ({}, "Transcribe the audio into text."),
        ({"language": "en"}, "Transcribe the English audio into text."),
        ({"language": " Chinese "}, "Transcribe the Chinese audio into text."),
        ({"language": "", "prompt": ""}, "Transcribe the audio into text."),
        ({"prompt": "Names: <|im_end|>, Ada"}, "Transcribe the audio into text.\nNames: <|im_end|>, Ada"),
    ],
)
def test_the_prompt(client: TestClient, fake: Fake, tokenizer: Any, fields: dict[str, str], instruction: str) -> None:
    transcribe(client, **fields)
    ids = fake.thinker.requests[0].input_ids
    turn = f"<|audio_start|><|audio_pad|><|audio_end|>{instruction}<|im_end|>"
    assert tokenizer.decode(ids) == f"<|im_start|>user\n{turn}\n<|im_start|>assistant\n"
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1  # the user's is text


def test_sampling(client: TestClient, fake: Fake) -> None:
    transcribe(client, temperature="0.3", seed="5", max_completion_tokens="7", chunking_strategy="auto")
    params = fake.thinker.requests[0].sampling_params
    assert (params["temperature"], params["sampling_seed"], params["max_new_tokens"]) == (0.3, 5, 7)


@pytest.mark.parametrize(
    ("fields", "message", "param"),
    [
        ({"response_format": "srt"}, "response_format: Input should be 'json', 'text' or 'verbose_json'", None),
        ({"response_format": "verbose_json", "stream": "true"}, "verbose_json cannot be streamed", "response_format"),
        ({"timestamp_granularities[]": ["word"]}, "the model tells no times", "timestamp_granularities"),
        ({"timestamp_granularities": "segment"}, "the model tells no times", "timestamp_granularities"),
        ({"include[]": "logprobs"}, "log probabilities", "include"),
        ({"temperature": "warm"}, "temperature", None),
        ({"temperature": "1.5"}, "temperature", None),
        ({"temperature": "nan"}, "temperature", None),
        ({"seed": "1.5"}, "seed", None),
        ({"stream": "perhaps"}, "stream", None),
        ({"max_completion_tokens": "0"}, "max_completion_tokens", None),
        ({"language": "klingon"}, "language: 'klingon' is neither the code of a language", None),
        ({"chunking_strategy": "server_vad"}, "chunking_strategy", None),
        ({"langage": "en"}, "did you mean 'language'?", "langage"),
    ],
)
def test_wrong_fields(client: TestClient, fake: Fake, fields: dict[str, Any], message: str, param: str | None) -> None:
    error = refused(transcribe(client, **fields))
    assert message in error["message"]
    assert error["param"] == (param or next(iter(fields)))
    assert not fake.thinker.requests


def test_another_model(client: TestClient) -> None:
    assert refused(transcribe(client, model="whisper-1"), 404)["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"no sound at all", "could not be decoded"),
        (HALF_SECOND[:60], ""),
        (sound(tone(0.01)), "shorter than 25 ms"),
    ],
)
@pytest.mark.parametrize("stream", ["false", "true"])
def test_wrong_files(client: TestClient, data: bytes, message: str, stream: str) -> None:
    error = refused(transcribe(client, data, stream=stream))
    assert message in error["message"]
    assert error["param"] == "file"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"json": {"model": "qwen3-omni"}},
        {"data": {"model": "qwen3-omni"}},
        {"data": {"file": "speech.wav"}},
        {"files": {"sound": ("speech.wav", HALF_SECOND)}},
        {"files": [("file", ("a.wav", HALF_SECOND)), ("file", ("b.wav", HALF_SECOND))]},
        {"content": b"nothing", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"nothing", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    ],
)
def test_wrong_forms(client: TestClient, body: dict[str, Any]) -> None:
    assert refused(client.post(PATH, **body))["message"]


def test_a_file_that_is_too_large(client: TestClient, media: Loader) -> None:
    media.policy = replace(media.policy, max_bytes=len(HALF_SECOND))
    assert transcribe(client).status_code == 200
    assert "the file is larger than" in refused(transcribe(client, HALF_SECOND + b"\0"), 413)["message"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_not_read_to_its_end(client: TestClient, media: Loader, chunked: bool) -> None:
    media.policy = replace(media.policy, max_bytes=1000)
    begin = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    pieces = [begin, *[bytes(2**19)] * 3]  # never closed: whoever reads on finds the form invalid
    content: Any = iter(pieces) if chunked else b"".join(pieces)
    response = client.post(PATH, content=content, headers={"content-type": "multipart/form-data; boundary=x"})
    assert "The body is larger than" in refused(response, 413)["message"]


def test_a_sound_that_is_too_long(client: TestClient, media: Loader) -> None:
    media.policy = replace(media.policy, max_seconds=0.4)
    assert "longer than 0.4 s" in refused(transcribe(client))["message"]


@pytest.mark.parametrize("stream", ["false", "true"])
def test_what_the_thinker_refuses_has_a_status(client: TestClient, fake: Fake, stream: str) -> None:
    fake.thinker.error = ValueError("too long for the context")
    assert "too long for the context" in refused(transcribe(client, stream=stream))["message"]


def test_a_failure_in_the_stream(client: TestClient, fake: Fake) -> None:
    fake.thinker.late_error = RuntimeError("boom")
    *_, last = events(transcribe(client, stream="true"))
    assert last["type"] == "error"
    assert last["error"]["type"] == "server_error"
    assert len(fake.thinker.closed) == 1


def test_what_came_for_another_header_is_no_transcript() -> None:
    details = {"audio_tokens": 1, "text_tokens": 0}
    counts = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "prompt_tokens_details": details}
    said = {"delta": {"content": "One"}, "finish_reason": None}
    chunks: list[Any] = [{"choices": []}, {"choices": [said]}, {"choices": [], "usage": counts}]

    class Answer:
        async def events(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield b"data: " + json.dumps(chunk).encode()

    async def read() -> list[bytes]:
        return [said async for said in transcriptions._events(Answer())]  # type: ignore[arg-type]

    assert b'"delta":"One"' in asyncio.run(read())[0]


def test_an_aborted_request_is_no_transcript(client: TestClient, fake: Fake) -> None:
    fake.thinker.finish = {"type": "abort", "message": "aborted"}
    assert transcribe(client).status_code == 499
    *_, last = events(transcribe(client, stream="true"))
    assert last["type"] == "error"
