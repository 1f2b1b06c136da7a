"""SnakeBeta and the convolution behind it."""

import torch
import torch.nn.functional as F
from torch import Tensor


def snake_conv(
    x: Tensor,
    frequency: Tensor,
    magnitude: Tensor,
    weight: Tensor,
    bias: Tensor,
    dilation: int = 1,
    residual: Tensor | None = None,
) -> Tensor:
    """x + sin²(x · frequency) · magnitude of x (batch, channels, time), convolved: (batch, outputs, less time).

    frequency and magnitude (channels, 1), weight (outputs, channels, kernel), bias (outputs,); the output is shorter by
    (kernel - 1) * dilation steps, and `residual`, of its shape, is added.
    """
    activated = x + torch.sin(x * frequency) ** 2 * magnitude
    y = F.conv1d(activated, weight, bias, dilation=dilation)
    return y if residual is None else residual + y
