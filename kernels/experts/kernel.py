"""A mixture of experts for few rows: no sort, and no expert that nobody chose is read.

Bound by the bytes of the chosen experts. A pair is a row and one of its experts. The first kernel makes a slice of a
pair's intermediate values, the second a slice of a row's output, adding its experts in order: equal input gives equal
bits. Neighbouring programs have the same slice of different pairs, so an expert that several rows chose is read once
and then found in the L2 cache.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

GATE_UP_COLUMNS, DOWN_COLUMNS = 16, 8
"""Of a program. With 6 experts of 384 and a hidden size of 1024 a single row makes 144 and 128 programs, about as many
as an H100 has multiprocessors."""
MOST_INPUTS = 512


@triton.jit
def _gate_up(
    x,
    gate_up,
    chosen,
    inner,
    x_row,
    expert_stride,
    input_stride,
    output_stride,
    ACTIVE: tl.constexpr,
    HIDDEN: tl.constexpr,
    INTERMEDIATE: tl.constexpr,
    COLUMNS: tl.constexpr,
    INPUTS: tl.constexpr,
):
    pair = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    x += pair // ACTIVE * x_row
    weight = gate_up + tl.load(chosen + pair).to(tl.int64) * expert_stride + column[:, None] * output_stride
    gates = tl.zeros((COLUMNS, INPUTS), tl.float32)
    ups = tl.zeros((COLUMNS, INPUTS), tl.float32)
    for start in tl.static_range(0, HIDDEN, INPUTS):
        k = start + tl.arange(0, INPUTS)
        inside = (column < INTERMEDIATE)[:, None] & (k < HIDDEN)[None]
        value = tl.load(x + k, k < HIDDEN, 0).to(tl.float32)[None]
        at = weight + k[None] * input_stride
        gates += tl.load(at, inside, 0).to(tl.float32) * value
        ups += tl.load(at + INTERMEDIATE * output_stride, inside, 0).to(tl.float32) * value
    gate = tl.sum(gates, 1)
    y = gate / (1 + tl.exp(-gate)) * tl.sum(ups, 1)
    tl.store(inner + pair * INTERMEDIATE + column, y, column < INTERMEDIATE)


@triton.jit
def _down(
    inner,
    down,
    weights,
    chosen,
    residual,
    y,
    expert_stride,
    input_stride,
    output_stride,
    residual_row,
    ACTIVE: tl.constexpr,
    HIDDEN: tl.constexpr,
    INTERMEDIATE: tl.constexpr,
    COLUMNS: tl.constexpr,
    INPUTS: tl.constexpr,
):
    row = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    sums = tl.zeros((COLUMNS, INPUTS), tl.float32)
    for number in tl.static_range(ACTIVE):
        pair = row * ACTIVE + number
        share = tl.load(weights + pair).to(tl.float32)
        weight = down + tl.load(chosen + pair).to(tl.int64) * expert_stride + column[:, None] * output_stride
        for start in tl.static_range(0, INTERMEDIATE, INPUTS):
            k = start + tl.arange(0, INPUTS)
            inside = (column < HIDDEN)[:, None] & (k < INTERMEDIATE)[None]
            value = tl.load(inner + pair * INTERMEDIATE + k, k < INTERMEDIATE, 0) * share
            sums += tl.load(weight + k[None] * input_stride, inside, 0).to(tl.float32) * value[None]
    inside = column < HIDDEN
    before = tl.load(residual + row * residual_row + column, inside, 0).to(tl.float32)
    tl.store(y + row * HIDDEN + column, before + tl.sum(sums, 1), inside)


def experts(x: Tensor, gate_up: Tensor, down: Tensor, weights: Tensor, chosen: Tensor, residual: Tensor) -> Tensor:
    """As the reference. The experts may have any strides; fastest with inputs next to each other in memory."""
    (rows, hidden), active, intermediate = x.shape, chosen.shape[1], down.shape[1]
    weights, chosen = weights.contiguous(), chosen.contiguous()
    inner = torch.empty((rows * active, intermediate), dtype=torch.float32, device=x.device)
    y = torch.empty((rows, hidden), dtype=x.dtype, device=x.device)
    _gate_up[rows * active, triton.cdiv(intermediate, GATE_UP_COLUMNS)](
        x,
        gate_up,
        chosen,
        inner,
        x.stride(0),
        *gate_up.stride(),
        ACTIVE=active,
        HIDDEN=hidden,
        INTERMEDIATE=intermediate,
        COLUMNS=GATE_UP_COLUMNS,
        INPUTS=min(triton.next_power_of_2(hidden), MOST_INPUTS // 2),  # two weights at a time
    )
    _down[rows, triton.cdiv(hidden, DOWN_COLUMNS)](
        inner,
        down,
        weights,
        chosen,
        residual,
        y,
        *down.stride(),
        residual.stride(0),
        ACTIVE=active,
        HIDDEN=hidden,
        INTERMEDIATE=intermediate,
        COLUMNS=DOWN_COLUMNS,
        INPUTS=min(triton.next_power_of_2(intermediate), MOST_INPUTS),
    )
    return y
