"""The coordinator: which request is at which stage, seen from the process that answers clients.

with pipeline.listen(request_id) as speech:   # leaving early aborts the request in every stage
    ...                                       # make the thinker start it, or pipeline.speak(...)
    async for pcm in speech:
        ...
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import zmq
import zmq.asyncio

from sglang_omni import errors
from sglang_omni.errors import Aborted, InvalidRequest, OmniError, Overloaded, RequestFailed, Unavailable
from sglang_omni.sidecar import messages
from sglang_omni.sidecar.group import Sidecars
from sglang_omni.sidecar.messages import Abort, Chunk, Failed, Finish, Heartbeat, Message, Start, Times
from sglang_omni.sidecar.port import HTTP, Outbox, receive_at

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.25
LATE_SECONDS = 1.0
MAX_UNREAD_BYTES = 2**30  # of the sound of all requests together
STUCK_SECONDS = 30.0  # a stage that is alive but has not beaten for this long counts as stuck


class Speech:
    """The sound of one request: iterate over its PCM (bytes: signed 16-bit, mono) as it is made.

    After the last chunk `finish_reason` is `stop` or `length`, `usage` counts the chunks of each stage (for a
    talker: audio tokens), and `times` tells when each stage had it. Iterating raises Unavailable or RequestFailed when
    a stage gives up.
    """

    def __init__(self, counts: bool = True) -> None:
        self.counts = counts  # as an answer of its own
        self._arrived: asyncio.Queue[tuple[float, bytes | Finish | OmniError]] = asyncio.Queue()
        self.arrived = 0.0  # when what was read last had come, on the monotonic clock
        self.finish_reason: str | None = None
        self.usage: dict[str, int] = {}
        self.times: dict[str, Times] = {}
        self.unread = 0  # bytes

    def put(self, item: bytes | Finish | OmniError) -> None:
        self._arrived.put_nowait((time.monotonic(), item))
        self.unread += _size(item)

    def fail(self, error: OmniError) -> None:
        """At once: what is unread is dropped."""
        while not self._arrived.empty():
            self._arrived.get_nowait()
        self.unread = 0
        self.put(error)

    @property
    def frames(self) -> int:
        return self.usage.get("talker", 0)

    @property
    def finished(self) -> bool:
        return self.finish_reason is not None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self.finished:
            self.arrived, item = await self._arrived.get()
            if isinstance(item, OmniError):
                raise item
            if isinstance(item, Finish):
                self.finish_reason, self.usage, self.times = item.reason, item.usage, item.times
            else:
                self.unread -= _size(item)
                yield item


def any_prompt(prompt_ids: Sequence[int]) -> None:
    """For stages that speak to every prompt."""


class Pipeline:
    """Talks to the stages of `sidecars` through the sockets in `directory`. Lives on one event loop.

    `check_prompt` raises InvalidRequest for a prompt (token ids) that the first stage would refuse. Of more than
    `max_speeches` requests at once, those that wait included, the last are refused.
    """

    def __init__(
        self,
        directory: str,
        sidecars: Sidecars,
        check_prompt: Callable[[Sequence[int]], None] = any_prompt,
        max_speeches: int = 1024,
    ):
        self.directory = directory
        self.max_speeches = max_speeches
        self.check_prompt = check_prompt
        self.sidecars = sidecars
        self.stages = sidecars.names
        self._outboxes = {name: Outbox(directory, name) for name in self.stages}
        self._speeches: dict[str, Speech] = {}
        self._beats: dict[str, float] = {}
        self._seen: set[str] = set()  # stages that were healthy once
        self._states: dict[str, dict[str, int]] = {}
        self.restarts = dict.fromkeys(self.stages, 0)
        self._tasks: list[asyncio.Task] = []

    # The life of the coordinator

    def start(self) -> None:
        """Begins to receive, on the running event loop. May be called again."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._watch())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for outbox in self._outboxes.values():
            outbox.close()

    async def _receive(self) -> None:
        socket = zmq.asyncio.Context.instance().socket(zmq.PULL)
        receive_at(socket, self.directory, HTTP)
        try:
            while True:
                packet = await socket.recv()
                try:
                    arrived = messages.decode(packet)
                except ValueError as error:
                    logger.error("dropped a packet of %d bytes: %s", len(packet), error)
                    continue
                for message in arrived:
                    self._deliver(message)
        finally:
            socket.close()

    def _deliver(self, message: Message) -> None:
        if isinstance(message, Heartbeat):
            if message.stage not in self.stages or message.pid != self.sidecars.pid(message.stage):
                return  # of one that has been replaced, or of none
            self._seen.add(message.stage)
            self._beats[message.stage] = time.monotonic()
            self._states[message.stage] = message.state
            return
        speech = self._speeches.get(message.request_id)
        if speech is None:
            return  # its client has gone
        if isinstance(message, Chunk):
            speech.put(message.data)
        elif isinstance(message, Finish):
            speech.put(message)
        elif isinstance(message, Failed):
            error = getattr(errors, message.error, RequestFailed)
            speech.put(error(message.message, param=message.param))

    async def _watch(self) -> None:
        """Fails the requests of stages that went down, and starts these again."""
        while True:
            asleep = time.monotonic()
            await asyncio.sleep(WATCH_SECONDS)
            if time.monotonic() - asleep > LATE_SECONDS:
                continue  # the loop was held up: heartbeats may lie unread
            try:
                self._look_after_stages()
            except Exception:  # such as no memory for a process: the next look may do better
                logger.exception("looking after the stages failed")

    def _look_after_stages(self) -> None:
        self._limit_unread()
        states = self.health()
        for name in states:
            if states[name] == "stuck":
                logger.error("the %s has been silent for %g s: ending it", name, STUCK_SECONDS)
                self.sidecars.kill(name)
        if down := [name for name, state in states.items() if state in ("dead", "stuck")]:
            self.fail_all(Unavailable(f"the {_and(down)} stopped; speech is not available"))
        for name, code in self.sidecars.dead().items():
            if name in self._seen or code < 0:  # one that never was ready, and was not killed, will never be
                self._start_again(name, code)

    def _start_again(self, name: str, code: int) -> None:
        if (delay := self.sidecars.will_start_in(name)) is not None:
            how = f"was killed by {_signal(-code)}" if code < 0 else f"ended with exit code {code}"
            logger.error("the %s %s: starting it again in %g s", name, how, delay)
        if self.sidecars.start_again(name):
            self.restarts[name] += 1
            self._beats.pop(name, None)
            self._states.pop(name, None)

    def _limit_unread(self) -> None:
        """Clients that read as a player does leave minutes unread, and those that do not read leave all."""
        total = sum(speech.unread for speech in self._speeches.values())
        for id, speech in sorted(self._speeches.items(), key=lambda item: -item[1].unread):
            if total <= MAX_UNREAD_BYTES:
                return
            total -= speech.unread
            logger.warning("%s ended: %d bytes of its sound were not read", id, speech.unread)
            self._give_up(id, speech, Overloaded("too much sound waits to be read on this server, most of it here"))

    def _give_up(self, id: str, speech: Speech, error: OmniError) -> None:
        speech.fail(error)
        self.abort(id)

    def fail_all(self, error: OmniError) -> None:
        """Who listens to a request hears of it at once."""
        for speech in self._speeches.values():
            speech.put(error)

    # Requests

    @contextlib.contextmanager
    def listen(self, request_id: str, goes_on: bool = False) -> Iterator[Speech]:
        """Registers a request before it starts, so that no sound is missed. Raises Unavailable if a stage is down,
        Overloaded if `max_speeches` are on their way, but for one that only `goes_on` with an answer under way.

        An id is good for one request: stages remember what they were told to abort.
        """
        if request_id in self._speeches:
            raise InvalidRequest(f"request {request_id!r} is already being answered")
        self.start()
        down = [name for name, status in self.health().items() if status != "healthy"]
        if down:
            raise Unavailable(f"the {_and(down)} cannot serve now; speech is not available")
        if not goes_on and sum(speech.counts for speech in self._speeches.values()) >= self.max_speeches:
            raise Overloaded(f"{self.max_speeches} answers are being spoken or wait for it; try again soon")
        speech = self._speeches[request_id] = Speech(counts=not goes_on)
        try:
            yield speech
        finally:
            del self._speeches[request_id]
            if not speech.finished:
                self.abort(request_id)

    def listens_to(self, request_id: str) -> bool:
        return request_id in self._speeches

    def speak(
        self,
        request_id: str,
        params: dict[str, Any],
        text_ids: list[int],
        stages: dict[str, dict[str, Any]],
        priority: int = 0,
    ) -> None:
        """Text straight to the first stage, with no thinker: `params` as the stage's runner documents them, and
        `stages` what the client said to each stage by name."""
        start = Start(request_id, params, stages, priority)
        self._outboxes[self.stages[0]].send([start, Chunk(request_id, text_ids), Finish(request_id, "stop")])

    def give_up(self, request_id: str | None) -> None:
        """Ends a request, with all its parts (`request_id.1`), or every one; who listens hears of it at once."""
        for id, speech in self._speeches.items():
            its = request_id is None or id == request_id or id.startswith(f"{request_id}.")
            if its and not speech.finished:
                self._give_up(id, speech, Aborted())

    def abort(self, request_id: str) -> None:
        for outbox in self._outboxes.values():
            outbox.send([Abort(request_id)])

    # Health

    def health(self) -> dict[str, str]:
        """Per stage: `starting`, `healthy`, `stuck` or `dead`."""
        dead = self.sidecars.dead()
        now = time.monotonic()

        def status(name: str) -> str:
            if name in dead:
                return "dead"
            if name not in self._beats:
                return "starting"
            return "stuck" if now - self._beats[name] > STUCK_SECONDS else "healthy"

        return {name: status(name) for name in self.stages}

    @property
    def healthy(self) -> bool:
        return all(status == "healthy" for status in self.health().values())

    @property
    def states(self) -> dict[str, dict[str, int]]:
        """What each stage said it holds in its last heartbeat: `slots`, `free`, `waiting`, `pages`, `free_pages`, and
        how often a request was `parked`."""
        return self._states


def _size(item: object) -> int:
    return len(item) if isinstance(item, bytes) else 0


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # of real time
        return f"signal {number}"


def _and(names: list[str]) -> str:
    return " and the ".join(names)
