"""The talker as a stage: text tokens come in, codec frames go out."""

import json
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sglang_omni.errors import ConfigError, InvalidRequest
from sglang_omni.layers.cache import Access, ByRow, Decode, length_mask, place
from sglang_omni.layers.company import padded
from sglang_omni.layers.rope import Rotation
from sglang_omni.models.qwen3_omni.config import OmniConfig, omni_config
from sglang_omni.models.qwen3_omni.prompt import (
    HEAD,
    TalkerPrompt,
    answer_index,
    codec_ids,
    input_ids,
    talker_prompt,
    user_mask,
)
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.models.spec import StageOptions
from sglang_omni.models.weights import load_module, read_tensors
from sglang_omni.sidecar.memory import Memory, Pages
from sglang_omni.sidecar.sampling import Sampler, Sampling, draw, penalise, seed_key, uniforms

MAX_LENGTH = 8192
"""Rows of a request, prompt and frames together, unless the option `max_length` says otherwise."""

TOTAL_ROWS = 65_536
"""Of all requests together, unless the option `total_rows` says otherwise."""

PAGE_ROWS = 64
"""Five seconds of sound."""

PREFILL_ROWS = 256
"""Of a prompt that go into one step, unless the option `prefill_rows` says otherwise: streams go on between two."""

FRAME_SECONDS = 0.08
MAX_FRAMES = 4096
FRAMES_AT_LEAST, FRAMES_PER_TOKEN = 64, 32
"""A complete text of n tokens is spoken in at most 64 + 32 n frames (12.5 are a second)."""

FRAMES_EXPECTED = 6
"""Per token, beside those 64: what memory is given for at first. English takes about 4."""

SUPPRESSED = 1024
"""The last so many codes are special tokens that are never spoken, but for the end of speech."""

TALKER_SAMPLING = Sampling(temperature=0.9, top_k=50, repetition_penalty=1.05)
CODE_PREDICTOR_SAMPLING = Sampling(temperature=1.0, top_k=50, top_p=0.8)
GREEDY = Sampling(temperature=0.0)
RESIDUAL = "code_predictor_"  # begins the names of the code predictor's parameters: SGLang carries no dict in a dict


@dataclass
class Speech:
    """One request: `length` rows are in its `pages`, `frames` have been spoken, `text` is what it was given to say."""

    slot: int
    prompt: TalkerPrompt
    voice: int
    max_frames: int
    text: list[int] = field(default_factory=list)
    complete: bool = False
    pages: list[int] = field(default_factory=list)
    parked: list[Tensor] = field(default_factory=list)  # what was in its pages, as long as it has none
    length: int = 0
    position: float = 0.0  # the rotary position of the next row
    frames: int = 0
    reason: str | None = None

    @property
    def cap(self) -> int:
        """Frames after which the speech is cut."""
        if not self.complete:
            return self.max_frames
        return min(self.max_frames, FRAMES_AT_LEAST + FRAMES_PER_TOKEN * len(self.text))

    @property
    def expected(self) -> int:
        """Frames that the text so far will take."""
        return min(self.max_frames, FRAMES_AT_LEAST + FRAMES_EXPECTED * len(self.text))

    @property
    def hears(self) -> bool:
        """Whether a part of its prompt is still to be read."""
        return self.length < self.prompt.length


class TalkerRunner:
    """A frame per step. `open` takes what the thinker's scheduler knows of a request:

    prompt_ids (length,), positions (3, length) and media_rows (media positions, thinker hidden) of its prompt,
    and `speech`: voice, seed, temperature, top_k, top_p, repetition_penalty, max_frames and, for the code
    predictor, code_predictor_temperature, _top_k and _top_p, each None for the reference's default. `feed` takes
    lists of token ids.

    A step gives each request a frame's codes (code groups,), or None where the speech ended or the prompt goes on.
    Options: `max_length` rows of a request (8192), `total_rows` of all that are open (65536), of which each is given
    what it is expected to need, and `prefill_rows` of a prompt that are read in one step (256).
    """

    def __init__(self, options: StageOptions):
        self.slots = options.slots
        self.device = torch.device(options.device)
        self.config = omni_config(options.model_path)
        self.max_length = _max_length(options)
        self.prefill_rows = int(options.options.get("prefill_rows", PREFILL_ROWS))
        self.end_of_text = _end_of_text(Path(options.model_path), self.config)
        self.talker, self.text_rows = _load(options, self.config)
        self.talker.prepare(self.slots, -(-_total_rows(options) // PAGE_ROWS), PAGE_ROWS)
        self.memory: Memory = Pages([layer.self_attn.pool for layer in self.talker.model.layers], self._rows)

        c = self.config.talker_config
        codes, self.groups = c.text_config.vocab_size, c.num_code_groups
        self.end_of_speech = c.codec_eos_token_id
        allowed = torch.arange(codes) < codes - SUPPRESSED
        allowed[self.end_of_speech] = True
        self.suppressed = (~allowed).to(self.device)
        self.sampler = Sampler(self.slots, codes, self.device)
        self.residual_sampler = Sampler(self.slots, c.code_predictor_config.vocab_size, self.device)
        self.keys = torch.zeros(self.slots, dtype=torch.int64, device=self.device)
        self.seen = torch.zeros(self.slots, codes, dtype=torch.bool, device=self.device)
        self.penalties = torch.ones(self.slots, 1, device=self.device)
        self.heard = torch.zeros(self.slots, self.text_rows.shape[1], device=self.device, dtype=self.text_rows.dtype)

    # One request

    def open(self, slot: int, params: dict[str, Any]) -> Speech:
        speech = params["speech"]
        prompt = talker_prompt(self.config, params["prompt_ids"], params["positions"], params["media_rows"])
        _check_length(prompt.length, self.max_length)
        max_frames = min(speech.get("max_frames") or MAX_FRAMES, self.max_length - prompt.length + 1)
        state = Speech(slot, prompt, self._voice(speech.get("voice")), max_frames, list(prompt.answer))
        self._open_sampling(slot, speech)
        return state

    def _voice(self, name: str | None) -> int:
        voices = self.config.talker_config.speaker_id
        if name is None:
            name = "ethan" if "ethan" in voices else next(iter(voices))
        if name.lower() not in voices:
            raise InvalidRequest(f"there is no voice {name!r}; there are {', '.join(voices)}", param="voice")
        return voices[name.lower()]

    def _open_sampling(self, slot: int, speech: dict[str, Any]) -> None:
        sampling = _sampling(TALKER_SAMPLING, speech)
        default = CODE_PREDICTOR_SAMPLING if sampling.temperature > 0 else GREEDY
        seed = speech.get("seed")
        self.sampler.open(slot, sampling)
        residual = {name[len(RESIDUAL) :]: value for name, value in speech.items() if name.startswith(RESIDUAL)}
        self.residual_sampler.open(slot, _sampling(default, residual))
        self.keys[slot] = seed_key(random.getrandbits(64) if seed is None else seed)
        self.penalties[slot] = sampling.repetition_penalty
        self.seen[slot] = False

    def feed(self, state: Speech, data: list[int] | None) -> None:
        for token in data or ():
            if state.complete:
                break
            if token in self.end_of_text:
                state.complete = True
            else:
                state.text.append(token)
        state.complete |= data is None
        if state.complete and not state.text:
            state.reason = state.reason or "stop"

    def bucket(self, state: Speech) -> Hashable | None:
        if state.reason is not None or self._next_text(state) is None:
            return None
        if state.hears:
            return "prefill", state.length, self._piece(state)
        return ("decode",)

    def _piece(self, state: Speech) -> int:
        """Rows that go into its next step."""
        return min(self.prefill_rows, state.prompt.length - state.length) if state.hears else 1

    def _rows(self, state: Speech) -> int:
        """How many it must have room for: at first for all that is expected."""
        if state.length == 0:
            return min(self.max_length, state.prompt.length + state.expected)
        return state.length + self._piece(state)

    def _next_text(self, state: Speech) -> int | None:
        """The token whose row goes into the next step, None if it has not arrived."""
        if state.frames < len(state.text):
            return state.text[state.frames]
        if not state.complete:
            return None
        over = state.frames > len(state.text)
        return self.config.tts_pad_token_id if over else self.config.tts_eos_token_id

    def seconds(self, state: Speech) -> float:
        return state.frames * FRAME_SECONDS

    def finished(self, state: Speech) -> str | None:
        return state.reason

    # One step

    @torch.inference_mode()
    def step(self, states: Sequence[Speech]) -> list[Tensor | None]:
        hears = states[0].hears
        slots = [state.slot for state in states]
        index = torch.tensor(slots, device=self.device)
        hidden = self._prefill(states) if hears else self._decode(states, index)
        if states[0].hears:
            return [None] * len(states)
        codes = self._frame(hidden, states, slots, index).cpu()
        return [self._spoken(state, frame) for state, frame in zip(states, codes, strict=True)]

    def _prefill(self, states: Sequence[Speech]) -> Tensor:
        """As many rows of each prompt, from the same one on: the hidden state of the last of them (batch, hidden)."""
        begin = states[0].length
        end = begin + self._piece(states[0])
        x = torch.stack([self._embed(state, begin, end) for state in states])
        positions = torch.stack([state.prompt.positions[:, begin:end] for state in states], 1)
        for state in states:
            state.length = end
            state.position = float(state.prompt.positions[0, -1]) + 1
        rotation = self.talker.rope.at(positions.to(self.device, torch.float32), x.dtype)
        return self._run(x, self._by_row(states, end - begin, len(states), rotation))[:, -1]

    def _by_row(self, states: Sequence[Speech], time: int, batch: int, rotation: Rotation) -> ByRow:
        """Of states whose last `time` rows are new."""
        new = [place(state.pages, PAGE_ROWS, state.length - time, state.length) for state in states]
        seen = [place(state.pages, PAGE_ROWS, 0, state.length) for state in states]
        return ByRow(batch, new, seen, rotation)

    def _embed(self, state: Speech, begin: int, end: int) -> Tensor:
        """Rows of the prompt (end - begin, hidden)."""
        prompt = state.prompt
        rows = self.text_rows[input_ids(self.config, prompt, state.text[0])[begin:end].to(self.device)]
        media = prompt.media[begin:end]
        if media.any():
            before = int(prompt.media[:begin].sum())
            media_rows = prompt.media_rows[before : before + int(media.sum())].to(self.device, rows.dtype)
            rows[: len(media)][media.to(self.device)] = self.talker.hidden_projection(media_rows)
        spoken = codec_ids(self.config.talker_config, state.voice)
        first = prompt.length - len(spoken)
        if first < end:
            heard = torch.tensor(spoken[max(0, begin - first) : end - first], device=self.device)
            rows[-len(heard) :] += self.talker.model.codec_embedding(heard)
        return rows

    def _decode(self, states: Sequence[Speech], index: Tensor) -> Tensor:
        """One row each, the last frame and the next text: the hidden states (batch, hidden)."""
        text = torch.tensor([self._next_text(state) for state in states], device=self.device)
        positions = torch.tensor([[state.position] for state in states], device=self.device)
        x = padded(self.heard.index_select(0, index) + self.text_rows.index_select(0, text))
        rotation = self.talker.rope.at(padded(positions), x.dtype)
        for state in states:
            state.length += 1
            state.position += 1
        return self._run(x[:, None], self._access(states, rotation))[: len(states), -1]

    def _access(self, states: Sequence[Speech], rotation: Rotation) -> Access:
        if self.device.type == "cpu":
            return self._by_row(states, 1, len(rotation.cos), rotation)
        lengths = [state.length for state in states]
        most = max(len(state.pages) for state in states)
        pages = [state.pages + [0] * (most - len(state.pages)) for state in states]
        mask = length_mask(lengths, self.device, self.text_rows.dtype)
        new = torch.tensor(lengths, device=self.device) - 1
        return Decode(torch.tensor(pages, device=self.device), new, max(lengths), rotation, mask)

    def _run(self, x: Tensor, access: Access) -> Tensor:
        return self.talker.model(x.flatten(0, 1), access).view(x.shape)

    def _frame(self, hidden: Tensor, states: Sequence[Speech], slots: list[int], index: Tensor) -> Tensor:
        """From the talker's hidden states (batch, hidden) all codes of a frame (batch, code groups)."""
        steps = torch.tensor([state.frames for state in states], device=self.device)
        chances = uniforms(self.keys.index_select(0, index), steps, self.groups)
        logits = self.talker.codec_head(padded(hidden))[: len(states)].float()
        logits = penalise(logits, self.seen.index_select(0, index), self.penalties.index_select(0, index))
        logits.masked_fill_(self.suppressed, -torch.inf)
        first = draw(logits, self.sampler.rows(slots, index), chances[:, 0])
        self.seen[index, first] = True

        rows = self.residual_sampler.rows(slots, index)
        residual, heard = self.talker.code_predictor(
            hidden,
            self.talker.model.codec_embedding(first),
            lambda logits, group: draw(logits, rows, chances[:, group]),
        )
        self.heard[index] = heard
        return torch.cat((first[:, None], residual), 1)

    def _spoken(self, state: Speech, frame: Tensor) -> Tensor | None:
        if int(frame[0]) == self.end_of_speech:
            state.reason = "stop"
            return None
        state.frames += 1
        if state.frames >= state.cap:
            state.reason = "length"
        return frame


def prompt_check(options: StageOptions) -> Callable[[Sequence[int]], None]:
    """What `TalkerRunner.open` would refuse about a prompt, for those who have only its ids."""
    config, max_length = omni_config(options.model_path), _max_length(options)

    def check(prompt_ids: Sequence[int]) -> None:
        ids = torch.tensor(prompt_ids)
        answer_index(config, ids)
        _check_length(int(user_mask(config, ids).sum()) + HEAD, max_length)

    return check


def _total_rows(options: StageOptions) -> int:
    return int(options.options.get("total_rows", max(TOTAL_ROWS, options.options.get("max_length", 0))))


def _max_length(options: StageOptions) -> int:
    total = _total_rows(options)
    length = int(options.options.get("max_length", min(MAX_LENGTH, total)))
    if length > total:
        raise ConfigError(f"the talker's max_length {length} is more than its total_rows {total}")
    return length


def _check_length(rows: int, max_length: int) -> None:
    if rows >= max_length:
        raise InvalidRequest(f"the prompt takes {rows} rows of the talker's {max_length}; shorten it", param="messages")


def _sampling(default: Sampling, asked: dict[str, Any]) -> Sampling:
    names = "temperature", "top_k", "top_p", "repetition_penalty"
    given = {name: asked[name] for name in names if asked.get(name) is not None}
    return Sampling(**{**vars(default), **given})


def _end_of_text(model_path: Path, config: OmniConfig) -> frozenset[int]:
    """Thinker tokens that end an answer and are not spoken."""
    found = [config.im_end_token_id]
    generation_config = model_path / "generation_config.json"
    if generation_config.exists():
        ids = json.loads(generation_config.read_text()).get("eos_token_id") or []
        found += ids if isinstance(ids, list) else [ids]
    return frozenset(found)


def _load(options: StageOptions, config: OmniConfig) -> tuple[Talker, Tensor]:
    """The talker, and the thinker's vocabulary as rows of the talker's width (vocabulary, hidden)."""
    dtype = None if options.dtype == "auto" else getattr(torch, options.dtype)
    talker = Talker(config.talker_config)
    load_module(talker, options.model_path, "talker.", options.device, dtype)
    embedding = read_tensors(options.model_path, "thinker.model.embed_tokens.", options.device)["weight"]
    with torch.inference_mode():
        return talker, talker.project_vocabulary(embedding.to(talker.codec_head.weight.dtype))
