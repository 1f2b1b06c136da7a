"""Seeded draws: from the right distribution, from nothing but the seed and the place."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sglang.srt.layers.sampler import top_k_top_p_min_p_sampling_from_probs_torch
from sglang.srt.sampling.sampling_params import TOP_K_ALL

from sglang_omni.thinker.seeds import draw, keep_likely, next_seed, uniform

POSITIONS = torch.arange(20_000)
SEEDS = torch.full_like(POSITIONS, 5)


def test_draws_follow_the_probabilities():
    probs = torch.tensor([0.5, 0.3, 0.0, 0.15, 0.05])
    drawn = draw(probs.expand(len(POSITIONS), -1), SEEDS, POSITIONS)
    shares = torch.bincount(drawn, minlength=5) / len(POSITIONS)
    assert shares[2] == 0
    torch.testing.assert_close(shares, probs, atol=0.015, rtol=0)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**20))
@settings(max_examples=50, deadline=None)
def test_noise_is_within_bounds_and_alone_in_its_place(seed, position):
    """Whatever shares the step, and in whatever order; the next seed, position and token have other noise."""
    seeds, positions = torch.tensor([seed, 1, seed ^ 1, seed]), torch.tensor([position, 2, position, position + 1])
    noise = uniform(seeds, positions, 8)
    assert ((noise > 0) & (noise < 1)).all()
    assert torch.equal(noise[:1], uniform(seeds[:1], positions[:1], 8))
    assert torch.equal(noise.flip(0), uniform(seeds.flip(0), positions.flip(0), 8))
    its = noise[[0, 2, 3]]  # the other row may be any, also one of these
    assert len(its.unique()) == its.numel()


def test_the_seeds_of_several_choices_differ_from_those_of_the_seeds_beside():
    seeds = [-(2**63), -1, 0, 1, 2, 2**63 - 1]
    chosen = []
    for seed in seeds:
        for _ in range(4):
            chosen.append(seed)
            seed = next_seed(seed)
            assert -(2**63) <= seed < 2**63
    assert len(set(chosen)) == len(chosen)


def test_noise_is_uniform_and_uncorrelated():
    noise = uniform(SEEDS, POSITIONS, 4)
    assert noise.mean().item() == pytest.approx(0.5, abs=0.01)
    off_diagonal = noise.T.corrcoef() - torch.eye(4)
    assert off_diagonal.abs().max() < 0.05


@pytest.mark.parametrize(("top_k", "top_p", "min_p"), [(3, 1.0, 0.0), (TOP_K_ALL, 0.6, 0.0), (4, 0.8, 0.2)])
def test_what_is_likely_is_what_sglang_keeps(top_k, top_p, min_p):
    probs = torch.rand(16, 10, generator=torch.Generator().manual_seed(0)).softmax(-1).pow(8)
    probs /= probs.sum(-1, keepdim=True)
    rows = len(probs)
    info = SimpleNamespace(
        top_ks=torch.full((rows,), top_k),
        top_ps=torch.full((rows,), top_p),
        min_ps=torch.full((rows,), min_p),
        need_top_k_sampling=top_k != TOP_K_ALL,
        need_top_p_sampling=top_p != 1.0,
        need_min_p_sampling=min_p != 0.0,
    )
    _, kept, tokens, _ = top_k_top_p_min_p_sampling_from_probs_torch(
        probs,
        info.top_ks,
        info.top_ps,
        info.min_ps,
        info.need_min_p_sampling,
        sampling_seed=None,
        positions=torch.zeros(rows),
        return_filtered_probs=True,
    )
    expected = torch.zeros_like(probs).scatter(-1, tokens.long(), kept)
    torch.testing.assert_close(keep_likely(probs, info), expected)
