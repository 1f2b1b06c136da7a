"""What is compiled for a CPU is what the torch layers compute, and no row depends on its company by a bit."""

from itertools import pairwise
from types import SimpleNamespace

import numpy
import pytest
import torch
from torch import Tensor

from sglang_omni.layers import compiled
from sglang_omni.layers.cache import ByRow
from sglang_omni.layers.company import Law, padded
from sglang_omni.layers.compiled import Stack
from sglang_omni.layers.conv import compiled_convolution
from sglang_omni.layers.decoder import Attention, GatedMlp
from sglang_omni.layers.moe import SparseMoe
from sglang_omni.layers.norm import RmsNorm
from sglang_omni.layers.rope import Rope
from sglang_omni.sidecar.sampling import Sampler, Sampling, draw, seed_key, uniforms

HIDDEN, HEADS, KV_HEADS, DIM = 64, 4, 2, 32
CONFIG = SimpleNamespace(
    hidden_size=HIDDEN,
    num_attention_heads=HEADS,
    num_key_value_heads=KV_HEADS,
    head_dim=DIM,
    attention_bias=False,
    rms_norm_eps=1e-6,
    num_experts=6,
    num_experts_per_tok=2,
    moe_intermediate_size=32,
    shared_expert_intermediate_size=96,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("inputs", "outputs"), [(HIDDEN, 96), (256, 5), (48, 130)])
def test_a_product_is_torchs_and_company_changes_no_bit(inputs: int, outputs: int) -> None:
    weight, x = random(outputs, inputs), random(33, inputs, seed=1)

    def multiplied(x: Tensor, add: bool = False) -> Tensor:
        y = torch.ones(len(x), outputs)
        compiled.multiply(x.numpy(), weight.numpy(), y.numpy(), add)
        return y

    whole = multiplied(x)
    torch.testing.assert_close(whole, x @ weight.T, atol=1e-4, rtol=1e-4)
    assert torch.equal(multiplied(x, add=True), 1 + whole)
    for begin, end in pairwise([0, 1, 2, 5, 9, 16, 33]):
        assert torch.equal(multiplied(x[begin:end]), whole[begin:end])


@pytest.mark.parametrize("by_input", [True, False])
def test_a_stack_is_torchs_weights_whatever_order_torch_wants(by_input: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "law", lambda: Law(by_input, 1))
    weights = [random(HIDDEN, 96, seed=seed) for seed in range(3)]
    stack = Stack(weights)
    for weight, view, array in zip(weights, stack.views, stack.array, strict=True):
        assert torch.equal(view, weight)
        assert torch.equal(torch.from_numpy(array), weight.T)
        assert view.is_contiguous() == by_input


def test_a_norm_is_torchs() -> None:
    norm = RmsNorm(HIDDEN, 1e-6)
    norm.weight.data = random(HIDDEN)
    norm.fuse()
    x = random(5, HIDDEN, seed=1)
    y = torch.empty_like(x)
    compiled.normalise(x.numpy(), norm.scale.numpy(), norm.eps, y.numpy())
    torch.testing.assert_close(y, norm(x))


@pytest.mark.parametrize("positions", [[0, 1, 2, 3], [5, 17, 0, 16]])
@torch.inference_mode()
def test_attention_over_pages_is_torchs(positions: list[int]) -> None:
    """Four requests in pages of 8 rows that lie in no order; what they have heard is random."""
    attention, rows = Attention(CONFIG), len(positions)
    for number, parameter in enumerate(attention.parameters()):
        parameter.data = random(*parameter.shape, seed=number) / 4
    attention.fuse()
    attention.allocate(12, 8)
    attention.pool.copy_(random(*attention.pool.shape, seed=9))
    pages = [[7, 0, 3], [1, 2, 11], [9, 5, 4], [10, 6, 8]]
    places = [torch.tensor([8 * page + row for page in own for row in range(8)]) for own in pages]
    rotation = Rope(DIM, {"rope_theta": 1e4}).at(torch.tensor(positions)[:, None], torch.float32)
    x, pool = random(rows, HIDDEN, seed=5), attention.pool.clone()

    qkv = torch.mm(x, attention.qkv).view(rows, HEADS + 2 * KV_HEADS, DIM)
    cos, sin = (part[:, 0, 0].contiguous().numpy() for part in rotation)
    y = numpy.zeros((rows, HEADS, DIM), numpy.float32)
    table, at = numpy.array(pages), numpy.array(positions)
    scale, eps = attention.qk_norm.scale.numpy(), attention.qk_norm.eps
    flat = pool.view(-1, DIM).numpy()
    cache = compiled.Cache(flat, flat, 2 * KV_HEADS, KV_HEADS, 8)
    compiled.attend(qkv.numpy(), scale, eps, cos, sin, cache, table, at, y)

    new = [place[position : position + 1] for place, position in zip(places, positions, strict=True)]
    seen = [place[: position + 1] for place, position in zip(places, positions, strict=True)]
    expected = attention(x, torch.zeros_like(x), ByRow(rows, new, seen, rotation))
    torch.testing.assert_close(torch.mm(torch.from_numpy(y).flatten(1), attention.out), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pool, attention.pool, atol=1e-5, rtol=1e-4)


def test_a_gate_is_torchs() -> None:
    mlp = GatedMlp(HIDDEN, 96)
    for number, parameter in enumerate(mlp.parameters()):
        parameter.data = random(*parameter.shape, seed=number)
    mlp.fuse()
    x = random(4, HIDDEN, seed=7)
    y = torch.empty(4, 96)
    compiled.gate(torch.mm(x, mlp.gate_up).numpy(), y.numpy())
    torch.testing.assert_close(y, mlp.inner(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("inputs", "outputs", "taps", "dilation"), [(5, 3, 7, 9), (8, 1, 7, 1), (4, 6, 1, 1)])
def test_a_convolution_is_torchs_and_any_cut_of_it_the_same(
    inputs: int, outputs: int, taps: int, dilation: int
) -> None:
    weight, bias = random(outputs, inputs, taps), random(outputs, seed=1)
    reach = (taps - 1) * dilation
    x = random(2, inputs, 1500 + reach, seed=2)
    convolved = compiled_convolution(weight, bias, dilation)

    whole = convolved(x)
    torch.testing.assert_close(whole, torch.conv1d(x, weight, bias, dilation=dilation), atol=1e-4, rtol=1e-4)
    cuts = [0, 1, 20, 80, 1060, 1500]
    parts = [convolved(x[..., begin : end + reach]) for begin, end in pairwise(cuts)]
    assert torch.equal(torch.cat(parts, -1), whole)
    assert torch.equal(convolved(x[1:])[0], whole[1])


@pytest.mark.parametrize("size", [0.3, 30.0, 900.0])
def test_snake_is_exact_for_long_waves_too(size: float) -> None:
    x, (frequency, magnitude) = size * random(2, 3, 1000), random(2, 3, 1, seed=1).abs()
    y = torch.empty_like(x)
    compiled.snake(x.numpy(), frequency.numpy(), magnitude.numpy(), y.numpy())
    wave = (x * frequency).double().sin()
    torch.testing.assert_close(y, (x + wave * wave * magnitude).float(), atol=1e-6, rtol=2e-6)


@pytest.mark.parametrize("normalised", [True, False])
@torch.inference_mode()
def test_experts_are_torchs_and_company_changes_no_bit(normalised: bool) -> None:
    moe = SparseMoe(SimpleNamespace(**vars(CONFIG), norm_topk_prob=normalised))
    for number, parameter in enumerate(moe.parameters()):
        parameter.data = random(*parameter.shape, seed=number) / 8
    moe.fuse()
    moe.fused.shared.down.zero_()
    x = random(12, HIDDEN, seed=40)
    gate_up, down = compiled.matrix(moe.fused.gate_up), compiled.matrix(moe.fused.down)

    def mixed(x: Tensor) -> Tensor:
        y, shares = torch.zeros_like(x), numpy.zeros((len(x), CONFIG.num_experts), numpy.float32)
        scores = torch.mm(padded(x), moe.router)[: len(x), :-1].contiguous().numpy()
        compiled.route(scores, moe.active, normalised, shares)
        compiled.mix(x.numpy(), shares, gate_up, down, y.numpy())
        return y

    together = mixed(x)
    torch.testing.assert_close(together, moe(x, torch.zeros_like(x)), atol=1e-5, rtol=1e-4)
    for row in range(len(x)):
        assert torch.equal(mixed(x[row : row + 1])[0], together[row])


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0),
        Sampling(temperature=0.9, top_k=50),
        Sampling(temperature=1.3, top_k=7, top_p=0.8),
        Sampling(top_p=0.4),
        Sampling(temperature=0.6, top_k=1),
        Sampling(top_k=500),
    ],
)
def test_a_draw_is_torchs(sampling: Sampling) -> None:
    sampler = Sampler(1, 300)
    sampler.open(0, sampling)
    sharpness, top_k, top_p = sampler.parameters.numpy()[0]
    for seed in range(200):
        logits = 3 * random(1, 300, seed=seed)
        logits[0, seed % 300 :: 7] = -torch.inf
        keys = torch.tensor([seed_key(seed)])
        chance = uniforms(keys, torch.tensor([seed]), 4)
        assert compiled.uniform(int(keys), seed, 2) == chance[0, 2]
        expected = draw(logits, sampler.rows([0], torch.tensor([0])), chance[:, 2])
        assert compiled.draw(logits[0].numpy(), sharpness, int(top_k), top_p, float(chance[0, 2])) == expected
