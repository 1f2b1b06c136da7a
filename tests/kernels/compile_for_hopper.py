"""Compiles every kernel at Qwen3-Omni's dimensions for an H100 (sm_90), on a machine that need not have one.

What the interpreter lets pass, such as types that change in a loop, ends here; so do tiles that do not fit. Prints a
line for each kernel.
"""

from functools import partial
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver, jit

from sglang_omni.kernels.experts.kernel import experts
from sglang_omni.kernels.norm_rope.kernel import norm_rope
from sglang_omni.kernels.paged_attention.kernel import paged_attention
from sglang_omni.kernels.snake.kernel import snake
from sglang_omni.kernels.snake_conv.kernel import snake_conv

SHARED_MEMORY = 227 * 1024


class Hopper:
    """As much of a driver as compiling asks for."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


run = jit.JITFunction.run


def compile_only(kernel: jit.JITFunction, *arguments: Any, **options: Any) -> None:
    compiled = run(kernel, *arguments, **{**options, "warmup": True})
    assert compiled.metadata.shared <= SHARED_MEMORY, f"{kernel.__name__} takes {compiled.metadata.shared} bytes"
    print(kernel.__name__, len(compiled.asm["cubin"]))


driver.set_active(Hopper())
jit.JITFunction.run = compile_only
for dtype in (torch.bfloat16, torch.float32):
    empty, ids = partial(torch.empty, dtype=dtype), partial(torch.zeros, dtype=torch.int64)
    for x in (empty(1, 1024), empty(8, 1024)):
        rows = len(x)
        experts(x, empty(8, 768, 1024).mT, empty(8, 1024, 384).mT, empty(rows, 6), ids(rows, 6), x)
    qkv, angles = empty(8, 1, 20, 128), empty(8, 1, 1, 128)
    norm_rope(qkv, empty(18, 128), 1e-6, angles, angles)
    paged_attention(qkv[:, 0, :16], empty(8, 64, 4, 128), ids(8, 128), ids(8))
    for batch, channels, time in ((1, 768, 64), (1, 96, 3840), (8, 384, 640), (8, 768, 256)):
        factors, bias = empty(channels, 1), empty(channels)
        before, weight = empty(batch, channels, time + 54), empty(7, channels, channels).permute(1, 2, 0)
        snake(before, factors, factors)
        y = snake_conv(before, factors, factors, weight, bias, 9)
        snake_conv(y, factors, factors, weight[..., :1], bias, 1, before[..., 54:])
