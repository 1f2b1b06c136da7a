"""One request to a server, and what came back when. While an answer comes nothing is done but noting the time."""

import asyncio
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx

from sglang_omni.benchmark import adapters
from sglang_omni.benchmark.adapters import Piece, SglOmni
from sglang_omni.benchmark.figures import Figures, measure
from sglang_omni.benchmark.workload import CHATS, Line


def digest(text: str, pcm: bytes) -> str:
    """Equal for equal answers."""
    return sha256(text.encode() + b"\0" + pcm).hexdigest()


@dataclass
class Answer:
    """What a request got. `error` is empty for a complete answer, else its kind, and `message` what was said."""

    line: Line
    figures: Figures
    text: str = ""
    pcm: bytes = b""
    sample_rate: int = 24_000
    channels: int = 1
    error: str = ""
    message: str = ""
    digest: str = ""
    late: float = 0.0  # seconds between the time it was due and the time it was sent
    equal: bool | None = None  # to the answer that the same request got alone; None: not compared
    heard: str | None = None  # what a recogniser understood


@dataclass
class Asker:
    """A client of one server, for any number of requests at once."""

    url: str
    adapter: SglOmni
    model: str = ""
    extra: dict[str, Any] = field(default_factory=dict)  # fields for every request
    timeout: float = 300.0
    api_key: str = ""

    async def __aenter__(self) -> "Asker":
        headers = {"Accept-Encoding": "identity"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=None, limits=limits)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._client.aclose()

    async def find_model(self) -> str:
        """The first that the server lists."""
        response = await self._client.get("/v1/models", timeout=self.timeout)
        return response.raise_for_status().json()["data"][0]["id"]

    async def ask(self, line: Line, due: float | None = None) -> Answer:
        """Sends it, and reads the answer to its end. Times count from `due` on `time.perf_counter`, or from now."""
        sent = time.perf_counter()
        due = sent if due is None else due
        came = _Came()
        try:
            async with asyncio.timeout(self.timeout):
                await self._send(line, came)
        except TimeoutError:
            came.error, came.message = "timeout", f"no end after {self.timeout:g} s"
        except httpx.HTTPError as error:
            came.error, came.message = "connection", repr(error)
        answer = came.read(line, due, time.perf_counter(), self.adapter)
        answer.late = sent - due
        return answer

    async def _send(self, line: Line, came: "_Came") -> None:
        body = {**self.adapter.body(line, self.model), **self.extra}
        async with self._client.stream("POST", line.path, json=body) as response:
            came.headers = response.headers
            if response.status_code != 200:
                came.error = f"HTTP {response.status_code}"
                came.message = (await response.aread()).decode(errors="replace")[:500]
                return
            async for data in response.aiter_raw():
                came.arrivals.append((time.perf_counter(), data))
            came.whole = True


@dataclass
class _Came:
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    whole: bool = False  # the body has ended as HTTP says it must
    error: str = ""
    message: str = ""

    def read(self, line: Line, due: float, ended: float, adapter: SglOmni) -> Answer:
        pieces: list[tuple[float, Piece]] = []
        try:
            for piece in self._pieces(adapter):
                pieces.append(piece)
        except (ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
            self.error, self.message = self.error or "unreadable", self.message or repr(error)
        said = [piece for _, piece in pieces]
        answer = Answer(line, measure(due, ended, pieces), error=self.error, message=self.message)
        answer.text, answer.pcm = "".join(p.text for p in said), b"".join(p.pcm for p in said)
        answer.digest = digest(answer.text, answer.pcm)
        answer.sample_rate, answer.channels = next(((p.rate, p.channels) for p in said if p.pcm), (24_000, 1))
        if not answer.error:
            answer.error, answer.message = self._judge(line, said)
        return answer

    def _pieces(self, adapter: SglOmni) -> Iterator[tuple[float, Piece]]:
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            for when, event in adapters.events(self.arrivals):
                yield when, adapters.as_stated(adapter.read(event), self.headers)
        elif self.headers.get("content-type", "").startswith(("audio/", "application/octet-stream")):
            yield from adapters.bare(self.arrivals, self.headers)
            if self.whole:
                yield self.arrivals[-1][0] if self.arrivals else 0.0, Piece(last=True)
        elif self.whole:
            raise ValueError(f"the answer is {self.headers.get('content-type')}, neither events nor sound")

    def _judge(self, line: Line, said: list[Piece]) -> tuple[str, str]:
        if broken := next((piece.error for piece in said if piece.error), ""):
            return "error event", broken
        # Of a chat the text's last event is not enough, where sound may follow it.
        done = line.path != CHATS or b"data: [DONE]" in b"".join(data for _, data in self.arrivals)
        if not (done and any(piece.last for piece in said)):
            return "incomplete", "the stream ended before the answer did"
        if line.speaks and not any(piece.pcm for piece in said):
            return "no sound", "the answer has no sound"
        return "", ""
