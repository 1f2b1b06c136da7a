"""Activations that torch lacks."""

import torch
from torch import Tensor, nn


class SnakeBeta(nn.Module):
    """x + sin²(x · e^alpha) / e^beta, per channel of (batch, channels, time). Follows Qwen3OmniMoeSnakeBeta."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        frequency = self.alpha.exp()[:, None]
        magnitude = 1 / (self.beta.exp() + 1e-9)[:, None]
        wave = (x * frequency).sin_()
        return torch.addcmul(x, wave * magnitude, wave)
