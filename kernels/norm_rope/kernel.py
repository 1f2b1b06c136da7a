"""RmsNorm of queries and keys and their rotary embedding, in one kernel instead of five.

Bound by launches: a row of 18 heads of 128 is 9 KiB, read and written once. A head of a row is a program of one warp.
"""

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _norm_rope(
    qkv,
    scale,
    cos,
    sin,
    eps,
    time,
    batch_stride,
    time_stride,
    head_stride,
    cos_batch,
    cos_time,
    sin_batch,
    sin_time,
    HALF: tl.constexpr,
):
    row, head = tl.program_id(0), tl.program_id(1)
    batch, step = (row // time).to(tl.int64), row % time
    low = tl.arange(0, HALF)
    high = HALF + low
    qkv += batch * batch_stride + step * time_stride + head * head_stride
    cos += batch * cos_batch + step * cos_time
    sin += batch * sin_batch + step * sin_time
    scale += head * 2 * HALF
    first = tl.load(qkv + low).to(tl.float32)
    second = tl.load(qkv + high).to(tl.float32)
    factor = tl.rsqrt((tl.sum(first * first) + tl.sum(second * second)) / (2 * HALF) + eps)
    first *= factor * tl.load(scale + low).to(tl.float32)
    second *= factor * tl.load(scale + high).to(tl.float32)
    tl.store(qkv + low, first * tl.load(cos + low) + second * tl.load(sin + low))
    tl.store(qkv + high, second * tl.load(cos + high) + first * tl.load(sin + high))


def norm_rope(qkv: Tensor, scale: Tensor, eps: float, cos: Tensor, sin: Tensor) -> Tensor:
    """As the reference; `scale` is contiguous and head_dim a power of two."""
    batch, time, _, head_dim = qkv.shape
    cos, sin = cos.expand(batch, time, 1, head_dim), sin.expand(batch, time, 1, head_dim)
    _norm_rope[batch * time, len(scale)](
        qkv,
        scale,
        cos,
        sin,
        eps,
        time,
        *qkv.stride()[:3],
        *cos.stride()[:2],
        *sin.stride()[:2],
        HALF=head_dim // 2,
        num_warps=1,
    )
    return qkv
