"""Draws follow transformers' distribution, whoever shares the step."""

import pytest
import torch
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from sglang_omni.sidecar.sampling import Sampler, Sampling, draw, penalise, seed_key, uniforms

VOCABULARY = 40
SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.9, top_k=10),
    Sampling(temperature=2.0, top_p=0.8),
    Sampling(temperature=0.7, top_k=7, top_p=0.6),
    Sampling(top_k=VOCABULARY + 1, top_p=0.05),
    Sampling(top_k=1),
    Sampling(temperature=0.0),
]


def shares(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """What transformers would hand to torch.multinomial."""
    if sampling.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), VOCABULARY).float()
    scores = TemperatureLogitsWarper(sampling.temperature)(None, logits.clone())
    if sampling.top_k:
        scores = TopKLogitsWarper(sampling.top_k)(None, scores)
    if sampling.top_p < 1:
        scores = TopPLogitsWarper(sampling.top_p)(None, scores)
    return scores.softmax(-1)


def sampler(*samplings: Sampling) -> Sampler:
    made = Sampler(len(samplings), VOCABULARY)
    for slot, sampling in enumerate(samplings):
        made.open(slot, sampling)
    return made


@pytest.mark.parametrize("temperature", [1e-5, 1e-7, 1e-40])
def test_the_colder_the_likelier_is_the_best(temperature: float) -> None:
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(1)) * 20
    made = sampler(Sampling(temperature, top_k=10))
    for uniform in (0.0, 0.5, 0.999):
        token = draw(logits, made.rows([0], torch.tensor([0])), torch.tensor([uniform]))
        assert token == logits.argmax()


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=repr)
def test_a_sweep_over_all_chances_gives_the_shares_of_transformers(sampling: Sampling) -> None:
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(1)) * 2
    sweep = 20_000
    chances = (torch.arange(sweep) + 0.5) / sweep
    rows = sampler(sampling).rows([0], torch.tensor([0]))
    tokens = draw(logits.expand(sweep, -1), rows, chances)
    counted = torch.bincount(tokens, minlength=VOCABULARY) / sweep
    torch.testing.assert_close(counted[None], shares(logits, sampling), atol=3 / sweep, rtol=0)


def test_rows_do_not_see_each_other() -> None:
    """Nor does it matter which of two equally likely tokens a wider search finds first: in bfloat16 many are."""
    generator = torch.Generator().manual_seed(2)
    made = sampler(*SAMPLINGS)
    for _ in range(50):
        logits = torch.randn(len(SAMPLINGS), VOCABULARY, generator=generator).mul(8).round()
        chances = torch.rand(len(SAMPLINGS), generator=generator)
        order = torch.randperm(len(SAMPLINGS), generator=generator)
        together = draw(logits[order], made.rows(order.tolist(), order), chances[order])
        for place, row in enumerate(order.tolist()):
            index = torch.tensor([row])
            alone = draw(logits[index], made.rows([row], index), chances[index])
            assert together[place] == alone[0]
        wide = draw(logits, made.wide(99, torch.arange(len(SAMPLINGS))), chances)
        assert torch.equal(wide[order], together)


def test_what_is_forbidden_is_never_drawn() -> None:
    logits = torch.zeros(1, VOCABULARY)
    logits[0, 10:] = -torch.inf
    chances = torch.cat((torch.linspace(0, 1, 1000)[:-1], torch.tensor([1 - 2**-24])))
    for sampling in SAMPLINGS:
        tokens = draw(logits.expand(1000, -1), sampler(sampling).rows([0], torch.tensor([0])), chances)
        assert tokens.max() < 10


def test_chances_are_a_function_of_seed_step_and_group() -> None:
    keys = torch.tensor([seed_key(seed) for seed in (0, 1, -1, 2**63)])
    steps = torch.tensor([0, 5, 5, 70_000])
    whole = uniforms(keys, steps, 16)
    assert whole.unique().numel() == whole.numel()
    for row in range(4):
        torch.testing.assert_close(uniforms(keys[row : row + 1], steps[row : row + 1], 16)[0], whole[row])
    torch.testing.assert_close(uniforms(keys, steps, 3), whole[:, :3])


@pytest.mark.parametrize("varied", ["seeds", "steps"])
def test_chances_are_uniform_and_unrelated(varied: str) -> None:
    count = 20_000
    numbers = torch.arange(count)
    if varied == "seeds":
        chances = uniforms(torch.tensor([seed_key(seed) for seed in range(count)]), numbers * 0, 4)
    else:
        chances = uniforms(torch.full((count,), seed_key(7)), numbers, 4)
    assert chances.min() >= 0
    assert chances.max() < 1
    for group in range(4):
        gap = (chances[:, group].sort().values - (numbers + 0.5) / count).abs().max()
        assert gap < 1.95 / count**0.5  # Kolmogorov-Smirnov, one in a thousand
    neighbours = torch.stack((*chances.T, chances[:, 0].roll(1), chances[:, 0].roll(2)))
    related = torch.corrcoef(neighbours) - torch.eye(6)
    assert related.abs().max() < 4.5 / count**0.5


def test_the_penalty_is_transformers() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(3, VOCABULARY, generator=generator)
    said = torch.randint(0, VOCABULARY, (3, 8), generator=generator)
    seen = torch.zeros(3, VOCABULARY, dtype=torch.bool).scatter_(1, said, True)
    expected = [
        RepetitionPenaltyLogitsProcessor(penalty)(said[row : row + 1], logits[row : row + 1].clone())
        for row, penalty in enumerate((1.0, 1.05, 1.5))
    ]
    penalised = penalise(logits, seen, torch.tensor([[1.0], [1.05], [1.5]]))
    torch.testing.assert_close(penalised, torch.cat(expected))
