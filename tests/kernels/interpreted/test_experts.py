import pytest
import torch

from sglang_omni.kernels.experts.kernel import experts
from sglang_omni.kernels.experts.reference import experts as reference
from tests.kernels.interpreted.tolerance import assert_equals_reference


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("by_input", [True, False])
@pytest.mark.parametrize(("rows", "hidden", "intermediate"), [(1, 260, 20), (5, 16, 19)])
def test_experts_are_the_reference(
    rows: int, hidden: int, intermediate: int, by_input: bool, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(rows)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    x, residual = randn(rows, 2 * hidden)[:, :hidden], randn(rows, hidden)
    gate_up, down = randn(5, 2 * intermediate, hidden).mT, randn(5, hidden, intermediate).mT / intermediate**0.5
    if by_input:
        gate_up, down = gate_up.contiguous(), down.contiguous()
    weights, chosen = torch.rand(rows, 5, generator=generator).softmax(-1).to(dtype).topk(3)
    arguments = x, gate_up, down, weights, chosen, residual
    assert_equals_reference(experts, reference, *arguments)
