"""Arithmetic that gives a row the same bits whatever rows it comes with, on a CPU.

There, libraries choose their algorithm, and so their rounding, by the number of rows: a product (MKL) of fewer than
four rows differs from all larger ones, which agree; a convolution (oneDNN) differs by the batch. A sampled code turns
such a difference into another code sooner or later, so seeds would hold only for requests that are alone.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS_AT_LEAST = 4


def padded(x: Tensor) -> Tensor:
    """`x` (rows, ...) with rows of zeros behind it, as many as a product on its device needs."""
    missing = 0 if x.is_cuda else ROWS_AT_LEAST - len(x)
    return x if missing <= 0 else torch.cat((x, x.new_zeros(missing, *x.shape[1:])))


def alike(product: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`product` (torch.matmul, F.linear), with rows added to x (rows, inputs) where it needs them."""

    def of_enough_rows(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if x.ndim == 2 and 0 < len(x) < ROWS_AT_LEAST:
            return product(padded(x), *args, **kwargs)[: len(x)]
        return product(x, *args, **kwargs)

    return of_enough_rows


class RowLinear(nn.Linear):
    """(batch, time, inputs) -> (batch, time, outputs)."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)
        return F.linear(padded(rows), self.weight, self.bias)[: len(rows)].view(*x.shape[:2], -1)


def by_row(conv: nn.Module, x: Tensor) -> Tensor:
    """`conv(x)` of x (batch, channels, time)."""
    if x.is_cuda or len(x) == 1:
        return conv(x)
    return torch.cat([conv(row) for row in x.split(1)])
