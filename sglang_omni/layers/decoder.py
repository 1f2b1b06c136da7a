"""Layers of a Qwen3 decoder, fused for few large operations.

Modules hold the checkpoint's parameters until `fuse`, which joins what is multiplied by the same input and keeps
it as plain tensors: looking up a parameter and calling a module cost as much as a small product. For the same
reason calls go straight to `forward`. Hidden states are (batch * time, hidden); the `Access` of a step knows the
batch. What a block computes is added to `residual` by its last product.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.errors import CheckpointError
from sglang_omni.kernels.choice import is_faster, possible
from sglang_omni.layers.cache import Access, zeros
from sglang_omni.layers.company import stored
from sglang_omni.layers.linear import Linear
from sglang_omni.layers.norm import RmsNorm
from sglang_omni.layers.rope import Rotation, rotate

EXAMPLE_ROWS = 8
"""Of a step, when a kernel is tried."""

NormRope: TypeAlias = Callable[[Tensor, Rotation], Tensor]
"""Norms and turns the queries and keys of qkv (batch, time, heads + 2 * kv_heads, head_dim), in place."""


def joined(*linears: Linear) -> Tensor:
    """The transposed weight (in, out) of one product that gives the outputs of several, side by side."""
    return stored(torch.cat([linear.weight.data for linear in linears])).t()


class GatedMlp(nn.Module):
    """down(silu(gate(x)) * up(x)). Follows Qwen3OmniMoeMLP."""

    def __init__(self, hidden: int, intermediate: int):
        super().__init__()
        self.gate_proj = Linear(hidden, intermediate)
        self.up_proj = Linear(hidden, intermediate)
        self.down_proj = Linear(intermediate, hidden)

    def fuse(self) -> None:
        self.gate_up = joined(self.gate_proj, self.up_proj)
        self.down = joined(self.down_proj)
        del self.gate_proj, self.up_proj, self.down_proj

    def inner(self, x: Tensor) -> Tensor:
        gate, up = torch.mm(x, self.gate_up).chunk(2, -1)
        return F.silu(gate) * up

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return torch.addmm(residual, self.inner(x), self.down)

    __call__ = forward


class Attention(nn.Module):
    """Grouped-query attention with normed queries and keys. Follows Qwen3OmniMoeThinkerTextAttention."""

    pool: Tensor

    def __init__(self, config: Any):
        super().__init__()
        if config.attention_bias:
            raise CheckpointError("attention projections with biases are not supported")
        hidden = config.hidden_size
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or hidden // self.heads
        self.q_proj = Linear(hidden, self.heads * self.head_dim)
        self.k_proj = Linear(hidden, self.kv_heads * self.head_dim)
        self.v_proj = Linear(hidden, self.kv_heads * self.head_dim)
        self.o_proj = Linear(self.heads * self.head_dim, hidden)
        self.q_norm = RmsNorm(self.head_dim, config.rms_norm_eps)
        self.k_norm = RmsNorm(self.head_dim, config.rms_norm_eps)

    def fuse(self) -> None:
        self.qkv = joined(self.q_proj, self.k_proj, self.v_proj)
        self.out = joined(self.o_proj)
        self.qk_norm = self.q_norm
        scale = torch.stack([self.q_norm.weight.data] * self.heads + [self.k_norm.weight.data] * self.kv_heads)
        self.qk_norm.prepare(scale)
        self.norm_rope = self._choose(scale) if possible(scale.device) else self._norm_rope
        del self.q_proj, self.k_proj, self.v_proj, self.o_proj, self.q_norm, self.k_norm

    def _choose(self, scale: Tensor) -> NormRope:
        from sglang_omni.kernels.norm_rope.kernel import norm_rope

        def kernel(qkv: Tensor, rotation: Rotation) -> Tensor:
            return norm_rope(qkv, scale, self.qk_norm.eps, *rotation)

        qkv = scale.new_empty(EXAMPLE_ROWS, 1, self.heads + 2 * self.kv_heads, self.head_dim).normal_()
        rotation = Rotation(qkv[:, :, :1].cos(), qkv[:, :, :1].sin())
        return kernel if is_faster("norm_rope", self._norm_rope, kernel, qkv, rotation) else self._norm_rope

    def _norm_rope(self, qkv: Tensor, rotation: Rotation) -> Tensor:
        qk = qkv.narrow(2, 0, self.heads + self.kv_heads)
        rotate(self.qk_norm(qk), rotation, out=qk)
        return qkv

    def allocate(self, pages: int, rows: int) -> None:
        """Room for `pages` of `rows` tokens."""
        self.pool = zeros((pages, rows, 2 * self.kv_heads, self.head_dim), self.qkv.dtype, self.qkv.device)

    def forward(self, x: Tensor, residual: Tensor, access: Access) -> Tensor:
        heads, kv_heads = self.heads, self.kv_heads
        qkv = torch.mm(x, self.qkv).view(access.batch, -1, heads + 2 * kv_heads, self.head_dim)
        self.norm_rope(qkv, access.rotation)
        q, kv = qkv.narrow(2, 0, heads), qkv.narrow(2, heads, 2 * kv_heads)
        y = access.attend(q, kv, self.pool)
        return torch.addmm(residual, y.reshape(x.shape[0], -1), self.out)

    __call__ = forward


class DecoderLayer(nn.Module):
    """Attention, then `mlp`. Follows Qwen3OmniMoeTalkerDecoderLayer."""

    def __init__(self, config: Any, mlp: nn.Module):
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = mlp
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)

    def prepare(self, pages: int, rows: int) -> None:
        """Fuses the loaded weights and makes room for `pages` of `rows` tokens."""
        for part in self.children():
            part.fuse()
        self.self_attn.allocate(pages, rows)

    def forward(self, x: Tensor, access: Access) -> Tensor:
        x = self.self_attn(self.input_layernorm(x), x, access)
        return self.mlp(self.post_attention_layernorm(x), x)

    __call__ = forward
