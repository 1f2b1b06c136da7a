"""The arithmetic of a decode step on a CPU, compiled: what torch does in a thousand small operations, in one call.

For few rows, a step of torch is mostly the way from one operation to the next: about 2 microseconds each, as long as a
small product takes. Here numba compiles what lies between the products, and calls the product of the BLAS library that
torch itself brings, so that `layers.company.law` holds for it too. Every row is computed as if it were alone. The plain
reference of each function is the torch layer that its docstring names.

Arrays are float32 and contiguous; weights are as `matrix` or `Stack` keep them. All compiled functions stand in this
file: numba caches each beside its file, and would not see that one it calls has changed in another.
"""

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

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
MASK = 0xFFFFFFFF
PI_HIGH = numpy.float32(201 / 64)  # few bits, so that products with small whole numbers are exact
PI_LOW = numpy.float32(math.pi - 201 / 64)


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


has_product()  # before any code that calls it is loaded from numba's cache


def _compiler(fastmath: set[str]) -> Callable[[Callable], Any]:
    def compile(function: Callable) -> Any:
        try:
            return numba.njit(function, fastmath=fastmath, error_model="numpy", cache=True)
        except RuntimeError:  # there is nowhere to write the cache to
            return numba.njit(function, fastmath=fastmath, error_model="numpy")

    return compile


compiled, compiled_sums = _compiler(EXACT), _compiler(SUMS)
_sgemm: Any = types.ExternalFunction(PRODUCT, types.void(*[types.uintp] * 13))


class Shape(NamedTuple):
    """How products want their rows and weights (`company.Law`)."""

    by_input: bool
    least: int
    multiple: int


def lawful() -> Shape:
    return Shape(law().by_input, law().least, law().multiple)


def matrix(weight: Tensor) -> Floats:
    """A weight (..., inputs, outputs) as it lies in memory, which is how `company.stored` keeps it."""
    weight = weight.detach()
    return (weight if law().by_input else weight.mT).contiguous().numpy()


class Stack:
    """Weights (inputs, outputs) of several layers, one behind the other in memory: as an array for compiled code, and
    as views of it for torch."""

    def __init__(self, weights: Sequence[Tensor]):
        by_input = law().by_input
        stacked = torch.stack([weight if by_input else weight.mT for weight in weights]).contiguous()
        self.array: Floats = stacked.numpy()
        self.views = [part if by_input else part.mT for part in stacked]


@compiled
def multiply(x: Floats, weight: Floats, y: Floats, add: bool, shape: Shape) -> None:
    """y = x weight, or y += x weight, of x (rows, inputs) and y (rows, outputs); weight is (inputs, outputs) if it is
    stored by input, else (outputs, inputs). torch.mm, torch.addmm."""
    rows, inputs = x.shape
    outputs = y.shape[1]
    sizes = numpy.empty(4, numpy.int32)
    sizes[0], sizes[1], sizes[2], sizes[3] = outputs, rows, inputs, outputs if shape.by_input else inputs
    factors = numpy.empty(2, numpy.float32)
    factors[0], factors[1] = 1.0, 1.0 if add else 0.0
    letters = numpy.empty(2, numpy.uint8)
    letters[0], letters[1] = 78 if shape.by_input else 84, 78  # N or T, N
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


@compiled
def exponential(x: numpy.float32) -> numpy.float32:
    """e^x for x up to 80, computed in lanes, which a call of the C library's is not: (e^(x / 1024))^1024."""
    y = max(numpy.float64(x), -200.0) / 1024
    y = 1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4 * (1 + y / 5 * (1 + y / 6 * (1 + y / 7))))))
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    return numpy.float32(y)


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


class Cache(NamedTuple):
    """Keys and values of one layer, all heads of all rows one after another: (rows * `heads`, head_dim) each. A row's
    values begin `offset` after its keys, if both are one array. A request's rows lie in pages of `page` rows."""

    keys: Floats
    values: Floats
    heads: int
    offset: int
    page: int


@compiled_sums
def attend(
    qkv: Floats,
    scale: Floats,
    eps: float,
    cos: Floats,
    sin: Floats,
    cache: Cache,
    pages: Integers,
    positions: Integers,
    y: Floats,
) -> None:
    """Attention of rows that each go on with a request of their own, or with that of the row before.

    qkv (rows, heads + 2 kv_heads, head_dim), queries and keys neither normed nor rotated yet; scale (heads + kv_heads,
    head_dim); cos and signed sin (rows, head_dim); pages (rows, most) of each row's request and its position there; y
    (rows, heads, head_dim). `Attention` over `ByRow`.
    """
    rows, heads, size = y.shape
    kv_heads = qkv.shape[1] - heads >> 1
    half, group = size >> 1, heads // kv_heads
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
        length = positions[row] + 1
        places = numpy.empty(length, numpy.int64)
        for at in range(length):
            places[at] = (pages[row, at // cache.page] * cache.page + at % cache.page) * cache.heads
        for head in range(kv_heads):
            cache.keys[places[-1] + head] = qkv[row, heads + head]
            cache.values[places[-1] + cache.offset + head] = qkv[row, heads + kv_heads + head]
        scores = numpy.empty(length, numpy.float32)
        for head in range(heads):
            query, kv = qkv[row, head], head // group
            highest = numpy.float32(-numpy.inf)
            for at in range(length):
                key = cache.keys[places[at] + kv]
                score = numpy.float32(0)
                for i in range(size):
                    score += query[i] * key[i]
                scores[at] = score * shrink
                highest = max(highest, scores[at])
            total = numpy.float32(0)
            for at in range(length):
                scores[at] = exponential(scores[at] - highest)
                total += scores[at]
            out = y[row, head]
            out[:] = 0
            for at in range(length):
                value = cache.values[places[at] + cache.offset + kv]
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
            y[row, i] = value / (numpy.float32(1) + exponential(min(-value, numpy.float32(80)))) * x[row, size + i]


@compiled
def snake(x: Floats, frequency: Floats, magnitude: Floats, y: Floats) -> None:
    """y = x + sin²(x * frequency) * magnitude of x (batch, channels, time), factors (channels, 1): in one pass where
    torch takes four. The sine's square has the period pi; the sine is its Taylor series. `activation.snake_beta`."""
    batch, channels, time = x.shape
    for row in range(batch):
        for channel in range(channels):
            wave, height = frequency[channel, 0], magnitude[channel, 0]
            for i in range(time):
                z = x[row, channel, i] * wave
                turns = numpy.floor(z * numpy.float32(1 / math.pi) + numpy.float32(0.5))
                z = z - turns * PI_HIGH - turns * PI_LOW
                q = z * z
                s = q * numpy.float32(-1 / 39916800) + numpy.float32(1 / 362880)
                s = q * s - numpy.float32(1 / 5040)
                s = q * s + numpy.float32(1 / 120)
                s = z + z * q * (q * s - numpy.float32(1 / 6))
                y[row, channel, i] = x[row, channel, i] + s * s * height


@compiled
def convolve(x: Floats, weight: Floats, bias: Floats, dilation: int, y: Floats) -> None:
    """A convolution of x (batch, inputs, steps + (taps - 1) * dilation) with weight (outputs, inputs, taps), to y
    (batch, outputs, steps). Every step is summed in the same order, whatever their number. torch.conv1d."""
    outputs, inputs, taps = weight.shape
    steps, all = y.shape[2], inputs * taps
    flat = weight.reshape(outputs, all)
    for row in range(len(x)):
        for begin in range(0, steps, 1024):  # as many as stay in the nearest cache
            length = min(1024, steps - begin)
            for output in range(outputs):
                y[row, output, begin : begin + length] = bias[output]
            for output in range(0, outputs, 2):
                other = min(output + 1, outputs - 1)
                a = y[row, output, begin : begin + length]
                b = y[row, other, begin : begin + length]
                for n in range(0, all - 3, 4):
                    x0 = x[row, n // taps, begin + n % taps * dilation :]
                    x1 = x[row, (n + 1) // taps, begin + (n + 1) % taps * dilation :]
                    x2 = x[row, (n + 2) // taps, begin + (n + 2) % taps * dilation :]
                    x3 = x[row, (n + 3) // taps, begin + (n + 3) % taps * dilation :]
                    a0, a1, a2, a3 = flat[output, n], flat[output, n + 1], flat[output, n + 2], flat[output, n + 3]
                    b0, b1, b2, b3 = flat[other, n], flat[other, n + 1], flat[other, n + 2], flat[other, n + 3]
                    if other == output:
                        for i in range(length):
                            a[i] = (((a[i] + a0 * x0[i]) + a1 * x1[i]) + a2 * x2[i]) + a3 * x3[i]
                    else:
                        for i in range(length):
                            a[i] = (((a[i] + a0 * x0[i]) + a1 * x1[i]) + a2 * x2[i]) + a3 * x3[i]
                            b[i] = (((b[i] + b0 * x0[i]) + b1 * x1[i]) + b2 * x2[i]) + b3 * x3[i]
                for n in range(all - all % 4, all):
                    x0 = x[row, n // taps, begin + n % taps * dilation :]
                    for i in range(length):
                        a[i] += flat[output, n] * x0[i]
                    if other != output:
                        for i in range(length):
                            b[i] += flat[other, n] * x0[i]


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
def mix(x: Floats, shares: Floats, gate_up: Floats, down: Floats, shape: Shape, y: Floats) -> None:
    """Adds to y (rows, hidden) what the experts make of x, by each row's shares (rows, experts) of them; gate_up and
    down are (experts, ...). `GroupedExperts`."""
    rows, hidden = y.shape
    size = down.shape[1] if shape.by_input else down.shape[2]
    chosen = numpy.empty(rows, numpy.int64)
    most = enough(rows, shape)
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
        padded = enough(count, shape)
        multiply(picked[:padded], gate_up[expert], wide[:padded], False, shape)
        gate(wide[:padded], inner[:padded])
        multiply(inner[:padded], down[expert], made[:padded], False, shape)
        for i in range(count):
            row = chosen[i]
            y[row] += shares[row, expert] * made[i]


@compiled
def enough(rows: int, shape: Shape) -> int:
    """`Law.rows`."""
    return (max(rows, shape.least) + shape.multiple - 1) // shape.multiple * shape.multiple


class ExpertLayer(NamedTuple):
    """The weights of a decoder layer with experts. If it has a shared one, its gate is the router's last column."""

    before: Floats
    qkv: Floats
    scale: Floats
    out: Floats
    after: Floats
    router: Floats
    gate_up: Floats
    down: Floats
    shared_gate_up: Floats
    shared_down: Floats


@compiled
def expert_layer(
    x: Floats,
    layer: ExpertLayer,
    eps: float,
    active: int,
    normalised: bool,
    shape: Shape,
    cos: Floats,
    sin: Floats,
    cache: Cache,
    pages: Integers,
    positions: Integers,
) -> None:
    """Overwrites x (lawful number of rows, hidden), of which there is a position and pages for the first ones.
    `DecoderLayer` with `SparseMoe`."""
    count, rows = len(positions), len(x)
    normed, dim = numpy.empty_like(x), layer.scale.shape[1]
    normalise(x, layer.before, eps, normed)
    width = layer.qkv.shape[1 if shape.by_input else 0]
    heads = 2 * len(layer.scale) - width // dim
    qkv = numpy.empty((rows, width // dim, dim), numpy.float32)
    multiply(normed, layer.qkv, qkv.reshape(rows, width), False, shape)
    attended = numpy.zeros((rows, heads, dim), numpy.float32)
    attend(qkv[:count], layer.scale, eps, cos, sin, cache, pages, positions, attended[:count])
    multiply(attended.reshape(rows, heads * dim), layer.out, x, True, shape)

    normalise(x, layer.after, eps, normed)
    scores = numpy.empty((rows, layer.router.shape[1 if shape.by_input else 0]), numpy.float32)
    multiply(normed, layer.router, scores, False, shape)
    experts = len(layer.gate_up)
    shares = numpy.zeros((count, experts), numpy.float32)
    route(scores[:count, :experts], active, normalised, shares)
    if layer.shared_down.size > 0:
        size = layer.shared_down.shape[0 if shape.by_input else 1]
        wide, inner = numpy.empty((rows, 2 * size), numpy.float32), numpy.empty((rows, size), numpy.float32)
        multiply(normed, layer.shared_gate_up, wide, False, shape)
        gate(wide, inner)
        for row in range(count):
            inner[row] *= numpy.float32(1) / (numpy.float32(1) + math.exp(-scores[row, experts]))
        multiply(inner, layer.shared_down, x, True, shape)
    mix(normed[:count], shares, layer.gate_up, layer.down, shape, x[:count])


@dataclass(frozen=True)
class Backbone:
    """Decoder layers with experts, each with the cache of its own, and the norm behind them."""

    layers: Sequence[ExpertLayer]
    caches: Sequence[Cache]
    norm: Floats
    eps: float
    active: int
    normalised: bool

    def __call__(self, x: Floats, cos: Floats, sin: Floats, pages: Integers, positions: Integers) -> Floats:
        """As `expert_layer`, of all layers: the normed hidden states (rows of x, hidden). Overwrites x."""
        for layer, kept in zip(self.layers, self.caches, strict=True):
            of_layer = layer, self.eps, self.active, self.normalised, lawful()
            expert_layer(x, *of_layer, cos, sin, kept, pages, positions)
        hidden = numpy.empty_like(x)
        normalise(x, self.norm, self.eps, hidden)
        return hidden


@compiled
def rotate(positions: Floats, frequencies: Floats, cos: Floats, sin: Floats) -> None:
    """Cosines and signed sines (rows, head_dim) of one-dimensional positions (rows,). `Rope.at`."""
    half = len(frequencies)
    for row in range(len(positions)):
        for i in range(half):
            angle = positions[row] * frequencies[i]
            cos[row, i] = cos[row, i + half] = math.cos(angle)
            sin[row, i + half] = math.sin(angle)
            sin[row, i] = -sin[row, i + half]


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


class PredictorWeights(NamedTuple):
    """The code predictor's weights: (layers, ...) each, the heads and embeddings (groups - 1, ...)."""

    before: Floats
    qkv: Floats
    scale: Floats
    out: Floats
    after: Floats
    gate_up: Floats
    down: Floats
    norm: Floats
    cos: Floats  # (groups, head_dim)
    sin: Floats
    heads: Floats
    embeddings: Floats
    eps: float


class FrameSampling(NamedTuple):
    """By slot."""

    parameters: Floats  # 1 / temperature, top_k, top_p
    residual_parameters: Floats
    penalties: Floats
    seen: Any  # bool (slots, codes)
    suppressed: Any  # bool (codes,)
    keys: Integers
    heard: Floats


@compiled
def draw_frame(
    hidden: Floats,
    head: Floats,
    embedding: Floats,
    predictor: PredictorWeights,
    sampling: FrameSampling,
    shape: Shape,
    slots: Integers,
    steps: Integers,
    codes: Integers,
) -> None:
    """From the backbone's hidden states (lawful number of rows, hidden) all codes (rows, groups) of a frame, the
    `steps`th of the requests in `slots`. Code 0 is drawn by `head` (hidden, codes)."""
    count, most, size = len(slots), len(hidden), hidden.shape[1]
    groups, dim = predictor.cos.shape
    width = predictor.qkv.shape[2 if shape.by_input else 1] // dim
    heads = 2 * predictor.scale.shape[1] - width
    mlp_size = predictor.down.shape[1 if shape.by_input else 2]

    logits = numpy.empty((most, len(sampling.suppressed)), numpy.float32)
    multiply(hidden, head, logits, False, shape)
    x, heard = numpy.zeros((2 * most, size), numpy.float32), numpy.empty((count, size), numpy.float32)
    for row in range(count):
        slot, values = slots[row], logits[row]
        for code in range(len(values)):
            if sampling.suppressed[code]:
                values[code] = -numpy.inf
            elif sampling.seen[slot, code]:
                values[code] *= sampling.penalties[slot, 0] if values[code] < 0 else 1 / sampling.penalties[slot, 0]
        sharpness, top_k, top_p = sampling.parameters[slot]
        code = draw(values, sharpness, int(top_k), top_p, uniform(sampling.keys[slot], steps[row], 0))
        codes[row, 0] = code
        sampling.seen[slot, code] = True
        heard[row] = embedding[code]
        x[2 * row], x[2 * row + 1] = hidden[row], heard[row]

    normed = numpy.empty((2 * most, size), numpy.float32)
    qkv = numpy.empty((2 * most, width, dim), numpy.float32)
    attended = numpy.zeros((2 * most, heads, dim), numpy.float32)
    wide, inner = numpy.empty((2 * most, 2 * mlp_size), numpy.float32), numpy.empty((2 * most, mlp_size), numpy.float32)
    logits = numpy.empty((most, predictor.embeddings.shape[1]), numpy.float32)
    layers, kv_heads = len(predictor.before), width - heads >> 1
    kept = numpy.empty((layers, count * groups * 2 * kv_heads, dim), numpy.float32)
    owners, positions = numpy.arange(2 * count) // 2, numpy.arange(2 * count) % 2
    for group in range(1, groups):
        if group == 2:  # from here on one row each, where there were two
            owners, x = numpy.arange(count), x[:most]
        if group > 1:
            positions = numpy.full(count, group)
        all, cos, sin = len(x), predictor.cos[positions], predictor.sin[positions]
        pages = owners.reshape(-1, 1)
        for layer in range(layers):
            normalise(x, predictor.before[layer], predictor.eps, normed[:all])
            multiply(normed[:all], predictor.qkv[layer], qkv[:all].reshape(all, -1), False, shape)
            cache = Cache(kept[layer], kept[layer], 2 * kv_heads, kv_heads, groups)
            rows, own = qkv[: len(positions)], attended[: len(positions)]
            attend(rows, predictor.scale[layer], predictor.eps, cos, sin, cache, pages, positions, own)
            multiply(attended[:all].reshape(all, -1), predictor.out[layer], x, True, shape)
            normalise(x, predictor.after[layer], predictor.eps, normed[:all])
            multiply(normed[:all], predictor.gate_up[layer], wide[:all], False, shape)
            gate(wide[:all], inner[:all])
            multiply(inner[:all], predictor.down[layer], x, True, shape)
        if group == 1:
            for row in range(count):
                x[row] = x[2 * row + 1]
        normalise(x[:most], predictor.norm, predictor.eps, normed[:most])
        multiply(normed[:most], predictor.heads[group - 1], logits, False, shape)
        for row in range(count):
            sharpness, top_k, top_p = sampling.residual_parameters[slots[row]]
            chance = uniform(sampling.keys[slots[row]], steps[row], group)
            code = draw(logits[row], sharpness, int(top_k), top_p, chance)
            codes[row, group] = code
            x[row] = predictor.embeddings[group - 1, code]
            heard[row] += x[row]
        x[count:] = 0
    for row in range(count):
        sampling.heard[slots[row]] = heard[row]


@compiled
def uniform(key: int, step: int, group: int) -> float:
    """`sidecar.sampling.uniforms` of one row and group."""
    return float(scatter(scatter(scatter(key) ^ step) ^ (group + 1)) >> 8) * 2.0**-24


@compiled
def scatter(x: int) -> int:
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & MASK
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & MASK
    return x ^ (x >> 15)
