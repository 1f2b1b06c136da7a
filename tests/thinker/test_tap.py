"""The tap: one row per KV slot, written in prefill and in nothing else."""

from types import SimpleNamespace

import torch
from torch import nn

from sglang_omni.thinker.tap import HostCopy, Tap


class Layer(nn.Module):
    """Shows its input to `capture_output` as SGLang's decoder layers do, and goes on to change it in place."""

    def forward(self, positions, hidden, forward_batch, capture_output=None):
        if capture_output is not None:
            capture_output(hidden)
        return hidden.mul_(2)


def forward(layer: Layer, rows: torch.Tensor, slots: list[int], prefill: bool = True) -> None:
    batch = SimpleNamespace(forward_mode=SimpleNamespace(is_extend=lambda: prefill), out_cache_loc=torch.tensor(slots))
    layer(torch.arange(len(rows)), rows.clone(), batch)


def test_rows_stay_with_their_slots():
    layer, tap = Layer(), Tap(slots=10, hidden=4, dtype=torch.float32, device="cpu")
    tap.attach(layer)
    first, second, reused = torch.randn(3, 3, 4).unbind()
    forward(layer, first, [7, 2, 5])
    forward(layer, second, [1, 9, 3])
    forward(layer, reused, [2, 4, 8])
    forward(layer, torch.randn(2, 4), [7, 9], prefill=False)
    assert torch.equal(tap.read(torch.tensor([7, 5, 1, 9, 3])), torch.cat([first[[0, 2]], second]))
    assert torch.equal(tap.read(torch.tensor([2, 4, 8])), reused)


def test_what_was_read_does_not_change_when_a_slot_is_reused():
    layer, tap = Layer(), Tap(slots=3, hidden=4, dtype=torch.float32, device="cpu")
    tap.attach(layer)
    rows = torch.randn(2, 4)
    forward(layer, rows, [1, 2])
    read = HostCopy(tap.read(torch.tensor([1, 2])))
    forward(layer, torch.randn(2, 4), [1, 2])
    assert torch.equal(read.tensor(), rows)
