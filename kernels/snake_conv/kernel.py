"""SnakeBeta and the convolution behind it, in one kernel.

The activation is computed as a tile is loaded: again for every tap and every block of outputs, which pays as long as
sin² is cheap, and saves launches and a pass over the signal in both directions. The rest is a product over channels,
tap by tap, bound by the weights' bytes where few steps are made and by the tensor cores where many are.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglang_omni.kernels.operands import operand_type
from sglang_omni.kernels.snake.kernel import activated

PROGRAMS = 264
"""Two for each multiprocessor of an H100: tiles are as large as leaves so many."""


@triton.jit
def _snake_conv(
    x,
    frequency,
    magnitude,
    weight,
    bias,
    residual,
    y,
    channels,
    outputs,
    time,
    dilation,
    x_batch,
    x_channel,
    weight_output,
    weight_input,
    weight_tap,
    residual_batch,
    residual_channel,
    TAPS: tl.constexpr,
    ADDS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    STEPS: tl.constexpr,
    CHANNELS: tl.constexpr,
    OPERAND: tl.constexpr,
):
    batch = tl.program_id(2).to(tl.int64)
    step = tl.program_id(0) * STEPS + tl.arange(0, STEPS)
    output = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    sums = tl.zeros((OUTPUTS, STEPS), tl.float32)
    x += batch * x_batch
    for part in range(tl.cdiv(channels, CHANNELS) * TAPS):  # one loop, so that loads run ahead all the way
        tap, channel = part % TAPS, part // TAPS * CHANNELS + tl.arange(0, CHANNELS)
        known = channel < channels
        at = x + channel[:, None] * x_channel + (step + tap * dilation)[None]
        value = tl.load(at, known[:, None] & (step < time)[None], 0)
        wave = tl.load(frequency + channel, known, 0).to(tl.float32)[:, None]
        height = tl.load(magnitude + channel, known, 0).to(tl.float32)[:, None]
        signal = activated(value.to(tl.float32), wave, height).to(value.dtype)
        at = weight + output[:, None] * weight_output + channel[None] * weight_input + tap * weight_tap
        factors = tl.load(at, (output < outputs)[:, None] & known[None], 0)
        sums = tl.dot(factors.to(OPERAND), signal.to(OPERAND), sums, input_precision="ieee")
    inside = (output < outputs)[:, None] & (step < time)[None]
    sums += tl.load(bias + output, output < outputs, 0).to(tl.float32)[:, None]
    if ADDS:
        at = residual + batch * residual_batch + output[:, None] * residual_channel + step[None]
        sums += tl.load(at, inside, 0).to(tl.float32)
    tl.store(y + (batch * outputs + output[:, None]) * time + step[None], sums, inside)


def _tile(outputs: int, batch: int, time: int) -> tuple[int, int]:
    """Outputs and steps of a program."""
    steps = max(16, min(64, triton.next_power_of_2(time)))
    for tile in (128, 64, 32):
        if triton.cdiv(outputs, tile) * triton.cdiv(time, steps) * batch >= PROGRAMS:
            return tile, steps
    return 16, min(steps, 32)


def snake_conv(
    x: Tensor,
    frequency: Tensor,
    magnitude: Tensor,
    weight: Tensor,
    bias: Tensor,
    dilation: int = 1,
    residual: Tensor | None = None,
) -> Tensor:
    """As the reference. Steps of a channel must be next to each other in memory; the weight may have any strides, and
    is fastest with a tap's inputs next to each other."""
    (batch, channels, length), (outputs, _, taps) = x.shape, weight.shape
    time = length - (taps - 1) * dilation
    y = torch.empty((batch, outputs, time), dtype=x.dtype, device=x.device)
    tile, steps = _tile(outputs, batch, time)
    added = y if residual is None else residual
    _snake_conv[triton.cdiv(time, steps), triton.cdiv(outputs, tile), batch](
        x,
        frequency,
        magnitude,
        weight,
        bias,
        added,
        y,
        channels,
        outputs,
        time,
        dilation,
        *x.stride()[:2],
        *weight.stride(),
        *added.stride()[:2],
        TAPS=taps,
        ADDS=residual is not None,
        OUTPUTS=tile,
        STEPS=steps,
        CHANNELS=64 if channels % 64 == 0 and x.element_size() == 2 else 32,
        OPERAND=operand_type(x.dtype),
    )
    return y
