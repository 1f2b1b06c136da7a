"""One frame of the talker, for requests that share a step: what is kept of each on the device, and the plain way to it.

A frame takes the sum of the embeddings of the frame before and one row of text. The backbone hears it; code 0 is drawn
from its hidden state, and the code predictor draws the others.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from sglang_omni.layers.cache import Access, ByRow, Decode, length_mask, place
from sglang_omni.layers.company import padded
from sglang_omni.layers.rope import Rotation
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.sidecar.sampling import Sampler, Sampling, draw, penalise, seed_key, uniforms

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
    """By slot: how a request draws, the codes 0 it has spoken, and what it hears of its last frame."""

    def __init__(self, slots: int, talker: Talker, device: torch.device):
        config, dtype = talker.config, talker.codec_head.weight.dtype
        codes, hidden = config.text_config.vocab_size, config.text_config.hidden_size
        self.sampler = Sampler(slots, codes, device)
        self.residual_sampler = Sampler(slots, config.code_predictor_config.vocab_size, device)
        self.keys = torch.zeros(slots, dtype=torch.int64, device=device)
        self.seen = torch.zeros(slots, codes, dtype=torch.bool, device=device)
        self.penalties = torch.ones(slots, 1, device=device)
        self.heard = torch.zeros(slots, hidden, device=device, dtype=dtype)
        allowed = torch.arange(codes) < codes - SUPPRESSED
        allowed[config.codec_eos_token_id] = True
        self.suppressed = (~allowed).to(device)

    def open(self, slot: int, sampling: Sampling, residual: Sampling, seed: int) -> None:
        self.sampler.open(slot, sampling)
        self.residual_sampler.open(slot, residual)
        self.keys[slot] = seed_key(seed)
        self.penalties[slot] = sampling.repetition_penalty
        self.seen[slot] = False


class Frame(Protocol):
    """Codes of one frame (batch, code groups) on the CPU."""

    def speak(self, states: Sequence[Row], hidden: Tensor) -> Tensor:
        """From the backbone's hidden states (batch, hidden): after the prompts' ends, or in `decode`."""

    def decode(self, states: Sequence[Row], texts: Sequence[int]) -> Tensor:
        """The next, with a token of text for each: a row more is in their pages after."""


class PlainFrame:
    """In torch's operations. `text_rows` is the vocabulary (tokens, hidden) as the talker reads it."""

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
        hidden = self.talker.model(x, self._access(states, rotation))
        return self.speak(states, hidden[: len(states)])

    def _access(self, states: Sequence[Row], rotation: Rotation) -> Access:
        if self.device.type == "cpu":
            new = [place(state.pages, self.page_rows, state.length, state.length + 1) for state in states]
            seen = [place(state.pages, self.page_rows, 0, state.length + 1) for state in states]
            return ByRow(len(rotation.cos), new, seen, rotation)
        lengths = [state.length + 1 for state in states]
        most = max(len(state.pages) for state in states)
        pages = [state.pages + [0] * (most - len(state.pages)) for state in states]
        mask = length_mask(lengths, self.device, self.text_rows.dtype)
        new = torch.tensor(lengths, device=self.device) - 1
        return Decode(torch.tensor(pages, device=self.device), new, max(lengths), rotation, mask)

    def speak(self, states: Sequence[Row], hidden: Tensor) -> Tensor:
        requests, slots = self.requests, [state.slot for state in states]
        index = torch.tensor(slots, device=self.device)
        steps = torch.tensor([state.frames for state in states], device=self.device)
        chances = uniforms(requests.keys.index_select(0, index), steps, self.talker.config.num_code_groups)
        logits = self.talker.codec_head(padded(hidden))[: len(states)].float()
        logits = penalise(logits, requests.seen.index_select(0, index), requests.penalties.index_select(0, index))
        logits.masked_fill_(requests.suppressed, -torch.inf)
        first = draw(logits, requests.sampler.rows(slots, index), chances[:, 0])
        requests.seen[index, first] = True

        rows = requests.residual_sampler.rows(slots, index)
        residual, heard = self.talker.code_predictor(
            hidden,
            self.talker.model.codec_embedding(first),
            lambda logits, group: draw(logits, rows, chances[:, group]),
        )
        requests.heard[index] = heard
        return torch.cat((first[:, None], residual), 1).cpu()
