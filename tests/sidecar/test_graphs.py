"""A replay does what a call does, and rows that fill up a step disturb nobody."""

import pytest
import torch
from torch import Tensor

from sglang_omni.kernels.choice import ENVIRONMENT
from sglang_omni.sidecar import graphs
from sglang_omni.sidecar.graphs import Graphs, bucket, buckets

SLOTS = 5


class Sums:
    """By slot, the sum of what was added to it; the last slot is nobody's. A key is a number of rows and a factor."""

    def __init__(self, device: torch.device):
        self.sums = torch.zeros(SLOTS + 1, dtype=torch.int64, device=device)
        self.graphs: Graphs[tuple[int, int]] = Graphs(self.step, self.blank, device)

    def step(self, key: tuple[int, int], inputs: Tensor) -> Tensor:
        slots, numbers = inputs.unbind(1)
        added = self.sums.index_select(0, slots) + key[1] * numbers
        self.sums.index_copy_(0, slots, added)
        return added

    def blank(self, key: tuple[int, int]) -> Tensor:
        return torch.tensor([[SLOTS, 0]]).repeat(key[0], 1)


DEVICES = [
    torch.device("cpu"),
    pytest.param(
        torch.device("cuda", 0), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@torch.inference_mode()
def test_replays_equal_calls(device: torch.device):
    replayed, called = Sums(device), Sums(device)
    replayed.graphs.prepare([(4, 1), (2, 1), (4, 3)])
    for key, rows in [
        ((4, 1), [[0, 5], [3, 7], [1, 2], [4, 1]]),
        ((2, 1), [[3, 1]]),
        ((4, 3), [[1, 2], [0, 4], [4, 4]]),
        ((4, 1), [[2, 9]]),
        ((2, 3), [[2, 1], [0, 1]]),  # not captured
    ]:
        said = [sums.graphs(key, torch.tensor(rows))[: len(rows)].clone() for sums in (replayed, called)]
        assert torch.equal(*said)
    assert torch.equal(replayed.sums, called.sums)
    assert replayed.sums.tolist() == [20, 8, 12, 8, 13, 0]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@torch.inference_mode()
def test_where_no_graphs_are_wanted_the_step_is_called(device: torch.device, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(ENVIRONMENT, "eager")
    sums = Sums(device)
    sums.graphs.prepare([(1, 2)])
    assert not sums.graphs.captured
    assert sums.graphs((1, 2), torch.tensor([[0, 3]])).item() == 6


@pytest.mark.parametrize("device", DEVICES[1:], ids=str)
@torch.inference_mode()
def test_a_step_that_waits_for_the_device_is_called(device: torch.device):
    sums = Sums(device)
    step = sums.step
    sums.graphs.step = lambda key, inputs: step((key[0], int(inputs[0, 1].cpu())), inputs)
    sums.graphs.prepare([(1, 0)])
    assert sums.graphs.captured == {(1, 0): None}
    assert sums.graphs((1, 0), torch.tensor([[0, 3]])).item() == 9


@torch.inference_mode()
def test_without_memory_for_its_graph_a_late_step_is_called(monkeypatch: pytest.MonkeyPatch):
    def full(call: object) -> None:
        raise torch.OutOfMemoryError("none is left")

    sums = Sums(torch.device("cpu"))
    monkeypatch.setattr(graphs, "Eager", full)
    with pytest.raises(torch.OutOfMemoryError):  # at the start somebody can still do something about it
        sums.graphs.prepare([(1, 2)])
    for _ in range(2):
        sums.graphs.prepare_late((1, 2))
    assert sums.graphs.captured == {(1, 2): None}
    assert sums.graphs((1, 2), torch.tensor([[0, 3]])).item() == 6


def test_a_step_takes_the_first_bucket_that_holds_it():
    assert buckets(1) == [1]
    assert buckets(20) == [1, 2, 4, 8, 16, 20]
    assert buckets(32, 4) == [4, 8, 16, 32]
    assert [bucket(count, buckets(20)) for count in (1, 3, 8, 9, 17, 20)] == [1, 4, 8, 16, 20, 20]
