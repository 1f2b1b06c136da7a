"""A layer's products in bfloat16, everything else in float32: twice as fast where the processor has instructions.

torch's autocast also keeps what lies between the products in bfloat16, which CPUs are slow at.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LINEAR = torch._C._nn.linear
"""torch.nn.functional's, which others in the process may have wrapped."""


class HalfProducts(TorchFunctionMode):
    """While it is entered, `linear` multiplies in bfloat16, forwards and backwards."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is LINEAR and torch.is_grad_enabled():
            return _linear(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product = _Product.apply(input.reshape(-1, input.shape[-1]), weight)
    product = product.view(*input.shape[:-1], len(weight))
    return product if bias is None else product + bias


class _Product(torch.autograd.Function):
    """Rows (n, in) and a weight (out, in) to (n, out)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        rows, weight = rows.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(rows, weight)
        return (rows @ weight.T).float()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        rows, weight = ctx.saved_tensors
        gradient = gradient.bfloat16()
        return (
            (gradient @ weight).float() if ctx.needs_input_grad[0] else None,
            (gradient.T @ rows).float() if ctx.needs_input_grad[1] else None,
        )


def products() -> AbstractContextManager[object]:
    """In bfloat16 where that is faster."""
    return HalfProducts() if has_half() else nullcontext()


@cache
def has_half() -> bool:
    """Whether this processor multiplies in bfloat16."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
