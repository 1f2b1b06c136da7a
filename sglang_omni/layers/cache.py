"""Keys and values of many requests in one pool, and the ways a step reaches them.

A pool is (pages, rows of a page, 2 * kv_heads, head_dim): keys, then values. Each layer owns its own; where a step's
rows lie in it comes with the call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Protocol, TypeAlias

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from sglang_omni.layers.rope import Rotation
from sglang_omni.layers.transfer import send

CPU = torch.device("cpu")


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


def place(pages: list[int], size: int, begin: int, end: int, device: torch.device = CPU) -> Place:
    """Of the rows `begin` to `end` of a request that lives in `pages` of `size` rows, in a pool on the device."""
    first, last = begin // size, (end - 1) // size
    if pages[first : last + 1] == list(range(pages[first], pages[first] + last - first + 1)):
        start = (pages[first] - first) * size
        return slice(start + begin, start + end)
    rows = torch.tensor(pages[first : last + 1])[:, None] * size + torch.arange(size)
    return send(rows.flatten()[begin - first * size : end - first * size], device)


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


PagedAttention: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""As `kernels/paged_attention/reference.py`."""


@dataclass(frozen=True)
class Paged:
    """One token per row, all rows in one operation, of whose lengths the host knows nothing. Every request's pages are
    in `pages`, filled up with any; all are read, and masked, unless there is a `kernel` for it."""

    pages: Tensor  # (batch, most pages)
    lengths: Tensor  # (batch,) tokens seen, this one included
    new: Tensor  # (batch,) where this one is among all rows of a pool
    mask: Tensor | None  # (batch, 1, 1, most pages * rows of a page) which are seen
    rotation: Rotation
    kernel: PagedAttention | None = None

    @property
    def batch(self) -> int:
        return self.pages.shape[0]

    def attend(self, query: Tensor, kv: Tensor, pool: Tensor) -> Tensor:
        pool.flatten(0, 1).index_copy_(0, self.new, kv.squeeze(1))
        if self.kernel is not None:
            return self.kernel(query.squeeze(1), pool, self.pages, self.lengths).unsqueeze(1)
        return attention(query, pool[self.pages].flatten(1, 2), self.mask)


def paged(pages: Tensor, before: Tensor, size: int, rotation: Rotation, kernel: PagedAttention | None = None) -> Paged:
    """Rows that go on in `pages` (batch, most pages) of `size` rows, where `before` (batch,) tokens are there."""
    page = pages.gather(1, (before // size)[:, None]).squeeze(1)
    mask = None
    if kernel is None:
        mask = torch.arange(pages.shape[1] * size, device=pages.device) <= before[:, None, None, None]
    return Paged(pages, before + 1, page * size + before % size, mask, rotation, kernel)


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
