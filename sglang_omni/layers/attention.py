"""Causal attention over a sliding window, for streams."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.layers.company import RowLinear
from sglang_omni.layers.rope import Rotation, rotate
from sglang_omni.layers.streaming import Stream, Tail


def frame_positions(x: Tensor, stream: Stream | None) -> Tensor:
    """The position in its stream of each frame of `x` (batch, time, hidden): (batch or 1, time)."""
    steps = torch.arange(x.shape[1], device=x.device)
    return steps[None] if stream is None else stream.positions[:, None] + steps


def window_mask(positions: Tensor, window: int) -> Tensor:
    """Which keys a query sees: itself and the window - 1 before it, as far as the stream goes back.

    positions (batch, time) -> (batch, 1, time, window - 1 + time); the first window - 1 keys are the tail's.
    """
    past = positions[:, :1] + torch.arange(1 - window, 0, device=positions.device)
    keys = torch.cat((past, positions), -1)[:, None, None, :]
    queries = positions[:, None, :, None]
    return (keys >= 0) & (keys <= queries) & (keys > queries - window)


class SlidingWindowAttention(nn.Module):
    """Attention that remembers the last window - 1 keys and values. Follows Qwen3OmniMoeCode2WavAttention."""

    def __init__(self, hidden: int, heads: int, kv_heads: int, window: int, bias: bool = False):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, hidden // heads
        self.q_proj = RowLinear(hidden, heads * self.head_dim, bias=bias)
        self.k_proj = RowLinear(hidden, kv_heads * self.head_dim, bias=bias)
        self.v_proj = RowLinear(hidden, kv_heads * self.head_dim, bias=bias)
        self.o_proj = RowLinear(heads * self.head_dim, hidden, bias=bias)
        self.tail = Tail((window - 1, 2 * kv_heads, self.head_dim), axis=-3)

    def forward(self, x: Tensor, rotation: Rotation, mask: Tensor, stream: Stream | None = None) -> Tensor:
        """x (batch, time, hidden); the rotation and the `window_mask` are those of its positions."""
        query = rotate(self.q_proj(x).unflatten(-1, (self.heads, -1)), rotation)
        key = rotate(self.k_proj(x).unflatten(-1, (self.kv_heads, -1)), rotation)
        value = self.v_proj(x).unflatten(-1, (self.kv_heads, -1))
        key_value = self.tail.prepend(torch.cat((key, value), 2), stream).transpose(1, 2)
        key, value = key_value.split(self.kv_heads, 1)
        y = F.scaled_dot_product_attention(
            query.transpose(1, 2), key, value, mask, enable_gqa=self.heads != self.kv_heads
        )
        return self.o_proj(y.transpose(1, 2).flatten(2))
