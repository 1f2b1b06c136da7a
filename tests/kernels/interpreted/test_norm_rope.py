import pytest
import torch

from sglang_omni.kernels.norm_rope.kernel import norm_rope
from sglang_omni.kernels.norm_rope.reference import norm_rope as reference
from sglang_omni.layers.rope import Rope
from tests.kernels.interpreted.tolerance import assert_equals_reference


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("head_dim", [32, 128])
@pytest.mark.parametrize(
    ("batch", "time", "shared"),
    [(1, 1, "nothing"), (2, 3, "nothing"), (2, 3, "by all rows"), (2, 3, "by all steps")],
)
def test_queries_and_keys_are_the_references_and_values_stay(
    batch: int, time: int, shared: str, head_dim: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(batch)
    positions = torch.randint(0, 5000, (batch, time), generator=generator)
    positions = {"nothing": positions, "by all rows": positions[:1], "by all steps": positions[:, :1]}[shared]
    rotation = Rope(head_dim, {"rope_theta": 1e6}).at(positions, dtype)
    qkv = torch.randn(batch, time, 4 + 2 * 2, head_dim, generator=generator).to(dtype)
    scale = torch.randn(4 + 2, head_dim, generator=generator).to(dtype)
    assert_equals_reference(norm_rope, reference, qkv, scale, 1e-6, *rotation)
    values = qkv[:, :, 6:].clone()
    assert torch.equal(norm_rope(qkv, scale, 1e-6, *rotation)[:, :, 6:], values)
