"""Keys and values of many requests in one pool, and the ways a step reaches them.

A pool is (slots, length, 2 * kv_heads, head_dim): keys, then values. Each layer owns its own; where a step's
rows lie in it comes with the call.
"""

from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from sglang_omni.layers.rope import Rotation


class Access(Protocol):
    """One step of `batch` rows: their rotary positions, where their keys and values go, which ones they see."""

    @property
    def batch(self) -> int: ...
    @property
    def rotation(self) -> Rotation: ...

    def attend(self, query: Tensor, kv: Tensor, pool: Tensor) -> Tensor:
        """Stores kv (batch, time, 2 * kv_heads, head_dim); query and result are (batch, time, heads, head_dim)."""


def zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A pool. Not `torch.empty`: a masked NaN is still NaN. On a CPU, memory is taken as it is written."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(numpy.zeros(prod(shape) * dtype.itemsize, numpy.uint8)).view(dtype).view(shape)


def attention(query: Tensor, kv: Tensor, mask: Tensor | None = None) -> Tensor:
    """One query per row, to all of kv (batch, keys, 2 * kv_heads, head_dim): the heads of a group take time's place."""
    kv_heads = kv.shape[2] // 2
    kv = kv.transpose(1, 2)
    key, value = kv.narrow(1, 0, kv_heads), kv.narrow(1, kv_heads, kv_heads)
    grouped = query.reshape(len(query), kv_heads, -1, query.shape[-1])
    return F.scaled_dot_product_attention(grouped, key, value, mask).view(query.shape)


def causal_attention(query: Tensor, kv: Tensor) -> Tensor:
    """Queries and keys at the same positions."""
    kv_heads = kv.shape[2] // 2
    kv = kv.transpose(1, 2)
    key, value = kv.narrow(1, 0, kv_heads), kv.narrow(1, kv_heads, kv_heads)
    grouped = query.shape[2] != kv_heads
    y = F.scaled_dot_product_attention(query.transpose(1, 2), key, value, is_causal=True, enable_gqa=grouped)
    return y.transpose(1, 2)


@dataclass(frozen=True)
class Prefill:
    """Whole prompts of one length: nothing before them."""

    slots: Tensor  # (batch,)
    rotation: Rotation

    @property
    def batch(self) -> int:
        return self.slots.shape[0]

    def attend(self, query: Tensor, kv: Tensor, pool: Tensor) -> Tensor:
        pool[self.slots, : kv.shape[1]] = kv
        return causal_attention(query, kv)


@dataclass(frozen=True)
class Decode:
    """One token per row, each at its own position of its own slot."""

    slots: Tensor  # (batch,)
    positions: Tensor  # (batch,) tokens already in the slot
    length: int  # of the longest row, this token included
    rotation: Rotation
    mask: Tensor | None  # (batch, 1, 1, length), None if all rows are equally long

    @property
    def batch(self) -> int:
        return self.slots.shape[0]

    def attend(self, query: Tensor, kv: Tensor, pool: Tensor) -> Tensor:
        pool[self.slots, self.positions] = kv.squeeze(1)
        return attention(query, pool[:, : self.length].index_select(0, self.slots), self.mask)


@dataclass(frozen=True)
class DecodeByRow:
    """As `Decode`, each row to its own keys and no others, so that company does not change how sums are rounded.

    For CPUs. There are `batch` rows, of which those without a slot are padding.
    """

    batch: int
    slots: list[int]
    lengths: list[int]  # this token included
    rotation: Rotation

    def attend(self, query: Tensor, kv: Tensor, pool: Tensor) -> Tensor:
        y = torch.zeros_like(query)
        for row, (slot, length) in enumerate(zip(self.slots, self.lengths, strict=True)):
            pool[slot, length - 1] = kv[row, 0]
            y[row] = attention(query[row, None], pool[slot, None, :length])[0]
        return y


@dataclass(frozen=True)
class Together:
    """Row i in slot i, all at the same position `start`: a loop within one step, whose first part is causal."""

    batch: int
    start: int
    rotation: Rotation

    def attend(self, query: Tensor, kv: Tensor, pool: Tensor) -> Tensor:
        rows, time = pool.narrow(0, 0, self.batch), kv.shape[1]
        rows.narrow(1, self.start, time).copy_(kv)
        return attention(query, rows.narrow(1, 0, self.start + time)) if self.start else causal_attention(query, kv)


def length_mask(lengths: list[int], device: torch.device, dtype: torch.dtype) -> Tensor | None:
    """What to add to the attention scores of rows of these lengths: (batch, 1, 1, longest)."""
    longest = max(lengths)
    if min(lengths) == longest:
        return None
    beyond = torch.arange(longest, device=device) >= torch.tensor(lengths, device=device)[:, None]
    return torch.zeros(beyond.shape, device=device, dtype=dtype).masked_fill_(beyond, -torch.inf)[:, None, None]
