"""Requests end in time, whatever they do, whoever reads them, and when the server does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sglang_omni.entrypoints.running import PIECE, RunningRequests
from tests.entrypoints.fakes import Fake
from tests.entrypoints.test_disconnect import CHAT, SPEECH, SPOKEN

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Client:
    """Of one request to an ASGI app. It reads as many messages as it is told to, and then no more."""

    def __init__(self, path: str = "/v1/chat/completions", body: Any = None, reads: int = 10**9):
        self.path = path
        self.body = json.dumps(body).encode()
        self.reads = reads
        self.received: list[dict[str, Any]] = []

    async def ask(self, app: Any) -> "Client":
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "scheme": "http",
            "state": {"request_id": "r"},
            "app": app,
        }
        await asyncio.wait_for(app(scope, self._receive, self._send), 10)
        return self

    async def _receive(self) -> dict[str, Any]:
        if self.body is None:
            await asyncio.Event().wait()
        message = {"type": "http.request", "body": self.body, "more_body": False}
        self.body = None
        return message

    async def _send(self, message: dict[str, Any]) -> None:
        if len(self.received) >= self.reads:
            await asyncio.Event().wait()
        self.received.append(message)

    @property
    def status(self) -> int:
        return self.received[0]["status"]

    @property
    def answer(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.received)

    @property
    def complete(self) -> bool:
        return not self.received[-1].get("more_body")

    @property
    def events(self) -> list[Any]:
        datas = [line.removeprefix("data: ") for line in self.answer.decode().split("\n\n") if line]
        return [data if data == "[DONE]" else json.loads(data) for data in datas]


class ReadsAgain(Client):
    """As soon as its request has been ended, because it did not."""

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await super()._send(message)
        except asyncio.CancelledError:
            self.reads = 10**9
            raise


def hangs(*messages: dict[str, Any]) -> Application:
    """An app that sends `messages` and then nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        await asyncio.Event().wait()

    return app


def start(kind: str, status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]}


def piece(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


class TestTimeout:
    def test_before_the_answer(self) -> None:
        app = RunningRequests(0.05).around(hangs())
        client = asyncio.run(Client().ask(app))
        assert client.status == 504
        error = json.loads(client.answer)["error"]
        assert (error["type"], error["param"]) == ("server_error", None)
        assert "0.05 s" in error["message"]
        assert "--request-timeout" in error["message"]

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/speech", "/v1/audio/transcriptions"])
    def test_among_events(self, path: str) -> None:
        app = RunningRequests(0.05).around(hangs(start("text/event-stream; charset=utf-8"), piece(b"data: 1\n\n")))
        client = asyncio.run(Client(path).ask(app))
        first, error, *rest = client.events
        assert (client.status, first, client.complete) == (200, 1, True)
        assert "--request-timeout" in error["error"]["message"]
        assert error.get("type") == ("error" if "audio" in path else None)
        assert rest == ([] if "audio" in path else ["[DONE]"])

    def test_among_anthropics_events(self) -> None:
        """Whose clients pass over an event without a name."""
        app = RunningRequests(0.05).around(hangs(start("text/event-stream"), piece(b"event: ping\ndata: {}\n\n")))
        client = asyncio.run(Client("/v1/messages").ask(app))
        _, event, end = client.answer.decode().split("\n\n")
        name, data = event.split("\n")
        error = json.loads(data.removeprefix("data: "))
        assert (name, error["type"], end) == ("event: error", "error", "")
        assert "--request-timeout" in error["error"]["message"]

    def test_within_an_event(self) -> None:
        """None can follow what is not whole."""
        app = RunningRequests(0.05).around(hangs(start("text/event-stream"), piece(b"data: " + bytes(3 * PIECE))))
        client = ReadsAgain(reads=2)
        asyncio.run(client.ask(app))
        assert (len(client.answer), client.complete) == (PIECE, False)

    def test_before_its_start_has_left(self) -> None:
        client = ReadsAgain(reads=0)
        asyncio.run(client.ask(RunningRequests(0.05).around(hangs(start("text/event-stream")))))
        assert client.status == 504

    def test_sound_breaks_off(self) -> None:
        """An answer that were ended in order would pass for a whole one."""
        app = RunningRequests(0.05).around(hangs(start("audio/pcm"), piece(b"ab")))
        client = asyncio.run(Client("/v1/audio/speech").ask(app))
        assert (client.answer, client.complete) == (b"ab", False)

    def test_an_answer_that_is_whole_gets_no_word_more(self) -> None:
        """Its time may end between its last byte and the app's return."""
        app = RunningRequests(0.05).around(hangs(start("text/event-stream"), piece(b"data: 1\n\n", more=False)))
        client = asyncio.run(Client().ask(app))
        assert (client.answer, client.complete) == (b"data: 1\n\n", True)

    def test_a_timeout_within_is_not_ours(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise TimeoutError

        with pytest.raises(TimeoutError):
            asyncio.run(Client().ask(RunningRequests(5).around(app)))

    @pytest.mark.parametrize("path", ["/health", "/abort_request", "/metrics", "/update_weights_from_disk"])
    def test_what_asks_the_model_nothing_may_take_its_time(self, path: str) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(0.1)
            await send(start("text/plain"))
            await send(piece(b"", more=False))

        assert asyncio.run(Client(path).ask(RunningRequests(0.01).around(app))).status == 200

    @pytest.mark.parametrize("how", [{}, {"stream": True}])
    @pytest.mark.parametrize("body", [CHAT, SPOKEN])
    def test_a_chat_is_freed_in_every_stage(self, fake: Fake, body: dict[str, Any], how: dict[str, Any]) -> None:
        fake.thinker.forever = fake.pipeline.forever = True
        fake.requests._seconds = 0.1
        client = asyncio.run(Client(body={**body, **how}).ask(fake.app))
        assert client.status == (200 if how else 504)
        assert b"--request-timeout" in client.answer
        assert len(fake.thinker.closed) == 1
        assert len(fake.pipeline.aborted) == (1 if body is SPOKEN else 0)

    @pytest.mark.parametrize("how", [{}, {"stream": True, "response_format": "pcm"}, {"stream_format": "sse"}])
    def test_speech_is_freed_in_every_stage(self, fake: Fake, how: dict[str, Any]) -> None:
        fake.pipeline.forever = True
        fake.requests._seconds = 0.1
        client = asyncio.run(Client("/v1/audio/speech", {**SPEECH, **how}).ask(fake.app))
        assert client.status == (200 if how else 504)
        assert len(fake.pipeline.aborted) == 1


class TestClientThatDoesNotRead:
    def test_its_request_is_ended(self) -> None:
        freed = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                await send(start("audio/pcm"))
                while True:
                    await send(piece(b"ab"))
            finally:
                freed.set()

        client = asyncio.run(Client(reads=3).ask(RunningRequests(unread_seconds=0.05).around(app)))
        assert len(client.received) == 3
        assert freed.is_set()

    def test_a_slow_one_is_served(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start("audio/pcm"))
            for _ in range(5):
                await send(piece(b"ab"))
            await send(piece(b"", more=False))

        client = Client()
        take = client._send

        async def slowly(message: dict[str, Any]) -> None:
            await asyncio.sleep(0.04)
            await take(message)

        client._send = slowly  # type: ignore[method-assign]
        asyncio.run(client.ask(RunningRequests(unread_seconds=0.1).around(app)))
        assert (client.answer, client.complete) == (b"ab" * 5, True)

    @pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5])
    def test_a_whole_answer_leaves_in_pieces(self, length: int) -> None:
        body = bytes(range(256)) * (length // 256 + 1)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start("audio/wav"))
            await send(piece(body[:length], more=False))

        client = asyncio.run(Client().ask(RunningRequests().around(app)))
        assert client.answer == body[:length]
        assert [message["more_body"] for message in client.received[1:]][-1] is False
        assert all(message["more_body"] for message in client.received[1:-1])
        assert max(len(message["body"]) for message in client.received[1:]) <= PIECE


class TestDrain:
    def test_what_runs_is_finished_and_nothing_begins(self) -> None:
        requests = RunningRequests()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start("text/plain"))
            await asyncio.sleep(0.2)
            await send(piece(b"whole", more=False))

        async def run() -> tuple[Client, Client]:
            layer = requests.around(app)
            running = asyncio.create_task(Client().ask(layer))
            await asyncio.sleep(0.05)
            draining = asyncio.create_task(requests.drain(5))
            await asyncio.sleep(0.01)
            late = await Client().ask(layer)
            assert not draining.done()
            await draining
            return await running, late

        first, late = asyncio.run(run())
        assert (first.answer, first.complete) == (b"whole", True)
        assert late.status == 503
        assert dict(late.received[0]["headers"])[b"retry-after"]
        assert "going down" in json.loads(late.answer)["error"]["message"]

    def test_one_whose_time_was_over_before(self) -> None:
        """It is still saying so to a client that does not read."""
        requests = RunningRequests(0.05)

        async def run() -> None:
            app = hangs(start("text/event-stream"), piece(b"data: 1\n\n"))
            task = asyncio.create_task(Client(reads=1).ask(requests.around(app)))
            await asyncio.sleep(0.2)
            await requests.drain(0.1)
            await task

        asyncio.run(run())

    def test_after_its_time_the_rest_is_ended(self) -> None:
        requests = RunningRequests()

        async def run() -> list[Client]:
            events = hangs(start("text/event-stream"), piece(b"data: 1\n\n"))
            deaf = Client(reads=1)
            clients = [Client(), Client(), deaf]
            apps = [hangs(), events, events]
            tasks = [asyncio.create_task(c.ask(requests.around(app))) for c, app in zip(clients, apps, strict=True)]
            await asyncio.sleep(0.05)
            await requests.drain(0.1)
            return await asyncio.gather(*tasks)

        whole, streamed, deaf = asyncio.run(run())
        assert whole.status == 503
        assert "went down" in streamed.events[1]["error"]["message"]
        assert len(deaf.received) == 1
