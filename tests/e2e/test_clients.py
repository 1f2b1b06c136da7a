"""Clients that people have, pointed at the server by its base URL: the official SDK, LangChain, a browser."""

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pydantic
import pytest
import soundfile
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI

from tests.e2e.questions import COUNTING, QUESTIONS
from tests.e2e.server import Server

MODEL = "qwen3-omni"
HELLO = QUESTIONS["hello"].messages()
SPOKEN: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "chelsie", "format": "wav"}}
STREAMED: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "chelsie", "format": "pcm16"}}

SAID: dict[str, Any] = {"model": MODEL, "voice": "chelsie", "input": "Hello.", "extra_body": {"temperature": 0}}


class Thing(pydantic.BaseModel):
    colour: Literal["red", "green"]
    count: Literal[1, 2, 3]


def is_wav(data: str | bytes) -> bool:
    file = io.BytesIO(base64.b64decode(data) if isinstance(data, str) else data)
    return soundfile.info(file).samplerate == 24_000


class TestChat:
    """openai.OpenAI"""

    @pytest.fixture
    def complete(self, client: openai.OpenAI) -> Callable[..., Any]:
        def complete(**options: Any) -> Any:
            options = {"model": MODEL, "messages": HELLO, "max_tokens": 8, "temperature": 0, **options}
            return client.chat.completions.create(**options)

        return complete

    def test_streamed_text_is_whole_text(self, complete: Callable[..., Any]):
        deltas = [chunk.choices[0].delta.content or "" for chunk in complete(stream=True)]
        assert "".join(deltas) == complete().choices[0].message.content
        assert len(deltas) > 4

    @pytest.mark.parametrize("format", ["pcm16", "wav"])
    def test_the_streaming_helper_puts_text_and_sound_together(self, client: openai.OpenAI, format: str):
        """It joins strings, so the parts' base64 must join too."""
        spoken = {**STREAMED, "audio": {"voice": "chelsie", "format": format}}
        stop = " pic"  # the helper takes an answer that was cut by its length for a failure
        kinds, sound = [], b""
        with client.chat.completions.stream(
            model=MODEL, messages=HELLO, max_tokens=64, temperature=0, stop=stop, **spoken
        ) as events:
            for event in events:
                kinds.append(event.type)
                if event.type == "chunk":
                    audio = getattr(event.chunk.choices[0].delta, "audio", None) or {}
                    sound += base64.b64decode(audio.get("data", ""))
            whole = events.get_final_completion()
        assert kinds.count("content.delta") > 2
        assert kinds[-1] == "content.done"
        message = whole.choices[0].message
        assert (message.role, whole.choices[0].finish_reason) == ("assistant", "stop")
        assert message.content
        assert base64.b64decode(message.audio.data) == sound
        assert message.audio.id.startswith("audio")
        assert whole.usage.completion_tokens_details.audio_tokens > 2

    def test_a_parsed_answer(self, client: openai.OpenAI):
        options: dict[str, Any] = {"model": MODEL, "messages": HELLO, "max_tokens": 128, "temperature": 0}
        whole = client.chat.completions.parse(response_format=Thing, **options).choices[0].message.parsed
        with client.chat.completions.stream(response_format=Thing, **options) as events:
            streamed = events.get_final_completion().choices[0].message.parsed
        assert isinstance(whole, Thing)
        assert whole == streamed

    def test_a_parsed_tool_call(self, client: openai.OpenAI):
        options: dict[str, Any] = {"tools": [openai.pydantic_function_tool(Thing)], "tool_choice": "required"}
        with client.chat.completions.stream(
            model=MODEL, messages=HELLO, max_tokens=256, temperature=0, **options
        ) as events:
            kinds = {event.type for event in events}
            (call,) = events.get_final_completion().choices[0].message.tool_calls
        assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} < kinds
        assert isinstance(call.function.parsed_arguments, Thing)

    @pytest.mark.parametrize("form", ["message", "id", "id of a stream"])
    def test_a_spoken_answer_becomes_history(self, complete: Callable[..., Any], form: str):
        """As the SDK's message, or by the id of its sound, it is what it says."""
        answer = complete(**SPOKEN)
        message = answer.choices[0].message
        assert is_wav(message.audio.data)
        turn: Any = message
        if form == "id":
            turn = {"role": "assistant", "audio": {"id": message.audio.id}}
        elif form == "id of a stream":
            audio = [
                getattr(chunk.choices[0].delta, "audio", None) or {} for chunk in complete(**STREAMED, stream=True)
            ]
            (id,) = [part["id"] for part in audio if "id" in part]
            turn = {"role": "assistant", "audio": {"id": id}}
        following = {"role": "user", "content": "And then?"}
        remembered = complete(messages=[*HELLO, turn, following])
        written = complete(messages=[*HELLO, {"role": "assistant", "content": message.content}, following])
        assert remembered.usage.prompt_tokens == written.usage.prompt_tokens > answer.usage.prompt_tokens + 8
        assert remembered.choices[0].message.content == written.choices[0].message.content

    def test_an_unknown_spoken_answer(self, complete: Callable[..., Any]):
        turn = {"role": "assistant", "audio": {"id": "audio_of_another_server"}}
        with pytest.raises(openai.BadRequestError, match="audio_of_another_server") as caught:
            complete(messages=[*HELLO, turn, *HELLO])
        assert caught.value.param == "messages[1].audio.id"

    def test_raw_responses_and_headers(self, client: openai.OpenAI):
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=2)
        assert raw.headers["content-type"] == "application/json"
        answer = raw.parse()
        assert answer.choices[0].message.content
        assert answer._request_id == raw.headers["x-request-id"] == answer.id
        with client.chat.completions.with_streaming_response.create(
            model=MODEL, messages=HELLO, max_tokens=2, stream=True
        ) as streamed:
            assert streamed.headers["content-type"].startswith("text/event-stream")
            *_, last = [line for line in streamed.iter_lines() if line]
        assert last == "data: [DONE]"


class TestSpeech:
    def test_whole_and_streamed_to_a_file(self, client: openai.OpenAI, tmp_path: Path):
        whole = client.audio.speech.create(**SAID, response_format="wav")
        assert is_wav(whole.content)
        whole.write_to_file(tmp_path / "whole.wav")
        assert (tmp_path / "whole.wav").read_bytes() == whole.content
        with client.audio.speech.with_streaming_response.create(**SAID, response_format="pcm") as response:
            response.stream_to_file(tmp_path / "speech.pcm")
        assert whole.content[44:] == (tmp_path / "speech.pcm").read_bytes()

    def test_headers(self, client: openai.OpenAI):
        raw = client.audio.speech.with_raw_response.create(**SAID, response_format="pcm")
        assert raw.headers["content-type"] == "audio/pcm"
        shape = [raw.headers[f"x-{name}"] for name in ("sample-rate", "channels", "bit-depth")]
        assert shape == ["24000", "1", "16"]
        assert len(raw.content) % 2 == 0

    def test_events(self, client: openai.OpenAI):
        with client.audio.speech.with_streaming_response.create(
            **SAID, response_format="pcm", stream_format="sse"
        ) as response:
            events = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
        *deltas, done = events
        sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
        assert sound == client.audio.speech.create(**SAID, response_format="pcm").content
        assert done["usage"]["output_tokens"] > 2


class TestModels:
    def test_list_and_retrieve(self, client: openai.OpenAI):
        (model,) = client.models.list().data
        assert client.models.retrieve(model.id) == model


class TestAsync:
    """openai.AsyncOpenAI"""

    @pytest.fixture
    def run(self, server: Server) -> Callable[[Callable[[openai.AsyncOpenAI], Awaitable[Any]]], Any]:
        async def within(work: Callable[[openai.AsyncOpenAI], Awaitable[Any]]) -> Any:
            async with openai.AsyncOpenAI(
                base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120
            ) as client:
                return await work(client)

        return lambda work: asyncio.run(within(work))

    def test_chats_side_by_side(self, run: Callable[..., Any], client: openai.OpenAI):
        async def work(client: openai.AsyncOpenAI) -> list[str]:
            async def chat(text: str) -> str:
                messages = [{"role": "user", "content": text}]
                stream = await client.chat.completions.create(
                    model=MODEL, messages=messages, max_tokens=8, temperature=0, stream=True
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*map(chat, ("Hello!", "Goodbye!", "Hello!")))

        first, other, again = run(work)
        assert first == again != other

    def test_the_streaming_helper(self, run: Callable[..., Any]):
        async def work(client: openai.AsyncOpenAI) -> Any:
            async with client.chat.completions.stream(
                model=MODEL, messages=HELLO, max_tokens=64, temperature=0, stop=" pic", **STREAMED
            ) as events:
                return await events.get_final_completion()

        message = run(work).choices[0].message
        assert message.content
        assert len(base64.b64decode(message.audio.data)) > 10_000

    def test_speech(self, run: Callable[..., Any], client: openai.OpenAI):
        async def work(client: openai.AsyncOpenAI) -> list[bytes]:
            said = {**SAID, "extra_body": {"temperature": 0, "stream": True}}
            async with client.audio.speech.with_streaming_response.create(**said, response_format="pcm") as response:
                return [piece async for piece in response.iter_bytes()]

        pieces = run(work)
        assert len(pieces) > 1
        assert b"".join(pieces) == client.audio.speech.create(**SAID, response_format="pcm").content

    def test_transcriptions_and_models(self, run: Callable[..., Any]):
        async def work(client: openai.AsyncOpenAI) -> tuple[str, str, str]:
            asked: dict[str, Any] = {"model": MODEL, "file": COUNTING, "extra_body": {"max_completion_tokens": 16}}
            whole = await client.audio.transcriptions.create(**asked)
            events = await client.audio.transcriptions.create(**asked, stream=True)
            deltas = [event.delta async for event in events if event.type == "transcript.text.delta"]
            (model,) = [model.id async for model in client.models.list()]
            return whole.text, "".join(deltas), model

        whole, streamed, model = run(work)
        assert whole == streamed
        assert model == MODEL


class TestErrors:
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_bad_request(self, client: openai.OpenAI, stream: bool):
        with pytest.raises(openai.BadRequestError, match="smell") as caught:
            client.chat.completions.create(model=MODEL, messages=HELLO, modalities=["smell"], stream=stream)
        assert (caught.value.param, caught.value.type) == ("modalities", "invalid_request_error")
        assert caught.value.request_id

    def test_a_request_is_called_as_its_client_calls_it(self, client: openai.OpenAI):
        named = client.with_options(default_headers={"X-Request-Id": "mine"})
        answer = named.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2)
        assert answer._request_id.startswith("mine-")
        with pytest.raises(openai.BadRequestError) as caught:
            named.audio.speech.create(model=MODEL, voice="chelsie", input=" ")
        assert caught.value.request_id.startswith("mine-")

    def test_another_model(self, client: openai.OpenAI):
        for ask in (
            lambda: client.chat.completions.create(model="gpt-9", messages=HELLO),
            lambda: client.audio.speech.create(model="gpt-9", voice="chelsie", input="Hello."),
            lambda: client.audio.transcriptions.create(model="gpt-9", file=COUNTING),
            lambda: client.models.retrieve("gpt-9"),
        ):
            with pytest.raises(openai.NotFoundError, match="gpt-9") as caught:
                ask()
            assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


class TestLangChain:
    @pytest.fixture
    def model(self, server: Server) -> Callable[..., ChatOpenAI]:
        def model(max_tokens: int = 8, **options: Any) -> ChatOpenAI:
            return ChatOpenAI(
                base_url=f"{server.url}/v1",
                api_key="none",
                model=MODEL,
                max_retries=0,
                timeout=120,
                temperature=0,
                max_tokens=max_tokens,
                **options,
            )

        return model

    def test_every_way_to_ask(self, model: Callable[..., ChatOpenAI], client: openai.OpenAI):
        answer = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=8, temperature=0)
        words, chat = answer.choices[0].message.content, model()
        assert chat.invoke("Hello!").content == words
        assert asyncio.run(model().ainvoke("Hello!")).content == words
        assert [message.content for message in chat.batch(["Hello!", "Hello!"])] == [words, words]
        *_, counted = chunks = list(model(stream_usage=True).stream("Hello!"))
        assert "".join(chunk.content for chunk in chunks) == words
        usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
        assert [count["output_tokens"] for count in usage] == [8], counted

    @pytest.mark.parametrize("kind", ["input_audio", "audio"])
    def test_sound_in_and_out(self, model: Callable[..., ChatOpenAI], kind: str):
        data = base64.b64encode(COUNTING.read_bytes()).decode()
        part: dict[str, Any] = {"type": "audio", "base64": data, "mime_type": "audio/wav"}
        if kind == "input_audio":
            part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
        question = HumanMessage([{"type": "text", "text": "What is being said?"}, part])
        answer = model(model_kwargs=SPOKEN).invoke([question])
        audio = answer.additional_kwargs["audio"]
        assert is_wav(audio["data"])
        assert audio["transcript"] == answer.content
        assert answer.usage_metadata["input_token_details"]["audio"] > 30
        assert answer.usage_metadata["output_token_details"]["audio"] > 2
        assert model().invoke([question, answer, HumanMessage("And then?")]).content

    def test_a_spoken_answer_streamed(self, model: Callable[..., ChatOpenAI]):
        """LangChain passes on the text alone."""
        chunks = list(model(model_kwargs=STREAMED).stream("Hello!"))
        assert "".join(chunk.content for chunk in chunks) == model().invoke("Hello!").content

    @pytest.mark.parametrize("method", ["json_schema", "function_calling"])
    def test_structured_output(self, model: Callable[..., ChatOpenAI], method: Any):
        structured = model(256).with_structured_output(Thing, method=method, strict=True)
        assert isinstance(structured.invoke("Hello!"), Thing)

    def test_tools(self, model: Callable[..., ChatOpenAI]):
        answer = model(256).bind_tools([Thing], tool_choice="Thing", strict=True).invoke("Hello!")
        assert isinstance(answer, AIMessage)
        (call,) = answer.tool_calls
        assert Thing(**call["args"])

    def test_errors(self, model: Callable[..., ChatOpenAI]):
        with pytest.raises(openai.BadRequestError, match="bob"):
            model(model_kwargs={**SPOKEN, "audio": {"voice": "bob", "format": "wav"}}).invoke("Hello!")


ORIGIN = {"Origin": "https://example.com"}


class TestBrowser:
    """A page of another site gets no answer: nothing allows its origin."""

    def test_a_preflight_is_refused(self, server: Server):
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        answer = httpx.options(f"{server.url}/v1/chat/completions", headers={**ORIGIN, **asks})
        assert answer.status_code == 405
        assert not any(name.startswith("access-control") for name in answer.headers)

    @pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/nothing"])
    def test_no_answer_may_be_read(self, server: Server, path: str):
        answer = httpx.get(f"{server.url}{path}", headers=ORIGIN)
        assert not any(name.startswith("access-control") for name in answer.headers)
