"""Queries and keys normed by head, then turned by their rotary positions."""

import torch.nn.functional as F
from torch import Tensor


def norm_rope(qkv: Tensor, scale: Tensor, eps: float, cos: Tensor, sin: Tensor) -> Tensor:
    """Norms and turns, in place, the first heads of qkv (batch, time, heads + 2 * kv_heads, head_dim): those that
    `scale` (heads + kv_heads, head_dim) has. Returns qkv.

    cos and signed sin (batch or 1, time or 1, 1, head_dim) are those of `Rotation`, which turns the pairs
    (i, i + head_dim / 2).
    """
    qk = qkv[:, :, : len(scale)]
    normed = F.rms_norm(qk.float(), qk.shape[-1:], None, eps) * scale.float()
    qk.copy_(normed * cos + normed.roll(qk.shape[-1] // 2, -1) * sin)
    return qkv
