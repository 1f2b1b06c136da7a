import pytest
import torch

from sglang_omni.kernels.snake.kernel import snake
from sglang_omni.kernels.snake.reference import snake as activation
from sglang_omni.kernels.snake_conv.kernel import snake_conv
from sglang_omni.kernels.snake_conv.reference import snake_conv as reference
from tests.kernels.interpreted.tolerance import assert_equals_reference


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kernel", "dilation", "adds"), [(7, 1, False), (7, 9, False), (1, 1, True)])
@pytest.mark.parametrize(("batch", "channels", "outputs", "time"), [(1, 32, 32, 1), (2, 48, 40, 70)])
def test_the_activated_convolution_is_the_reference(
    batch: int, channels: int, outputs: int, time: int, kernel: int, dilation: int, adds: bool, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(kernel)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    x = randn(batch, channels, time + (kernel - 1) * dilation)
    factors = randn(channels, 1).exp(), randn(channels, 1).exp()
    weight = randn(kernel, outputs, channels).permute(1, 2, 0) / channels**0.5
    residual = randn(batch, outputs, time + 3)[..., 3:] if adds else None
    assert_equals_reference(snake_conv, reference, x, *factors, weight, randn(outputs), dilation, residual)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("batch", "channels", "time"), [(1, 1, 1), (2, 3, 1500)])
def test_the_activation_alone_is_the_reference(batch: int, channels: int, time: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(time)
    x = torch.randn(batch, channels + 1, time + 5, generator=generator).to(dtype)[:, 1:, 5:]
    factors = torch.randn(2, channels, 1, generator=generator).exp().to(dtype)
    assert_equals_reference(snake, activation, x, *factors)


def test_it_is_right_far_from_zero() -> None:
    """A hundred periods away: there the sine's argument is what rounds."""
    x = torch.linspace(-300, 300, 1001)[None, None]
    one = torch.ones(1, 1)
    y = snake(x, one, one)
    expected = x.double() + torch.sin(x.double()) ** 2
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=5e-5)
