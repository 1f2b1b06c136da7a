"""Codec frames to sound: Qwen3-Omni's code2wav, exact in streaming.

Follows Qwen3OmniMoeCode2Wav of transformers, with the checkpoint's parameter names (prefix `code2wav.`). Causal all
the way: a frame is 1,920 samples at 24 kHz, and the first lacks the 555 that the upsampling convolutions
would need a frame before it to make.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.kernels.choice import is_faster, possible
from sglang_omni.layers.activation import SnakeBeta
from sglang_omni.layers.attention import SlidingWindowAttention, frame_positions, window_mask
from sglang_omni.layers.company import RowLinear, store
from sglang_omni.layers.conv import CausalConv, CausalTransposedConv
from sglang_omni.layers.rope import Rope, Rotation
from sglang_omni.layers.streaming import Stream, allocate

NEAR = 16
"""Frames whose signals a CPU still finds in its nearer caches; more are decoded one part of the batch after another."""

EXAMPLES = (1, 2), (8, 8), (32, 16)
"""Rows and frames of the steps with which a kernel is tried."""


@dataclass(frozen=True)
class Code2WavConfig:
    """What the network needs of `code2wav_config`, with the names and defaults of Qwen3OmniMoeCode2WavConfig.

    A class of its own because importing transformers' costs three seconds of a sidecar's start.
    """

    codebook_size: int = 2048
    num_quantizers: int = 16
    hidden_size: int = 1024
    intermediate_size: int = 3072
    num_hidden_layers: int = 8
    num_attention_heads: int = 16
    num_key_value_heads: int = 16
    attention_bias: bool = False
    sliding_window: int = 72
    rope_parameters: dict[str, Any] = field(default_factory=lambda: {"rope_type": "default", "rope_theta": 10_000.0})
    rms_norm_eps: float = 1e-5
    upsampling_ratios: tuple[int, ...] = (2, 2)
    upsample_rates: tuple[int, ...] = (8, 5, 4, 3)
    decoder_dim: int = 1536

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Code2WavConfig":
        """From the `code2wav_config` of a checkpoint's config.json, where `rope_theta` may stand by itself."""
        known = {field.name: config[field.name] for field in fields(cls) if config.get(field.name) is not None}
        if "rope_theta" in config:
            known.setdefault("rope_parameters", {"rope_theta": config["rope_theta"]})
        return cls(**known)

    @property
    def samples_per_frame(self) -> int:
        return prod((*self.upsampling_ratios, *self.upsample_rates))


class LayerScale(nn.Module):
    def __init__(self, hidden: int):
        super().__init__()
        self.scale = nn.Parameter(torch.full((hidden,), 0.01))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Mlp(nn.Module):
    def __init__(self, config: Code2WavConfig):
        super().__init__()
        self.gate_proj = RowLinear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = RowLinear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = RowLinear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class TransformerLayer(nn.Module):
    def __init__(self, config: Code2WavConfig):
        super().__init__()
        hidden = config.hidden_size
        self.input_layernorm = nn.RMSNorm(hidden, config.rms_norm_eps)
        self.self_attn = SlidingWindowAttention(
            hidden,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.sliding_window,
            config.attention_bias,
        )
        self.self_attn_layer_scale = LayerScale(hidden)
        self.post_attention_layernorm = nn.RMSNorm(hidden, config.rms_norm_eps)
        self.mlp = Mlp(config)
        self.mlp_layer_scale = LayerScale(hidden)

    def forward(self, x: Tensor, rotation: Rotation, mask: Tensor, stream: Stream | None) -> Tensor:
        x = x + self.self_attn_layer_scale(self.self_attn(self.input_layernorm(x), rotation, mask, stream))
        return x + self.mlp_layer_scale(self.mlp(self.post_attention_layernorm(x)))


class Transformer(nn.Module):
    """(batch, frames, hidden) -> the same."""

    def __init__(self, config: Code2WavConfig):
        super().__init__()
        self.window = config.sliding_window
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        head_dim = config.hidden_size // config.num_attention_heads
        self.rope = Rope(head_dim, config.rope_parameters, self.norm.weight.device)

    def forward(self, x: Tensor, stream: Stream | None) -> Tensor:
        positions = frame_positions(x, stream)
        rotation = self.rope.at(positions, x.dtype)
        mask = window_mask(positions, self.window)
        for layer in self.layers:
            x = layer(x, rotation, mask, stream)
        return self.norm(x)


class ConvNeXtBlock(nn.Module):
    """(batch, channels, time) -> the same. Follows Qwen3OmniMoeConvNeXtBlock."""

    def __init__(self, channels: int):
        super().__init__()
        self.dwconv = CausalConv(channels, channels, 7, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1 = RowLinear(channels, 4 * channels)
        self.pwconv2 = RowLinear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor, stream: Stream | None) -> Tensor:
        y = self.norm(self.dwconv(x, stream).transpose(1, 2))
        y = self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + (self.gamma * y).transpose(1, 2)


def _by_tap(conv: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Its weight (outputs, inputs, taps), a tap's inputs next to each other in memory, and its bias."""
    assert conv.bias is not None
    return conv.weight.permute(2, 0, 1).contiguous().permute(1, 2, 0), conv.bias


class ResidualUnit(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.act1 = SnakeBeta(channels)
        self.conv1 = CausalConv(channels, channels, 7, dilation=dilation)
        self.act2 = SnakeBeta(channels)
        self.conv2 = CausalConv(channels, channels, 1)
        self.kernel: Callable[[Tensor], Tensor] | None = None

    def choose(self, steps: int) -> None:
        """Takes the kernel if it is faster with every one of EXAMPLES; a frame has so many `steps`. The
        tail then remembers its signal before the activation, of which zeros stay zeros."""
        kernel = self.fused()
        for rows, frames in EXAMPLES:
            x = self.act1.waves(rows, self.conv1.tail.length + frames * steps)
            if not is_faster("snake_conv", self.plain, kernel, x):
                return
        self.kernel = kernel

    def plain(self, x: Tensor) -> Tensor:
        """x (batch, channels, tail and time) -> (batch, channels, time)."""
        return x[..., self.conv1.tail.length :] + self.conv2.conv(self.act2(self.conv1.conv(self.act1(x))))

    def fused(self) -> Callable[[Tensor], Tensor]:
        """As `plain`, in two kernels, of the weights as they are now."""
        from sglang_omni.kernels.snake_conv.kernel import snake_conv

        tail, dilation = self.conv1.tail.length, self.conv1.conv.dilation[0]
        factors1, factors2 = self.act1.factors(), self.act2.factors()
        (weight1, bias1), (weight2, bias2) = _by_tap(self.conv1.conv), _by_tap(self.conv2.conv)

        def kernels(x: Tensor) -> Tensor:
            y = snake_conv(x, *factors1, weight1, bias1, dilation)
            return snake_conv(y, *factors2, weight2, bias2, residual=x[..., tail:])

        return kernels

    def forward(self, x: Tensor, stream: Stream | None) -> Tensor:
        if self.kernel is not None:
            return self.kernel(self.conv1.tail.prepend(x, stream))
        return x + self.conv2(self.act2(self.conv1(self.act1(x), stream)), stream)


class DecoderBlock(nn.Module):
    """Half the channels, `rate` times the steps: (batch, channels, time) -> (batch, channels / 2, time * rate)."""

    def __init__(self, channels: int, rate: int):
        super().__init__()
        self.block = nn.ModuleList(
            (
                SnakeBeta(channels),
                CausalTransposedConv(channels, channels // 2, 2 * rate, rate),
                *(ResidualUnit(channels // 2, dilation) for dilation in (1, 3, 9)),
            )
        )

    def forward(self, x: Tensor, stream: Stream | None) -> Tensor:
        activation, upsample, *units = self.block
        x = upsample(activation(x), stream)
        for unit in units:
            x = unit(x, stream)
        return x


class Code2Wav(nn.Module):
    def __init__(self, config: Code2WavConfig):
        super().__init__()
        self.config = config
        hidden, channels = config.hidden_size, config.decoder_dim
        self.code_embedding = nn.Embedding(config.codebook_size * config.num_quantizers, hidden)
        self.pre_transformer = Transformer(config)
        self.upsample = nn.ModuleList(
            nn.ModuleList((CausalTransposedConv(hidden, hidden, factor, factor), ConvNeXtBlock(hidden)))
            for factor in config.upsampling_ratios
        )
        blocks = [DecoderBlock(channels >> i, rate) for i, rate in enumerate(config.upsample_rates)]
        channels >>= len(blocks)
        self.decoder = nn.ModuleList(
            (
                CausalConv(hidden, config.decoder_dim, 7),
                *blocks,
                SnakeBeta(channels),
                CausalConv(channels, 1, 7),
            )
        )

    def forward(self, codes: Tensor, stream: Stream | None = None) -> Tensor:
        """Codes (batch, groups, frames) to samples (batch, 1, samples) in [-1, 1].

        n frames make n * 1920 samples, less 555 at the start of a stream.
        """
        groups = torch.arange(self.config.num_quantizers, device=codes.device)[:, None]
        x = self.code_embedding(codes + groups * self.config.codebook_size).mean(1)
        x = self.pre_transformer(x, stream).transpose(1, 2)
        rows = max(1, NEAR // x.shape[2])
        if x.is_cuda or stream is None or rows >= len(x):
            return self.decode(x, stream)
        return torch.cat([self.decode(*part) for part in zip(x.split(rows), stream.split(rows), strict=True)])

    def decode(self, x: Tensor, stream: Stream | None) -> Tensor:
        """What the transformer made (batch, hidden, frames) to samples (batch, 1, samples)."""
        for upsample, block in self.upsample:
            x = block(upsample(x, stream), stream)
        entry, *blocks, activation, exit = self.decoder
        x = entry(x, stream)
        for block in blocks:
            x = block(x, stream)
        return exit(activation(x), stream).clamp(-1, 1)

    def prepare(self, slots: int) -> None:
        """To be called once the weights are there: makes room for `slots` streams, and freezes the weights."""
        self.eval().requires_grad_(False)
        store(self)
        allocate(self, slots)
        for module in self.modules():
            if isinstance(module, SnakeBeta | CausalConv | CausalTransposedConv | RowLinear):
                module.freeze()
        if possible(self.code_embedding.weight.device):
            _, *blocks, _, _ = self.decoder
            steps = prod(self.config.upsampling_ratios)
            for block, rate in zip(blocks, self.config.upsample_rates, strict=True):
                steps *= rate
                for unit in block.block[2:]:
                    unit.choose(steps)
