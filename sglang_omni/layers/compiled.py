"""The arithmetic of a decode step on a CPU, compiled: what torch does in a thousand small operations, in one call.

For few rows, a step of torch is mostly the way from one operation to the next, about 2 microseconds each, and products
whose library is made for many rows. Here every row is computed as if it were alone, by the same instructions whatever
its company. The plain reference of each function is the torch layer that its docstring names.

Arrays are float32 and contiguous; weights (outputs, inputs) are as `matrix` or `Stack` keep them. All that is compiled
stands in this file: numba caches each beside its file, and would not see that one it calls has changed in another.
"""

import fcntl
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import llvmlite.binding
import numba
import numpy
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from sglang_omni.layers.company import law

Floats = NDArray[numpy.float32]
Integers = NDArray[numpy.int64]

EXACT = {"contract"}
SUMS = {"contract", "reassoc", "nsz", "arcp"}  # lets a sum be taken in several lanes
MASK = 0xFFFFFFFF
LANES = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
WIDE = 4 if LANES == 16 else 2
"""Vectors beside each other in a tile of a convolution: as many as there are registers for."""

AHEAD = 1024
"""Numbers of a weight that are called for before they are needed: memory takes as long to answer."""

FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)
PI_HIGH = numpy.float32(201 / 64)  # few bits, so that products with small whole numbers are exact
PI_LOW = numpy.float32(math.pi - 201 / 64)


def _compiler(fastmath: set[str]) -> Callable[[Callable], Any]:
    def compile(function: Callable) -> Any:
        try:
            return numba.njit(function, fastmath=fastmath, error_model="numpy", cache=True)
        except RuntimeError:  # there is nowhere to write the cache to
            return numba.njit(function, fastmath=fastmath, error_model="numpy")

    return compile


compiled, compiled_sums = _compiler(EXACT), _compiler(SUMS)


@contextmanager
def in_turn() -> Iterator[None]:
    """To call something the first time, for which it is compiled: one process after another, since the next one finds
    in the cache what is done."""
    with open(__file__) as lock:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def matrix(weight: Tensor) -> Floats:
    """A weight (..., inputs, outputs) as (..., outputs, inputs), which is how `multiply` wants it: a copy where torch's
    products want it otherwise (`company.Law`)."""
    return weight.detach().mT.contiguous().numpy()


class Stack:
    """Weights (inputs, outputs) of several layers: as an array (layers, outputs, inputs) for compiled code, and for
    torch each, a view of it where its products want no other order."""

    def __init__(self, weights: Sequence[Tensor]):
        stacked = torch.stack([weight.mT for weight in weights])
        self.array: Floats = stacked.numpy()
        self.views = [part.mT for part in law().stored(stacked)]


class Code:
    """Instructions on vectors of LANES numbers that lie at `address + 4 * index`."""

    def __init__(self, builder: ir.IRBuilder):
        self.builder = builder

    def call(self, name: str, result: ir.Type, arguments: Sequence[ir.Value], **options: Any) -> ir.Value:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments, **options)

    def pointer(self, address: ir.Value, index: ir.Value, kind: ir.Type) -> ir.Value:
        number = self.builder.add(address, self.builder.mul(index, index.type(4)))
        return self.builder.inttoptr(number, kind.as_pointer())

    def load(self, address: ir.Value, index: ir.Value, kind: ir.Type = VECTOR) -> ir.Value:
        loaded = self.builder.load(self.pointer(address, index, kind))
        loaded.align = 4
        return loaded

    def store(self, value: ir.Value, address: ir.Value, index: ir.Value) -> None:
        self.builder.store(value, self.pointer(address, index, value.type)).align = 4

    def spread(self, address: ir.Value, index: ir.Value) -> ir.Value:
        """One number, LANES times."""
        nothing = VECTOR(ir.Undefined)
        one = self.builder.insert_element(nothing, self.load(address, index, FLOAT), ir.IntType(32)(0))
        return self.builder.shuffle_vector(one, nothing, ir.VectorType(ir.IntType(32), LANES)([0] * LANES))

    def prefetch(self, address: ir.Value, index: ir.Value) -> None:
        to_read, to_nearest_cache, of_data = ir.IntType(32)(0), ir.IntType(32)(3), ir.IntType(32)(1)
        place = self.pointer(address, index, ir.IntType(8))
        self.call("llvm.prefetch.p0", ir.VoidType(), [place, to_read, to_nearest_cache, of_data])

    def add_product(self, sums: ir.Value, a: ir.Value, b: ir.Value) -> None:
        """To the vector that lies at `sums`."""
        added = self.call(f"llvm.fmuladd.v{LANES}f32", VECTOR, [a, b, self.builder.load(sums)])
        self.builder.store(added, sums)

    def total(self, vector: ir.Value) -> ir.Value:
        arguments = FLOAT(0.0), vector
        return self.call(f"llvm.vector.reduce.fadd.v{LANES}f32", FLOAT, arguments, fastmath=("reassoc",))


def _adds_products(rows: int) -> Any:
    """Of so many rows of x with one of a weight: `adds(x, weight, y, inputs, outputs)`, of which the first three are
    addresses, adds to every `outputs`th number of y. A row is summed in LANES, the same way whatever `rows` is: that is
    why this is written in LLVM's terms, whose optimiser makes sums of loops in whatever order it finds best."""

    @intrinsic
    def adds(typing: Any, x: Any, weight: Any, y: Any, inputs: Any, outputs: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, given: Sequence[ir.Value]) -> ir.Value:
            x, weight, y, inputs, outputs = given
            code, size = Code(builder), inputs.type
            sums = [cgutils.alloca_once(builder, VECTOR) for _ in range(rows)]
            for each in sums:
                builder.store(VECTOR([0.0] * LANES), each)
            with cgutils.for_range(builder, builder.sdiv(inputs, size(LANES))) as loop:
                at = builder.mul(loop.index, size(LANES))
                factors = code.load(weight, at)
                code.prefetch(weight, builder.add(at, size(AHEAD)))
                for row, each in enumerate(sums):
                    values = code.load(x, builder.add(at, builder.mul(inputs, size(row))))
                    code.add_product(each, values, factors)
            for row, each in enumerate(sums):
                at = builder.mul(outputs, size(row))
                code.store(builder.fadd(code.load(y, at, FLOAT), code.total(builder.load(each))), y, at)
            return context.get_dummy_value()

        return types.void(*[types.uintp] * 3, *[types.intp] * 2), generate

    return adds


_add_8, _add_4, _add_2, _add_1 = map(_adds_products, (8, 4, 2, 1))


@compiled
def multiply(x: Floats, weight: Floats, y: Floats, add: bool) -> None:
    """y = x weight.T, or y += x weight.T, of x (rows, inputs), weight (outputs, inputs) and y (rows, outputs).

    It reads the weight once, from one end to the other, which is most of what few rows take time for. `torch.mm`.
    """
    rows, inputs = x.shape
    outputs = len(weight)
    if not add:
        y[:] = 0
    for output in range(outputs):
        factors, row = weight.ctypes.data + 4 * output * inputs, 0
        while row < rows:
            begin, to = x.ctypes.data + 4 * row * inputs, y.ctypes.data + 4 * (row * outputs + output)
            if row + 8 <= rows:
                _add_8(begin, factors, to, inputs, outputs)
                row += 8
            elif row + 4 <= rows:
                _add_4(begin, factors, to, inputs, outputs)
                row += 4
            elif row + 2 <= rows:
                _add_2(begin, factors, to, inputs, outputs)
                row += 2
            else:
                _add_1(begin, factors, to, inputs, outputs)
                row += 1
        for i in range(inputs - inputs % LANES, inputs):
            for row in range(rows):
                y[row, output] += x[row, i] * weight[output, i]


@compiled
def copy(x: Floats, y: Floats) -> None:
    """x (size,) to y. Where numba assigns arrays it compiles for seconds what words an error would have."""
    for i in range(len(x)):
        y[i] = x[i]


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
            copy(qkv[row, heads + head], cache.keys[places[-1] + head])
            copy(qkv[row, heads + kv_heads + head], cache.values[places[-1] + cache.offset + head])
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
            for i in range(size):
                out[i] = 0
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


def _convolves_tile(outputs: int, vectors: int) -> Any:
    """`convolves(x, weight, bias, y, row, inputs, taps, dilation, steps)`, whose first four are addresses, makes
    `vectors` * LANES steps of each of so many outputs. An input's `row` and an output's `steps` numbers follow each
    other in memory. Every step is summed by input and tap, wherever in whichever tile it is."""

    @intrinsic
    def convolves(
        typing: Any, x: Any, weight: Any, bias: Any, y: Any, row: Any, inputs: Any, taps: Any, dilation: Any, steps: Any
    ) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, given: Sequence[ir.Value]) -> ir.Value:
            x, weight, bias, y, row, inputs, taps, dilation, steps = given
            code, size, all = Code(builder), row.type, builder.mul(inputs, taps)
            tile = [(output, vector) for output in range(outputs) for vector in range(vectors)]
            sums = {place: cgutils.alloca_once(builder, VECTOR) for place in tile}
            for output, vector in tile:
                builder.store(code.spread(bias, size(output)), sums[output, vector])
            with cgutils.for_range(builder, inputs) as channel, cgutils.for_range(builder, taps) as tap:
                at = builder.add(builder.mul(channel.index, row), builder.mul(tap.index, dilation))
                values = [code.load(x, builder.add(at, size(vector * LANES))) for vector in range(vectors)]
                at = builder.add(builder.mul(channel.index, taps), tap.index)
                factors = [code.spread(weight, builder.add(at, builder.mul(all, size(n)))) for n in range(outputs)]
                for output, vector in tile:
                    code.add_product(sums[output, vector], values[vector], factors[output])
            for output, vector in tile:
                at = builder.add(builder.mul(steps, size(output)), size(vector * LANES))
                code.store(builder.load(sums[output, vector]), y, at)
            return context.get_dummy_value()

        return types.void(*[types.uintp] * 4, *[types.intp] * 5), generate

    return convolves


_convolve_44, _convolve_41, _convolve_14, _convolve_11 = (
    _convolves_tile(outputs, vectors) for outputs in (4, 1) for vectors in (WIDE, 1)
)


@compiled
def convolve(x: Floats, weight: Floats, bias: Floats, dilation: int, y: Floats) -> None:
    """A convolution of x (batch, inputs, steps + (taps - 1) * dilation) with weight (outputs, inputs, taps), to y
    (batch, outputs, steps). Every step is summed in the same order, whatever their number. torch.conv1d. Raises
    ValueError for fewer steps than LANES."""
    outputs, inputs, taps = weight.shape
    row, steps = x.shape[2], y.shape[2]
    if steps < LANES:
        raise ValueError("fewer steps than LANES")
    for batch in range(len(x)):
        begin = 0
        while begin < steps:
            wide = begin + WIDE * LANES <= steps
            begin = begin if wide else min(begin, steps - LANES)  # what is made twice is made the same
            output = 0
            while output < outputs:
                output = min(output, outputs - 4) if outputs >= 4 else output
                source, factors = x.ctypes.data + 4 * (batch * inputs * row + begin), weight[output:].ctypes.data
                target = y.ctypes.data + 4 * ((batch * outputs + output) * steps + begin)
                rest = row, inputs, taps, dilation, steps
                if outputs < 4:
                    if wide:
                        _convolve_14(source, factors, bias[output:].ctypes.data, target, *rest)
                    else:
                        _convolve_11(source, factors, bias[output:].ctypes.data, target, *rest)
                    output += 1
                else:
                    if wide:
                        _convolve_44(source, factors, bias[output:].ctypes.data, target, *rest)
                    else:
                        _convolve_41(source, factors, bias[output:].ctypes.data, target, *rest)
                    output += 4
            begin += WIDE * LANES if wide else LANES


@compiled
def route(scores: Floats, active: int, normalised: bool, shares: Floats) -> None:
    """From the router's scores (rows, experts) each row's weight for every expert, 0 for all but its best.
    `SparseMoe`."""
    rows, experts = scores.shape
    for row in range(rows):
        highest, total = scores[row, 0], numpy.float32(0)
        for expert in range(experts):
            shares[row, expert] = 0
            highest = max(highest, scores[row, expert])
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
        for expert in range(experts):
            shares[row, expert] /= kept if normalised else total


@compiled
def mix(x: Floats, shares: Floats, gate_up: Floats, down: Floats, y: Floats) -> None:
    """Adds to y (rows, hidden) what the experts make of x, by each row's shares (rows, experts) of them; gate_up and
    down are (experts, ...). `GroupedExperts`."""
    rows, hidden = y.shape
    size = down.shape[2]
    chosen = numpy.empty(rows, numpy.int64)
    picked, made = numpy.empty((rows, hidden), numpy.float32), numpy.empty((rows, hidden), numpy.float32)
    wide, inner = numpy.empty((rows, 2 * size), numpy.float32), numpy.empty((rows, size), numpy.float32)
    for expert in range(shares.shape[1]):
        count = 0
        for row in range(rows):
            if shares[row, expert] != 0:
                chosen[count] = row
                copy(x[row], picked[count])
                count += 1
        if count == 0:
            continue
        multiply(picked[:count], gate_up[expert], wide[:count], False)
        gate(wide[:count], inner[:count])
        multiply(inner[:count], down[expert], made[:count], False)
        for i in range(count):
            row = chosen[i]
            for j in range(hidden):
                y[row, j] += shares[row, expert] * made[i, j]


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
    cos: Floats,
    sin: Floats,
    cache: Cache,
    pages: Integers,
    positions: Integers,
) -> None:
    """Overwrites x (rows, hidden). `DecoderLayer` with `SparseMoe`."""
    rows, dim = len(x), layer.scale.shape[1]
    normed = numpy.empty_like(x)
    normalise(x, layer.before, eps, normed)
    width = layer.qkv.shape[0]
    heads = 2 * len(layer.scale) - width // dim
    qkv = numpy.empty((rows, width // dim, dim), numpy.float32)
    multiply(normed, layer.qkv, qkv.reshape(rows, width), False)
    attended = numpy.empty((rows, heads, dim), numpy.float32)
    attend(qkv, layer.scale, eps, cos, sin, cache, pages, positions, attended)
    multiply(attended.reshape(rows, heads * dim), layer.out, x, True)

    normalise(x, layer.after, eps, normed)
    scores = numpy.empty((rows, layer.router.shape[0]), numpy.float32)
    multiply(normed, layer.router, scores, False)
    experts = len(layer.gate_up)
    shares = numpy.zeros((rows, experts), numpy.float32)
    route(scores[:, :experts], active, normalised, shares)
    if layer.shared_down.size > 0:
        size = layer.shared_down.shape[1]
        wide, inner = numpy.empty((rows, 2 * size), numpy.float32), numpy.empty((rows, size), numpy.float32)
        multiply(normed, layer.shared_gate_up, wide, False)
        gate(wide, inner)
        for row in range(rows):
            share = numpy.float32(1) / (numpy.float32(1) + math.exp(-scores[row, experts]))
            for i in range(size):
                inner[row, i] *= share
        multiply(inner, layer.shared_down, x, True)
    mix(normed, shares, layer.gate_up, layer.down, x)


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
            of_layer = layer, self.eps, self.active, self.normalised
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
        tokens = numpy.argsort(-logits, kind="mergesort")
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
    slots: Integers,
    steps: Integers,
    codes: Integers,
) -> None:
    """From the backbone's hidden states (rows, hidden) all codes (rows, groups) of a frame, the `steps`th of
    the requests in `slots`. Code 0 is drawn by `head` (hidden, codes)."""
    count, size = hidden.shape
    groups, dim = predictor.cos.shape
    width = predictor.qkv.shape[1] // dim
    heads = 2 * predictor.scale.shape[1] - width
    mlp_size = predictor.down.shape[2]

    logits = numpy.empty((count, len(sampling.suppressed)), numpy.float32)
    multiply(hidden, head, logits, False)
    x, heard = numpy.empty((2 * count, size), numpy.float32), numpy.empty((count, size), numpy.float32)
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
        copy(embedding[code], heard[row])
        copy(hidden[row], x[2 * row])
        copy(heard[row], x[2 * row + 1])

    normed = numpy.empty((2 * count, size), numpy.float32)
    qkv = numpy.empty((2 * count, width, dim), numpy.float32)
    attended = numpy.empty((2 * count, heads, dim), numpy.float32)
    wide = numpy.empty((2 * count, 2 * mlp_size), numpy.float32)
    inner = numpy.empty((2 * count, mlp_size), numpy.float32)
    logits = numpy.empty((count, predictor.embeddings.shape[1]), numpy.float32)
    layers, kv_heads = len(predictor.before), width - heads >> 1
    kept = numpy.empty((layers, count * groups * 2 * kv_heads, dim), numpy.float32)
    owners, positions = numpy.arange(2 * count) // 2, numpy.arange(2 * count) % 2
    for group in range(1, groups):
        if group == 2:  # from here on one row each, where there were two
            owners, x = numpy.arange(count), x[:count]
        if group > 1:
            positions = numpy.full(count, group)
        all, cos, sin = len(x), predictor.cos[positions], predictor.sin[positions]
        pages = owners.reshape(-1, 1)
        for layer in range(layers):
            normalise(x, predictor.before[layer], predictor.eps, normed[:all])
            multiply(normed[:all], predictor.qkv[layer], qkv[:all].reshape(all, -1), False)
            cache = Cache(kept[layer], kept[layer], 2 * kv_heads, kv_heads, groups)
            scale, own = predictor.scale[layer], attended[:all]
            attend(qkv[:all], scale, predictor.eps, cos, sin, cache, pages, positions, own)
            multiply(attended[:all].reshape(all, -1), predictor.out[layer], x, True)
            normalise(x, predictor.after[layer], predictor.eps, normed[:all])
            multiply(normed[:all], predictor.gate_up[layer], wide[:all], False)
            gate(wide[:all], inner[:all])
            multiply(inner[:all], predictor.down[layer], x, True)
        if group == 1:
            for row in range(count):
                copy(x[2 * row + 1], x[row])
        normalise(x[:count], predictor.norm, predictor.eps, normed[:count])
        multiply(normed[:count], predictor.heads[group - 1], logits, False)
        for row in range(count):
            sharpness, top_k, top_p = sampling.residual_parameters[slots[row]]
            chance = uniform(sampling.keys[slots[row]], steps[row], group)
            code = draw(logits[row], sharpness, int(top_k), top_p, chance)
            codes[row, group] = code
            copy(predictor.embeddings[group - 1, code], x[row])
            for i in range(size):
                heard[row, i] += x[row, i]
    for row in range(count):
        copy(heard[row], sampling.heard[slots[row]])


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
