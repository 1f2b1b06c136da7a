"""The law of streaming: any chunking, of streams in any company and order, equals the whole."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from sglang_omni.layers.attention import SlidingWindowAttention, frame_positions, window_mask
from sglang_omni.layers.conv import CausalConv, CausalTransposedConv
from sglang_omni.layers.rope import Rope
from sglang_omni.layers.streaming import Stream, allocate
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig

SLOTS = 5
WINDOW = 6

Forward = Callable[[Tensor, Stream | None], Tensor]  # (batch, ..., time) -> (batch, ..., time * rate)


class Attention(nn.Module):
    """SlidingWindowAttention over (batch, channels, time), like its neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = SlidingWindowAttention(16, heads=4, kv_heads=2, window=WINDOW)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        x = x.transpose(1, 2)
        positions = frame_positions(x, stream)
        rotation = Rope(self.attention.head_dim, {"rope_theta": 10_000}).at(positions, x.dtype)
        return self.attention(x, rotation, window_mask(positions, WINDOW), stream).transpose(1, 2)


LAYERS = {
    "convolution": lambda: CausalConv(16, 8, 7),
    "dilated convolution": lambda: CausalConv(16, 16, 7, dilation=9),
    "depthwise convolution": lambda: CausalConv(16, 16, 7, groups=16),
    "pointwise convolution": lambda: CausalConv(16, 4, 1),
    "upsampling without overlap": lambda: CausalTransposedConv(16, 16, 2, 2),
    "upsampling with overlap": lambda: CausalTransposedConv(16, 8, 10, 5),
    "attention": Attention,
}


@dataclass(eq=False)
class Part:
    """A stream on its way through a model."""

    signal: Tensor  # (..., time)
    slot: int = -1
    done: int = 0
    heard: list[Tensor] = field(default_factory=list)

    @property
    def left(self) -> int:
        return self.signal.shape[-1] - self.done


def decode_in_chunks(model: Forward, signals: list[Tensor], largest: int, dice: random.Random) -> list[Tensor]:
    """Every signal through `model` as a stream of random chunks.

    A stream joins when a slot is free; a step takes any streams that may share it, in any order.
    """
    parts = [Part(signal) for signal in signals]
    waiting, running, free = list(parts), [], list(range(SLOTS))
    while waiting or running:
        while waiting and free and dice.random() < 0.5:
            running.append(waiting.pop())
            running[-1].slot = free.pop(dice.randrange(len(free)))
        first = dice.random() < 0.5
        rows = [part for part in running if (part.done == 0) == first]
        rows = dice.sample(rows, dice.randint(0, len(rows)))
        if not rows:
            continue
        length = dice.randint(1, min(largest, *(part.left for part in rows)))
        stream = Stream(
            slots=torch.tensor([part.slot for part in rows]),
            positions=torch.tensor([part.done for part in rows]),
            first=first,
        )
        chunks = torch.stack([part.signal[..., part.done : part.done + length] for part in rows])
        for part, sound in zip(rows, model(chunks, stream), strict=True):
            part.heard.append(sound)
            part.done += length
            if not part.left:
                running.remove(part)
                free.append(part.slot)
    return [torch.cat(part.heard, -1) for part in parts]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LAYERS)
@torch.inference_mode()
def test_a_layer_in_chunks_equals_the_whole(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    dice = random.Random(seed)
    layer = LAYERS[name]().double()
    allocate(layer, SLOTS)
    signals = [torch.randn(16, dice.randint(1, 90), dtype=torch.float64) for _ in range(12)]
    chunked = decode_in_chunks(layer, signals, largest=12, dice=dice)
    for signal, sound in zip(signals, chunked, strict=True):
        torch.testing.assert_close(sound, layer(signal[None], None)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@torch.inference_mode()
def test_code2wav_in_chunks_equals_the_whole(seed: int) -> None:
    """Streams shorter and longer than the attention's window, more of them than slots."""
    torch.manual_seed(seed)
    dice = random.Random(seed)
    config = Code2WavConfig(
        codebook_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=WINDOW,
        decoder_dim=16,
    )
    model = Code2Wav(config).double()
    model.prepare(SLOTS)
    signals = [torch.randint(32, (16, frames)) for frames in (1, 2, 3, WINDOW, 2 * WINDOW, 20, 30, 40)]
    chunked = decode_in_chunks(model, signals, largest=9, dice=dice)
    for signal, sound in zip(signals, chunked, strict=True):
        whole = model(signal[None])[0]
        assert sound.shape == (1, signal.shape[-1] * 1920 - 555)
        assert whole.std() > 1e-3, "the law of a silent model says nothing"
        torch.testing.assert_close(sound, whole, rtol=0, atol=1e-10)
