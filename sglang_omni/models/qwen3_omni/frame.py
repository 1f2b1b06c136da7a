"""One frame of the talker, for requests that share a step: what is kept of each on the device, and the plain way to it.

A frame takes the sum of the embeddings of the frame before and one row of text. The backbone hears it; code 0 is drawn
from its hidden state, and the code predictor draws the others.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from sglang_omni.layers.cache import ByRow, place
from sglang_omni.layers.company import padded
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.sidecar.sampling import Rows, Sampler, Sampling, draw, penalise, seed_key, uniforms

SUPPRESSED = 1024
"""The last so many codes are special tokens that are never spoken, but for the end of speech."""


class Row(Protocol):
    """A request in a step: `length` rows lie in its `pages`, `position` is the rotary position of the next, and it has
    spoken so many `frames`."""

    slot: int
    pages: list[int]
    length: int
    position: float
    frames: int


class Requests:
    """By slot: how a request draws, the codes 0 it has spoken, and what it hears of its last frame. The slot `spare` is
    of none."""

    def __init__(self, slots: int, talker: Talker, device: torch.device):
        config, dtype = talker.config, talker.codec_head.weight.dtype
        codes, hidden = config.text_config.vocab_size, config.text_config.hidden_size
        self.spare = slots
        self.sampler = Sampler(slots + 1, codes, device)
        self.residual_sampler = Sampler(slots + 1, config.code_predictor_config.vocab_size, device)
        self.keys = torch.zeros(slots + 1, dtype=torch.int64, device=device)
        self.seen = torch.zeros(slots + 1, codes, dtype=torch.bool, device=device)
        self.penalties = torch.ones(slots + 1, 1, device=device)
        self.heard = torch.zeros(slots + 1, hidden, device=device, dtype=dtype)
        self.yes = torch.ones((), dtype=torch.bool, device=device)
        allowed = torch.arange(codes) < codes - SUPPRESSED
        allowed[config.codec_eos_token_id] = True
        self.suppressed = (~allowed).to(device)

    def open(self, slot: int, sampling: Sampling, residual: Sampling, seed: int) -> None:
        self.sampler.open(slot, sampling)
        self.residual_sampler.open(slot, residual)
        self.keys[slot].fill_(seed_key(seed))
        self.penalties[slot].fill_(sampling.repetition_penalty)
        self.seen[slot].fill_(False)


class Frame(Protocol):
    """Codes of one frame (batch, code groups), on the talker's device."""

    def speak(self, states: Sequence[Row], hidden: Tensor) -> Tensor:
        """From the backbone's hidden states (batch, hidden), at the prompts' ends."""

    def decode(self, states: Sequence[Row], texts: Sequence[int]) -> Tensor:
        """The next, with a token of text for each: a row more is in their pages after."""


def draw_codes(
    talker: Talker, requests: Requests, index: Tensor, steps: Tensor, hidden: Tensor, first: Rows, residual: Rows
) -> Tensor:
    """The codes (batch, groups) of the requests in slots `index`, of frame number `steps` (batch,), from the backbone's
    hidden states: `first` and `residual` say how code 0 and the others are drawn."""
    chances = uniforms(requests.keys.index_select(0, index), steps, talker.config.num_code_groups)
    logits = talker.codec_head(padded(hidden))[: len(index)].float()
    logits = penalise(logits, requests.seen.index_select(0, index), requests.penalties.index_select(0, index))
    logits.masked_fill_(requests.suppressed, -torch.inf)
    code = draw(logits, first, chances[:, 0])
    requests.seen.index_put_((index, code), requests.yes)

    others, heard = talker.code_predictor(
        hidden,
        talker.model.codec_embedding(code),
        lambda logits, group: draw(logits, residual, chances[:, group]),
    )
    requests.heard.index_copy_(0, index, heard)
    return torch.cat((code[:, None], others), 1)


class PlainFrame:
    """In torch's operations, one by one, and attention row by row: on any device. `text_rows` is the vocabulary
    (tokens, hidden) as the talker reads it."""

    def __init__(self, talker: Talker, text_rows: Tensor, requests: Requests):
        self.talker = talker
        self.text_rows = text_rows
        self.requests = requests
        self.device = text_rows.device
        self.page_rows = talker.model.layers[0].self_attn.pool.shape[1]

    def decode(self, states: Sequence[Row], texts: Sequence[int]) -> Tensor:
        index = torch.tensor([state.slot for state in states], device=self.device)
        text = torch.tensor(texts, device=self.device)
        positions = torch.tensor([[state.position] for state in states], device=self.device)
        x = padded(self.requests.heard.index_select(0, index) + self.text_rows.index_select(0, text))
        rotation = self.talker.rope.at(padded(positions), x.dtype)
        new = [place(state.pages, self.page_rows, state.length, state.length + 1, self.device) for state in states]
        seen = [place(state.pages, self.page_rows, 0, state.length + 1, self.device) for state in states]
        hidden = self.talker.model(x, ByRow(len(x), new, seen, rotation))
        return self.speak(states, hidden[: len(states)])

    def speak(self, states: Sequence[Row], hidden: Tensor) -> Tensor:
        requests, slots = self.requests, [state.slot for state in states]
        index = torch.tensor(slots, device=self.device)
        steps = torch.tensor([state.frames for state in states], device=self.device)
        first, residual = requests.sampler.rows(slots, index), requests.residual_sampler.rows(slots, index)
        return draw_codes(self.talker, requests, index, steps, hidden, first, residual)
