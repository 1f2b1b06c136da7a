"""Causal convolutions that stream: (batch, channels, time) in and out."""

from torch import Tensor, nn

from sglang_omni.layers.company import by_row
from sglang_omni.layers.streaming import Stream, Tail


class CausalConv(nn.Module):
    """A convolution of stride 1 over now and the past: as many steps out as in.

    Follows Qwen3OmniMoeCausalConvNet.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, groups: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, groups=groups)
        self.tail = Tail((in_channels, (kernel_size - 1) * dilation))

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        return by_row(self.conv, self.tail.prepend(x, stream))


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
