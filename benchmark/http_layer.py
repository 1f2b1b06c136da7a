"""CPU time of the HTTP layer: what a streamed chunk costs, and what a request costs until the thinker gets it."""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import socket
import sys
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from sglang_omni.benchmark.progress import shown

CHUNK_LIMIT_MS = 0.5
CHECK_LIMIT_MS = 5.0
FRAME_SECONDS = 0.08
FORMATS = "wav", "flac", "opus", "aac", "mp3"
WORD = " streaming"

CHATS, SPEECHES = "/v1/chat/completions", "/v1/audio/speech"
HELLO = [{"role": "user", "content": "Hello!"}]
SENTENCE = "Who lives in the white house beside the river, and which season do they like best? "
TURNS = [{"role": role, "content": SENTENCE * 3} for _ in range(20) for role in ("user", "assistant")]
CHAT: dict[str, Any] = {"model": "qwen3-omni", "messages": HELLO}
ALOUD: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"format": "pcm16"}}
SPEECH: dict[str, Any] = {"model": "qwen3-omni", "input": "Hello."}


def hum(frames: int) -> bytes:
    """Something for an encoder to work on: a few harmonics and some noise, 24 kHz, 16 bits."""
    time = np.arange(int(frames * FRAME_SECONDS * 24_000)) / 24_000
    harmonics = sum(np.sin(2 * np.pi * 160 * n * time) / n for n in range(1, 8))
    noise = np.random.default_rng(0).normal(size=len(time))
    return (4000 * harmonics + 400 * noise).astype("<i2").tobytes()


@dataclass
class Server:
    """The app with stages that cost next to nothing, behind uvicorn in this process; the client is in another."""

    fake: Any
    client: asyncio.subprocess.Process

    def answer_with(self, words: int, chunks: int, frames: int) -> None:
        """What every answer from now on is: so many text tokens, and so many chunks of sound of `frames` frames."""
        self.fake.thinker.words = [WORD] * words
        self.fake.pipeline.sound = [hum(frames)] * chunks

    async def cpu_ms(self, path: str, body: Any, times: int, status: int = 200) -> float:
        """CPU time of this process while the client asks `times` times."""
        assert self.client.stdin is not None
        assert self.client.stdout is not None
        line = json.dumps({"path": path, "body": body, "times": times, "status": status})
        started = time.process_time()
        self.client.stdin.write(line.encode() + b"\n")
        received = await self.client.stdout.readline()
        spent = time.process_time() - started
        assert int(received) > 0
        return 1000 * spent


@asynccontextmanager
async def serve() -> AsyncIterator[Server]:
    import uvicorn
    from transformers import AutoTokenizer
    from transformers.utils import logging

    from sglang_omni.models.qwen3_omni.demo import cached_demo_model
    from sglang_omni.pipeline import Speech
    from sglang_omni.sidecar.messages import Finish
    from tests.entrypoints.fakes import FakePipeline, make

    class PacedPipeline(FakePipeline):
        """Chunks come one by one, each waking the event loop, as they do from a stage."""

        @contextlib.contextmanager
        def listen(self, request_id: str, goes_on: bool = False) -> Iterator[Speech]:
            speech = Speech()
            feeding = asyncio.create_task(self._feed(request_id, speech))
            yield speech
            feeding.cancel()

        async def _feed(self, request_id: str, speech: Speech) -> None:
            for pcm in self.sound:
                speech.put(pcm)
                await asyncio.sleep(0)
            speech.put(Finish(request_id, "stop", {"talker": len(self.sound)}))

    logging.set_verbosity_error()
    fake = make(AutoTokenizer.from_pretrained(cached_demo_model()), pipeline=PacedPipeline())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = str(listening.getsockname()[1])
        server = uvicorn.Server(uvicorn.Config(fake.app, log_level="warning", timeout_keep_alive=600))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        pipe = asyncio.subprocess.PIPE
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sglang_omni.benchmark.http_client", port, stdin=pipe, stdout=pipe
        )
        try:
            yield Server(fake, client)
        finally:
            client.terminate()
            await client.wait()
            server.should_exit = True
            await serving


async def slope(few: int, many: int, repeats: int, spend: Callable[[int], Awaitable[float]]) -> float:
    """What one more costs, of whatever `spend` is given a number of; all that does not grow with it cancels out."""
    costs = []
    for _ in range(repeats):
        base = await spend(few)
        costs.append((await spend(many) - base) / (many - few))
    return median(costs)


def in_a_stream(
    server: Server, path: str, body: dict[str, Any], many: int, repeats: int, frames: int = 0
) -> Awaitable[float]:
    """CPU milliseconds of one more chunk of a streamed answer: of `frames` frames of sound, or of text."""

    async def spend(count: int) -> float:
        server.answer_with(words=1 if frames else count, chunks=count if frames else 0, frames=frames)
        return await server.cpu_ms(path, {**body, "stream": True}, 1)

    return slope(1, many, repeats, spend)


async def measure_chunks(server: Server, many: int, repeats: int) -> dict[str, float]:
    """CPU milliseconds of a chunk, by name."""
    costs = {"chat: text": await in_a_stream(server, CHATS, CHAT, many, repeats)}
    for frames in (2, 16):  # the first chunks of an answer, and the last
        size = f"{frames * FRAME_SECONDS:.2f} s of sound"
        bodies = {
            f"chat: {size}": (CHATS, {**CHAT, **ALOUD}),
            f"speech, pcm: {size}": (SPEECHES, {**SPEECH, "response_format": "pcm"}),
            f"speech, events: {size}": (SPEECHES, {**SPEECH, "response_format": "pcm", "stream_format": "sse"}),
        }
        for name, (path, body) in shown(bodies.items(), f"chunks of {frames} frames"):
            costs[name] = await in_a_stream(server, path, body, many, repeats, frames)
    return costs


async def measure_encoders(server: Server, many: int, repeats: int) -> dict[str, float]:
    """CPU milliseconds of a second of streamed sound, by format."""
    costs = {}
    for format in shown(FORMATS, "encoders"):
        body = {**SPEECH, "response_format": format}
        chunk = await in_a_stream(server, SPEECHES, body, many, repeats, frames=16)
        costs[f"speech, {format}"] = chunk / (16 * FRAME_SECONDS)
    return costs


async def measure_requests(server: Server, times: int, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """CPU milliseconds of a request, by name: refused by the last of all checks, and answered with one word."""

    async def whole(body: Any, status: int = 200, path: str = CHATS) -> float:
        return await slope(1, times, repeats, lambda count: server.cpu_ms(path, body, count, status))

    server.answer_with(words=1, chunks=1, frames=2)
    fields = {"temperature": 0.5, "top_p": 0.9, "seed": 1, "stop": ["x"], "stage_sampling": {"talker": {"seed": 2}}}
    requests = {
        "chat": CHAT,
        "chat, spoken, with many fields": {**CHAT, **ALOUD, **fields},
        "chat, 40 turns of 250 bytes": {**CHAT, "messages": TURNS},
    }
    wrong = {**ALOUD, "n": 2}
    refused = {name: await whole({**body, **wrong}, 400) for name, body in shown(requests.items(), "refused")}
    answered = {name: await whole(body) for name, body in shown(requests.items(), "answered")}
    long = {**SPEECH, "input": (SENTENCE * 60)[:4000]}
    answered["speech, 4,000 characters"] = await whole(long, path=SPEECHES)
    return refused, answered


def show(title: str, costs: dict[str, float]) -> None:
    print(title)
    for name, cost in costs.items():
        print(f"  {name:<34}{cost:6.3f}")


async def measure(options: argparse.Namespace) -> bool:
    async with serve() as server:
        await measure_requests(server, 3, 1)  # warm up
        gc.collect()
        gc.freeze()  # as SGLang does once it is ready
        chunks = await measure_chunks(server, options.chunks, options.repeats)
        encoders = await measure_encoders(server, 1 + options.chunks // 20, options.repeats)
        refused, answered = await measure_requests(server, options.requests, options.repeats)
    show("CPU milliseconds of a streamed chunk", chunks)
    show("CPU milliseconds of a second of sound, its encoder included", encoders)
    show("CPU milliseconds of a request that the last check refuses", refused)
    show("CPU milliseconds of a request with an answer of one word", answered)
    chunk, check = max(chunks.values()), max(refused.values())
    print(f"most: {chunk:.2f} ms a chunk (limit {CHUNK_LIMIT_MS}), {check:.2f} ms a check (limit {CHECK_LIMIT_MS})")
    return chunk < CHUNK_LIMIT_MS and check < CHECK_LIMIT_MS


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench http-layer", description=__doc__)
    parser.add_argument("--chunks", type=int, default=400, help="of a streamed answer (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=200, help="one after the other (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="median of so many (default: %(default)s)")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    import uvloop  # SGLang's server runs on it

    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    return 0 if uvloop.run(measure(options)) else 1
