"""A client that goes away leaves nothing running: not in the thinker, not in the stages."""

import asyncio
import json
from typing import Any

import pytest

from tests.entrypoints.fakes import Fake

CHAT = {"messages": [{"role": "user", "content": "hi"}]}
SPOKEN = {**CHAT, "modalities": ["text", "audio"]}
SPEECH = {"input": "hi"}


async def leave(app: Any, path: str, body: dict[str, Any], after: int) -> list[dict[str, Any]]:
    """Sends a request and disconnects once `after` messages of the answer have come."""
    gone = asyncio.Event()
    received: list[dict[str, Any]] = []
    request = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> dict[str, Any]:
        if request:
            return request.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        received.append(message)
        if after and len(received) >= after:
            gone.set()

    if after == 0:
        asyncio.get_running_loop().call_later(0.1, gone.set)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        "app": app,
    }
    await asyncio.wait_for(app(scope, receive, send), 10)
    await asyncio.sleep(0.05)
    return received


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("body", [CHAT, SPOKEN])
def test_in_the_middle_of_a_streamed_chat(fake: Fake, body: dict[str, Any], after: int) -> None:
    fake.thinker.forever = fake.pipeline.forever = True
    asyncio.run(leave(fake.app, "/v1/chat/completions", {**body, "stream": True}, after))
    assert len(fake.thinker.closed) == 1
    assert len(fake.pipeline.aborted) == (1 if body is SPOKEN else 0)


def test_while_a_whole_spoken_answer_is_made(fake: Fake) -> None:
    fake.thinker.forever = fake.pipeline.forever = True
    asyncio.run(leave(fake.app, "/v1/chat/completions", SPOKEN, 0))
    assert len(fake.thinker.closed) == len(fake.pipeline.aborted) == 1


def test_when_the_text_is_over_and_the_sound_is_not(fake: Fake) -> None:
    fake.pipeline.forever = True
    asyncio.run(leave(fake.app, "/v1/chat/completions", SPOKEN, 0))
    asyncio.run(leave(fake.app, "/v1/chat/completions", {**SPOKEN, "stream": True}, 3))
    assert len(fake.pipeline.aborted) == 2


@pytest.mark.parametrize(("how", "after"), [({}, 0), ({"stream": True}, 2), ({"stream_format": "sse"}, 1)])
def test_while_speech_is_made(fake: Fake, how: dict[str, Any], after: int) -> None:
    fake.pipeline.forever = True
    asyncio.run(leave(fake.app, "/v1/audio/speech", {**SPEECH, **how}, after))
    assert len(fake.pipeline.aborted) == 1


@pytest.mark.parametrize("how", [{}, {"stream": True}, {"stream_format": "sse"}])
def test_before_speech_makes_a_sound(fake: Fake, how: dict[str, Any]) -> None:
    fake.pipeline.forever, fake.pipeline.sound = True, []
    asyncio.run(leave(fake.app, "/v1/audio/speech", {**SPEECH, **how}, 0))
    assert len(fake.pipeline.aborted) == 1


@pytest.mark.parametrize(("how", "after"), [({}, 0), ({"stream": True}, 3), ({"stream_format": "sse"}, 3)])
def test_while_a_long_speech_is_made(fake: Fake, how: dict[str, Any], after: int) -> None:
    fake.pipeline.forever, fake.pipeline.sound = True, [bytes(300_000)] * 2
    asyncio.run(leave(fake.app, "/v1/audio/speech", {"input": "A sentence. " * 300, **how}, after))
    assert len(fake.pipeline.aborted) == len(fake.pipeline.spoken) == 2
