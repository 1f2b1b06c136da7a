"""Steps as CUDA graphs: all launches of a step in one, so that the host's time for each no longer counts.

A step is a function of a key, which fixes every shape in it, and of one tensor of inputs (rows, fields); all else that
it reads and writes stays where it is. The law: a replay does what a call of the function does. So where there are no
graphs, and of keys that were not captured, the function is called.
"""

import logging
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from sglang_omni.kernels.choice import mode
from sglang_omni.layers.transfer import send, write

logger = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)


def buckets(most: int, least: int = 1) -> list[int]:
    """Numbers of rows that are captured: `least`, twice that, ... and `most`. A step takes the first that holds it."""
    sizes = []
    while least < most:
        sizes.append(least)
        least *= 2
    return [*sizes, most]


def bucket(count: int, sizes: Iterable[int]) -> int:
    """The least of ascending `sizes` that holds `count`."""
    return next(size for size in sizes if size >= count)


class Graph(Protocol):
    """Calls that are all the same. Each writes `output`."""

    output: Tensor

    def replay(self) -> None: ...


class Eager:
    """Where there are no graphs."""

    def __init__(self, call: Callable[[], Tensor]):
        self.call = call
        self.output = call()

    def replay(self) -> None:
        self.output.copy_(self.call())


class CannotCapture(RuntimeError):
    """A call waits for the device, or else does what no graph can."""


class CudaGraph:
    def __init__(self, call: Callable[[], Tensor], pool: Any, stream: torch.cuda.Stream):
        """`pool` is shared with graphs of which none runs at the same time. Raises CannotCapture, and what the call
        raises by itself."""
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            call()  # compiles kernels, and lets libraries take what they keep
        self.graph = torch.cuda.CUDAGraph()
        current = torch.cuda.stream(torch.cuda.current_stream())  # which a capture that fails does not give back
        try:
            with current, torch.cuda.graph(self.graph, pool=pool, stream=stream):
                self.output = call()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise CannotCapture(str(error)) from error

    def replay(self) -> None:
        self.graph.replay()


class Graphs(Generic[Key]):
    """Graphs of `step(key, inputs)`. `blank(key)` are inputs on the host, of rows that disturb nobody: a step is tried
    with them before it is captured, and they fill up the rows that a bucket has left.

    All share one pool of memory, which holds what the largest needs between its first and last kernel, not the sum:
    steps run one after another, and nothing but an output outlives its step, so each is captured over the memory of
    those before it. If the largest comes first, the pool does not grow after it. What a driver keeps of a graph's
    launches comes on top, and grows with the number of keys: `prepare` logs what all of it takes.
    """

    def __init__(self, step: Callable[[Key, Tensor], Tensor], blank: Callable[[Key], Tensor], device: torch.device):
        self.step = step
        self.blank = blank
        self.device = device
        self.wanted = mode() != "eager"
        self.captured: dict[Key, tuple[Tensor, Graph] | None] = {}  # and their inputs; None: it cannot be
        self.shared: tuple[Any, torch.cuda.Stream] | None = None

    def __call__(self, key: Key, rows: Tensor) -> Tensor:
        """Of `rows` (rows, fields) on the host, fewer than the key's or as many. The next call may write the output."""
        values = self.blank(key)
        values[: len(rows)] = rows
        captured = self.captured.get(key)
        if captured is None:
            return self.step(key, send(values, self.device))
        inputs, graph = captured
        write(values, inputs)
        graph.replay()
        return graph.output

    def prepare(self, keys: Iterable[Key]) -> None:
        """Captures those of `keys` that are not yet; the largest should come first. Raises OutOfMemoryError."""
        missing = [key for key in keys if key not in self.captured] if self.wanted else []
        if missing:
            before = _free(self.device)
            for key in missing:
                self.captured[key] = self._capture(key)
            logger.info("captured %d steps in %.0f MiB", len(missing), (before - _free(self.device)) / 2**20)

    def prepare_late(self, key: Key) -> None:
        """Where others are served already: if no memory is left for its graph, this key has none, and they go on."""
        try:
            self.prepare([key])
        except torch.OutOfMemoryError as error:
            self._give_up(key, error)

    def _capture(self, key: Key) -> tuple[Tensor, Graph] | None:
        inputs = send(self.blank(key), self.device)
        call = partial(self.step, key, inputs)
        if self.device.type != "cuda":
            return inputs, Eager(call)
        self.shared = self.shared or (torch.cuda.graph_pool_handle(), torch.cuda.Stream())
        try:
            return inputs, CudaGraph(call, *self.shared)
        except CannotCapture as error:
            self._give_up(key, error)
            return None

    def _give_up(self, key: Key, error: Exception) -> None:
        self.captured[key] = None
        self.shared = None  # an allocator may still think that it captures
        logger.warning("%s has no graph, and is launched kernel by kernel: %s", key, error)


def _free(device: torch.device) -> int:
    """Bytes that the device has."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
