"""Causal convolutions that stream: (batch, channels, time) in and out."""

from torch import Tensor, nn

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
        return self.conv(self.tail.prepend(x, stream))


class CausalTransposedConv(nn.Module):
    """A convolution that makes `stride` steps of each: from that step and the kernel / stride - 1 before it.

    A stream's first steps only serve as the past of later ones, so n steps become (n + 1) * stride - kernel in all,
    and every chunk but the first is whole. Follows Qwen3OmniMoeCausalTransConvNet, which drops
    kernel - stride steps at both ends.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int):
        super().__init__()
        if kernel_size % stride:
            raise ValueError(f"kernel {kernel_size} is no multiple of stride {stride}")
        self.conv = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride=stride)
        self.tail = Tail((in_channels, kernel_size // stride - 1))

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        y = self.conv(self.tail.prepend(x, stream))
        ramp = self.conv.kernel_size[0] - self.conv.stride[0]
        starts = stream is None or stream.first
        return y[..., 2 * ramp if starts else ramp : y.shape[-1] - ramp]
