"""Arithmetic that gives a row the same bits whatever rows it comes with, on a CPU.

There, libraries choose their algorithm, and so their rounding, by the number of rows, each kind of CPU in its own way.
Known of products (MKL): fewer than four rows differ from more; with AVX-512 all others agree if the weight is stored by
input, and up to 16 rows differ if it is stored by output; with AVX2 rows are rounded six at a time, and those left over
differ; with neither, which is what MKL makes of AMD's, a row of few outputs is rounded by its place among the others
unless the weight is stored by output. So `law` tries. A convolution (oneDNN) differs by the batch. Elementwise
functions (torch) treat the last values of a tensor differently unless their number is a multiple of 32, which every
checkpoint's widths are. A sampled code turns a difference into another code sooner or later, so seeds would hold only
for requests that are alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.kernels.choice import compiles
from sglang_omni.layers.linear import Linear

LEAST = 4


@dataclass(frozen=True)
class Law:
    """Products of x (rows, inputs) round every row alike, if the weight is stored `by_input` or by output, as it says,
    and the number of rows is a multiple of `multiple` and no less than `least`."""

    by_input: bool
    multiple: int

    @property
    def least(self) -> int:
        return self.rows(1)

    def rows(self, count: int) -> int:
        """The least lawful number from `count` on."""
        return -(-max(count, LEAST) // self.multiple) * self.multiple

    def stored(self, weight: Tensor) -> Tensor:
        """`weight` (..., outputs, inputs), its values in the order of memory that the law asks for."""
        return weight.mT.contiguous().mT if self.by_input else weight.contiguous()

    def holds(self) -> bool:
        generator = torch.Generator().manual_seed(0)
        for inputs, outputs in ((48, 96), (384, 128), (32, 5)):
            weight = self.stored(torch.randn(outputs, inputs, generator=generator)).t()
            x = torch.randn(self.rows(48), inputs, generator=generator)
            whole = torch.mm(x, weight)
            for count in sorted({self.rows(count) for count in range(1, len(x))}):
                for place in range(min(4, len(x) - count + 1)):
                    if not torch.equal(torch.mm(x[place : place + count], weight), whole[place : place + count]):
                        return False
        return True


@cache
def law() -> Law:
    """This CPU's, for the number of threads in use. Where none of those known holds, the likeliest."""
    laws = [Law(by_input, multiple) for multiple, by_input in product((1, 4, 6, 8, 12, 16), (True, False))]
    return next((law for law in laws if law.holds()), laws[0])


def padded(x: Tensor) -> Tensor:
    """`x` (rows, ...) with rows of zeros behind it, as many as a product on its device needs."""
    missing = 0 if x.is_cuda else law().rows(len(x)) - len(x)
    return x if missing <= 0 else torch.cat((x, x.new_zeros(missing, *x.shape[1:])))


def stored(weight: Tensor) -> Tensor:
    """`weight` (..., outputs, inputs) as products on its device want it in memory."""
    return weight if weight.is_cuda else law().stored(weight)


def store(module: nn.Module) -> None:
    """Every weight of a product in `module`."""
    for part in module.modules():
        if isinstance(part, Linear | nn.Linear):
            part.weight.data = stored(part.weight.data)


def alike(product: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`product` (torch.matmul, F.linear), with rows added to x (rows, inputs) where it needs them."""

    def of_enough_rows(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if x.ndim == 2 and len(x):
            return product(padded(x), *args, **kwargs)[: len(x)]
        return product(x, *args, **kwargs)

    return of_enough_rows


class RowLinear(nn.Linear):
    """(batch, time, inputs) -> (batch, time, outputs)."""

    compiled: Callable[[Tensor], Tensor] | None = None

    def freeze(self) -> None:
        """The weights are final."""
        if compiles(self.weight.device, self.weight.dtype):
            self.compiled = compiled_product(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)
        if self.compiled:
            y = self.compiled(rows)
            y = y if self.bias is None else y.add_(self.bias)
        else:
            y = F.linear(padded(rows), self.weight, self.bias)[: len(rows)]
        return y.view(*x.shape[:2], -1)


def compiled_product(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """By a final weight (outputs, inputs), of x (rows, inputs). F.linear."""
    from sglang_omni.layers.compiled import multiply

    stored = weight.detach().contiguous().numpy()

    def product(x: Tensor) -> Tensor:
        y = torch.empty(len(x), len(stored))
        multiply(x.contiguous().numpy(), stored, y.numpy(), False)
        return y

    product(weight.new_zeros(1, weight.shape[1]))  # it is compiled now
    return product


def by_row(conv: nn.Module, x: Tensor) -> Tensor:
    """`conv(x)` of x (batch, channels, time)."""
    if x.is_cuda or len(x) == 1:
        return conv(x)
    return torch.cat([conv(row) for row in x.split(1)])
