"""The experts are transformers' loop over them, and do not mix rows by a bit."""

from types import SimpleNamespace

import pytest
import torch
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeTalkerTextSparseMoeBlock

from sglang_omni.kernels.experts.reference import experts as reference_experts
from sglang_omni.layers import moe


def config(normalised: bool) -> SimpleNamespace:
    return SimpleNamespace(
        hidden_size=16,
        num_experts=6,
        num_experts_per_tok=2,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=24,
        norm_topk_prob=normalised,
        hidden_act="silu",
        _experts_implementation="eager",
    )


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 37])
@torch.no_grad()
def test_experts_are_transformers(normalised: bool, rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    ours = moe.SparseMoe(config(normalised))
    for parameter in ours.parameters():
        parameter.normal_(generator=generator)
    reference = Qwen3OmniMoeTalkerTextSparseMoeBlock(config(normalised))
    weights = dict(ours.named_parameters())
    for name, parameter in reference.named_parameters():
        if name == "experts.gate_up_proj":
            for number, expert in enumerate(ours.experts):
                parameter[number] = torch.cat((expert.gate_proj.weight, expert.up_proj.weight))
        elif name == "experts.down_proj":
            for number, expert in enumerate(ours.experts):
                parameter[number] = expert.down_proj.weight
        else:
            parameter.copy_(weights[name])
    ours.fuse()
    x, residual = torch.randn(2, rows, 16, generator=generator)
    together = ours(x, residual)
    torch.testing.assert_close(together, residual + reference(x[None])[0], atol=1e-4, rtol=1e-5)
    if rows > 4:
        assert torch.equal(ours(x[3:8], residual[3:8]), together[3:8]), "company changes a row"


@pytest.mark.parametrize("rows", [1, 37])
@torch.no_grad()
def test_experts_without_a_grouped_product_do_the_same(rows: int) -> None:
    ours = moe.SparseMoe(config(True))
    for parameter in ours.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(3))
    ours.fuse()
    x, residual = torch.randn(2, rows, 16, generator=torch.Generator().manual_seed(4))
    expected = ours(x, residual)
    ours.fused.plain = ours.fused.every
    torch.testing.assert_close(ours(x, residual), expected, atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_a_kernel_takes_as_many_rows_as_it_was_faster_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moe, "possible", lambda device: True)
    monkeypatch.setattr(moe, "is_faster", lambda name, plain, kernel, x, *others: len(x) in (1, 2, 4, 16))
    ours = moe.SparseMoe(config(True))
    for parameter in ours.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(1))
    ours.fuse()
    taken = []

    def kernel(x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        taken.append(len(x))
        return reference_experts(x, *others)

    ours.fused.kernel = kernel
    x, residual = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(2))
    expected = ours(x, residual)
    for rows in (1, 3, 4, 5):
        torch.testing.assert_close(ours(x[:rows], residual[:rows]), expected[:rows], atol=1e-4, rtol=1e-5)
    assert taken == [1, 3, 4]
