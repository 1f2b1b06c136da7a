"""A mixture of experts with a shared expert. No step asks the device how many rows an expert got."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.layers.company import law, stored
from sglang_omni.layers.decoder import GatedMlp, joined
from sglang_omni.layers.linear import Linear


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
        self.router = joined(self.gate, self.shared_expert_gate)
        self.fused = GroupedExperts(list(self.experts.children()), self.shared_expert)
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


class GroupedExperts:
    """Rows sorted by expert, one grouped product for all."""

    def __init__(self, experts: Sequence[GatedMlp], shared: GatedMlp):
        gate_up = [torch.cat((expert.gate_proj.weight.data, expert.up_proj.weight.data)) for expert in experts]
        self.gate_up = stored(torch.stack(gate_up)).mT
        self.down = stored(torch.stack([expert.down_proj.weight.data for expert in experts])).mT
        self.numbers = torch.arange(len(experts), device=self.down.device)
        self.shared = shared
        self.shared.fuse()

    def __call__(self, x: Tensor, residual: Tensor, weights: Tensor, chosen: Tensor, shared: Tensor) -> Tensor:
        """x and residual (rows, hidden), weights and chosen (rows, active), the shared expert's weight (rows, 1)."""
        expert, order = chosen.flatten().sort()
        # Where so few rows would round differently, every row comes several times, and the first is kept.
        times = 1 if x.is_cuda else law().least
        row = order // chosen.shape[1]
        ends = torch.searchsorted(expert, self.numbers, right=True, out_int32=True) * times
        gate, up = F.grouped_mm(x[row.repeat_interleave(times)], self.gate_up, offs=ends).chunk(2, -1)
        y = F.grouped_mm(F.silu(gate) * up, self.down, offs=ends)[::times] * weights.flatten()[order, None]
        return torch.addmm(residual, self.shared.inner(x) * shared, self.shared.down).index_add_(0, row, y)
