"""The thinker's decode steps on a CPU, compiled: SGLang's layers take a hundred small operations each."""

from typing import Any

import numpy
import torch
from torch import Tensor, nn

from sglang_omni.layers.compiled import Backbone, Cache, ExpertLayer, Floats, in_turn, matrix


def compile_decode(runner: Any, server_args: Any) -> None:
    """Puts `CompiledDecode` in place of the language model's forward in SGLang's `ModelRunner`, on a CPU in float32,
    where SGLang's layers would do nothing beside."""
    pool = runner.token_to_kv_pool
    plain = (
        server_args.attention_backend in (None, "torch_native")
        and server_args.tp_size == server_args.pp_size == server_args.ep_size == server_args.dp_size == 1
        and server_args.quantization is None
        and not server_args.enable_lora
        and not server_args.enable_return_routed_experts
        and getattr(pool, "kv_cache_layout", None) == "nhd"
        and pool.dtype == pool.store_dtype == torch.float32
    )
    if plain:
        model = runner.model.thinker.model
        model.forward = CompiledDecode(model, pool, runner.req_to_token_pool.req_to_token).forward


class CompiledDecode:
    """`model` is SGLang's Qwen3MoeLLMModel; what is no decode step it does itself."""

    def __init__(self, model: nn.Module, pool: Any, req_to_token: Tensor):
        self.plain = model.forward
        self.embed = model.embed_tokens
        self.req_to_token = req_to_token
        self.cos_sin = model.layers[0].self_attn.rotary_emb.cos_sin_cache
        config, layers = model.config, model.layers
        self.backbone = Backbone(
            layers=[_layer(layer) for layer in layers],
            caches=[_cache(pool.get_key_buffer(i), pool.get_value_buffer(i)) for i in range(len(layers))],
            norm=_scale(model.norm),
            eps=float(config.rms_norm_eps),
            active=int(config.num_experts_per_tok),
            normalised=bool(config.norm_topk_prob),
        )
        self._compile()

    def _compile(self) -> None:
        """Before the first request has to wait for it. What it keeps goes to slot 0, which no request is given."""
        hidden, dim = len(self.backbone.norm), self.cos_sin.shape[1]
        x, turn = numpy.zeros((1, hidden), numpy.float32), numpy.zeros((1, dim), numpy.float32)
        place = numpy.zeros(1, numpy.int64)
        with in_turn():
            self.backbone(x, turn, turn, place[:, None], place)

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        forward_batch: Any,
        input_embeds: Tensor | None = None,
        **rest: Any,
    ) -> Any:
        if not forward_batch.forward_mode.is_decode():
            return self.plain(input_ids, positions, forward_batch, input_embeds, **rest)
        embedded = self.embed(input_ids) if input_embeds is None else input_embeds
        lengths = forward_batch.seq_lens.numpy()
        turn = self.cos_sin[positions[0] if positions.ndim == 2 else positions]  # of a word they are equal on all axes
        cos, sin = turn.chunk(2, -1)
        cos, sin = torch.cat((cos, cos), -1).numpy(), torch.cat((-sin, sin), -1).numpy()
        places = self.req_to_token[forward_batch.req_pool_indices, : int(lengths.max())].long().numpy()
        places[numpy.arange(len(lengths)), lengths - 1] = forward_batch.out_cache_loc.numpy()
        return torch.from_numpy(self.backbone(embedded.numpy().copy(), cos, sin, places, lengths - 1))


def _layer(layer: nn.Module) -> ExpertLayer:
    """Of a Qwen3MoeDecoderLayer, which has no shared expert."""
    attention, experts = layer.self_attn, layer.mlp.experts
    heads, kv_heads = attention.num_heads, attention.num_kv_heads
    norms = [_scale(attention.q_norm)] * heads + [_scale(attention.k_norm)] * kv_heads
    none = numpy.empty((0, 0), numpy.float32)
    return ExpertLayer(
        before=_scale(layer.input_layernorm),
        qkv=matrix(attention.qkv_proj.weight.t()),
        scale=numpy.stack(norms),
        out=matrix(attention.o_proj.weight.t()),
        after=_scale(layer.post_attention_layernorm),
        router=matrix(layer.mlp.gate.weight.t()),
        gate_up=matrix(experts.w13_weight.mT),
        down=matrix(experts.w2_weight.mT),
        shared_gate_up=none,
        shared_down=none,
    )


def _scale(norm: nn.Module) -> Floats:
    """As `RmsNorm.scale`."""
    return (norm.weight.detach() * len(norm.weight) ** 0.5).numpy()


def _cache(keys: Tensor, values: Tensor) -> Cache:
    """Of buffers (slots, kv_heads, head_dim)."""
    dim = keys.shape[-1]
    return Cache(keys.view(-1, dim).numpy(), values.view(-1, dim).numpy(), keys.shape[1], 0, 1)
