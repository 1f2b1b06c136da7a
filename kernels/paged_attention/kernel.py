"""Attention of a decode step over pages.

Bound by the bytes of the keys and values, each read once: the heads of a group share them. As in flash-decoding (Dao et
al., 2023) a row's length is split among programs, each with a softmax of its own, and a second kernel combines them.
A part is always `PART` rows, so neither company nor the size of the page table changes a row's bits. Lengths are read
on the device: programs beyond a row's length return at once.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglang_omni.kernels.operands import operand_type

PART = 128
BLOCK = 64
LEAST_HEADS = 16  # that a product takes
LOG2_E = 1.4426950408889634


@triton.jit
def _attend(
    query,
    pool,
    pages,
    lengths,
    y,
    weight,
    scale,
    query_row,
    query_head,
    pool_page,
    pool_row,
    pool_head,
    pages_row,
    PAGE_ROWS: tl.constexpr,
    GROUP: tl.constexpr,
    HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    PART: tl.constexpr,
    BLOCK: tl.constexpr,
    OPERAND: tl.constexpr,
):
    row, kv_head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    kv_heads, parts = tl.num_programs(1), tl.num_programs(2)
    begin, length = part * PART, tl.load(lengths + row).to(tl.int32)
    if (begin >= length) & (part > 0):
        return
    dim = tl.arange(0, HEAD_DIM)
    member = tl.arange(0, HEADS)
    head = kv_head * GROUP + member
    real = (member < GROUP)[:, None]
    q = tl.load(query + row * query_row + head[:, None] * query_head + dim[None], real, 0).to(OPERAND)
    best = tl.full((HEADS,), -1e30, tl.float32)
    total = tl.zeros((HEADS,), tl.float32)
    sums = tl.zeros((HEADS, HEAD_DIM), tl.float32)
    end = tl.minimum(length, begin + PART)
    for start in range(begin, end, BLOCK):
        position = start + tl.arange(0, BLOCK)
        seen = position < end
        page = tl.load(pages + row * pages_row + position // PAGE_ROWS, seen, 0).to(tl.int64)
        at = page * pool_page + position % PAGE_ROWS * pool_row + kv_head * pool_head
        key = tl.load(pool + at[None] + dim[:, None], seen[None], 0).to(OPERAND)
        scores = tl.dot(q, key, input_precision="ieee") * scale
        scores = tl.where(seen[None], scores, float("-inf"))
        better = tl.maximum(best, tl.max(scores, 1))
        fade = tl.exp2(best - better)
        shares = tl.exp2(scores - better[:, None])
        value = tl.load(pool + at[:, None] + kv_heads * pool_head + dim[None], seen[:, None], 0)
        product = tl.dot(shares.to(value.dtype).to(OPERAND), value.to(OPERAND), input_precision="ieee")
        sums = sums * fade[:, None] + product
        total = total * fade + tl.sum(shares, 1)
        best = better
    total = tl.maximum(total, 1e-30)  # of no rows
    place = (row * kv_heads * GROUP + head) * parts + part
    tl.store(y + place[:, None] * HEAD_DIM + dim[None], sums / total[:, None], real)
    tl.store(weight + place, best + tl.log2(total), member < GROUP)


@triton.jit
def _combine(
    parts,
    weights,
    lengths,
    y,
    heads,
    count,
    PART: tl.constexpr,
    COUNT: tl.constexpr,
    BLOCK: tl.constexpr,
    HEAD_DIM: tl.constexpr,
):
    row, head = tl.program_id(0), tl.program_id(1)
    place = row * heads + head
    used = tl.maximum(tl.cdiv(tl.load(lengths + row).to(tl.int32), PART), 1)
    dim = tl.arange(0, HEAD_DIM)
    every = tl.arange(0, COUNT)
    best = tl.max(tl.load(weights + place * count + every, every < used, float("-inf")), 0)
    total = 0.0
    sums = tl.zeros((HEAD_DIM,), tl.float32)
    for start in range(0, used, BLOCK):
        part = start + tl.arange(0, BLOCK)
        share = tl.exp2(tl.load(weights + place * count + part, part < used, float("-inf")) - best)
        at = parts + (place * count + part)[:, None] * HEAD_DIM + dim[None]
        sums += tl.sum(tl.load(at, (part < used)[:, None], 0) * share[:, None], 0)
        total += tl.sum(share, 0)
    tl.store(y + place * HEAD_DIM + dim, sums / total)


def paged_attention(query: Tensor, pool: Tensor, pages: Tensor, lengths: Tensor) -> Tensor:
    """As the reference; head_dim is a power of two."""
    batch, heads, head_dim = query.shape
    page_rows, kv_heads = pool.shape[1], pool.shape[2] // 2
    count = triton.cdiv(pages.shape[1] * page_rows, PART)
    y = torch.empty((batch, heads, head_dim), dtype=query.dtype, device=query.device)
    weights = torch.empty((batch, heads, count), dtype=torch.float32, device=query.device)
    parts = y if count == 1 else torch.empty((*weights.shape, head_dim), dtype=torch.float32, device=query.device)
    _attend[batch, kv_heads, count](
        query,
        pool,
        pages,
        lengths,
        parts,
        weights,
        head_dim**-0.5 * LOG2_E,
        *query.stride()[:2],
        *pool.stride()[:3],
        pages.stride(0),
        PAGE_ROWS=page_rows,
        GROUP=heads // kv_heads,
        HEADS=max(LEAST_HEADS, triton.next_power_of_2(heads // kv_heads)),
        HEAD_DIM=head_dim,
        PART=PART,
        BLOCK=BLOCK,
        OPERAND=operand_type(query.dtype),
    )
    if count > 1:
        _combine[batch, heads](
            parts,
            weights,
            lengths,
            y,
            heads,
            count,
            PART=PART,
            COUNT=triton.next_power_of_2(count),
            BLOCK=16,
            HEAD_DIM=head_dim,
            num_warps=2,
        )
    return y
