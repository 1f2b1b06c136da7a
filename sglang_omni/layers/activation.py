"""Activations that torch lacks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sglang_omni.kernels.choice import compiles, is_faster, possible

EXAMPLE_ROWS, EXAMPLE_STEPS = 8, 512
"""Of a step, when a kernel is tried."""


class SnakeBeta(nn.Module):
    """x + sin²(x · e^alpha) / e^beta, per channel of (batch, channels, time). Follows Qwen3OmniMoeSnakeBeta."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.frozen: tuple[Tensor, Tensor] | None = None
        self.kernel: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None

    def factors(self) -> tuple[Tensor, Tensor]:
        """Frequency and magnitude, (channels, 1) each."""
        return self.alpha.exp()[:, None], 1 / (self.beta.exp() + 1e-9)[:, None]

    def freeze(self) -> None:
        """The parameters are final: from here on the factors, a sixth of a small chunk's time, are computed no more."""
        self.frozen = self.factors()
        if possible(self.alpha.device):
            from sglang_omni.kernels.snake.kernel import snake

            x = self.waves(EXAMPLE_ROWS, EXAMPLE_STEPS)
            self.kernel = snake if is_faster("snake", snake_beta, snake, x, *self.frozen) else None
        elif compiles(self.alpha.device, self.alpha.dtype):
            self.kernel = compiled_snake
            compiled_snake(self.waves(1, 1), *self.frozen)  # it is compiled now

    def waves(self, rows: int, steps: int) -> Tensor:
        """Random x to try a kernel with: of about one period, since in bfloat16 the plain sine of many is noise."""
        return self.alpha.new_empty(rows, len(self.alpha), steps).normal_() / self.factors()[0]

    def forward(self, x: Tensor) -> Tensor:
        return (self.kernel or snake_beta)(x, *(self.frozen or self.factors()))


def snake_beta(x: Tensor, frequency: Tensor, magnitude: Tensor) -> Tensor:
    """x (batch, channels, time), factors (channels, 1)."""
    wave = (x * frequency).sin_()
    return torch.addcmul(x, wave * magnitude, wave)


def compiled_snake(x: Tensor, frequency: Tensor, magnitude: Tensor) -> Tensor:
    """As `snake_beta`, on a CPU in float32."""
    from sglang_omni.layers.compiled import snake

    y = torch.empty(x.shape)
    snake(x.contiguous().numpy(), frequency.numpy(), magnitude.numpy(), y.numpy())
    return y
