"""What the talker's ear costs the thinker: the time to the first token of answers that are spoken, of answers in text
from the same server, and of answers from a server that was started with --text-only.

A server that speaks keeps a row of every prompt token for its talker, and of a request that speaks it gathers what the
talker needs. All get prompts of the same words, new ones each time, and take turns, so that what else the machine does
meets all of them.
"""

import argparse
import json
import random
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from sglang_omni.benchmark import machine
from sglang_omni.benchmark.progress import shown
from sglang_omni.benchmark.server import serve

WARM_UP = 3
TOKENS = 8
"""Of an answer: the first of them may be no text by itself."""
WORDS = (
    *("the", "house", "sea", "tells", "story", "of", "ship", "wind", "and", "light"),
    *("over", "water", "where", "people", "walk", "with", "their", "friends"),
)
SPOKEN = {"modalities": ["text", "audio"], "audio": {"format": "pcm16"}}


@dataclass(frozen=True)
class Way:
    """To ask a server. Two ways to one server have the words in another `order`, or a prompt would be cached."""

    url: str
    fields: dict[str, Any] = field(default_factory=dict)
    order: int = 0


def question(words: int, seed: int, order: int = 0) -> dict[str, Any]:
    chosen = random.Random(seed).choices(WORDS, k=words)
    random.Random(order).shuffle(chosen)
    message = {"role": "user", "content": " ".join(chosen)}
    return {"messages": [message], "max_tokens": TOKENS, "min_tokens": TOKENS, "temperature": 0, "stream": True}


def ask(client: httpx.Client, body: dict[str, Any]) -> tuple[float, int]:
    """Seconds to the first token, and tokens of the prompt. It returns when the whole answer has come."""
    first, tokens = 0.0, 0
    begun = time.perf_counter()
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if not first and any(choice["delta"].get("content") for choice in event["choices"]):
                first = time.perf_counter() - begun
            tokens = (event.get("usage") or {}).get("prompt_tokens", tokens)
    if not first:
        raise RuntimeError("an answer without text")
    return first, tokens


def measure(ways: Sequence[Way], words: int, pairs: int) -> tuple[list[list[float]], int]:
    """Seconds to every first token, of each way; they change who goes first. And tokens of a prompt."""
    clients = [httpx.Client(base_url=way.url, timeout=600) for way in ways]
    names = [client.get("/v1/models").json()["data"][0]["id"] for client in clients]
    times: list[list[float]] = [[] for _ in ways]
    tokens = 0
    for number in shown(range(WARM_UP + pairs), "prompts"):
        order = range(len(ways)) if number % 2 else reversed(range(len(ways)))
        for which in order:
            way = ways[which]
            body = question(words, number, way.order) | {"model": names[which]} | way.fields
            seconds, tokens = ask(clients[which], body)
            if number >= WARM_UP:
                times[which].append(seconds)
    return times, tokens


def added(times: Sequence[float], base: Sequence[float]) -> str:
    ratios = [ours / theirs - 1 for ours, theirs in zip(times, base, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return f"{median(ratios):+.1%} (median of pairs; half of them from {low:+.1%} to {high:+.1%})"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench tap", description=__doc__)
    parser.add_argument("--model-path", help="a checkpoint (default: the demo model)")
    parser.add_argument("--words", type=int, default=1500, help="of a prompt (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=40, help="prompts for each way (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    from sglang_omni.models.qwen3_omni.demo import cached_demo_model

    model = ["--model-path", options.model_path or str(cached_demo_model())]
    with serve(model) as speaking, serve([*model, "--text-only"]) as silent:
        ways = Way(speaking.url, SPOKEN), Way(speaking.url, order=1), Way(silent.url)
        (spoken, text, base), tokens = measure(ways, options.words, options.pairs)
    facts = {
        **machine.facts(shlex.join(["sgl-omni", "bench", "tap", *arguments])),
        "prompts": f"{options.pairs} of {tokens} tokens, none of them cached",
        "first token of a spoken answer": f"{median(spoken) * 1e3:.1f} ms (median)",
        "of an answer in text": f"{median(text) * 1e3:.1f} ms",
        "with --text-only": f"{median(base) * 1e3:.1f} ms",
        "a spoken answer adds": added(spoken, base),
        "the tap alone adds": added(text, base),
    }
    told = machine.table(facts)
    print(told)
    if options.output:
        options.output.write_text(f"# The talker's ear\n\n{told}\n")
    return 0
