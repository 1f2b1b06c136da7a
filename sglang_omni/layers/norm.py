"""Root mean square normalisation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.layers.linear import unloaded


class RmsNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) * weight over the last axis. Follows Qwen3OmniMoeRMSNorm.

    CUDA has one kernel for it, if the weight has no leading axes. On a CPU, torch composes it of nine operations;
    |x| / hypot needs four.
    """

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = unloaded(size)
        self.eps = eps

    def fuse(self) -> None:
        self.prepare(self.weight.data)

    def prepare(self, weight: Tensor) -> None:
        """Norms with `weight` (..., size), whose leading axes are broadcast over x's."""
        size = weight.shape[-1]
        self.scale = weight if weight.is_cuda else weight.float() * size**0.5
        self.floor = torch.tensor((size * self.eps) ** 0.5, device=weight.device)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda and self.scale.ndim == 1:
            return F.rms_norm(x, self.scale.shape, self.scale, self.eps)
        if x.is_cuda:
            return F.rms_norm(x, x.shape[-1:], None, self.eps) * self.scale
        norm = torch.linalg.vector_norm(x, 2, -1, True, dtype=torch.float32)
        return (x / torch.hypot(norm, self.floor) * self.scale).to(x.dtype)

    __call__ = forward
