"""Streaming as a property of a layer: what a layer remembers is the tail of its input.

The law, for every layer and model built on this file: outputs of chunks, joined, equal the output of the whole
signal. `stream=None` is the whole signal, so both are one forward, written once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stream:
    """The rows of one step: each row is the next chunk of one stream, and all chunks are equally long.

    slots: (batch,) the pool slot of each row, all different
    positions: (batch,) frames of the stream that came before this chunk
    first: every row starts its stream, or none does; a stream's first chunk makes its slot as new
    """

    slots: Tensor
    positions: Tensor
    first: bool

    def split(self, rows: int) -> list["Stream"]:
        """Parts of so many rows, but for the last."""
        pairs = zip(self.slots.split(rows), self.positions.split(rows), strict=True)
        return [Stream(slots, positions, self.first) for slots, positions in pairs]


class Tail(nn.Module):
    """The last steps of a signal, per slot. `shape` is one stream's tail, (..., length, ...), time at `axis`."""

    pool: Tensor

    def __init__(self, shape: tuple[int, ...], axis: int = -1):
        super().__init__()
        self.shape = shape
        self.axis = axis
        self.length = shape[axis]

    def allocate(self, slots: int, like: Tensor) -> None:
        """Room for `slots` streams, on the device and in the dtype of `like`."""
        self.register_buffer("pool", like.new_zeros((slots, *self.shape)), persistent=False)

    def prepend(self, x: Tensor, stream: Stream | None) -> Tensor:
        """`x` (batch, ..., time, ...) behind the `length` steps before it, which are zeros where a stream starts."""
        if self.length == 0:
            return x
        before = x.new_zeros((len(x), *self.shape)) if stream is None or stream.first else self.pool[stream.slots]
        joined = torch.cat((before, x), self.axis)
        if stream is not None:
            self.pool[stream.slots] = joined.narrow(self.axis, -self.length, self.length)
        return joined


def allocate(module: nn.Module, slots: int) -> None:
    """Gives every Tail inside `module` room for `slots` streams, where its parameters are."""
    like = next(module.parameters())
    for child in module.modules():
        if isinstance(child, Tail):
            child.allocate(slots, like)
