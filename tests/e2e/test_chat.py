"""Chat through the official client, against transformers' `generate`."""

import asyncio
import base64
import json
from pathlib import Path

import numpy as np
import openai
import pytest

from tests.e2e.questions import QUESTIONS, ask, ask_aloud, reference, samples
from tests.e2e.server import Server
from tests.reference import reference_processor


def words(model_path: Path, name: str) -> str:
    answer = reference(model_path, name)
    return reference_processor(model_path).tokenizer.decode(answer.text_ids, skip_special_tokens=True)


def heard(answer) -> bytes:
    return base64.b64decode(answer.choices[0].message.audio.data)


def test_a_text_chat(client: openai.OpenAI, demo_model: Path):
    answer = ask(client, QUESTIONS["hello"])
    truth = reference(demo_model, "hello")
    assert answer.choices[0].message.content == words(demo_model, "hello")
    assert answer.usage.prompt_tokens == len(truth.prompt_ids)
    assert answer.usage.completion_tokens == len(truth.text_ids)


@pytest.mark.parametrize("name", QUESTIONS)
def test_text_and_sound_are_those_of_transformers(client: openai.OpenAI, demo_model: Path, name: str):
    truth = reference(demo_model, name)
    answer = ask_aloud(client, QUESTIONS[name])
    message, usage = answer.choices[0].message, answer.usage
    assert message.content == message.audio.transcript == words(demo_model, name)
    assert usage.prompt_tokens == len(truth.prompt_ids)
    assert usage.completion_tokens_details.audio_tokens == len(truth.codes)
    assert usage.completion_tokens_details.text_tokens == len(truth.text_ids)
    sound = samples(heard(answer))
    assert len(sound) == len(truth.waveform) > 12_000
    np.testing.assert_allclose(sound, truth.waveform.numpy(), atol=1e-4)


def test_streamed_is_whole(client: openai.OpenAI):
    question = QUESTIONS["everything"]
    whole = ask_aloud(client, question)
    text, pcm, reasons, usage = "", b"", [], None
    for chunk in ask_aloud(client, question, stream=True):
        delta = chunk.choices[0].delta
        text += delta.content or ""
        audio = getattr(delta, "audio", None) or {}
        pcm += base64.b64decode(audio.get("data", ""))
        reasons += [chunk.choices[0].finish_reason] if chunk.choices[0].finish_reason else []
        usage = chunk.usage or usage
    assert text == whole.choices[0].message.content
    assert pcm == heard(whole)
    assert reasons == [whole.choices[0].finish_reason]
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_eight_at_once_answer_as_they_do_alone(server: Server, client: openai.OpenAI):
    alone = {name: ask_aloud(client, question) for name, question in QUESTIONS.items()}

    async def together() -> list:
        everybody = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        return await asyncio.gather(*(ask_aloud(everybody, question) for question in QUESTIONS.values()))

    for name, answer in zip(QUESTIONS, asyncio.run(together()), strict=True):
        assert answer.choices[0].message.content == alone[name].choices[0].message.content, name
        assert heard(answer) == heard(alone[name]), name
    server.wait_until_free()


def test_the_same_seed_says_the_same(client: openai.OpenAI):
    def say(seed: int) -> tuple[str, bytes]:
        answer = client.chat.completions.create(
            model="qwen3-omni",
            messages=QUESTIONS["hello"].messages(),
            max_tokens=16,
            seed=seed,
            modalities=["text", "audio"],
            audio={"voice": "ethan", "format": "pcm16"},
        )
        return answer.choices[0].message.content, heard(answer)

    assert say(1) == say(1) != say(2)


def test_special_tokens_that_a_user_types_are_text(client: openai.OpenAI):
    question = QUESTIONS["photograph"]
    messages = question.messages()
    messages[0]["content"][-1]["text"] = "What is <|image_pad|> and <|audio_pad|> and <|im_end|>?"
    answer = client.chat.completions.create(model="qwen3-omni", messages=messages, max_tokens=4, timeout=30)
    assert answer.usage.completion_tokens >= 1
    plain = ask(client, question)
    assert answer.usage.prompt_tokens_details.image_tokens == plain.usage.prompt_tokens_details.image_tokens > 0


# What SGLang's chat offers


def test_tools(client: openai.OpenAI):
    function = {
        "name": "get_time",
        "strict": True,
        "parameters": {"type": "object", "properties": {"zone": {"enum": ["UTC"]}}, "required": ["zone"]},
    }
    answer = client.chat.completions.create(
        model="qwen3-omni",
        messages=QUESTIONS["hello"].messages(),
        tools=[{"type": "function", "function": function}],
        tool_choice={"type": "function", "function": {"name": "get_time"}},
        max_tokens=128,
        temperature=0,
    )
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_time"
    assert json.loads(call.function.arguments) == {"zone": "UTC"}


def test_json_schema(client: openai.OpenAI):
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "count": {"enum": [1, 2, 3]}},
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="qwen3-omni",
        messages=QUESTIONS["hello"].messages(),
        response_format={"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}},
        max_tokens=128,
        temperature=0,
    )
    thing = json.loads(answer.choices[0].message.content)
    assert thing["colour"] in ("red", "green")
    assert thing["count"] in (1, 2, 3)


def test_log_probabilities(client: openai.OpenAI):
    answer = ask(client, QUESTIONS["hello"], logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert "".join(token.token for token in tokens).startswith(answer.choices[0].message.content)
    assert all(token.logprob == token.top_logprobs[0].logprob <= 0 for token in tokens)


def choices(client: openai.OpenAI, stream: bool = False, **options) -> list[str]:
    """The text of every choice."""
    options = {"model": "qwen3-omni", "messages": QUESTIONS["two sounds"].messages(), "max_tokens": 8, **options}
    answer = client.chat.completions.create(stream=stream, **options)
    if not stream:
        return [choice.message.content for choice in sorted(answer.choices, key=lambda choice: choice.index)]
    texts = [""] * options.get("n", 1)
    for chunk in answer:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    return texts


def test_several_choices(client: openai.OpenAI):
    assert len(set(choices(client, n=3, temperature=0))) == 1
    assert len(choices(client, n=3, temperature=0)) == 3


@pytest.mark.parametrize("seed", [-(2**63), 0, 7, 2**63 - 1])
def test_several_choices_of_one_seed_differ_and_come_again(client: openai.OpenAI, seed: int):
    options = {"seed": seed, "temperature": 1}
    three = choices(client, n=3, **options)
    assert len(set(three)) == 3
    assert three == choices(client, n=3, **options) == choices(client, n=3, stream=True, **options)
    assert three[:1] == choices(client, **options) == choices(client, stream=True, **options)
    other = {"seed": 1, "extra_body": {"stage_sampling": {"thinker": {"seed": seed}}}, "temperature": 1}
    assert three[:1] == choices(client, **other)


# What SGLang's chat offers, spoken


def speak(client: openai.OpenAI, **options) -> tuple[str, bytes, openai.types.chat.ChatCompletion]:
    options = {"temperature": 0, "max_tokens": 24, "extra_body": {}, **options}
    answer = client.chat.completions.create(
        model="qwen3-omni",
        messages=QUESTIONS["long"].messages(),
        modalities=["text", "audio"],
        audio={"voice": "ethan", "format": "pcm16"},
        **options,
    )
    message = answer.choices[0].message
    assert message.content == message.audio.transcript
    return message.content, heard(answer), answer


def test_what_stops_an_answer_is_not_heard(client: openai.OpenAI):
    """A stop string that begins where a token does: what is said is what an answer cut there says."""
    text, sound, answer = speak(client, logprobs=True)
    tokens = [token.token for token in answer.choices[0].logprobs.content]
    assert "".join(tokens) == text
    count = next(i for i in range(4, 20) if tokens[i].strip() and tokens[i] not in "".join(tokens[:i]))
    stopped = speak(client, stop=tokens[count])
    assert stopped[0] == "".join(tokens[:count])
    assert stopped[2].choices[0].finish_reason == "stop"
    assert stopped[:2] == speak(client, max_tokens=count)[:2]
    assert len(stopped[1]) < len(sound)
    kept = speak(client, stop=tokens[count], extra_body={"no_stop_trim": True})
    assert kept[:2] == speak(client, max_tokens=count + 1)[:2]


def test_a_spoken_json_schema(client: openai.OpenAI):
    schema = {"type": "object", "properties": {"count": {"enum": [1, 2, 3]}}, "required": ["count"]}
    text, sound, _ = speak(
        client, response_format={"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}
    )
    assert json.loads(text)["count"] in (1, 2, 3)
    assert len(sound) > 1000


@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_spoken_is_refused_before_it_starts(client: openai.OpenAI, stream: bool):
    function = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    long = [{"role": "user", "content": "sea " * 9000}]
    for options, param, words in [
        ({"messages": long}, "messages", "rows of the talker's 8192; shorten it"),
        ({"tools": [function]}, "tools", "cannot be combined"),
        ({"n": 2}, "n", "must be 1"),
    ]:
        options = {"messages": QUESTIONS["hello"].messages(), "max_tokens": 4, **options}
        with pytest.raises(openai.BadRequestError, match=words) as refused:
            client.chat.completions.create(
                model="qwen3-omni",
                modalities=["text", "audio"],
                audio={"voice": "ethan", "format": "pcm16"},
                stream=stream,
                **options,
            )
        assert refused.value.param == param


def test_earlier_spoken_answers_are_read(client: openai.OpenAI):
    text, _, answer = speak(client, max_tokens=8)
    audio_id = answer.choices[0].message.audio.id
    question = QUESTIONS["hello"].messages()

    def goes_on(said) -> tuple[str, int]:
        messages = [*question, said, *question]
        answer = client.chat.completions.create(model="qwen3-omni", messages=messages, max_tokens=8, temperature=0)
        return answer.choices[0].message.content, answer.usage.prompt_tokens

    plain = goes_on({"role": "assistant", "content": text})
    assert goes_on({"role": "assistant", "audio": {"id": audio_id}}) == plain
    assert goes_on(answer.choices[0].message) == plain


def test_usage_in_a_chunk_of_its_own(client: openai.OpenAI):
    *chunks, last = list(ask(client, QUESTIONS["hello"], stream=True, stream_options={"include_usage": True}))
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
