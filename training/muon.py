"""Muon for matrices, AdamW for everything else (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

torch.optim.Muon takes matrices one by one and no stacks of them, which the experts of a mixture are.
"""

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
    """Groups with `"matrices": True` hold matrices and stacks of them, whose momentum is made orthogonal."""

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
        alike = defaultdict[torch.Size, list[nn.Parameter]](list)
        for matrix in group["params"]:
            if matrix.grad is not None:
                alike[matrix.shape[-2:]].append(matrix)
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


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Those of a model that Muon is for, experts' too: no embedding, no head, no router, no convolution."""
    others = ("embed", "head", "words", "gate.weight")
    return [
        value
        for name, value in model.named_parameters()
        if (value.ndim == 2 or "experts" in name) and len(value) > 1 and not any(other in name for other in others)
    ]
