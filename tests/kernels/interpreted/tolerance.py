"""How close a kernel must come to its reference."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ERRORS = {torch.float32: 1e-5, torch.bfloat16: 2**-6}  # the interpreter cuts bfloat16 off where a GPU rounds


def assert_equals_reference(kernel: Callable[..., Tensor], reference: Callable[..., Tensor], *arguments: Any) -> None:
    """No value is further from the reference's in float32 than a share of the largest. The first argument may be
    written."""
    whole = [a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in arguments]
    expected = reference(whole[0].clone(), *whole[1:])
    y = kernel(arguments[0].clone(), *arguments[1:])
    assert y.shape == expected.shape
    assert y.dtype == arguments[0].dtype
    error = (y - expected).abs().max() / expected.abs().max()
    assert error < ERRORS[y.dtype], f"off by {error:.1e} of the largest value"
