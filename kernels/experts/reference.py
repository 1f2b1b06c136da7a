"""A mixture of experts, each pair of a row and its expert by itself."""

import torch.nn.functional as F
from torch import Tensor


def experts(x: Tensor, gate_up: Tensor, down: Tensor, weights: Tensor, chosen: Tensor, residual: Tensor) -> Tensor:
    """Of each row the sum of what its experts make of it, weighted, added to `residual`: (rows, hidden).

    x and residual (rows, hidden), gate_up (experts, hidden, 2 * intermediate), down (experts, intermediate, hidden),
    weights and chosen (rows, active).
    """
    gate, up = (x[:, None, None] @ gate_up[chosen]).chunk(2, -1)
    y = (F.silu(gate) * up @ down[chosen]).squeeze(2)
    return residual + (y * weights[..., None]).sum(1)
