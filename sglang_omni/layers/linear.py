"""Weights that wait to be loaded. Torch's own layers draw random numbers first, and import a lot to do it on `meta`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def unloaded(*shape: int) -> nn.Parameter:
    """A parameter without a value; on a CPU it takes no memory before it is written."""
    return nn.Parameter(torch.empty(shape), requires_grad=False)


class Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int, bias: bool = False):
        super().__init__()
        self.weight = unloaded(outputs, inputs)
        self.bias = unloaded(outputs) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class Embedding(nn.Module):
    def __init__(self, rows: int, size: int):
        super().__init__()
        self.weight = unloaded(rows, size)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weight)
