"""Far more requests than the server has room for, clients that leave, and clients that do not read."""

import asyncio
import collections
import socket
import threading
import time
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.questions import QUESTIONS, ask_aloud
from tests.e2e.server import Server
from tests.e2e.test_server import SPEAKING, wait_until_thinker_is_free

CHAT, SPEECH = "/v1/chat/completions", "/v1/audio/speech"
BRIEF = {"max_tokens": 8, "talker_max_new_tokens": 8}
ENDLESS = {"max_tokens": 30_000, "min_tokens": 30_000, "ignore_eos": True}
KINDS = (
    (CHAT, {**BRIEF, **SPEAKING}),
    (CHAT, {**BRIEF, **SPEAKING, "stream": True}),
    (CHAT, {"max_tokens": 8}),
    (CHAT, {"max_tokens": 8, "stream": True}),
    (SPEECH, {"max_new_tokens": 8}),
    (SPEECH, {"max_new_tokens": 8, "stream": True, "response_format": "pcm"}),
    (SPEECH, {"max_new_tokens": 8, "stream_format": "sse"}),
)


def body(path: str, fields: dict[str, Any], text: str) -> dict[str, Any]:
    said = {"input": text} if path == SPEECH else {"messages": [{"role": "user", "content": text}]}
    return {"model": "qwen3-omni", **said, **fields}


async def flood(server: Server, number: int) -> list[tuple[int, httpx.Response]]:
    """Kind and answer of `number` requests at once."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:

        async def ask(index: int) -> tuple[int, httpx.Response]:
            kind = index % len(KINDS)
            path, fields = KINDS[kind]
            return kind, await client.post(path, json=body(path, fields, f"This is number {index}."))

        return await asyncio.gather(*map(ask, range(number)))


def test_two_hundred_at_once_are_answered_or_refused(server: Server, client: openai.OpenAI):
    asyncio.run(flood(server, 14))  # what is made once is made
    before = server.memory()
    answers = asyncio.run(flood(server, 200))
    counts = collections.Counter((kind, answer.status_code) for kind, answer in answers)
    assert {status for _, status in counts} <= {200, 429, 503}, counts
    assert all(answer.headers.get("retry-after") for _, answer in answers if answer.status_code != 200)
    assert {kind for kind, status in counts if status == 200} == set(range(len(KINDS)))
    for kind, answer in answers:
        if answer.status_code == 200:
            _, fields = KINDS[kind]
            events = "stream" in fields and fields.get("response_format") != "pcm"
            assert b'"error"' not in answer.content or not events
            assert len(answer.content) > 100
    server.wait_until_free()
    wait_until_thinker_is_free(server)
    assert server.memory() - before < 300 * 2**20
    assert ask_aloud(client, QUESTIONS["hello"]).choices[0].message.audio.data


class Leaver:
    """A client of one request, on a socket of its own."""

    def __init__(self, server: Server, path: str, fields: dict[str, Any], text: str = "Tell me a story. " * 30):
        self._socket = socket.create_connection(("localhost", server.port), timeout=30)
        request = httpx.Request("POST", f"{server.url}{path}", json=body(path, fields, text))
        head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        self._socket.sendall(f"{head}\r\n".encode() + request.read())

    def read(self, length: int) -> bytes:
        data = b""
        while len(data) < length and (more := self._socket.recv(length - len(data))):
            data += more
        return data

    def leave(self) -> None:
        self._socket.close()


WAYS = {
    "whole spoken chat": (CHAT, {**ENDLESS, **SPEAKING}),
    "streamed spoken chat": (CHAT, {**ENDLESS, **SPEAKING, "stream": True}),
    "whole chat": (CHAT, ENDLESS),
    "streamed chat": (CHAT, {**ENDLESS, "stream": True}),
    "two whole choices": (CHAT, {**ENDLESS, "n": 2}),
    "whole speech": (SPEECH, {}),
    "streamed speech": (SPEECH, {"stream": True, "response_format": "pcm"}),
    "speech in events": (SPEECH, {"stream_format": "sse"}),
}


def aborted(server: Server) -> float:
    """How many requests have ended because their clients left."""
    page = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in page if 'requests_total{outcome="aborted"' in line)


def assert_free_at_once(server: Server) -> None:
    time.sleep(0.6)  # stages tell of their slots twice a second
    server.wait_until_free(0.5)
    wait_until_thinker_is_free(server, 0.5)


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.3])
def test_who_leaves_at_once_or_soon_holds_nothing(server: Server, moment: float):
    """All ways at the same time: what they hold is freed, whichever it is."""
    before = aborted(server)
    leavers = [Leaver(server, path, fields) for path, fields in WAYS.values()]
    time.sleep(moment)
    for leaver in leavers:
        leaver.leave()
    assert_free_at_once(server)
    assert aborted(server) == before + len(WAYS)


@pytest.mark.parametrize("way", ["streamed spoken chat", "streamed chat", "streamed speech", "speech in events"])
def test_who_leaves_in_mid_stream_holds_nothing(server: Server, way: str):
    before = aborted(server)
    leaver = Leaver(server, *WAYS[way])
    assert leaver.read(1000).startswith(b"HTTP/1.1 200")
    leaver.leave()
    assert_free_at_once(server)
    assert aborted(server) == before + 1


@pytest.mark.parametrize("when", ["text", "sound"])
def test_an_abort_by_id_ends_every_stage(server: Server, when: str):
    """While the thinker writes, and when it has written all and the talker still speaks."""
    length = ENDLESS if when == "text" else {"max_tokens": 1}
    fields = {**length, "stream": True, "seed": 1, "modalities": ["text", "audio"]}
    asked = body(CHAT, fields, "Hello!") if when == "text" else body(SPEECH, {"stream_format": "sse"}, "A story. " * 60)
    with httpx.stream("POST", f"{server.url}{CHAT if when == 'text' else SPEECH}", json=asked, timeout=30) as answer:
        lines = (line for line in answer.iter_lines() if line)
        next(lines)
        aborted = httpx.post(f"{server.url}/abort_request", json={"rid": answer.headers["x-request-id"]}, timeout=10)
        assert aborted.status_code == 200
        begun = time.monotonic()
        rest = list(lines)
    assert time.monotonic() - begun < 2
    assert "aborted" in next(line for line in rest if "error" in line)
    server.wait_until_free(2)
    wait_until_thinker_is_free(server)


def test_an_abort_by_id_ends_every_choice(server: Server):
    """Each is a request of its own to SGLang, which knows no other id of it."""
    asked = body(CHAT, {**ENDLESS, "n": 2, "stream": True}, "Hello!")
    with httpx.stream("POST", f"{server.url}{CHAT}", json=asked, timeout=30) as answer:
        lines = (line for line in answer.iter_lines() if line)
        next(lines)
        httpx.post(f"{server.url}/abort_request", json={"rid": answer.headers["x-request-id"]}, timeout=10)
        begun = time.monotonic()
        rest = list(lines)
    assert time.monotonic() - begun < 2
    assert sum('"finish_reason":"abort"' in line for line in rest) == 2
    wait_until_thinker_is_free(server)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_pattern_that_backtracks_holds_up_nobody(server: Server, stream: bool):
    asked = body(CHAT, {**ENDLESS, "stop_regex": r"(?:.|.)*\x00", "stream": stream}, "Hello!")
    answer = httpx.post(f"{server.url}{CHAT}", json=asked, timeout=20)
    assert answer.status_code == (200 if stream else 400)
    assert "stop_regex takes too long" in answer.text
    assert httpx.post(f"{server.url}{CHAT}", json=body(CHAT, {"max_tokens": 8}, "Hello!"), timeout=5).is_success
    wait_until_thinker_is_free(server)


def test_who_does_not_read_holds_up_nobody(server: Server):
    """Sixteen clients that read one byte a second, and one that reads all."""
    deaf = [
        Leaver(server, SPEECH, {"stream": True, "response_format": "pcm", "max_new_tokens": 100}, "One two. " * 30)
        for _ in range(16)
    ]
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(1):
            for client in deaf:
                client.read(1)

    reading = threading.Thread(target=drip)
    reading.start()
    try:
        before = server.memory()
        server.wait_until_free(60)  # the stages have made all of it, whoever reads
        quick = httpx.post(f"{server.url}{SPEECH}", json=body(SPEECH, {"max_new_tokens": 8}, "Hello."), timeout=30)
        assert quick.status_code == 200
        assert server.memory() - before < 100 * 2**20  # all their sound is 6 MB
    finally:
        stop.set()
        reading.join()
        for client in deaf:
            client.leave()
