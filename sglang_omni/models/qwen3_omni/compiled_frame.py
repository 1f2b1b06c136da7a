"""A frame of the talker in one call on a CPU: backbone, sampling, code predictor, and the sum of its embeddings.

The plain way is `frame.PlainFrame`, the same on any device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from torch import Tensor

from sglang_omni.layers.compiled import (
    Backbone,
    Cache,
    ExpertLayer,
    Floats,
    FrameSampling,
    PredictorWeights,
    Stack,
    draw_frame,
    in_turn,
    matrix,
    rotate,
)
from sglang_omni.layers.decoder import DecoderLayer
from sglang_omni.models.qwen3_omni.code_predictor import CodePredictor
from sglang_omni.models.qwen3_omni.frame import Requests, Row
from sglang_omni.models.qwen3_omni.talker import Talker


@dataclass
class Blank:
    """A request that says nothing."""

    slot: int = 0
    pages: list[int] = field(default_factory=lambda: [0])
    length: int = 0
    position: float = 0.0
    frames: int = 0


class CompiledFrame:
    """As `frame.PlainFrame`, of a talker in float32 that has been prepared. Prompts are read by torch still, from the
    same weights: where those of several layers are kept together here, torch's become views of them."""

    def __init__(self, talker: Talker, text_rows: Tensor, requests: Requests):
        model = talker.model
        self.text_rows = text_rows.numpy()
        self.groups = talker.config.num_code_groups
        self.backbone = Backbone(
            layers=[layer_weights(layer) for layer in model.layers],
            caches=[_cache(layer.self_attn.pool) for layer in model.layers],
            norm=model.norm.scale.numpy(),
            eps=model.norm.eps,
            active=model.layers[0].mlp.active,
            normalised=model.layers[0].mlp.normalised,
        )
        self.frequencies = talker.rope.frequencies.numpy()
        self.head, self.embedding = matrix(talker.codec_head.weight.t()), model.codec_embedding.weight.numpy()
        self.predictor = _predictor(talker.code_predictor)
        self.sampling = FrameSampling(
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
        """Before the first request has to wait for it: some ten seconds, unless it was done before."""
        with in_turn():
            self.decode([Blank()], [0])
        requests.seen[0], requests.heard[0] = False, 0

    def decode(self, states: Sequence[Row], texts: Sequence[int]) -> Tensor:
        count = len(states)
        most = max(len(state.pages) for state in states)
        pages = numpy.array([state.pages + [0] * (most - len(state.pages)) for state in states])
        positions = numpy.array([state.length for state in states])
        x = self.sampling.heard[[state.slot for state in states]] + self.text_rows[texts]
        turns = numpy.array([state.position for state in states], numpy.float32)
        cos, sin = numpy.empty((2, count, 2 * len(self.frequencies)), numpy.float32)
        rotate(turns, self.frequencies, cos, sin)
        return self.speak(states, torch.from_numpy(self.backbone(x, cos, sin, pages, positions)))

    def speak(self, states: Sequence[Row], hidden: Tensor) -> Tensor:
        slots = numpy.array([state.slot for state in states])
        steps = numpy.array([state.frames for state in states])
        codes = numpy.empty((len(states), self.groups), numpy.int64)
        weights = self.head, self.embedding, self.predictor
        draw_frame(hidden.contiguous().numpy(), *weights, self.sampling, slots, steps, codes)
        return torch.from_numpy(codes)


def layer_weights(layer: DecoderLayer) -> ExpertLayer:
    """Of one that has been prepared."""
    attention, mlp = layer.self_attn, layer.mlp
    experts = mlp.fused
    return ExpertLayer(
        before=layer.input_layernorm.scale.numpy(),
        qkv=matrix(attention.qkv),
        scale=attention.qk_norm.scale.numpy(),
        out=matrix(attention.out),
        after=layer.post_attention_layernorm.scale.numpy(),
        router=matrix(mlp.router),
        gate_up=matrix(experts.gate_up),
        down=matrix(experts.down),
        shared_gate_up=matrix(experts.shared.gate_up),
        shared_down=matrix(experts.shared.down),
    )


def _cache(pool: Tensor) -> Cache:
    """Of a pool (pages, rows, 2 kv_heads, head_dim)."""
    rows = pool.view(-1, pool.shape[-1]).numpy()
    return Cache(rows, rows, pool.shape[2], pool.shape[2] // 2, pool.shape[1])


def _predictor(predictor: CodePredictor) -> PredictorWeights:
    layers = predictor.layers
    attentions, mlps = [layer.self_attn for layer in layers], [layer.mlp for layer in layers]
    cos, sin = (torch.cat(parts, 1)[0, :, 0].contiguous() for parts in zip(*predictor.rotations, strict=True))
    heads, embeddings = Stack(predictor.heads), torch.stack(predictor.embeddings)
    predictor.heads, predictor.embeddings = heads.views, list(embeddings)
    return PredictorWeights(
        before=numpy.stack([layer.input_layernorm.scale.numpy() for layer in layers]),
        qkv=_stack(attentions, "qkv"),
        scale=numpy.stack([attention.qk_norm.scale.numpy() for attention in attentions]),
        out=_stack(attentions, "out"),
        after=numpy.stack([layer.post_attention_layernorm.scale.numpy() for layer in layers]),
        gate_up=_stack(mlps, "gate_up"),
        down=_stack(mlps, "down"),
        norm=predictor.model.norm.scale.numpy(),
        cos=cos.numpy(),
        sin=sin.numpy(),
        heads=heads.array,
        embeddings=embeddings.numpy(),
        eps=predictor.model.norm.eps,
    )


def _stack(owners: Sequence[Any], name: str) -> Floats:
    """The weights `name` of several modules, which become views of the one that is returned."""
    stack = Stack([getattr(owner, name) for owner in owners])
    for owner, view in zip(owners, stack.views, strict=True):
        setattr(owner, name, view)
    return stack.array
