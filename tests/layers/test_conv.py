import pytest
import torch

from sglang_omni.layers.conv import CausalConv, CausalTransposedConv


@torch.inference_mode()
def test_a_causal_convolution_does_not_look_ahead() -> None:
    conv = CausalConv(4, 3, 7, dilation=3)
    x = torch.randn(2, 4, 30)
    changed = x.clone()
    changed[..., 20:] += 1
    before, after = conv(x), conv(changed)
    assert before.shape == (2, 3, 30)
    assert torch.equal(before[..., :20], after[..., :20])
    assert not torch.isclose(before[..., 20], after[..., 20]).any()


@torch.inference_mode()
def test_a_transposed_convolution_makes_each_step_of_two() -> None:
    """By hand: output step i * stride + r is x[i + 1] in tap r and x[i] in tap stride + r."""
    conv = CausalTransposedConv(4, 3, 10, 5)
    x = torch.randn(1, 4, 6)
    y = conv(x)
    assert y.shape == (1, 3, 25)
    weight = conv.conv.weight  # (in, out, kernel)
    for i, r in ((0, 0), (0, 4), (3, 2), (4, 4)):
        expected = x[0, :, i + 1] @ weight[..., r] + x[0, :, i] @ weight[..., 5 + r] + conv.conv.bias
        torch.testing.assert_close(y[0, :, i * 5 + r], expected, rtol=0, atol=1e-6)


@torch.inference_mode()
def test_a_transposed_convolution_without_overlap_loses_nothing() -> None:
    assert CausalTransposedConv(4, 4, 2, 2)(torch.randn(1, 4, 3)).shape == (1, 4, 6)


def test_other_overlaps_are_refused() -> None:
    with pytest.raises(ValueError, match="kernel 9 is neither once nor twice the stride 3"):
        CausalTransposedConv(4, 4, 9, 3)
