"""Muon for matrices, AdamW for everything else (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

torch.optim.Muon takes matrices one by one and no stacks of them, which the experts of a mixture are.
"""

import math
from collections import defaultdict

import torch
from torch import Tensor, nn

from training.half import has_half

MOMENTUM = 0.95
NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5
"""Coefficients of the odd polynomial that brings singular values near one, step by step."""

ADAMW_SIZE = 0.2
"""About the root mean square of what AdamW would add at a rate of one (Liu et al. 2025, "Muon is scalable for LLM
training"), so that one rate does for both."""


class Muon(torch.optim.AdamW):
    """In groups with `"matrices"` the momentum is made orthogonal: of every matrix in a `"stack"` apart; or of a
    parameter as a `"whole"`, (outputs, inputs and moments) if it is a convolution's."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group.get("matrices")]
        super().step()
        self.param_groups = groups
        for group in groups:
            if group.get("matrices"):
                self._step_of_matrices(group)

    def _step_of_matrices(self, group: dict) -> None:
        alike = defaultdict[tuple[int, int], list[nn.Parameter]](list)
        for matrix in group["params"]:
            if matrix.grad is not None:
                rows, *others = matrix.shape[1:] if group["matrices"] == "stack" else matrix.shape
                alike[rows, math.prod(others)].append(matrix)
        for (rows, columns), matrices in alike.items():
            stacks = [self._way(matrix).reshape(-1, rows, columns) for matrix in matrices]
            ways = orthogonal(torch.cat(stacks)).split([len(stack) for stack in stacks])
            step = group["lr"] * ADAMW_SIZE * max(rows, columns) ** 0.5
            for matrix, way in zip(matrices, ways, strict=True):
                matrix.mul_(1 - group["lr"] * group["weight_decay"]).sub_(way.view_as(matrix), alpha=step)

    def _way(self, matrix: nn.Parameter) -> Tensor:
        """Nesterov's."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
            state["step"] = torch.zeros(())  # which AdamW looks for in every state that it loads
        state["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(state["momentum"], MOMENTUM)


def orthogonal(stack: Tensor) -> Tensor:
    """Of matrices (count, rows, columns), about the nearest whose singular values are all one."""
    if stack.shape[-2] > stack.shape[-1]:
        return orthogonal(stack.mT).mT
    x = stack / stack.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    x = x.bfloat16() if has_half() else x
    for a, b, c in NEWTON_SCHULZ:
        squared = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(squared, squared, squared, beta=b, alpha=c), x, beta=a)
    return x.to(stack.dtype)


def kind(name: str, value: nn.Parameter) -> str | None:
    """How Muon is to take a parameter: experts as a `"stack"`, a hidden matrix or a convolution along time as a
    `"whole"`. What an embedding, a head, a router, a convolution of pictures or one of single channels has is not
    for it."""
    if any(other in name for other in ("embed", "head", "words", "gate.weight")):
        return None
    if "experts" in name:
        return "stack"
    return "whole" if value.ndim in (2, 3) and min(value.shape[:2]) > 1 else None
