"""The cases that are timed on a GPU, in small: both ways give the same result."""

from types import SimpleNamespace

import pytest
import torch

from sglang_omni.benchmark import kernels


@torch.inference_mode()
def test_both_ways_of_every_case_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = SimpleNamespace(hidden=32, heads=4, kv_heads=2, head_dim=32, experts=4, active=2, intermediate=16)
    for name, value in {"REAL": sizes, "ROWS": (2,), "LENGTHS": (20,), "PAGES": 2}.items():
        monkeypatch.setattr(kernels, name, value)
    monkeypatch.setattr(kernels, "UNITS", ((32, 4),))
    torch.manual_seed(0)
    cases = [*kernels.on_gpu(torch.device("cpu"))]
    names = [case.name for case in cases]
    assert names == ["experts", "paged_attention", "norm_rope", "snake", "snake_conv"]
    for case in cases:
        assert case.error() < kernels.ERROR, case.name
        assert case.moved > 0
