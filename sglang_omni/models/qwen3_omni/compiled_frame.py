"""A frame of the talker in one call on a CPU: backbone, sampling, code predictor, and the sum of its embeddings.

The plain way is `frame.PlainFrame`, the same on any device.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor

from sglang_omni.layers.cache import zeros
from sglang_omni.layers.company import law, padded
from sglang_omni.layers.compiled import (
    Floats,
    Integers,
    Stack,
    attend,
    compiled,
    draw,
    gate,
    mix,
    multiply,
    normalise,
    route,
)
from sglang_omni.layers.decoder import DecoderLayer
from sglang_omni.layers.norm import RmsNorm
from sglang_omni.models.qwen3_omni.code_predictor import CodePredictor
from sglang_omni.models.qwen3_omni.frame import Requests, Row
from sglang_omni.models.qwen3_omni.talker import Talker

MASK = 0xFFFFFFFF


class Attentions(NamedTuple):
    """Attention and norms of all layers: (layers, ...) each."""

    before: Floats
    qkv: Floats
    scale: Floats
    out: Floats
    after: Floats
    pool: Floats


class Backbone(NamedTuple):
    attention: Attentions
    router: Floats  # (layers, ...) as all; the last column is the shared expert's gate
    gate_up: Floats
    down: Floats
    shared_gate_up: Floats
    shared_down: Floats
    norm: Floats
    frequencies: Floats  # of the rotary positions
    head: Floats
    embedding: Floats
    eps: float
    active: int
    normalised: bool


class Predictor(NamedTuple):
    attention: Attentions
    gate_up: Floats
    down: Floats
    norm: Floats
    cos: Floats  # (groups, head_dim)
    sin: Floats
    heads: Floats  # (groups - 1, ...) as the next
    embeddings: Floats
    eps: float


class Sampling(NamedTuple):
    """By slot."""

    parameters: Floats  # 1 / temperature, top_k, top_p
    residual_parameters: Floats
    penalties: Floats
    seen: Any  # bool (slots, codes)
    suppressed: Any  # bool (codes,)
    keys: Integers
    heard: Floats


class Shape(NamedTuple):
    """How products want their rows (`company.Law`)."""

    by_input: bool
    least: int
    multiple: int


@compiled
def hear(
    x: Floats, backbone: Backbone, shape: Shape, pages: Integers, rows: Integers, positions: Floats, hidden: Floats
) -> None:
    """The backbone on one row each of x (padded rows, hidden), which it overwrites, to `hidden`: pages (rows, most) and
    the row in them, and its rotary position."""
    attention = backbone.attention
    count, all, size = len(rows), len(x), x.shape[1]
    heads_all, dim = attention.scale.shape[1], attention.scale.shape[2]
    kv_heads = attention.pool.shape[3] >> 1
    heads = heads_all - kv_heads
    half = dim >> 1
    cos, sin = numpy.empty((count, dim), numpy.float32), numpy.empty((count, dim), numpy.float32)
    for row in range(count):
        for i in range(half):
            angle = positions[row] * backbone.frequencies[i]
            cos[row, i] = cos[row, i + half] = math.cos(angle)
            sin[row, i + half] = math.sin(angle)
            sin[row, i] = -sin[row, i + half]
    normed = numpy.zeros((all, size), numpy.float32)
    qkv = numpy.empty((all, heads + 2 * kv_heads, dim), numpy.float32)
    attended = numpy.zeros((all, heads, dim), numpy.float32)
    experts = backbone.router.shape[2 if shape.by_input else 1] - 1
    scores = numpy.empty((all, experts + 1), numpy.float32)
    shares = numpy.zeros((count, experts), numpy.float32)
    shared_size = backbone.shared_down.shape[1 if shape.by_input else 2]
    wide = numpy.empty((all, 2 * shared_size), numpy.float32)
    inner = numpy.empty((all, shared_size), numpy.float32)
    for layer in range(len(attention.before)):
        normalise(x, attention.before[layer], backbone.eps, normed)
        multiply(normed, attention.qkv[layer], qkv.reshape(all, -1), False, shape.by_input)
        attend(
            qkv[:count],
            attention.scale[layer],
            backbone.eps,
            cos,
            sin,
            attention.pool[layer],
            pages,
            rows,
            attended[:count],
        )
        multiply(attended.reshape(all, -1), attention.out[layer], x, True, shape.by_input)
        normalise(x, attention.after[layer], backbone.eps, normed)
        multiply(normed, backbone.router[layer], scores, False, shape.by_input)
        route(scores[:count, :experts], backbone.active, backbone.normalised, shares)
        multiply(normed, backbone.shared_gate_up[layer], wide, False, shape.by_input)
        gate(wide, inner)
        for row in range(count):
            inner[row] *= numpy.float32(1) / (numpy.float32(1) + math.exp(-scores[row, experts]))
        multiply(inner, backbone.shared_down[layer], x, True, shape.by_input)
        mix(
            normed[:count],
            shares,
            backbone.gate_up[layer],
            backbone.down[layer],
            shape.least,
            shape.multiple,
            shape.by_input,
            x[:count],
        )
    normalise(x, backbone.norm, backbone.eps, hidden)


@compiled
def draw_frame(
    hidden: Floats,
    backbone: Backbone,
    predictor: Predictor,
    sampling: Sampling,
    shape: Shape,
    slots: Integers,
    steps: Integers,
    codes: Integers,
) -> None:
    """From the backbone's hidden states (padded rows, hidden) all codes (rows, groups) of a frame, the `steps`th of the
    requests in `slots`."""
    attention = predictor.attention
    count, most, size = len(slots), len(hidden), hidden.shape[1]
    groups, dim, kv_heads = len(predictor.cos), predictor.cos.shape[1], attention.pool.shape[3] >> 1
    heads = attention.scale.shape[1] - kv_heads
    mlp_size = predictor.down.shape[1 if shape.by_input else 2]

    logits = numpy.empty((most, len(sampling.suppressed)), numpy.float32)
    multiply(hidden, backbone.head, logits, False, shape.by_input)
    x = numpy.zeros((2 * most, size), numpy.float32)
    heard = numpy.empty((count, size), numpy.float32)
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
        heard[row] = backbone.embedding[code]
        x[2 * row], x[2 * row + 1] = hidden[row], heard[row]

    normed = numpy.zeros((2 * most, size), numpy.float32)
    qkv = numpy.empty((2 * most, heads + 2 * kv_heads, dim), numpy.float32)
    attended = numpy.zeros((2 * most, heads, dim), numpy.float32)
    wide = numpy.empty((2 * most, 2 * mlp_size), numpy.float32)
    inner = numpy.empty((2 * most, mlp_size), numpy.float32)
    logits = numpy.empty((most, predictor.embeddings.shape[1]), numpy.float32)
    pages, positions = numpy.arange(2 * count) // 2, numpy.arange(2 * count) % 2
    for group in range(1, groups):
        if group == 2:  # from here on one row each, where there were two
            pages, x = numpy.arange(count), x[:most]
        if group > 1:
            positions = numpy.full(count, group)
        all, cos, sin = len(x), predictor.cos[positions], predictor.sin[positions]
        for layer in range(len(attention.before)):
            normalise(x, attention.before[layer], predictor.eps, normed[:all])
            multiply(normed[:all], attention.qkv[layer], qkv[:all].reshape(all, -1), False, shape.by_input)
            attend(
                qkv[: len(positions)],
                attention.scale[layer],
                predictor.eps,
                cos,
                sin,
                attention.pool[layer],
                pages.reshape(-1, 1),
                positions,
                attended[: len(positions)],
            )
            multiply(attended[:all].reshape(all, -1), attention.out[layer], x, True, shape.by_input)
            normalise(x, attention.after[layer], predictor.eps, normed[:all])
            multiply(normed[:all], predictor.gate_up[layer], wide[:all], False, shape.by_input)
            gate(wide[:all], inner[:all])
            multiply(inner[:all], predictor.down[layer], x, True, shape.by_input)
        if group == 1:
            for row in range(count):
                x[row] = x[2 * row + 1]
        normalise(x[:most], predictor.norm, predictor.eps, normed[:most])
        multiply(normed[:most], predictor.heads[group - 1], logits, False, shape.by_input)
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


@dataclass
class Blank:
    """A request that says nothing."""

    slot: int = 0
    pages: list[int] = field(default_factory=lambda: [0])
    length: int = 0
    position: float = 0.0
    frames: int = 0


class CompiledFrame:
    """As `frame.PlainFrame`, of a talker in float32 that has been prepared, which goes on to be read by torch: prompts
    are. Its weights and pools become views of those that are kept here."""

    def __init__(self, talker: Talker, text_rows: Tensor, requests: Requests):
        self.text_rows = text_rows.numpy()
        self.groups = talker.config.num_code_groups
        self.shape = Shape(law().by_input, law().least, law().multiple)
        self.backbone = _backbone(talker)
        self.predictor = _predictor(talker.code_predictor)
        self.sampling = Sampling(
            requests.sampler.parameters.numpy(),
            requests.residual_sampler.parameters.numpy(),
            requests.penalties.numpy(),
            requests.seen.numpy(),
            requests.suppressed.numpy(),
            requests.keys.numpy(),
            requests.heard.numpy(),
        )
        self._compile(requests)

    def _compile(self, requests: Requests) -> None:
        """Before the first request has to wait for it: a quarter of a minute, unless it was done before."""
        self.decode([Blank()], [0])
        requests.seen[0], requests.heard[0] = False, 0

    def decode(self, states: Sequence[Row], texts: Sequence[int]) -> Tensor:
        slots = [state.slot for state in states]
        most = max(len(state.pages) for state in states)
        pages = numpy.array([state.pages + [0] * (most - len(state.pages)) for state in states])
        rows = numpy.array([state.length for state in states])
        positions = numpy.array([state.position for state in states], numpy.float32)
        x = numpy.zeros((law().rows(len(states)), self.text_rows.shape[1]), numpy.float32)
        x[: len(states)] = self.sampling.heard[slots] + self.text_rows[texts]
        hidden = numpy.empty_like(x)
        hear(x, self.backbone, self.shape, pages, rows, positions, hidden)
        return self.speak(states, torch.from_numpy(hidden))

    def speak(self, states: Sequence[Row], hidden: Tensor) -> Tensor:
        slots = numpy.array([state.slot for state in states])
        steps = numpy.array([state.frames for state in states])
        codes = numpy.empty((len(states), self.groups), numpy.int64)
        rows = padded(hidden).contiguous().numpy()
        draw_frame(rows, self.backbone, self.predictor, self.sampling, self.shape, slots, steps, codes)
        return torch.from_numpy(codes)


def _stack(owners: Sequence[Any], name: str) -> Floats:
    """The tensors `name` of several modules, which become views of the one that is returned."""
    stack = Stack([getattr(owner, name) for owner in owners])
    for owner, view in zip(owners, stack.views, strict=True):
        setattr(owner, name, view)
    return stack.array


def _attentions(layers: Sequence[DecoderLayer]) -> Attentions:
    attentions = [layer.self_attn for layer in layers]
    pool = attentions[0].pool
    pools = zeros((len(layers), *pool.shape), pool.dtype, pool.device)
    for attention, part in zip(attentions, pools, strict=True):
        attention.pool = part
    return Attentions(
        before=_scales([layer.input_layernorm for layer in layers]),
        qkv=_stack(attentions, "qkv"),
        scale=_scales([attention.qk_norm for attention in attentions]),
        out=_stack(attentions, "out"),
        after=_scales([layer.post_attention_layernorm for layer in layers]),
        pool=pools.numpy(),
    )


def _scales(norms: Sequence[RmsNorm]) -> Floats:
    return torch.stack([norm.scale for norm in norms]).float().numpy()


def _backbone(talker: Talker) -> Backbone:
    layers, model = list(talker.model.layers), talker.model
    mlps = [layer.mlp for layer in layers]
    experts = [mlp.fused for mlp in mlps]
    shared = [part.shared for part in experts]
    return Backbone(
        attention=_attentions(layers),
        router=_stack(mlps, "router"),
        gate_up=_stack(experts, "gate_up"),
        down=_stack(experts, "down"),
        shared_gate_up=_stack(shared, "gate_up"),
        shared_down=_stack(shared, "down"),
        norm=model.norm.scale.numpy(),
        frequencies=talker.rope.frequencies.numpy(),
        head=Stack([talker.codec_head.weight.data.t()]).array[0],
        embedding=model.codec_embedding.weight.data.numpy(),
        eps=model.norm.eps,
        active=mlps[0].active,
        normalised=mlps[0].normalised,
    )


def _predictor(predictor: CodePredictor) -> Predictor:
    mlps = [layer.mlp for layer in predictor.layers]
    rotations = [torch.cat(parts, 1)[0, :, 0] for parts in zip(*predictor.rotations, strict=True)]
    heads, embeddings = Stack(predictor.heads), Stack(predictor.embeddings)
    predictor.heads, predictor.embeddings = heads.views, embeddings.views
    return Predictor(
        attention=_attentions(predictor.layers),
        gate_up=_stack(mlps, "gate_up"),
        down=_stack(mlps, "down"),
        norm=predictor.model.norm.scale.numpy(),
        cos=rotations[0].contiguous().numpy(),
        sin=rotations[1].contiguous().numpy(),
        heads=heads.array,
        embeddings=embeddings.array,
        eps=predictor.model.norm.eps,
    )
