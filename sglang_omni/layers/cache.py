"""Keys and values of many requests in one pool, and the ways a step reaches them.

A pool is (pages, rows of a page, 2 * kv_heads, head_dim): keys, then values. Each layer owns its own; where a step's
rows lie in it comes with the call.
"""

from dataclasses import dataclass
from math import prod
from typing import Protocol, TypeAlias

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
    """Queries at the last of the positions of kv (batch, keys, 2 * kv_heads, head_dim)."""
    kv_heads, time, keys = kv.shape[2] // 2, query.shape[1], kv.shape[1]
    kv = kv.transpose(1, 2)
    key, value = kv.narrow(1, 0, kv_heads), kv.narrow(1, kv_heads, kv_heads)
    grouped = query.shape[2] != kv_heads
    seen = None
    if time < keys:
        seen = torch.ones(time, keys, dtype=torch.bool, device=query.device).tril(keys - time)
    y = F.scaled_dot_product_attention(
        query.transpose(1, 2), key, value, seen, is_causal=seen is None, enable_gqa=grouped
    )
    return y.transpose(1, 2)


Place: TypeAlias = slice | Tensor
"""Where rows are among all rows of a pool: a view of them, or their numbers."""


def place(pages: list[int], size: int, begin: int, end: int) -> Place:
    """Of the rows `begin` to `end` of a request that lives in `pages` of `size` rows."""
    first, last = begin // size, (end - 1) // size
    if pages[first : last + 1] == list(range(pages[first], pages[first] + last - first + 1)):
        start = (pages[first] - first) * size
        return slice(start + begin, start + end)
    rows = torch.tensor(pages[first : last + 1])[:, None] * size + torch.arange(size)
    return rows.flatten()[begin - first * size : end - first * size]


@dataclass(frozen=True)
class ByRow:
    """Rows that each go on with a request of their own and see no other: on a CPU, company then does not change how
    sums are rounded. There are `batch` rows, of which those without a place are padding."""

    batch: int
    new: list[Place]  # of what each row adds
    seen: list[Place]  # of all that it sees, this included
    rotation: Rotation

    def attend(self, query: Tensor, kv: Tensor, pool: Tensor) -> Tensor:
        flat, y = pool.flatten(0, 1), torch.zeros_like(query)
        for row, (new, seen) in enumerate(zip(self.new, self.seen, strict=True)):
            flat[new] = kv[row]
            attend = attention if kv.shape[1] == 1 else causal_attention
            y[row] = attend(query[row, None], flat[seen][None])[0]
        return y


@dataclass(frozen=True)
class Decode:
    """One token per row, all rows in one operation. Every request's pages are in `pages`, filled up with any."""

    pages: Tensor  # (batch, pages of the longest)
    positions: Tensor  # (batch,) tokens already there
    length: int  # of the longest row, this token included
    rotation: Rotation
    mask: Tensor | None  # (batch, 1, 1, length), None if all rows are equally long

    @property
    def batch(self) -> int:
        return self.pages.shape[0]

    def attend(self, query: Tensor, kv: Tensor, pool: Tensor) -> Tensor:
        flat, size = pool.flatten(0, 1), pool.shape[1]
        rows = (self.pages[:, :, None] * size + torch.arange(size, device=pool.device)).flatten(1)[:, : self.length]
        flat[rows.gather(1, self.positions[:, None]).squeeze(1)] = kv.squeeze(1)
        return attention(query, flat[rows], self.mask)


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
