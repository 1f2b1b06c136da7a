"""Processes that die, while a dozen requests of all kinds run and while none does: who needed them is told at once,
and the rest goes on."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.server import Server, wait_until_gone
from tests.e2e.test_overload import CHAT, ENDLESS, SPEECH, body
from tests.e2e.test_server import SPEAKING, hello, wait_until_thinker_is_free

SOON = 2.5  # seconds
STORY = "Tell me a story. " * 30
LONG = {"max_tokens": 300, "min_tokens": 300, "ignore_eos": True, "temperature": 0}
WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    "whole chat": (CHAT, LONG),
    "streamed chat": (CHAT, {**LONG, "stream": True}),
}
CHATS: dict[str, tuple[str, dict[str, Any]]] = {
    "whole spoken chat": (CHAT, {**ENDLESS, **SPEAKING}),
    "streamed spoken chat": (CHAT, {**ENDLESS, **SPEAKING, "stream": True}),
}
SPEECHES: dict[str, tuple[str, dict[str, Any]]] = {
    "whole speech": (SPEECH, {}),
    "speech in bytes": (SPEECH, {"stream": True, "response_format": "pcm"}),
    "speech in events": (SPEECH, {"stream_format": "sse"}),
}
KINDS = WRITTEN | CHATS | SPEECHES


@dataclass
class Answer:
    """What a client got: `status` 0 if nothing, `broken` if the connection ended before the answer did."""

    kind: str
    status: int = 0
    content: bytes = b""
    broken: bool = False
    ended: float = 0.0

    def events(self) -> list[dict[str, Any]]:
        lines = [line.removeprefix(b"data: ") for line in self.content.splitlines() if line]
        return [json.loads(line) for line in lines if line != b"[DONE]"]

    def error(self) -> str:
        """What the client was told of a failure: by its status or in the last event; empty where sound broke off."""
        if self.status != 200:
            return json.loads(self.content)["error"]["message"]
        if self.kind == "speech in bytes":
            assert self.broken
            return ""
        return self.events()[-1]["error"]["message"]


class Load:
    """Two requests of every kind, which run until they are done or fail."""

    def __init__(self, client: httpx.AsyncClient):
        self._client = client
        self._answers = [Answer(kind) for kind in KINDS for _ in range(2)]
        self._tasks = [asyncio.create_task(self._ask(answer)) for answer in self._answers]

    async def _ask(self, answer: Answer) -> None:
        path, fields = KINDS[answer.kind]
        try:
            async with self._client.stream("POST", path, json=body(path, fields, STORY)) as response:
                answer.status = response.status_code
                async for data in response.aiter_bytes():
                    answer.content += data
        except httpx.RemoteProtocolError:
            answer.broken = True
        answer.ended = time.monotonic()

    async def wait_until_it_runs(self) -> None:
        """Of every streamed kind one has begun."""
        streams = {kind for kind, (_, fields) in KINDS.items() if fields.keys() & {"stream", "stream_format"}}
        async with asyncio.timeout(20):
            while not streams <= {answer.kind for answer in self._answers if len(answer.content) > 1000}:
                await asyncio.sleep(0.02)
        assert not any(answer.ended for answer in self._answers)

    async def answers(self, *kinds: str) -> list[Answer]:
        """Of all requests of these kinds, once they have ended."""
        async with asyncio.timeout(60):
            await asyncio.gather(*(task for task, a in zip(self._tasks, self._answers, strict=True) if a.kind in kinds))
        return [answer for answer in self._answers if answer.kind in kinds]


async def kill_under_load(server: Server, victim: str) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        load = Load(client)
        await load.wait_until_it_runs()
        os.kill(server.sidecar(victim), signal.SIGKILL)
        killed = time.monotonic()
        for answer in await load.answers(*CHATS, *SPEECHES):
            assert answer.ended - killed < SOON, answer.kind
            assert answer.status == 503 or "whole" not in answer.kind, answer.kind
            assert victim in answer.error() or answer.broken, answer.kind
        await refuses_speech_and_writes(server, victim, client)
        for answer in await load.answers(*WRITTEN):
            assert answer.status == 200
            finish = answer.events()[-1]["choices"][0]["finish_reason"]
            assert finish == "length", answer.kind
            assert answer.ended > killed, "it was over before"


async def kill_at_idle(server: Server, victim: str) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        os.kill(server.sidecar(victim), signal.SIGKILL)
        killed = time.monotonic()
        while (await client.get("/health")).status_code == 200:
            assert time.monotonic() - killed < SOON
        await refuses_speech_and_writes(server, victim, client)


async def refuses_speech_and_writes(server: Server, victim: str, client: httpx.AsyncClient) -> None:
    """While the stage is away."""
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert health.json()["stages"][victim] in ("dead", "starting")
    spoken = await client.post(CHAT, json=hello(**SPEAKING))
    assert spoken.status_code == 503
    assert spoken.headers["retry-after"]
    assert victim in spoken.json()["error"]["message"]
    written = await client.post(CHAT, json=hello(max_tokens=4))
    assert written.status_code == 200


def wait_until_healthy(server: Server, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while server.health()[0] != 200:
        assert time.monotonic() < deadline, server.health()
        time.sleep(0.1)


def short_speech(server: Server) -> bytes:
    asked = {"input": "One two three.", "voice": "ethan", "seed": 1}
    return httpx.post(f"{server.url}{SPEECH}", json=asked, timeout=60).raise_for_status().content


@pytest.mark.parametrize("kill", [kill_under_load, kill_at_idle])
@pytest.mark.parametrize("victim", ["talker", "code2wav"])
def test_a_killed_sidecar_fails_what_needs_it_at_once_and_comes_back(dies: Server, victim: str, kill):
    before = short_speech(dies)
    asyncio.run(kill(dies, victim))
    wait_until_healthy(dies)
    assert short_speech(dies) == before
    dies.wait_until_free()
    wait_until_thinker_is_free(dies)


def test_while_a_sidecar_cannot_come_back_text_goes_on(dies: Server, checkpoint: Path):
    """It is tried again, and comes back once it can."""
    before = short_speech(dies)
    index = checkpoint / "model.safetensors.index.json"
    away = index.rename(index.with_suffix(".away"))
    os.kill(dies.sidecar("talker"), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while "the talker ended with exit code 1: starting it again in" not in dies.output():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "sgl-omni: talker: " in dies.output(), "it does not say why"
    status, told = dies.health()
    assert (status, told["stages"]["talker"], told["stages"]["thinker"]) == (503, "dead", "healthy")
    spoken = httpx.post(f"{dies.url}{SPEECH}", json={"input": "Hello."}, timeout=10)
    assert spoken.status_code == 503
    assert "talker" in spoken.json()["error"]["message"]
    assert httpx.post(f"{dies.url}{CHAT}", json=hello(max_tokens=4), timeout=30).status_code == 200
    away.rename(index)
    wait_until_healthy(dies)
    assert short_speech(dies) == before


def test_when_the_thinker_is_killed_its_requests_hear_of_it_and_the_server_ends(dies: Server):
    """The last of these: a supervisor would start the server again."""
    scheduler, family = dies.thinker(), dies.processes()

    async def act() -> None:
        async with httpx.AsyncClient(base_url=dies.url, timeout=30) as client:
            load = Load(client)
            await load.wait_until_it_runs()
            os.kill(scheduler, signal.SIGKILL)
            killed = time.monotonic()
            for answer in await load.answers(*KINDS):
                assert answer.ended - killed < SOON, answer.kind
                assert answer.status == 503 or "whole" not in answer.kind, answer.kind
                assert "thinker stopped" in answer.error() or answer.broken, answer.kind

    asyncio.run(act())
    assert dies.process.wait(20) != 0
    wait_until_gone(family)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Path:
    """A copy of the demo model, which may be damaged."""
    return shutil.copytree(demo_model, tmp_path_factory.mktemp("checkpoint") / "model")


@pytest.fixture(scope="module")
def dies(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Server]:
    sglang = Path(sys.executable).with_name("sglang")  # finds by itself that the model is one of ours
    server = Server(tmp_path_factory.mktemp("dies") / "log", (sglang, "serve", checkpoint), None).start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
    assert "Traceback" not in server.output()
    assert "was killed by SIGKILL: starting it again in 0.5 s" in server.output()
