"""The arithmetic of a decode step on a CPU, compiled: what torch does in a thousand small operations, in one call.

For few rows, a step of torch is mostly the way from one operation to the next: about 2 microseconds each, as long as a
small product takes. Here numba compiles what lies between the products, and calls the product of the BLAS library that
torch itself brings, so that `layers.company.law` holds for it too. Every row is computed as if it were alone. The plain
reference of each function is the torch layer that its docstring names.

Arrays are float32 and contiguous. Weights are as `Stack` keeps them.
"""

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import llvmlite.binding
import numba
import numpy
import torch
from numba import types
from numpy.typing import NDArray
from torch import Tensor

from sglang_omni.layers.company import law

Floats = NDArray[numpy.float32]
Integers = NDArray[numpy.int64]

EXACT = {"contract"}
SUMS = {"contract", "reassoc", "nsz", "arcp"}  # lets a sum be taken in several lanes
PRODUCT = "sglang_omni_sgemm"


@cache
def has_product() -> bool:
    """Whether a BLAS product could be found, which is then known to compiled code by the name PRODUCT."""
    try:
        library = ctypes.CDLL(f"{torch.__path__[0]}/lib/libtorch_cpu.so")
        address = ctypes.cast(library.sgemm_, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return False
    llvmlite.binding.add_symbol(PRODUCT, address)
    return True


def _compiler(fastmath: set[str]) -> Callable[[Callable], Any]:
    def compile(function: Callable) -> Any:
        try:
            return numba.njit(function, fastmath=fastmath, error_model="numpy", cache=True)
        except RuntimeError:  # there is nowhere to write the cache to
            return numba.njit(function, fastmath=fastmath, error_model="numpy")

    return compile


compiled, compiled_sums = _compiler(EXACT), _compiler(SUMS)
_sgemm: Any = types.ExternalFunction(PRODUCT, types.void(*[types.uintp] * 13))


class Stack:
    """Weights of several layers, one behind the other in memory: as an array for compiled code, and as views of it
    (inputs, outputs) for torch. Matrices are stored as the law of products asks."""

    def __init__(self, weights: Sequence[Tensor]):
        stored = torch.stack([weight.detach().float() for weight in weights])
        if stored.ndim > 2 and not law().by_input:
            stored = stored.mT.contiguous()
        self.array: Floats = stored.contiguous().numpy()
        self.views = [view.mT if stored.ndim > 2 and not law().by_input else view for view in stored]


@compiled
def multiply(x: Floats, weight: Floats, y: Floats, add: bool, by_input: bool) -> None:
    """y = x weight, or y += x weight, of x (rows, inputs) and y (rows, outputs); weight is (inputs, outputs) if it is
    stored by input, else (outputs, inputs). torch.mm, torch.addmm."""
    rows, inputs = x.shape
    outputs = y.shape[1]
    sizes = numpy.empty(4, numpy.int32)
    sizes[0], sizes[1], sizes[2], sizes[3] = outputs, rows, inputs, outputs if by_input else inputs
    factors = numpy.empty(2, numpy.float32)
    factors[0], factors[1] = 1.0, 1.0 if add else 0.0
    letters = numpy.empty(2, numpy.uint8)
    letters[0], letters[1] = 78 if by_input else 84, 78  # N or T, N
    size, factor, letter = sizes.ctypes.data, factors.ctypes.data, letters.ctypes.data
    _sgemm(
        letter,
        letter + 1,
        size,
        size + 4,
        size + 8,
        factor,
        weight.ctypes.data,
        size + 12,
        x.ctypes.data,
        size + 8,
        factor + 4,
        y.ctypes.data,
        size,
    )


@compiled_sums
def normalise(x: Floats, scale: Floats, eps: float, y: Floats) -> None:
    """Rows of x (rows, size) to y; `scale` holds the factor sqrt(size). `RmsNorm`."""
    rows, size = x.shape
    for row in range(rows):
        total = numpy.float32(0)
        for i in range(size):
            total += x[row, i] * x[row, i]
        factor = numpy.float32(1 / math.sqrt(total + size * eps))
        for i in range(size):
            y[row, i] = x[row, i] * factor * scale[i]


@compiled_sums
def attend(
    qkv: Floats,
    scale: Floats,
    eps: float,
    cos: Floats,
    sin: Floats,
    pool: Floats,
    pages: Integers,
    positions: Integers,
    y: Floats,
) -> None:
    """Attention of rows that each go on with a request of their own, or with that of the row before.

    qkv (rows, heads + 2 kv_heads, head_dim), queries and keys neither normed nor rotated yet; scale (heads + kv_heads,
    head_dim); cos and signed sin (rows, head_dim); pool (pages, rows of a page, 2 kv_heads, head_dim); pages (rows,
    most) of each row's request and its position there; y (rows, heads, head_dim). `Attention` over `ByRow`.
    """
    rows, heads, size = y.shape
    kv_heads = qkv.shape[1] - heads >> 1
    half, group, page_rows = size >> 1, heads // kv_heads, pool.shape[1]
    shrink = numpy.float32(1 / math.sqrt(size))
    turned = numpy.empty(size, numpy.float32)
    for row in range(rows):
        for head in range(heads + kv_heads):
            x = qkv[row, head]
            total = numpy.float32(0)
            for i in range(size):
                total += x[i] * x[i]
            factor = numpy.float32(1 / math.sqrt(total + size * eps))
            for i in range(size):
                x[i] = x[i] * factor * scale[head, i]
            for i in range(half):
                turned[i] = x[i] * cos[row, i] + x[i + half] * sin[row, i]
                turned[i + half] = x[i + half] * cos[row, i + half] + x[i] * sin[row, i + half]
            for i in range(size):
                x[i] = turned[i]
        position = positions[row]
        pool[pages[row, position // page_rows], position % page_rows] = qkv[row, heads:]
        length = position + 1
        scores = numpy.empty(length, numpy.float32)
        for head in range(heads):
            query, kv = qkv[row, head], head // group
            highest = numpy.float32(-numpy.inf)
            for at in range(length):
                key = pool[pages[row, at // page_rows], at % page_rows, kv]
                score = numpy.float32(0)
                for i in range(size):
                    score += query[i] * key[i]
                scores[at] = score * shrink
                highest = max(highest, scores[at])
            total = numpy.float32(0)
            for at in range(length):
                scores[at] = math.exp(scores[at] - highest)
                total += scores[at]
            out = y[row, head]
            out[:] = 0
            for at in range(length):
                value = pool[pages[row, at // page_rows], at % page_rows, kv_heads + kv]
                share = scores[at] / total
                for i in range(size):
                    out[i] += share * value[i]


@compiled
def gate(x: Floats, y: Floats) -> None:
    """y (rows, size) = silu(the first half of x (rows, 2 size)) * the second. `GatedMlp.inner`."""
    rows, size = y.shape
    for row in range(rows):
        for i in range(size):
            value = x[row, i]
            y[row, i] = value / (numpy.float32(1) + math.exp(-value)) * x[row, size + i]


@compiled
def route(scores: Floats, active: int, normalised: bool, shares: Floats) -> None:
    """From the router's scores (rows, experts) each row's weight for every expert, 0 for all but its best.
    `SparseMoe`."""
    rows, experts = scores.shape
    for row in range(rows):
        shares[row] = 0
        highest, total = scores[row].max(), numpy.float32(0)
        for expert in range(experts):
            total += math.exp(scores[row, expert] - highest)
        kept = numpy.float32(0)
        for _ in range(active):
            best = -1
            for expert in range(experts):
                if shares[row, expert] == 0 and (best < 0 or scores[row, expert] > scores[row, best]):
                    best = expert
            shares[row, best] = math.exp(scores[row, best] - highest)
            kept += shares[row, best]
        shares[row] /= kept if normalised else total


@compiled
def mix(
    x: Floats,
    shares: Floats,
    gate_up: Floats,
    down: Floats,
    least: int,
    multiple: int,
    by_input: bool,
    y: Floats,
) -> None:
    """Adds to y (rows, hidden) what the experts make of x, by each row's shares (rows, experts) of them; gate_up and
    down are (experts, ...). A product has `least` rows at least and a `multiple`. `GroupedExperts`."""
    rows, hidden = y.shape
    size = down.shape[1] if by_input else down.shape[2]
    chosen = numpy.empty(rows, numpy.int64)
    most = (max(rows, least) + multiple - 1) // multiple * multiple
    picked, made = numpy.zeros((most, hidden), numpy.float32), numpy.empty((most, hidden), numpy.float32)
    wide, inner = numpy.empty((most, 2 * size), numpy.float32), numpy.empty((most, size), numpy.float32)
    for expert in range(shares.shape[1]):
        count = 0
        for row in range(rows):
            if shares[row, expert] != 0:
                chosen[count] = row
                picked[count] = x[row]
                count += 1
        if count == 0:
            continue
        padded = (max(count, least) + multiple - 1) // multiple * multiple
        multiply(picked[:padded], gate_up[expert], wide[:padded], False, by_input)
        gate(wide[:padded], inner[:padded])
        multiply(inner[:padded], down[expert], made[:padded], False, by_input)
        for i in range(count):
            row = chosen[i]
            y[row] += shares[row, expert] * made[i]


@compiled
def draw(logits: Floats, sharpness: float, top_k: int, top_p: float, uniform: float) -> int:
    """A token of logits (vocabulary,). `sidecar.sampling.draw`."""
    if top_k == 1:
        return int(logits.argmax())
    tokens = numpy.empty(top_k, numpy.int64)
    if top_k >= len(logits):
        tokens[:] = numpy.argsort(-logits, kind="mergesort")
    else:
        count = 0
        for token in range(len(logits)):
            logit = logits[token]
            if count == top_k and logit <= logits[tokens[count - 1]]:
                continue
            place = min(count, top_k - 1)
            while place > 0 and logits[tokens[place - 1]] < logit:
                tokens[place] = tokens[place - 1]
                place -= 1
            tokens[place] = token
            count = min(count + 1, top_k)
    cumulated = numpy.empty(top_k, numpy.float64)
    highest, total = logits[tokens[0]] * sharpness, 0.0
    for rank in range(top_k):
        total += math.exp(numpy.float64(logits[tokens[rank]] * sharpness) - highest)
        cumulated[rank] = total
    end = 1.0
    for rank in range(top_k):
        if cumulated[rank] >= top_p * total:
            end = cumulated[rank] / total
            break
    for rank in range(top_k):
        if cumulated[rank] > uniform * end * total:
            return int(tokens[rank])
    return int(tokens[top_k - 1])
