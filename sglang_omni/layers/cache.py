"""Keys and values of many requests in one pool, and the three ways a step reaches them.

A pool is (slots, length, 2 * kv_heads, head_dim): keys, then values. Each layer owns its own; where a step's
rows lie in it comes with the call.
"""

from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy
import torch
from torch import Tensor

from sglang_omni.layers.rope import Rotation


class Access(Protocol):
    """One step of `batch` rows: their rotary positions, where their keys and values go, which ones they see."""

    @property
    def batch(self) -> int: ...
    @property
    def rotation(self) -> Rotation: ...
    @property
    def mask(self) -> Tensor | None: ...
    @property
    def causal(self) -> bool: ...

    def update(self, pool: Tensor, kv: Tensor) -> Tensor:
        """Stores kv (batch, time, 2 * kv_heads, head_dim); returns what the queries look at, same layout."""


def zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A pool. Not `torch.empty`: a masked NaN is still NaN. On a CPU, memory is taken as it is written."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(numpy.zeros(prod(shape) * dtype.itemsize, numpy.uint8)).view(dtype).view(shape)


@dataclass(frozen=True)
class Prefill:
    """Whole prompts, padded at their ends to one length: nothing before them, and padding is never read.

    What padding writes behind a prompt is overwritten by the tokens that follow it before they look.
    """

    slots: Tensor  # (batch,)
    rotation: Rotation
    mask: None = None
    causal: bool = True

    @property
    def batch(self) -> int:
        return self.slots.shape[0]

    def update(self, pool: Tensor, kv: Tensor) -> Tensor:
        pool[self.slots, : kv.shape[1]] = kv
        return kv


@dataclass(frozen=True)
class Decode:
    """One token per row, each at its own position of its own slot."""

    slots: Tensor  # (batch,)
    positions: Tensor  # (batch,) tokens already in the slot
    length: int  # of the longest row, this token included
    rotation: Rotation
    mask: Tensor | None  # (batch, 1, 1, length), None if all rows are equally long
    causal: bool = False

    @property
    def batch(self) -> int:
        return self.slots.shape[0]

    def update(self, pool: Tensor, kv: Tensor) -> Tensor:
        pool[self.slots, self.positions] = kv.squeeze(1)
        return pool[:, : self.length].index_select(0, self.slots)


@dataclass(frozen=True)
class Together:
    """Row i in slot i, all at the same position `start`: a loop within one step."""

    batch: int
    start: int
    rotation: Rotation
    causal: bool
    mask: None = None

    def update(self, pool: Tensor, kv: Tensor) -> Tensor:
        rows, time = pool.narrow(0, 0, self.batch), kv.shape[1]
        rows.narrow(1, self.start, time).copy_(kv)
        return rows.narrow(1, 0, self.start + time)


def length_mask(lengths: list[int], device: torch.device, dtype: torch.dtype) -> Tensor | None:
    """What to add to the attention scores of rows of these lengths: (batch, 1, 1, longest)."""
    longest = max(lengths)
    if min(lengths) == longest:
        return None
    beyond = torch.arange(longest, device=device) >= torch.tensor(lengths, device=device)[:, None]
    return torch.zeros(beyond.shape, device=device, dtype=dtype).masked_fill_(beyond, -torch.inf)[:, None, None]
