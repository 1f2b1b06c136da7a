"""SnakeBeta and the convolution behind it, in one kernel instead of five or six.

Plain, the activation reads and writes its signal some eleven times, as much time as the convolution itself takes; here
it is computed as a tile is loaded, once for every tap and block of outputs that needs it, which pays as long as sin² is
cheap: a polynomial. The rest is a product over channels, tap by tap, bound by the weights' bytes where few steps are
made and by the tensor cores where many are.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglang_omni.kernels.operands import operand_type

CHANNELS = 32
"""Of one product. Halves of 1,536 are multiples of it."""
MANY_PROGRAMS = 264
"""Two for each multiprocessor of an H100: tiles are large where there are as many."""


@triton.jit
def _sin_squared(x):
    """sin² has the period π: to [-π/2, π/2] (Cody and Waite, 1980), and there a polynomial in r², fitted to 2e-8."""
    turns = tl.floor(x * 0.3183098861837907 + 0.5)
    r = (x - turns * 3.140625) - turns * 9.676535897932385e-4
    u = r * r
    p = 1.393526e-4 - u * 3.631618e-6
    p = p * u - 3.1724052743600894e-3
    p = p * u + 4.444318349119214e-2
    p = p * u - 3.3333306806431334e-1
    return (p * u + 0.9999999909437494) * u


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
    for start in range(0, channels, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        known = channel < channels
        waves = tl.load(frequency + channel, known, 0).to(tl.float32)[:, None]
        heights = tl.load(magnitude + channel, known, 0).to(tl.float32)[:, None]
        for tap in range(TAPS):
            at = x + channel[:, None] * x_channel + (step + tap * dilation)[None]
            value = tl.load(at, known[:, None] & (step < time)[None], 0)
            activated = value.to(tl.float32) + heights * _sin_squared(value.to(tl.float32) * waves)
            at = weight + output[:, None] * weight_output + channel[None] * weight_input + tap * weight_tap
            factors = tl.load(at, (output < outputs)[:, None] & known[None], 0)
            activated = activated.to(value.dtype).to(OPERAND)
            sums = tl.dot(factors.to(OPERAND), activated, sums, input_precision="ieee")
    inside = (output < outputs)[:, None] & (step < time)[None]
    sums += tl.load(bias + output, output < outputs, 0).to(tl.float32)[:, None]
    if ADDS:
        at = residual + batch * residual_batch + output[:, None] * residual_channel + step[None]
        sums += tl.load(at, inside, 0).to(tl.float32)
    tl.store(y + (batch * outputs + output[:, None]) * time + step[None], sums, inside)


def _tile(outputs: int, batch: int, time: int) -> tuple[int, int]:
    """Outputs and steps of a program: as many as leave enough programs."""
    steps = max(16, min(64, triton.next_power_of_2(time)))
    for tile in (128, 64):
        if triton.cdiv(outputs, tile) * triton.cdiv(time, steps) * batch >= MANY_PROGRAMS:
            return tile, steps
    return 32, steps


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
        CHANNELS=CHANNELS,
        OPERAND=operand_type(x.dtype),
    )
    return y
