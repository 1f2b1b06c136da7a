"""However a server ends, nothing of it stays; and the limits that it was given hold."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, Server, wait_until_gone
from tests.e2e.test_server import hello

SPEECH = {"input": "One two three four five. " * 8, "max_new_tokens": 160, "seed": 1, "response_format": "pcm"}
ENDLESS = {"max_tokens": 30_000, "min_tokens": 30_000, "ignore_eos": True}  # half a minute, or more
REQUEST_SECONDS, SHUTDOWN_SECONDS, SPEECHES = 4, 8, 6
LIMITS = {
    "--request-timeout": REQUEST_SECONDS,
    "--shutdown-timeout": SHUTDOWN_SECONDS,
    "--max-speeches": SPEECHES,
    "--talker-total-rows": 128,  # two pages
}


def belongings(server: Server) -> list[Path]:
    """Its directory, and the shared memory that has a link there."""
    home = server.sockets()
    return [home, *(link.readlink() for link in home.iterdir() if link.is_symlink())]


def shares_memory(server: Server) -> bool:
    _, *memory = belongings(server)
    return bool(memory) and all(path.exists() for path in memory)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> list[Path]:
    """What a server has left that was ended by kill -9 as soon as it had something to leave."""
    server = Server(tmp_path_factory.mktemp("killed") / "log")
    server.begin()
    server.wait_for(lambda: "server_args=" in server.output() and shares_memory(server))
    family, left = server.processes(), belongings(server)
    assert left[0].stat().st_mode & 0o777 == 0o700
    assert any(path.is_socket() for path in left[0].glob("tmp*")), "SGLang's sockets lie elsewhere"
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(5)
    wait_until_gone(family)
    return left


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, killed: list[Path]) -> Iterator[Server]:
    limits = [word for limit in LIMITS.items() for word in map(str, limit)]
    command = ROOT / "scripts" / "serve", *limits, "--enable-priority-scheduling"
    server = Server(tmp_path_factory.mktemp("ends") / "log", command).start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def test_the_next_server_removes_what_a_killed_one_left(killed: list[Path], server: Server):
    assert not any(path.exists() for path in killed)


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_takes_too_long_is_ended_in_every_stage(server: Server, stream: bool):
    body = hello(**ENDLESS, modalities=["text", "audio"], stream=stream)
    begun = time.monotonic()
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert REQUEST_SECONDS <= time.monotonic() - begun < REQUEST_SECONDS + 3
    assert answer.status_code == (200 if stream else 504)
    assert "--request-timeout" in answer.text
    assert not stream or answer.text.endswith("data: [DONE]\n\n")
    server.wait_until_free(2)


def test_more_speeches_than_there_may_be_are_refused_and_those_without_memory_wait(server: Server):
    brief = {**SPEECH, "max_new_tokens": 30}  # a page each
    alone = httpx.post(f"{server.url}/v1/audio/speech", json=brief, timeout=30).content

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            asked = [client.post("/v1/audio/speech", json={**brief, "priority": n}) for n in range(SPEECHES + 4)]
            return await asyncio.gather(*asked)

    answers = asyncio.run(ask_all())
    assert sorted(answer.status_code for answer in answers) == [200] * SPEECHES + [429] * 4
    for answer in answers:
        if answer.status_code == 200:
            assert answer.content == alone
        else:
            assert answer.headers["retry-after"]
            assert f"{SPEECHES} answers" in answer.json()["error"]["message"]
    spoken = hello(max_tokens=4, temperature=0, modalities=["text", "audio"], priority=3)
    assert httpx.post(f"{server.url}/v1/chat/completions", json=spoken, timeout=30).status_code == 200
    server.wait_until_free(2)
    pages = server.health()[1]["slots"]["talker"]
    assert pages["free_pages"] == pages["pages"] == 2


def test_sigterm_finishes_what_runs_and_leaves_nothing(server: Server):
    whole = httpx.post(f"{server.url}/v1/audio/speech", json=SPEECH, timeout=30).content
    family, left = server.processes(), belongings(server)
    speech = {"json": {**SPEECH, "stream": True}, "timeout": 30}
    # The sound is made before one can ask again: it is the text that must still run.
    long = hello(max_tokens=1500, min_tokens=1500, ignore_eos=True, stream=True)
    with (
        httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=30) as text,
        httpx.stream("POST", f"{server.url}/v1/audio/speech", **speech) as answer,
    ):
        lines, pieces = text.iter_lines(), answer.iter_bytes()
        first, data = next(lines), next(pieces)
        os.kill(server.process.pid, signal.SIGTERM)
        time.sleep(0.3)
        late = httpx.post(f"{server.url}/v1/chat/completions", json=hello(max_tokens=3), timeout=10)
        assert late.status_code == 503
        assert late.headers["retry-after"]
        assert "going down" in late.json()["error"]["message"]
        assert server.health()[0] == 503
        data += b"".join(pieces)
        assert first.startswith("data: {")
        assert list(lines)[-2:] == ["data: [DONE]", ""]
    assert data == whole
    assert server.process.wait(SHUTDOWN_SECONDS + 10) == 0
    wait_until_gone(family)
    assert not any(path.exists() for path in left)
    assert "Traceback" not in server.output()
