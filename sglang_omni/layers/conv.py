"""Causal convolutions that stream: (batch, channels, time) in and out."""

from typing import Any

import torch
from torch import Tensor, nn

from sglang_omni.kernels.choice import compiles
from sglang_omni.layers.company import by_row
from sglang_omni.layers.streaming import Stream, Tail

FEW_OUTPUTS = 8
SMALL = 2**17
"""Products per tap and row up to which the compiled convolution is faster than torch's: most of whose time is overhead
then, or which is slow in the way it takes for so few outputs or steps."""


class CausalConv(nn.Module):
    """A convolution of stride 1 over now and the past: as many steps out as in.

    Follows Qwen3OmniMoeCausalConvNet.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, groups: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, groups=groups)
        self.tail = Tail((in_channels, (kernel_size - 1) * dilation))
        self.compiled: tuple[Any, ...] | None = None  # what the compiled convolution takes beside x

    def freeze(self) -> None:
        """The weights are final."""
        weight, bias = self.conv.weight, self.conv.bias
        if self.conv.groups == 1 and bias is not None and compiles(weight.device, weight.dtype):
            self.compiled = weight.numpy(), bias.numpy(), self.conv.dilation[0]
            self._convolve(weight.new_zeros(1, weight.shape[1], self.tail.length + 1))  # it is compiled now

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        products = x.shape[2] * self.conv.in_channels * self.conv.out_channels
        small = self.conv.out_channels <= FEW_OUTPUTS or products <= SMALL
        x = self.tail.prepend(x, stream)
        return self._convolve(x) if small and self.compiled else by_row(self.conv, x)

    def _convolve(self, x: Tensor) -> Tensor:
        from sglang_omni.layers.compiled import convolve

        y = torch.empty(len(x), self.conv.out_channels, x.shape[2] - self.tail.length)
        convolve(x.contiguous().numpy(), *(self.compiled or ()), y.numpy())
        return y


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

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        y = by_row(self.conv, self.tail.prepend(x, stream))
        begins = stream is None or stream.first
        return y[..., self.overlap * (1 + begins) : y.shape[-1] - self.overlap]
