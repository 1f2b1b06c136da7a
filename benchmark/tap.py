"""What the talker's ear costs the thinker: prompts read by a server that speaks, and by one started with --text-only.

The speaking one keeps a row of every prompt token for its talker. Both get the same prompts, new ones each time, and
answer with one token; they take turns, so that what else the machine does meets both.
"""

import argparse
import random
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

import httpx

from sglang_omni.benchmark import machine
from sglang_omni.benchmark.server import serve

WARM_UP = 3
WORDS = (
    *("the", "house", "sea", "tells", "story", "of", "ship", "wind", "and", "light"),
    *("over", "water", "where", "people", "walk", "with", "their", "friends"),
)


def question(words: int, seed: int) -> dict:
    chosen = random.Random(seed).choices(WORDS, k=words)
    message = {"role": "user", "content": " ".join(chosen)}
    return {"messages": [message], "max_tokens": 1, "temperature": 0}


def ask(client: httpx.Client, body: dict) -> tuple[float, int]:
    """Seconds, and tokens of the prompt."""
    begun = time.perf_counter()
    response = client.post("/v1/chat/completions", json=body)
    seconds = time.perf_counter() - begun
    response.raise_for_status()
    return seconds, response.json()["usage"]["prompt_tokens"]


def measure(urls: Sequence[str], words: int, pairs: int) -> tuple[list[list[float]], int]:
    """Seconds of every prompt at each of the servers, which change who goes first; and tokens of a prompt."""
    clients = [httpx.Client(base_url=url, timeout=600) for url in urls]
    names = [client.get("/v1/models").json()["data"][0]["id"] for client in clients]
    times: list[list[float]] = [[] for _ in clients]
    tokens = 0
    for number in range(WARM_UP + pairs):
        order = range(len(clients)) if number % 2 else reversed(range(len(clients)))
        for which in order:
            body = question(words, number) | {"model": names[which]}
            seconds, tokens = ask(clients[which], body)
            if number >= WARM_UP:
                times[which].append(seconds)
    return times, tokens


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench tap", description=__doc__)
    parser.add_argument("--model-path", help="a checkpoint (default: the demo model)")
    parser.add_argument("--words", type=int, default=1500, help="of a prompt (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=40, help="prompts for each server (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    from sglang_omni.models.qwen3_omni.demo import cached_demo_model

    model = ["--model-path", options.model_path or str(cached_demo_model())]
    with serve(model) as speaking, serve([*model, "--text-only"]) as silent:
        (speaks, is_silent), tokens = measure([speaking.url, silent.url], options.words, options.pairs)
    ratios = [ours / theirs - 1 for ours, theirs in zip(speaks, is_silent, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    facts = {
        **machine.facts(shlex.join(["sgl-omni", "bench", "tap", *arguments])),
        "prompts": f"{options.pairs} of {tokens} tokens, none of them cached",
        "read by the speaking server": f"{median(speaks) * 1e3:.1f} ms (median)",
        "read with --text-only": f"{median(is_silent) * 1e3:.1f} ms",
        "the tap adds": f"{median(ratios):+.1%} (median of pairs; half of them from {low:+.1%} to {high:+.1%})",
    }
    told = machine.table(facts)
    print(told)
    if options.output:
        options.output.write_text(f"# The talker's ear\n\n{told}\n")
    return 0
