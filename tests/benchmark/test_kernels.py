"""The benchmark of kernels tells of all it measured, whatever one of them does."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sglang_omni.benchmark import kernels
from sglang_omni.benchmark.kernels import Case


def out_of_resources() -> Tensor:
    raise RuntimeError("out of resource: shared memory,\nRequired: 300000")


def cases(*ours: object) -> Iterator[Case]:
    for number, call in enumerate(ours):
        yield Case(f"kernel {number}", "1 row", lambda: torch.ones(2), call, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, 1])
def test_a_kernel_that_fails_leaves_the_others_figures(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [lambda: torch.ones(2)] * 2
    calls[number] = out_of_resources
    monkeypatch.setattr(kernels, "on_cpu", lambda: cases(*calls))
    page, agree = kernels.summary(torch.device("cpu"), "bench kernels")
    assert not agree
    rows = [line for line in page.splitlines() if line.startswith("| kernel")]
    assert rows[number] == f"| kernel {number} | 1 row | out of resource: shared memory, Required: 300000 | | | | | |"
    assert rows[1 - number].endswith("| 0e+00 |")


def test_results_that_differ_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "on_cpu", lambda: cases(lambda: torch.ones(2), lambda: torch.ones(2) * 1.1))
    page, agree = kernels.summary(torch.device("cpu"), "bench kernels")
    assert not agree
    assert "| 1e-01 |" in page
