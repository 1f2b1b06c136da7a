"""Steps as CUDA graphs: all launches of a step in one, so that the host's time for each no longer counts.

A step is a function of a key, which fixes every shape in it, and of one tensor of inputs (rows, fields); all else that
it reads and writes stays where it is. The law: a replay does what a call of the function does. So on a CPU, and of keys
that were not captured, the function is called.
"""

import logging
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from sglang_omni.layers.transfer import pinned, send

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


@dataclass(frozen=True)
class Captured:
    graph: torch.cuda.CUDAGraph
    inputs: Tensor
    output: Tensor


class Graphs(Generic[Key]):
    """Graphs of `step(key, inputs)`, which share one pool of memory. `blank(key)` are inputs on the host, of rows that
    disturb nobody: a step is tried with them before it is captured, and they fill up the rows that a bucket has left.

    The pool holds what the largest graph needs between its first and last kernel, not the sum: steps run one after
    another, and nothing but an output outlives its step, so each graph is captured over the memory of those before it.
    Captured from the largest on, the pool does not grow. Outputs are kept apart, one for each key. What a driver keeps
    of a graph's launches comes on top, and grows with the number of keys: `prepare` logs what all of it takes.
    """

    def __init__(self, step: Callable[[Key, Tensor], Tensor], blank: Callable[[Key], Tensor], device: torch.device):
        self.step = step
        self.blank = blank
        self.device = device
        self.captured: dict[Key, Captured | None] = {}  # None: it cannot be

    def __call__(self, key: Key, rows: Tensor) -> Tensor:
        """Of `rows` (rows, fields) on the host, fewer than the key's or as many. The output is the next call's too."""
        inputs = self.blank(key)
        inputs[: len(rows)] = rows
        captured = self.captured.get(key)
        if captured is None:
            return self.step(key, send(inputs, self.device))
        captured.inputs.copy_(pinned(inputs), non_blocking=True)
        captured.graph.replay()
        return captured.output

    def prepare(self, keys: Iterable[Key]) -> None:
        """Captures those of `keys` that are not yet; the largest should come first."""
        missing = [key for key in keys if key not in self.captured]
        if self.device.type != "cuda" or not missing:
            return
        with torch.cuda.device(self.device):
            before, _ = torch.cuda.mem_get_info()
            for key in missing:
                self.captured[key] = self._capture(key)
            after, _ = torch.cuda.mem_get_info()
        logger.info("captured %d graphs, which take %.0f MiB", len(missing), (before - after) / 2**20)

    @cached_property
    def _pool(self) -> Any:
        return torch.cuda.graph_pool_handle()

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        return torch.cuda.Stream()

    def _capture(self, key: Key) -> Captured | None:
        inputs, graph, stream = send(self.blank(key), self.device), torch.cuda.CUDAGraph(), self._stream
        try:
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.step(key, inputs)  # compiles kernels, and lets libraries take what they keep
            with torch.cuda.graph(graph, pool=self._pool, stream=stream):
                output = self.step(key, inputs)
        except RuntimeError as error:
            logger.warning("no graph of %s, which is launched kernel by kernel: %s", key, error)
            return None
        torch.cuda.current_stream().wait_stream(stream)
        return Captured(graph, inputs, output)
