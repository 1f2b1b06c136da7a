"""Drawing tokens for requests that share a step, each with parameters and randomness of its own.

A draw looks up one uniform number in the cumulated shares of the likeliest tokens. That number is a hash of
(seed, step, group), so a request draws the same whoever shares its step, and nothing is kept between steps.
The order of temperature, top-k and top-p is that of transformers' logits warpers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from sglang_omni.layers.transfer import send

MASK = 0xFFFFFFFF
COLDEST = 1e-6
"""What is colder is greedy: its scores would leave float32."""


@dataclass(frozen=True)
class Sampling:
    """How a request draws. Temperature 0 is greedy, top_k 0 the whole vocabulary."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0


class Rows(NamedTuple):
    """The parameters of one step's requests, over the `width` likeliest tokens that the widest of them considers."""

    width: int
    sharpness: Tensor  # (batch, 1) 1 / temperature
    outside: Tensor  # (batch, width) what to add to the scores: -inf from the row's top_k on
    top_p: Tensor | None  # (batch, 1); may be None if it is 1 for all
    ties: Tensor  # (vocabulary,) what makes a token come after an equal one before it, and is lost in float32


class Sampler:
    """Parameters by slot, for logits over `vocabulary` tokens."""

    def __init__(self, slots: int, vocabulary: int, device: str | torch.device = "cpu"):
        self.vocabulary = vocabulary
        self.requests = [Sampling()] * slots
        self.parameters = torch.ones(slots, 3, device=device)
        self.ranks = torch.arange(vocabulary, device=device)
        self.ties = self.ranks.double() * 2.0**-45

    def open(self, slot: int, sampling: Sampling) -> None:
        if sampling.temperature < COLDEST:
            sampling = replace(sampling, temperature=1.0, top_k=1, top_p=1.0)
        elif not 0 < sampling.top_k < self.vocabulary:
            sampling = replace(sampling, top_k=self.vocabulary)
        self.requests[slot] = sampling
        values = [1 / sampling.temperature, float(sampling.top_k), sampling.top_p]
        self.parameters[slot] = send(torch.tensor(values), self.parameters.device)

    def width(self, slots: Sequence[int]) -> int:
        """How many of the likeliest tokens the widest of `slots` considers."""
        return max(self.requests[slot].top_k for slot in slots)

    def rows(self, slots: Sequence[int], index: Tensor) -> Rows:
        """The parameters of `slots`; `index` (batch,) holds the same on the device."""
        rows = self.wide(self.width(slots), index)
        return rows if any(self.requests[slot].top_p < 1 for slot in slots) else rows._replace(top_p=None)

    def wide(self, width: int, index: Tensor) -> Rows:
        """As `rows`, over a width that is no less than that of the slots in `index`."""
        width = min(width, self.vocabulary)
        sharpness, top_k, top_p = self.parameters.index_select(0, index).split(1, 1)
        beyond = self.ranks[:width] >= top_k
        outside = torch.zeros(beyond.shape, device=index.device).masked_fill_(beyond, -torch.inf)
        return Rows(width, sharpness, outside, top_p, self.ties)


def draw(logits: Tensor, rows: Rows, uniform: Tensor) -> Tensor:
    """Tokens (batch,) from logits (batch, vocabulary) and one number in [0, 1) each, (batch,)."""
    if rows.width == 1:
        return logits.argmax(-1)
    # `topk` finds equals, of which there are many in bfloat16, in an order that depends on the width
    scores, tokens = (logits - rows.ties).topk(rows.width, -1)
    # float64: the width is that of the widest row, and must not change how another's shares are rounded
    cumulated = torch.addcmul(rows.outside, scores.float(), rows.sharpness).softmax(-1, torch.float64).cumsum(-1)
    total = cumulated[:, -1:]
    if rows.top_p is not None:  # up to the first token that reaches top_p
        total = cumulated.masked_fill(cumulated < rows.top_p, torch.inf).amin(-1, True).minimum(total)
    rank = (cumulated <= uniform[:, None] * total).sum(-1, True)
    return tokens.gather(1, rank).squeeze(1)


def penalise(logits: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """Makes tokens already seen less likely: logits and seen (batch, vocabulary), penalty (batch, 1).

    Follows transformers' RepetitionPenaltyLogitsProcessor.
    """
    penalised = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(seen, penalised, logits)


def seed_key(seed: int) -> int:
    """A 32-bit key of any integer's low 64 bits."""
    low, high = torch.tensor([seed & MASK]), torch.tensor([seed >> 32 & MASK])
    return int(_mix(_mix(low) ^ high))


def uniforms(keys: Tensor, steps: Tensor, groups: int) -> Tensor:
    """Numbers in [0, 1), (batch, groups): one per code group of step `steps` (batch,) of the seeds' `keys` (batch,)."""
    key = _mix(_mix(keys) ^ steps)
    scattered = _mix(key[:, None] ^ torch.arange(1, groups + 1, device=keys.device))
    return (scattered >> 8).float().mul_(2.0**-24)  # 24 bits: exact, never 1


def _mix(x: Tensor) -> Tensor:
    """A bijection of 32-bit integers, held in int64, that scatters neighbours: xorshift-multiply, twice.

    Both factors are below 2^31, so no product leaves the positive int64 range.
    """
    x = x ^ (x >> 16)
    x.mul_(0x21F0AAAD).bitwise_and_(MASK)
    x.bitwise_xor_(x >> 15)
    x.mul_(0x735A2D97).bitwise_and_(MASK)
    return x.bitwise_xor_(x >> 15)
