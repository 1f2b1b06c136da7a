"""Continuous batching for one stage: who runs next, and who gets what came out.

    while True:
        for message in inbox.receive(): scheduler.receive(message)
        scheduler.step()

Requests join and leave between steps. The earliest deadline leads a step: the moment when a listener has heard all
that was made. Everybody who could do the same (an equal `Runner.bucket`) comes along, so nobody waits for a request
that has nothing to do. A new request is due a moment after it came: it goes before streams that are well ahead of
their listeners, and after those that are about to run dry.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any

from sglang_omni.errors import OmniError, Overloaded, RequestFailed
from sglang_omni.sidecar.messages import Abort, Chunk, Failed, Finish, Message, Start
from sglang_omni.sidecar.request import Request
from sglang_omni.sidecar.runner import Runner

logger = logging.getLogger(__name__)

Send = Callable[[list[Message]], None]

REMEMBERED_ABORTS = 4096
PATIENCE = 0.2
"""Seconds that a listener waits for the first sound before a new request is as urgent as a stream that runs dry."""


class Scheduler:
    """`downstream` takes what the next stage should hear; `listener` takes failures, for whoever made the request."""

    def __init__(
        self,
        name: str,
        runner: Runner,
        downstream: Send,
        listener: Send,
        max_batch: int = 64,
        max_waiting: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.name = name
        self.runner = runner
        self.downstream = downstream
        self.listener = listener
        self.max_batch = max_batch
        self.max_waiting = max_waiting
        self.clock = clock
        self.free = list(range(runner.slots))[::-1]
        self.waiting: deque[Request] = deque()
        self.requests: dict[str, Request] = {}  # waiting and open
        self.aborted: OrderedDict[str, None] = OrderedDict()  # an abort can overtake its Start on another socket

    # What arrives

    def receive(self, message: Message) -> None:
        if isinstance(message, Start):
            self._start(message)
        elif isinstance(message, Abort):
            self._abort(message.request_id)
        elif isinstance(message, Chunk | Finish):
            request = self.requests.get(message.request_id)
            if request is None:
                return  # it ended here before its input did: an abort, a failure, a talker that had said all
            if isinstance(message, Chunk):
                self._feed(request, message.data)
            else:
                request.upstream_reason = message.reason
                request.upstream_usage = message.usage
                self._feed(request, None)
        else:
            logger.warning("%s: ignored a %s", self.name, type(message).__name__)
        self._admit()

    def _start(self, message: Start) -> None:
        if message.request_id in self.aborted:
            del self.aborted[message.request_id]
        elif message.request_id in self.requests:
            logger.warning("%s: request %s started twice", self.name, message.request_id)
        elif not self.free and len(self.waiting) >= self.max_waiting:
            self._tell(message.request_id, Overloaded("too many requests are waiting to speak; try again soon"))
        else:
            params = {**message.params, **message.stages.get(self.name, {})}
            request = Request(message.request_id, params, message.stages, deadline=self.clock() + PATIENCE)
            self.requests[request.id] = request
            self.waiting.append(request)

    def _admit(self) -> None:
        """Free slots for those who wait. Not called where slots are freed: a thousand that fail would nest as deep."""
        while self.waiting and self.free:
            request = self.waiting.popleft()
            request.slot = self.free.pop()
            params, pending = request.params, request.pending
            request.params, request.pending = {}, []
            try:
                request.state = self.runner.open(request.slot, params)
                for data in pending:
                    self.runner.feed(request.state, data)
            except Exception as error:
                self._fail([request], error)
            else:
                self._finish_if_done(request)

    def _feed(self, request: Request, data: object) -> None:
        if request.slot is None:
            request.pending.append(data)
            return
        try:
            self.runner.feed(request.state, data)
        except Exception as error:
            self._fail([request], error)
        else:
            self._finish_if_done(request)

    def _abort(self, request_id: str) -> None:
        request = self.requests.get(request_id)
        if request is not None:
            self._drop(request)
            return
        self.aborted[request_id] = None
        if len(self.aborted) > REMEMBERED_ABORTS:
            self.aborted.popitem(last=False)

    # What runs

    def step(self) -> bool:
        """Runs one bucket, if any request can do something; says whether it did."""
        batch = self._schedule()
        if not batch:
            return False
        try:
            outputs = self.runner.step([request.state for request in batch])
        except Exception as error:
            self._fail(batch, error)
        else:
            self._hand_on(batch, outputs)
        self._admit()
        return True

    def _schedule(self) -> list[Request]:
        leader, wanted, ready = None, None, []
        for request in self.requests.values():
            if request.slot is None:
                continue
            bucket = self.runner.bucket(request.state)
            if bucket is None:
                continue
            ready.append((request, bucket))
            if leader is None or request.deadline < leader.deadline:
                leader, wanted = request, bucket
        batch = [request for request, bucket in ready if bucket == wanted]
        if len(batch) > self.max_batch:
            batch = sorted(batch, key=lambda request: request.deadline)[: self.max_batch]
        return batch

    # What leaves

    def _hand_on(self, batch: Sequence[Request], outputs: Sequence[Any | None]) -> None:
        messages: list[Message] = []
        now = self.clock()
        for request, output in zip(batch, outputs, strict=True):
            if output is not None:
                request.begun = request.begun or now
                request.deadline = request.begun + self.runner.seconds(request.state)
                self._announce(request, messages)
                messages.append(Chunk(request.id, output))
                request.sent += 1
        if messages:
            self.downstream(messages)
        for request in batch:
            self._finish_if_done(request)

    def _announce(self, request: Request, messages: list[Message]) -> None:
        """Downstream holds a slot from here on, so it hears of a request when there is something to hear."""
        if request.sent == 0:
            messages.append(Start(request.id, {}, request.stages))

    def _finish_if_done(self, request: Request) -> None:
        own = self.runner.finished(request.state)
        if own is None:
            return
        messages: list[Message] = []
        self._announce(request, messages)
        usage = {**request.upstream_usage, self.name: request.sent}
        messages.append(Finish(request.id, request.reason(own), usage))
        self.downstream(messages)
        self._release(request)

    def _fail(self, batch: list[Request], error: Exception) -> None:
        if not isinstance(error, OmniError):
            logger.error("%s: a step for %s failed", self.name, [r.id for r in batch], exc_info=error)
            error = RequestFailed(f"the {self.name} failed on this request")
        for request in batch:
            self._drop(request)
            self._tell(request.id, error)

    def _tell(self, request_id: str, error: OmniError) -> None:
        self.listener([Failed(request_id, type(error).__name__, str(error), error.param)])

    def _drop(self, request: Request) -> None:
        """Ends it here and, where they have heard of it, downstream: who aborts may not know every stage."""
        self._release(request)
        if request.sent:
            self.downstream([Abort(request.id)])

    def _release(self, request: Request) -> None:
        if self.requests.pop(request.id, None) is None:
            return
        if request.slot is None:
            self.waiting.remove(request)
        else:
            self.free.append(request.slot)

    # What is held

    def state(self) -> dict[str, int]:
        return {"slots": self.runner.slots, "free": len(self.free), "waiting": len(self.waiting)}

    def check_integrity(self) -> None:
        """The law of slots: each is free or held by one request, and nobody waits beside a free one."""
        held = [request.slot for request in self.requests.values() if request.slot is not None]
        if sorted(self.free + held) != list(range(self.runner.slots)):
            raise AssertionError(f"{self.name}: slots {sorted(self.free + held)} of {self.runner.slots}")
        if self.waiting and self.free:
            raise AssertionError(f"{self.name}: {len(self.waiting)} wait while {len(self.free)} slots are free")
