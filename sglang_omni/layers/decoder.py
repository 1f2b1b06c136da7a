"""Layers of a Qwen3 decoder, fused for few large operations.

Modules hold the checkpoint's parameters until `fuse` concatenates what is multiplied by the same input. Hidden
states are (batch * time, hidden) throughout; the `Access` of a step knows the batch.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.layers.cache import Access
from sglang_omni.layers.rope import rotate


def concatenated(*linears: nn.Linear) -> nn.Linear:
    """One linear layer that gives the outputs of several, side by side."""
    with torch.device("meta"):
        joined = nn.Linear(linears[0].in_features, sum(linear.out_features for linear in linears), bias=False)
    joined.weight = nn.Parameter(torch.cat([linear.weight for linear in linears]), requires_grad=False)
    if linears[0].bias is not None:
        joined.bias = nn.Parameter(torch.cat([linear.bias for linear in linears]), requires_grad=False)
    return joined


class GatedMlp(nn.Module):
    """down(silu(gate(x)) * up(x)). Follows Qwen3OmniMoeMLP."""

    def __init__(self, hidden: int, intermediate: int):
        super().__init__()
        self.gate_proj = nn.Linear(hidden, intermediate, bias=False)
        self.up_proj = nn.Linear(hidden, intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def fuse(self) -> None:
        self.gate_up_proj = concatenated(self.gate_proj, self.up_proj)
        del self.gate_proj, self.up_proj

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, -1)
        return self.down_proj(F.silu(gate) * up)


class Attention(nn.Module):
    """Grouped-query attention with normed queries and keys. Follows Qwen3OmniMoeThinkerTextAttention."""

    pool: Tensor

    def __init__(self, config: Any):
        super().__init__()
        hidden, bias = config.hidden_size, config.attention_bias
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or hidden // self.heads
        self.q_proj = nn.Linear(hidden, self.heads * self.head_dim, bias=bias)
        self.k_proj = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=bias)
        self.v_proj = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=bias)
        self.o_proj = nn.Linear(self.heads * self.head_dim, hidden, bias=bias)
        self.q_norm = nn.RMSNorm(self.head_dim, eps=config.rms_norm_eps)
        self.k_norm = nn.RMSNorm(self.head_dim, eps=config.rms_norm_eps)
        self.eps = config.rms_norm_eps

    def fuse(self) -> None:
        self.qkv_proj = concatenated(self.q_proj, self.k_proj, self.v_proj)
        norms = [self.q_norm.weight] * self.heads + [self.k_norm.weight] * self.kv_heads
        self.qk_norm = nn.Parameter(torch.stack(norms), requires_grad=False)
        del self.q_proj, self.k_proj, self.v_proj, self.q_norm, self.k_norm

    def allocate(self, slots: int, length: int) -> None:
        """Room for `slots` requests of `length` tokens; on a CPU, memory is taken as it is written."""
        weight = self.qkv_proj.weight
        shape = slots, length, 2 * self.kv_heads, self.head_dim
        self.pool = torch.empty(shape, dtype=weight.dtype, device=weight.device)

    def forward(self, x: Tensor, access: Access) -> Tensor:
        qkv = self.qkv_proj(x).view(access.batch, -1, self.heads + 2 * self.kv_heads, self.head_dim)
        qk, v = qkv.split((self.heads + self.kv_heads, self.kv_heads), 2)
        qk = rotate(F.rms_norm(qk, (self.head_dim,), None, self.eps) * self.qk_norm, access.rotation)
        q, k = qk.split((self.heads, self.kv_heads), 2)
        kv = access.update(self.pool, torch.cat((k, v), 2)).transpose(1, 2)
        key, value = kv.split(self.kv_heads, 1)
        if access.causal:
            y = F.scaled_dot_product_attention(
                q.transpose(1, 2), key, value, is_causal=True, enable_gqa=self.heads != self.kv_heads
            )
            y = y.transpose(1, 2)
        else:  # one query per row: the heads of a group take the place of time
            q = q.reshape(access.batch, self.kv_heads, -1, self.head_dim)
            y = F.scaled_dot_product_attention(q, key, value, access.mask)
        return self.o_proj(y.reshape(x.shape[0], -1))


class DecoderLayer(nn.Module):
    """Attention, then `mlp`. Follows Qwen3OmniMoeTalkerDecoderLayer."""

    def __init__(self, config: Any, mlp: nn.Module):
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = mlp
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(self, x: Tensor, access: Access) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), access)
        return x + self.mlp(self.post_attention_layernorm(x))
