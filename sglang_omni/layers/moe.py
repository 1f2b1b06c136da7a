"""A mixture of experts with a shared expert. No step asks the device how many rows an expert got."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.kernels.choice import is_faster, possible
from sglang_omni.layers.company import law, stored
from sglang_omni.layers.decoder import GatedMlp, joined
from sglang_omni.layers.linear import Linear

ROWS = 1, 2, 4, 8, 16, 32, 64
"""With which a kernel is tried."""


class SparseMoe(nn.Module):
    """Every row's best experts, weighted, plus a shared expert with a gate of its own.

    Follows Qwen3OmniMoeTalkerTextSparseMoeBlock; parameter names are the checkpoint's, one module per expert.
    """

    def __init__(self, config: Any):
        super().__init__()
        hidden = config.hidden_size
        self.active = config.num_experts_per_tok
        self.normalised = config.norm_topk_prob
        self.gate = Linear(hidden, config.num_experts)
        self.experts = nn.ModuleList(GatedMlp(hidden, config.moe_intermediate_size) for _ in range(config.num_experts))
        self.shared_expert = GatedMlp(hidden, config.shared_expert_intermediate_size)
        self.shared_expert_gate = Linear(hidden, 1)

    def fuse(self) -> None:
        experts = list(self.experts.children())
        self.router = joined(self.gate, self.shared_expert_gate)
        self.fused = GroupedExperts(experts, self.shared_expert, self.active)
        del self.gate, self.experts, self.shared_expert, self.shared_expert_gate

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        scores = torch.mm(x, self.router)
        routes, shared = scores.narrow(1, 0, scores.shape[1] - 1), scores.narrow(1, -1, 1)
        if self.normalised:  # the softmax of the best is the softmax of all, normalised over the best
            best, chosen = routes.topk(self.active, -1)
            weights = best.softmax(-1, dtype=torch.float32)
        else:
            weights, chosen = routes.softmax(-1, dtype=torch.float32).topk(self.active, -1)
        return self.fused(x, residual, weights.to(x.dtype), chosen, shared.sigmoid())

    __call__ = forward


def has_grouped_products(weight: Tensor) -> bool:
    """Whether torch multiplies groups of rows without asking the device how many they are: on GPUs those from Hopper
    on do, in bfloat16."""
    if not weight.is_cuda:
        return True
    return weight.dtype == torch.bfloat16 and torch.cuda.get_device_capability(weight.device) >= (9, 0)


class GroupedExperts:
    """Rows sorted by expert, one grouped product for all, where it can be had; or a kernel for up to `few` rows."""

    def __init__(self, experts: Sequence[GatedMlp], shared: GatedMlp, active: int):
        gate_up = [torch.cat((expert.gate_proj.weight.data, expert.up_proj.weight.data)) for expert in experts]
        self.gate_up = stored(torch.stack(gate_up)).mT
        self.down = stored(torch.stack([expert.down_proj.weight.data for expert in experts])).mT
        self.numbers = torch.arange(len(experts), device=self.down.device)
        self.shared = shared
        self.shared.fuse()
        self.plain = self.grouped if has_grouped_products(self.down) else self.every
        self.few = self._few(active) if possible(self.down.device) else 0

    def _few(self, active: int) -> int:
        """Up to how many rows the kernel is faster."""
        from sglang_omni.kernels.experts.kernel import experts

        self.kernel = experts
        few = 0
        for rows in ROWS:
            x = self.down.new_empty(rows, self.down.shape[2]).normal_()
            best, chosen = torch.rand(rows, len(self.down), device=x.device).topk(active)
            example = x, torch.zeros_like(x), best.softmax(-1).to(x.dtype), chosen
            if not is_faster("experts", self.plain, self.picked, *example):
                break
            few = rows
        return few

    def __call__(self, x: Tensor, residual: Tensor, weights: Tensor, chosen: Tensor, shared: Tensor) -> Tensor:
        """x and residual (rows, hidden), weights and chosen (rows, active), the shared expert's weight (rows, 1)."""
        add = self.picked if len(x) <= self.few else self.plain
        return torch.addmm(add(x, residual, weights, chosen), self.shared.inner(x) * shared, self.shared.down)

    def picked(self, x: Tensor, residual: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """As `grouped`."""
        return self.kernel(x, self.gate_up, self.down, weights, chosen, residual)

    def grouped(self, x: Tensor, residual: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """`residual` and what each row's experts make of it."""
        expert, order = chosen.flatten().sort()
        # Where so few rows would round differently, every row comes several times, and the first is kept.
        times = 1 if x.is_cuda else law().least
        row = order // chosen.shape[1]
        ends = torch.searchsorted(expert, self.numbers, right=True, out_int32=True) * times
        gate, up = F.grouped_mm(x[row.repeat_interleave(times)], self.gate_up, offs=ends).chunk(2, -1)
        y = F.grouped_mm(F.silu(gate) * up, self.down, offs=ends)[::times] * weights.flatten()[order, None]
        return residual.index_add(0, row, y)

    def every(self, x: Tensor, residual: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """As `grouped`: each row through every expert, most of which have no weight."""
        share = weights.new_zeros(len(x), len(self.numbers)).scatter(1, chosen, weights)
        gate, up = torch.bmm(x.expand(len(self.numbers), -1, -1), self.gate_up).chunk(2, -1)
        y = torch.bmm(F.silu(gate) * up, self.down)  # (experts, rows, hidden)
        return residual + torch.einsum("erh,re->rh", y, share)
