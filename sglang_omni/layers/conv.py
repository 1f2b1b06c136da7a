"""Causal convolutions that stream: (batch, channels, time) in and out."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.kernels.choice import compiles
from sglang_omni.layers.company import by_row
from sglang_omni.layers.streaming import Stream, Tail


def compiled_convolution(weight: Tensor, bias: Tensor, dilation: int = 1) -> Callable[[Tensor], Tensor]:
    """By a final weight (outputs, inputs, taps), of x (batch, inputs, steps + (taps - 1) * dilation), at any number of
    steps the same. F.conv1d."""
    from sglang_omni.layers.compiled import LANES, convolve

    weight, bias = weight.contiguous(), bias.contiguous()

    def convolution(x: Tensor) -> Tensor:
        steps = x.shape[2] - (weight.shape[2] - 1) * dilation
        x = x.contiguous() if steps >= LANES else F.pad(x, (0, LANES - steps))
        y = torch.empty(len(x), len(weight), max(steps, LANES))
        convolve(x.numpy(), weight.numpy(), bias.numpy(), dilation, y.numpy())
        return y[..., :steps]

    convolution(weight.new_zeros(1, weight.shape[1], 1 + (weight.shape[2] - 1) * dilation))  # it is compiled now
    return convolution


class CausalConv(nn.Module):
    """A convolution of stride 1 over now and the past: as many steps out as in.

    Follows Qwen3OmniMoeCausalConvNet.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, groups: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, groups=groups)
        self.tail = Tail((in_channels, (kernel_size - 1) * dilation))
        self.compiled: Callable[[Tensor], Tensor] | None = None

    def freeze(self) -> None:
        """The weights are final."""
        weight, bias = self.conv.weight, self.conv.bias
        if self.conv.groups == 1 and bias is not None and compiles(weight.device, weight.dtype):
            self.compiled = compiled_convolution(weight, bias, self.conv.dilation[0])

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        x = self.tail.prepend(x, stream)
        return self.compiled(x) if self.compiled else by_row(self.conv, x)


class CausalTransposedConv(nn.Module):
    """Makes `stride` steps of each: of itself (kernel = stride), or of it and the one before (kernel = 2 * stride).

    In the second case a stream's very first step is nothing but the past of the next: n steps become
    (n - 1) * stride, of which only the first chunk feels the loss. Follows Qwen3OmniMoeCausalTransConvNet, which
    drops kernel - stride steps at both ends.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int):
        super().__init__()
        self.overlap = kernel_size - stride
        if self.overlap not in (0, stride):
            raise ValueError(f"kernel {kernel_size} is neither once nor twice the stride {stride}")
        self.conv = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride=stride)
        self.tail = Tail((in_channels, self.overlap // stride))
        self.compiled: Callable[[Tensor], Tensor] | None = None

    def freeze(self) -> None:
        """The weights are final. Each of the `stride` steps that are made of one is an output by itself then."""
        weight, bias, stride = self.conv.weight, self.conv.bias, self.conv.stride[0]
        if bias is not None and compiles(weight.device, weight.dtype):
            by_tap = weight.unflatten(2, (-1, stride)).flip(2)  # (inputs, outputs, taps, stride), the past first
            self.compiled = compiled_convolution(
                by_tap.permute(1, 3, 0, 2).flatten(0, 1), bias.repeat_interleave(stride)
            )

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        begins = self.overlap * (stream is None or stream.first)
        x = self.tail.prepend(x, stream)
        if self.compiled:
            y = self.compiled(x).unflatten(1, (-1, self.conv.stride[0])).mT.flatten(2)
            return y[..., begins:]
        y = by_row(self.conv, x)
        return y[..., self.overlap + begins : y.shape[-1] - self.overlap]
