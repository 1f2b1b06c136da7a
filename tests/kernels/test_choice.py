"""A kernel is used where it is right and faster, and nowhere else."""

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sglang_omni.errors import ConfigError
from sglang_omni.kernels import choice

CPU = torch.device("cpu")


def plain(x: Tensor) -> Tensor:
    return x + 1


def right(x: Tensor) -> Tensor:
    return x.add_(1)


def wrong(x: Tensor) -> Tensor:
    return torch.cat((x[:-1] + 1, x[-1:]))


def not_a_number(x: Tensor) -> Tensor:
    return x * torch.nan


def broken(x: Tensor) -> Tensor:
    raise ValueError("no such instruction")


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_decided", {})
    monkeypatch.delenv(choice.ENVIRONMENT, raising=False)


def times(monkeypatch: pytest.MonkeyPatch, *microseconds: float) -> list[bool]:
    """What a clock shows in turn. Returns whether each was of a graph."""
    shown, graphs = iter(microseconds), []

    def seconds(call: Callable[[], Tensor], device: torch.device, graph: bool = True) -> float:
        graphs.append(graph)
        if (time := next(shown)) < 0:
            raise RuntimeError("operation not permitted when stream is capturing")
        return time / 1e6

    monkeypatch.setattr(choice, "seconds", seconds)
    return graphs


@pytest.mark.parametrize(("after", "expected"), [(2.0, True), (6.0, False)])
def test_the_faster_one_is_used_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, after: float, expected: bool
) -> None:
    times(monkeypatch, 5.0, after)
    caplog.set_level(logging.INFO)
    x = torch.zeros(4, 3)
    assert choice.is_faster("adding", plain, right, x) == expected
    assert choice.is_faster("adding", plain, right, torch.ones(4, 3)) == expected, "decided a second time"
    assert not x.any(), "the example was written"
    (line,) = caplog.messages
    assert line == (
        f"adding of (4, 3) in float32: {'the kernel' if expected else 'plain'}; "
        f"plain takes 5.0 us, the kernel {after} us"
    )


@pytest.mark.parametrize(
    ("kernel", "reason"), [(wrong, "off by 0.5"), (not_a_number, "off by nan"), (broken, "no such instruction")]
)
def test_a_kernel_that_disagrees_or_fails_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kernel: Callable[[Tensor], Tensor], reason: str
) -> None:
    times(monkeypatch, 5.0, 1.0)
    assert not choice.is_faster("adding", plain, kernel, torch.zeros(4))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert reason in record.getMessage()


def test_what_cannot_be_captured_in_a_graph_is_timed_without(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = times(monkeypatch, -1.0, 5.0, 2.0)
    assert choice.is_faster("adding", plain, right, torch.zeros(4))
    assert graphs == [True, False, False]


@pytest.mark.parametrize(
    ("mode", "interpreted", "expected"),
    [
        ("auto", "0", False),
        ("auto", "1", False),
        ("triton", "0", False),
        ("triton", "1", True),
        ("plain", "1", False),
        ("eager", "1", False),
    ],
)
def test_on_a_cpu_kernels_run_in_the_interpreter_alone_and_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, mode: str, interpreted: str, expected: bool
) -> None:
    monkeypatch.setenv(choice.ENVIRONMENT, mode)
    monkeypatch.setenv("TRITON_INTERPRET", interpreted)
    assert choice.possible(CPU) == expected


def test_a_mode_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.ENVIRONMENT, "fast")
    with pytest.raises(ConfigError, match="'fast'; it may be auto, plain, eager or triton"):
        choice.possible(CPU)
