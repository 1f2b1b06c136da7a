"""A row's bits are its own, whatever the kind of this CPU."""

import pytest
import torch
import torch.nn.functional as F

from sglang_omni.layers.company import LEAST, Law, RowLinear, alike, law, padded, store


def test_a_law_was_found_for_this_machine():
    assert law().holds()


@pytest.mark.parametrize(
    ("multiple", "counts"), [(1, [4, 4, 4, 4, 5, 6, 7]), (4, [4, 4, 4, 4, 8]), (6, [6] * 6 + [12])]
)
def test_rows_are_added_up_to_a_lawful_number(multiple: int, counts: list[int]):
    assert [Law(True, multiple).rows(count) for count in range(1, len(counts) + 1)] == counts
    assert Law(True, multiple).least >= LEAST


def test_weights_change_places_and_not_values():
    weight = torch.randn(3, 8, 5)
    for by_input in (True, False):
        kept = Law(by_input, 1).stored(weight)
        assert torch.equal(kept, weight)
        assert kept.stride() == ((40, 1, 8) if by_input else (40, 5, 1))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 96), (64, 48), (128, 1024), (384, 128)])
def test_company_changes_no_bit_of_a_product(inputs: int, outputs: int, frozen: bool):
    linear = RowLinear(inputs, outputs).requires_grad_(False)
    store(linear)
    plain = linear(torch.ones(1, 5, inputs))
    if frozen:
        linear.freeze()
    torch.testing.assert_close(linear(torch.ones(1, 5, inputs)), plain)
    x = torch.randn(40, inputs)
    times, weight = alike(F.linear), (linear.weight, linear.bias)
    whole, torchs = linear(x[None])[0], times(x, *weight)
    for begin in (0, 3):
        for count in range(1, 37):
            rows = x[begin : begin + count]
            assert torch.equal(linear(rows[None])[0], whole[begin : begin + count]), count
            assert torch.equal(times(rows, *weight), torchs[begin : begin + count]), count


def test_padding_keeps_what_is_there():
    x = torch.randn(1, 3)
    assert torch.equal(padded(x)[:1], x)
    assert not padded(x)[1:].any()
