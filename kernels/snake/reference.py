"""SnakeBeta with its factors ready."""

import torch
from torch import Tensor


def snake(x: Tensor, frequency: Tensor, magnitude: Tensor) -> Tensor:
    """x + sin²(x · frequency) · magnitude of x (batch, channels, time), with factors (channels, 1)."""
    return x + torch.sin(x * frequency) ** 2 * magnitude
