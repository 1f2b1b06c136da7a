"""A request's own `seed`, at any time: SGLang alone heeds it only with `--enable-deterministic-inference`.

A seeded row draws by the Gumbel-max trick, with noise that is a function of (seed, position, token id): the same
text whatever company the request has, as far as the company leaves the logits alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from sglang.srt.layers.sampler import Sampler
from sglang.srt.managers.schedule_batch import ScheduleBatch
from sglang.srt.runtime_context import get_exec
from sglang.srt.sampling.sampling_batch_info import SamplingBatchInfo
from torch import Tensor

from sglang_omni.layers.transfer import send

UNSEEDED = torch.iinfo(torch.int64).min
"""In a batch, the row of a request without a seed; a request that has this very seed gets the one above it."""


@contextmanager
def seeded(batch: ScheduleBatch) -> Iterator[None]:
    """Holds the seeds `(rows,)` of a batch where its sampler finds them, if any request has one.

    For one forward only: SGLang filters and merges what a batch keeps, and one that has seeds may meet one without.
    """
    info = batch.sampling_info
    seeds = [req.sampling_params.sampling_seed for req in batch.reqs]
    deterministic = get_exec().deterministic.enable_deterministic_inference
    if info is None or deterministic or all(seed is None for seed in seeds):
        yield
        return
    values = [UNSEEDED if seed is None else max(seed, UNSEEDED + 1) for seed in seeds]
    info.sampling_seed = send(torch.tensor(values, dtype=torch.int64), torch.device(batch.device))
    try:
        yield
    finally:
        info.sampling_seed = None


def next_seed(seed: int) -> int:
    """Of the next of several choices: they differ, and not by choices of the seeds beside this one."""
    return int(_mix(torch.tensor(seed)))


class SeededSampler(Sampler):
    """SGLang's sampler; the rows that have a seed draw again with it."""

    def _sample_from_probs(
        self, probs: Tensor, sampling_info: SamplingBatchInfo, positions: Tensor, simple_sampling_case: bool
    ) -> tuple[Tensor, Any]:
        seeds = sampling_info.sampling_seed
        if seeds is None:
            return super()._sample_from_probs(probs, sampling_info, positions, simple_sampling_case)
        unseeded = replace(sampling_info, sampling_seed=None)
        tokens, capture = super()._sample_from_probs(probs, unseeded, positions, simple_sampling_case)
        drawn = draw(keep_likely(probs, sampling_info), seeds, positions)
        if capture is not None:
            capture = capture._replace(selected_weight=None)  # of the token it drew itself
        return torch.where(seeds == UNSEEDED, tokens, drawn.to(tokens.dtype)), capture


def keep_likely(probs: Tensor, info: SamplingBatchInfo) -> Tensor:
    """`probs` (rows, vocabulary) with zeros where top_k, top_p or min_p forbid."""
    if not (info.need_top_k_sampling or info.need_top_p_sampling or info.need_min_p_sampling):
        return probs
    ordered, tokens = probs.sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(probs.shape[-1], device=probs.device)
    forbidden = rank >= info.top_ks[:, None]
    forbidden |= ordered.cumsum(-1) - ordered > info.top_ps[:, None]
    if info.need_min_p_sampling:
        forbidden |= ordered < ordered[:, :1] * info.min_ps[:, None]
    return torch.zeros_like(probs).scatter(-1, tokens, ordered.masked_fill(forbidden, 0))


def draw(probs: Tensor, seeds: Tensor, positions: Tensor) -> Tensor:
    """One token id (rows,) from each row of `probs` (rows, vocabulary), which need not sum to 1."""
    gumbel = -torch.log(-torch.log(uniform(seeds, positions, probs.shape[-1])))
    return (probs.double().log() + gumbel).argmax(-1)


def uniform(seeds: Tensor, positions: Tensor, width: int) -> Tensor:
    """(rows, width) in (0, 1): SplitMix64 of (seed, position, column), the same on every device."""
    columns = torch.arange(width, device=seeds.device)
    bits = _mix(_mix(_mix(seeds) + positions)[:, None] + columns)
    return (_shift(bits, 11).double() + 0.5) / 2**53


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's step on int64, where multiplication wraps around as in unsigned arithmetic."""
    x = x + (0x9E3779B97F4A7C15 - 2**64)
    x = (x ^ _shift(x, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    x = (x ^ _shift(x, 27)) * (0x94D049BB133111EB - 2**64)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """A logical right shift of int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
