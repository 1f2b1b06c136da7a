"""Activations that torch lacks."""

import torch
from torch import Tensor, nn


class SnakeBeta(nn.Module):
    """x + sin²(x · e^alpha) / e^beta, per channel of (batch, channels, time). Follows Qwen3OmniMoeSnakeBeta."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.frozen: tuple[Tensor, Tensor] | None = None

    def factors(self) -> tuple[Tensor, Tensor]:
        """Frequency and magnitude, (channels, 1) each."""
        return self.alpha.exp()[:, None], 1 / (self.beta.exp() + 1e-9)[:, None]

    def freeze(self) -> None:
        """The parameters are final: from here on the factors, a sixth of a small chunk's time, are computed no more."""
        self.frozen = self.factors()

    def forward(self, x: Tensor) -> Tensor:
        frequency, magnitude = self.frozen or self.factors()
        wave = (x * frequency).sin_()
        return torch.addcmul(x, wave * magnitude, wave)
