"""A mixture of experts with a shared expert. No step asks the device how many rows an expert got."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.layers.decoder import GatedMlp, concatenated

WIDE_LIMIT = 2**19
"""Experts of up to so many weights together are computed all for all rows: less work than picking."""


class SparseMoe(nn.Module):
    """Every row's best experts, weighted, plus a shared expert with a gate of its own.

    Follows Qwen3OmniMoeTalkerTextSparseMoeBlock; parameter names are the checkpoint's, one module per expert.
    """

    def __init__(self, config: Any):
        super().__init__()
        hidden = config.hidden_size
        self.active = config.num_experts_per_tok
        self.normalised = config.norm_topk_prob
        self.gate = nn.Linear(hidden, config.num_experts, bias=False)
        self.experts: nn.Module = nn.ModuleList(
            GatedMlp(hidden, config.moe_intermediate_size) for _ in range(config.num_experts)
        )
        self.shared_expert = GatedMlp(hidden, config.shared_expert_intermediate_size)
        self.shared_expert_gate = nn.Linear(hidden, 1, bias=False)

    def fuse(self) -> None:
        experts = list(self.experts.children())
        weights = sum(parameter.numel() for parameter in self.experts.parameters())
        kind = WideExperts if weights <= WIDE_LIMIT else GroupedExperts
        self.router = concatenated(self.gate, self.shared_expert_gate)
        self.experts = kind(experts, self.shared_expert)
        del self.gate, self.shared_expert, self.shared_expert_gate

    def forward(self, x: Tensor) -> Tensor:
        scores = self.router(x)
        probabilities = scores[:, :-1].softmax(-1, dtype=torch.float32)
        weights, chosen = probabilities.topk(self.active, -1)
        if self.normalised:
            weights = weights / weights.sum(-1, keepdim=True)
        return self.experts(x, weights.to(x.dtype), chosen, scores[:, -1:].sigmoid())


class WideExperts(nn.Module):
    """Few small experts as one wide gated MLP, whose columns are scaled by the row's weight for their expert."""

    def __init__(self, experts: Sequence[GatedMlp], shared: GatedMlp):
        super().__init__()
        mlps = [*experts, shared]
        self.experts = len(experts)
        self.gate_up = concatenated(*(mlp.gate_proj for mlp in mlps), *(mlp.up_proj for mlp in mlps))
        self.down = nn.Parameter(torch.cat([mlp.down_proj.weight for mlp in mlps], 1), requires_grad=False)
        sizes = torch.tensor([mlp.gate_proj.out_features for mlp in mlps])
        owner = torch.arange(len(mlps)).repeat_interleave(sizes)
        self.owner = nn.Buffer(owner.to(self.down.device), persistent=False)

    def forward(self, x: Tensor, weights: Tensor, chosen: Tensor, shared_weight: Tensor) -> Tensor:
        """x (rows, hidden), weights and chosen (rows, active), shared_weight (rows, 1)."""
        by_expert = x.new_zeros(x.shape[0], self.experts).scatter_(1, chosen, weights)
        by_column = torch.cat((by_expert, shared_weight), 1).index_select(1, self.owner)
        gate, up = self.gate_up(x).chunk(2, -1)
        return F.linear(F.silu(gate) * up * by_column, self.down)


class GroupedExperts(nn.Module):
    """Many or large experts: rows sorted by expert, one grouped product for all."""

    def __init__(self, experts: Sequence[GatedMlp], shared: GatedMlp):
        super().__init__()
        gate_up = [torch.cat((expert.gate_proj.weight, expert.up_proj.weight)) for expert in experts]
        down = [expert.down_proj.weight for expert in experts]
        self.gate_up = nn.Parameter(torch.stack(gate_up), requires_grad=False)
        self.down = nn.Parameter(torch.stack(down), requires_grad=False)
        self.numbers = nn.Buffer(torch.arange(len(down), device=self.down.device), persistent=False)
        self.shared = shared
        self.shared.fuse()

    def forward(self, x: Tensor, weights: Tensor, chosen: Tensor, shared_weight: Tensor) -> Tensor:
        """As `WideExperts.forward`."""
        expert, order = chosen.flatten().sort()
        row = order // chosen.shape[1]
        ends = torch.searchsorted(expert, self.numbers, right=True, out_int32=True)
        gate, up = F.grouped_mm(x[row], self.gate_up.transpose(1, 2), offs=ends).chunk(2, -1)
        y = F.grouped_mm(F.silu(gate) * up, self.down.transpose(1, 2), offs=ends)
        y = y * weights.flatten()[order, None]
        return (shared_weight * self.shared(x)).index_add_(0, row, y)
