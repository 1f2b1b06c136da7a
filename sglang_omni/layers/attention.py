"""Causal attention over a sliding window, for streams."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.layers.streaming import Stream, Tail


def frame_positions(x: Tensor, stream: Stream | None) -> Tensor:
    """The position in its stream of each frame of `x` (batch, time, hidden): (batch or 1, time)."""
    steps = torch.arange(x.shape[1], device=x.device)
    return steps[None] if stream is None else stream.positions[:, None] + steps


def rotary(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary embedding, each (batch, 1, time, head_dim), for positions (batch, time)."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions[:, None, :, None].float() * (1 / theta**exponents)
    angles = torch.cat((angles, angles), -1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns each pair (i, i + head_dim / 2) of x (batch, heads, time, head_dim) by its position's angle."""
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat((-high, low), -1) * sin


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
        self.head_dim = hidden // heads
        self.q_proj = nn.Linear(hidden, heads * self.head_dim, bias=bias)
        self.k_proj = nn.Linear(hidden, kv_heads * self.head_dim, bias=bias)
        self.v_proj = nn.Linear(hidden, kv_heads * self.head_dim, bias=bias)
        self.o_proj = nn.Linear(heads * self.head_dim, hidden, bias=bias)
        self.grouped = heads != kv_heads
        self.keys = Tail((kv_heads, window - 1, self.head_dim), axis=-2)
        self.values = Tail((kv_heads, window - 1, self.head_dim), axis=-2)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor, stream: Stream | None = None) -> Tensor:
        """x (batch, time, hidden); `rope` from `rotary` and `mask` from `window_mask` of its positions."""

        def by_head(projected: Tensor) -> Tensor:
            return projected.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

        query = rotate(by_head(self.q_proj(x)), *rope)
        key = self.keys.prepend(rotate(by_head(self.k_proj(x)), *rope), stream)
        value = self.values.prepend(by_head(self.v_proj(x)), stream)
        y = F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=self.grouped)
        return self.o_proj(y.transpose(1, 2).flatten(2))
