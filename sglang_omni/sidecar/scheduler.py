"""Continuous batching for one stage: who runs next, and who gets what came out.

    while True:
        for message in inbox.receive(): scheduler.receive(message)
        scheduler.step()

A step whose outputs come `Later` is under way while the next one begins, and then handed on: a GPU never waits for the
host. A request ends when no step with it is under way.

Requests join and leave between steps. The earliest deadline leads a step: the moment when a listener has heard all
that was made. Everybody who could do the same (an equal `Runner.bucket`) comes along, so nobody waits for a request
that has nothing to do. A new request is due a moment after it came: it goes before streams that are well ahead of
their listeners, and after those that are about to run dry, however long it has waited.

It is let in when there is a slot, and when those that play already stay faster than they are heard (`Pace`). Its memory
is given for what it is expected to say; who says more takes more. Where none is free, it takes that of streams well
ahead of it, which are parked and go on where they were, or waits.
"""

import logging
import math
import time
from bisect import insort
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sglang_omni.errors import OmniError, RequestFailed
from sglang_omni.sidecar.messages import Abort, Chunk, Failed, Finish, Message, Start
from sglang_omni.sidecar.pace import Pace
from sglang_omni.sidecar.request import Request
from sglang_omni.sidecar.runner import Later, Outputs, Runner

logger = logging.getLogger(__name__)

Send = Callable[[list[Message]], None]

REMEMBERED_ABORTS = 4096
PATIENCE = 0.2
"""Seconds that a listener waits for the first sound before a new request is as urgent as a stream that runs dry."""

MARGIN = 0.16
"""Seconds before a stream runs dry from when on nothing new goes before it: the first chunk of sound."""

AHEAD = 2.0
"""Seconds of sound by which a stream must be ahead of another to be parked for it: no two park each other in turns."""


@dataclass(frozen=True)
class Step:
    batch: list[Request]
    outputs: Outputs | Later
    begun: float


class Scheduler:
    """`downstream` takes what the next stage should hear; `listener` takes failures, for whoever made the request."""

    def __init__(
        self,
        name: str,
        runner: Runner,
        downstream: Send,
        listener: Send,
        max_batch: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.name = name
        self.runner = runner
        self.memory = runner.memory
        self.parked = 0  # how often a request was
        self.downstream = downstream
        self.listener = listener
        self.max_batch = max_batch
        self.clock = clock
        self.free = list(range(runner.slots))[::-1]
        self.pace = Pace()
        self.waiting: list[Request] = []  # by priority, then in the order in which they came
        self.requests: dict[str, Request] = {}  # waiting and open
        self.under_way: Step | None = None
        self.handed_on = -math.inf  # when the last step was
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
                request.upstream_usage, request.upstream_times = message.usage, message.times
                self._feed(request, None)
        else:
            logger.warning("%s: ignored a %s", self.name, type(message).__name__)
        self._admit()

    def _start(self, message: Start) -> None:
        if message.request_id in self.aborted:
            del self.aborted[message.request_id]
        elif message.request_id in self.requests:
            logger.warning("%s: request %s started twice", self.name, message.request_id)
        else:
            params = {**message.params, **message.stages.get(self.name, {})}
            now = self.clock()
            request = Request(
                message.request_id, params, message.stages, message.priority, arrived=now, deadline=now + PATIENCE
            )
            self.requests[request.id] = request
            insort(self.waiting, request, key=lambda request: -request.priority)

    def _admit(self) -> None:
        """Free slots for those who wait. Not called where slots are freed: a thousand that fail would nest as deep."""
        while self.waiting and self.free and self._is_safe_to_admit():
            request = self.waiting.pop(0)
            request.slot = self.free.pop()
            request.admitted = self.clock()
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

    def _is_safe_to_admit(self) -> bool:
        held = self._open()
        return self.pace.is_safe(len(held) + 1, sum(request.begun is not None for request in held))

    def _open(self) -> list[Request]:
        return [request for request in self.requests.values() if request.slot is not None]

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
        """Begins a step of one bucket, if any request can do something, and hands on what is done. Says whether there
        was either."""
        batch = self._schedule()
        if not batch and self.under_way is None:
            return False
        before, self.under_way = self.under_way, self._begin(batch) if batch else None
        if before is not None:
            self._end(before)
        if self.under_way is not None and not isinstance(self.under_way.outputs, Later):
            done, self.under_way = self.under_way, None
            self._end(done)
        self._admit()
        return True

    def _begin(self, batch: list[Request]) -> Step | None:
        begun = self.clock()
        try:
            return Step(batch, self.runner.step([request.state for request in batch]), begun)
        except Exception as error:
            self._fail(batch, error)
            return None

    def _end(self, step: Step) -> None:
        try:
            outputs = step.outputs.wait() if isinstance(step.outputs, Later) else step.outputs
        except Exception as error:
            self._fail([request for request in step.batch if self._is_open(request)], error)
        else:
            self._hand_on(step, outputs)

    def _is_open(self, request: Request) -> bool:
        """It may have ended while a step was under way."""
        return self.requests.get(request.id) is request

    def _schedule(self) -> list[Request]:
        """Requests of one bucket, none of which needs more memory."""
        batch: list[Request] = []
        wanted, refused = None, None
        for request in sorted(self._open(), key=self._due):
            bucket = self.runner.bucket(request.state)
            if bucket is None or (batch and bucket != wanted):
                continue
            if self.memory.needed(request.state) and (refused or not self._give(request, ahead=AHEAD)):
                refused = refused or request  # whoever comes later goes on with what it holds
                continue
            wanted = bucket
            batch.append(request)
            if len(batch) == self.max_batch:
                break
        stuck = not batch and self.under_way is None
        if refused and stuck and self._give(refused, ahead=-math.inf):  # or nobody would ever go on
            batch = [refused]
        return batch

    def _due(self, request: Request) -> float:
        """Its deadline; of a new request, after that of streams about to run dry."""
        return request.deadline if request.begun is not None else max(request.deadline, self.clock() + MARGIN)

    def _give(self, request: Request, ahead: float) -> bool:
        """Memory for its next step, if need be from those who are so many seconds `ahead` of it, the furthest first.

        Says whether there was enough.
        """
        needed = self.memory.needed(request.state)
        limit = self._due(request) + ahead
        others = [other for other in self._open() if other is not request and self._due(other) > limit]
        if self.memory.free + sum(self.memory.held(other.state) for other in others) < needed:
            return False
        for other in sorted(others, key=self._due, reverse=True):
            if self.memory.free >= needed:
                break
            self.parked += self.memory.held(other.state) > 0
            self.memory.park(other.state)
        self.memory.give(request.state)
        return True

    # What leaves

    def _hand_on(self, step: Step, outputs: Outputs) -> None:
        messages: list[Message] = []
        now = self.clock()
        seconds = now - max(step.begun, self.handed_on)  # before, the device had another to do
        self.handed_on = now
        made = []  # seconds of sound, of the streams that play already
        for request, output in zip(step.batch, outputs, strict=True):
            if not self._is_open(request):
                continue
            request.worked += seconds
            if output is not None:
                heard, plays = request.deadline, request.begun is not None
                request.begun = request.begun or now
                request.deadline = request.begun + self.runner.seconds(request.state)
                if plays:
                    made.append(request.deadline - heard)
                self._announce(request, messages)
                messages.append(Chunk(request.id, output))
                request.sent += 1
        if sum(made) > 0:
            self.pace.step(seconds, sum(made) / len(made), len(step.batch))
        if messages:
            self.downstream(messages)
        for request in step.batch:
            if self._is_open(request):
                self._finish_if_done(request)

    def _announce(self, request: Request, messages: list[Message]) -> None:
        """Downstream holds a slot from here on, so it hears of a request when there is something to hear."""
        if request.sent == 0:
            messages.append(Start(request.id, {}, request.stages, request.priority))

    def _finish_if_done(self, request: Request) -> None:
        if self.under_way is not None and any(request is other for other in self.under_way.batch):
            return  # when that step has been handed on
        own = self.runner.finished(request.state)
        if own is None:
            return
        messages: list[Message] = []
        self._announce(request, messages)
        usage = {**request.upstream_usage, self.name: request.sent}
        times = {**request.upstream_times, self.name: request.times(self.clock())}
        messages.append(Finish(request.id, request.reason(own), usage, times))
        self.downstream(messages)
        self._release(request)

    def _fail(self, batch: list[Request], error: Exception) -> None:
        """Raises what the device will answer every further call with: this process is lost, and another is started."""
        told = error if isinstance(error, OmniError) else RequestFailed(f"the {self.name} failed on this request")
        if told is not error:
            logger.error("%s: a step for %s failed", self.name, [r.id for r in batch], exc_info=error)
        for request in batch:
            self._drop(request)
            self._tell(request.id, told)
        if isinstance(error, torch.AcceleratorError):
            raise error

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
            if request.state is not None:
                self.memory.release(request.state)

    # What is held

    def state(self) -> dict[str, int]:
        return {
            "slots": self.runner.slots,
            "free": len(self.free),
            "waiting": len(self.waiting),
            "pages": self.memory.total,
            "free_pages": self.memory.free,
            "parked": self.parked,
        }

    def check_integrity(self) -> None:
        """The laws of slots and pages: each is free or held by one request; and nobody waits while nobody runs."""
        held = self._open()
        slots = sorted([*self.free, *(request.slot for request in held if request.slot is not None)])
        if slots != list(range(self.runner.slots)):
            raise AssertionError(f"{self.name}: slots {slots} of {self.runner.slots}")
        pages = self.memory.free + sum(self.memory.held(request.state) for request in held)
        if pages != self.memory.total:
            raise AssertionError(f"{self.name}: {pages} pages of {self.memory.total}")
        if self.waiting and not held:
            raise AssertionError(f"{self.name}: {len(self.waiting)} wait while nobody runs")
