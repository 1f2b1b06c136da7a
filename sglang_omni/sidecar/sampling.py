"""Drawing tokens for requests that share a step, each with parameters and randomness of its own.

The noise of a draw is a hash of (seed, step, group, token), so a request draws the same whoever shares its
step, and nothing is remembered between steps. A draw is the largest of logit + Gumbel noise, which is a draw
from the softmax; the order of temperature, top-k and top-p is that of transformers' logits warpers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Sampling:
    """How a request draws. Temperature 0 is greedy, top_k 0 the whole vocabulary."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0


class Rows(NamedTuple):
    """The parameters of the requests of one step: tensors (batch, 1)."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    width: int  # candidates that the widest of them looks at
    nucleus: bool  # whether any of them has a top_p below 1


class Sampler:
    """Parameters by slot, for logits over `vocabulary` tokens."""

    def __init__(self, slots: int, vocabulary: int, device: str | torch.device = "cpu"):
        self.vocabulary = vocabulary
        self.requests = [Sampling()] * slots
        self.parameters = torch.ones(slots, 3, device=device)
        self.tokens = _mix(torch.arange(1, vocabulary + 1, device=device))

    def open(self, slot: int, sampling: Sampling) -> None:
        if sampling.temperature <= 0:
            sampling = Sampling(1.0, top_k=1, repetition_penalty=sampling.repetition_penalty)
        if not 0 < sampling.top_k < self.vocabulary:
            sampling = Sampling(sampling.temperature, self.vocabulary, sampling.top_p, sampling.repetition_penalty)
        self.requests[slot] = sampling
        values = [sampling.temperature, float(sampling.top_k), sampling.top_p]
        self.parameters[slot] = torch.tensor(values)

    def rows(self, slots: Sequence[int], index: Tensor) -> Rows:
        """The parameters of `slots`; `index` is the same on the device."""
        requests = [self.requests[slot] for slot in slots]
        temperature, top_k, top_p = self.parameters.index_select(0, index).split(1, 1)
        return Rows(
            temperature,
            top_k,
            top_p,
            width=max(request.top_k for request in requests),
            nucleus=any(request.top_p < 1 for request in requests),
        )

    def draw(self, logits: Tensor, rows: Rows, keys: Tensor) -> Tensor:
        """Tokens (batch,) from logits (batch, vocabulary), with the noise of `keys` (batch,)."""
        if rows.width == 1:
            return logits.argmax(-1)
        scores, tokens = logits.float().topk(rows.width, -1)
        scores = scores / rows.temperature
        ranks = torch.arange(rows.width, device=logits.device)
        scores.masked_fill_(ranks >= rows.top_k, -torch.inf)
        if rows.nucleus:
            shares = scores.softmax(-1)
            before = shares.cumsum(-1) - shares
            scores.masked_fill_((before >= rows.top_p) & (ranks > 0), -torch.inf)
        scores += gumbel(self.tokens[tokens] ^ keys[:, None])
        return tokens.gather(1, scores.argmax(-1, keepdim=True)).squeeze(1)


def penalise(logits: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """Makes tokens already seen less likely: logits and seen (batch, vocabulary), penalty (batch, 1).

    Follows transformers' RepetitionPenaltyLogitsProcessor.
    """
    penalised = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(seen, penalised, logits)


def keys(seeds: Tensor, steps: Tensor, groups: int) -> Tensor:
    """One 32-bit key per row and code group, (batch, groups): seeds (batch, 2) from `seed_words`, steps (batch,)."""
    low, high = seeds.unbind(1)
    key = _mix(_mix(_mix(low) ^ high) ^ steps)
    return _mix(key[:, None] ^ torch.arange(1, groups + 1, device=key.device))


def seed_words(seed: int) -> tuple[int, int]:
    """Any integer's low and high 32 bits."""
    return seed & MASK, seed >> 32 & MASK


def gumbel(key: Tensor) -> Tensor:
    """Standard Gumbel noise, float32, from well-mixed 32-bit keys; `key` is consumed."""
    uniform = (_mix(key) >> 9).float().add_(0.5).mul_(2.0**-23)  # multiples of 2^-24: exact, never 0 or 1
    return uniform.log_().neg_().log_().neg_()


def _mix(x: Tensor) -> Tensor:
    """A bijection of 32-bit integers (held in int64) that scatters neighbours: xorshift-multiply, twice.

    Both factors are below 2^31, so no product leaves the positive int64 range.
    """
    x = x ^ (x >> 16)
    x.mul_(0x21F0AAAD).bitwise_and_(MASK)
    x.bitwise_xor_(x >> 15)
    x.mul_(0x735A2D97).bitwise_and_(MASK)
    return x.bitwise_xor_(x >> 15)
