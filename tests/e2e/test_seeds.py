"""Same seed, same text and same sound, to the bit: alone or among others, streamed or whole."""

import asyncio
import base64
from typing import Any

import openai

from tests.e2e.questions import QUESTIONS
from tests.e2e.server import Server

SEEDS = range(6)


def request(seed: int) -> dict[str, Any]:
    return {
        "model": "qwen3-omni",
        "messages": QUESTIONS["hello" if seed % 2 else "photograph"].messages(),
        "max_tokens": 24,
        "seed": seed,
        "temperature": 1.0,
        "logprobs": True,
        "modalities": ["text", "audio"],
        "audio": {"voice": "ethan", "format": "pcm16"},
    }


async def say(client: openai.AsyncOpenAI, seed: int) -> tuple[str, list[float], bytes]:
    choice = (await client.chat.completions.create(**request(seed))).choices[0]
    logprobs = [token.logprob for token in choice.logprobs.content]
    return choice.message.content, logprobs, base64.b64decode(choice.message.audio.data)


async def stream(client: openai.AsyncOpenAI, seed: int) -> tuple[str, list[float], bytes]:
    text, logprobs, pcm = "", [], b""
    async for chunk in await client.chat.completions.create(**request(seed), stream=True):
        choice = chunk.choices[0]
        text += choice.delta.content or ""
        logprobs += [token.logprob for token in choice.logprobs.content] if choice.logprobs else []
        pcm += base64.b64decode((getattr(choice.delta, "audio", None) or {}).get("data", ""))
    return text, logprobs, pcm


async def speak(client: openai.AsyncOpenAI, seed: int) -> bytes:
    words = "One two three. " * (1 + seed)
    answer = await client.audio.speech.create(
        model="qwen3-omni", voice="ethan", input=words, response_format="pcm", extra_body={"seed": seed}
    )
    return answer.content


def test_a_seed_decides_all(server: Server):
    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            alone = [await say(client, seed) for seed in SEEDS]
            spoken = [await speak(client, seed) for seed in SEEDS]
            everybody = [act(client, seed) for seed in SEEDS for act in (say, stream, speak)]
            company: list[Any] = await asyncio.gather(*everybody)
        assert len({text for text, _, _ in alone}) == len(alone), "all seeds say the same: nothing is drawn"
        assert company[0::3] == alone
        assert company[1::3] == alone
        assert company[2::3] == spoken

    asyncio.run(ask())
    server.wait_until_free()
