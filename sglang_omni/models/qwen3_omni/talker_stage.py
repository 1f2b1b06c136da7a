"""The talker as a stage: text tokens come in, codec frames go out."""

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sglang_omni.errors import ConfigError, InvalidRequest
from sglang_omni.kernels.choice import compiles
from sglang_omni.layers.cache import ByRow, place
from sglang_omni.layers.transfer import fetch, send
from sglang_omni.models.qwen3_omni.config import OmniConfig, generation_config, omni_config
from sglang_omni.models.qwen3_omni.frame import Frame, PlainFrame, Requests
from sglang_omni.models.qwen3_omni.graph_frame import GraphFrame
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
from sglang_omni.models.weights import load_module, read_tensors, stage_dtype
from sglang_omni.sidecar.memory import Memory, Pages
from sglang_omni.sidecar.runner import Later, Outputs
from sglang_omni.sidecar.sampling import Sampling

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

TALKER = "talker_"  # begins the names of its parameters in a generation config
TALKER_SAMPLING = Sampling(temperature=0.9, top_k=50, repetition_penalty=1.05)
CODE_PREDICTOR_SAMPLING = Sampling(temperature=1.0, top_k=50, top_p=0.8)
GREEDY = Sampling(temperature=0.0)
RESIDUAL = "code_predictor_"  # begins the names of the code predictor's parameters: SGLang carries no dict in a dict


@dataclass
class Speech:
    """One request: `length` rows are in its `pages`, `text` is what it was given to say. Of its `frames`, the last may
    still be on its way; `spoken` have left."""

    slot: int
    prompt: TalkerPrompt
    voice: int
    max_frames: int
    text: list[int] = field(default_factory=list)
    complete: bool = False
    pages: list[int] = field(default_factory=list)
    parked: list[Callable[[], Tensor]] = field(default_factory=list)  # what was in its pages, while it has none
    length: int = 0
    position: float = 0.0  # the rotary position of the next row
    frames: int = 0
    spoken: int = 0
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
    predictor, code_predictor_temperature, _top_k and _top_p, each None for what the checkpoint's generation config
    says, or else the reference's default. `feed` takes lists of token ids.

    A step gives each request a frame's codes (code groups,), or None where the speech ended or the prompt goes on; on a
    GPU, later. That a speech has ended is then seen a frame late, and the frame after its last is dropped.
    Options: `max_length` rows of a request (8192), `total_rows` of all that are open (65536), of which each is given
    what it is expected to need, and `prefill_rows` of a prompt that are read in one step (256).
    """

    def __init__(self, options: StageOptions, model: tuple[Talker, Tensor] | None = None):
        """`model`: a talker and the vocabulary as it reads it, in place of the checkpoint's."""
        self.slots = options.slots
        self.device = torch.device(options.device)
        self.config = omni_config(options.model_path)
        self.max_length = _max_length(options)
        self.prefill_rows = int(options.options.get("prefill_rows", PREFILL_ROWS))
        said = generation_config(Path(options.model_path))
        self.sampling = _sampling(TALKER_SAMPLING, _named(TALKER, said))
        self.code_predictor_sampling = _sampling(CODE_PREDICTOR_SAMPLING, _named(RESIDUAL, said))
        self.max_frames = said.get("talker_max_new_tokens") or MAX_FRAMES
        self.end_of_text = _end_of_text(said, self.config)
        self.talker, self.text_rows = model or _load(options, self.config)
        self.talker.prepare(self.slots, -(-_total_rows(options) // PAGE_ROWS) + 1, PAGE_ROWS)
        self.requests = Requests(self.slots, self.talker, self.device)
        self.frame = frame(self.talker, self.text_rows, self.requests, self.max_length)
        pools = [layer.self_attn.pool[:-1] for layer in self.talker.model.layers]  # the last page is no request's
        self.memory: Memory = Pages(pools, self._rows)
        self.is_late = self.device.type == "cuda"
        self.end_of_speech = self.config.talker_config.codec_eos_token_id

    # One request

    def open(self, slot: int, params: dict[str, Any]) -> Speech:
        speech = params["speech"]
        prompt = talker_prompt(self.config, params["prompt_ids"], params["positions"], params["media_rows"])
        _check_length(prompt.length, self.max_length)
        max_frames = min(speech.get("max_frames") or self.max_frames, self.max_length - prompt.length + 1)
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
        sampling = _sampling(self.sampling, speech)
        default = self.code_predictor_sampling if sampling.temperature > 0 else GREEDY
        seed = speech.get("seed")
        seed = random.getrandbits(64) if seed is None else seed
        self.requests.open(slot, sampling, _sampling(default, _named(RESIDUAL, speech)), seed)

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
        if state.reason is not None or state.frames >= state.cap or not self._text_is_there(state):
            return None
        if state.hears:
            alone = state.slot if self.device.type == "cpu" else None  # where rows are rounded as their number says
            return "prefill", state.length, self._piece(state), alone
        return ("decode",)

    def _piece(self, state: Speech) -> int:
        """Rows that go into its next step."""
        return min(self.prefill_rows, state.prompt.length - state.length) if state.hears else 1

    def _rows(self, state: Speech) -> int:
        """How many it must have room for: at first for all that is expected."""
        if state.length == 0:
            return min(self.max_length, state.prompt.length + state.expected)
        return state.length + self._piece(state)

    def _text_is_there(self, state: Speech) -> bool:
        return state.complete or state.frames < len(state.text)

    def _text(self, state: Speech) -> int:
        """The token whose row goes into the next step."""
        if state.frames < len(state.text):
            return state.text[state.frames]
        over = state.frames > len(state.text)
        return self.config.tts_pad_token_id if over else self.config.tts_eos_token_id

    def seconds(self, state: Speech) -> float:
        return state.spoken * FRAME_SECONDS

    def finished(self, state: Speech) -> str | None:
        return state.reason

    # One step

    @torch.inference_mode()
    def step(self, states: Sequence[Speech]) -> Outputs | Later:
        if states[0].hears:
            hidden = self._prefill(states)
            if states[0].hears:
                return self._outputs(hidden[:0], lambda _: [None] * len(states))
            codes = self.frame.speak(states, hidden)
        else:
            codes = self.frame.decode(states, [self._text(state) for state in states])
            for state in states:
                state.length += 1
                state.position += 1
        for state in states:
            state.frames += 1
        return self._outputs(codes, lambda frames: list(map(self._spoken, states, frames)))

    def _outputs(self, values: Tensor, then: Callable[[Tensor], Outputs]) -> Outputs | Later:
        """Of a step that makes `values` on the device: `then` of them on the host. With no values too it is over only
        when the device has done it: no more than one step is to be under way."""
        wait = fetch(values)
        later = Later(lambda: then(wait()))
        return later if self.is_late else later.wait()

    def _prefill(self, states: Sequence[Speech]) -> Tensor:
        """As many rows of each prompt, from the same one on: the hidden state of the last of them (batch, hidden)."""
        begin = states[0].length
        end = begin + self._piece(states[0])
        x = torch.stack([self._embed(state, begin, end) for state in states])
        positions = torch.stack([state.prompt.positions[:, begin:end] for state in states], 1)
        for state in states:
            state.length = end
            state.position = float(state.prompt.positions[0, -1]) + 1
        rotation = self.talker.rope.at(send(positions.float(), self.device), x.dtype)
        new = [place(state.pages, PAGE_ROWS, begin, end, self.device) for state in states]
        seen = [place(state.pages, PAGE_ROWS, 0, end, self.device) for state in states]
        access = ByRow(len(states), new, seen, rotation)
        return self.talker.model(x.flatten(0, 1), access).view(x.shape)[:, -1]

    def _embed(self, state: Speech, begin: int, end: int) -> Tensor:
        """Rows of the prompt (end - begin, hidden)."""
        prompt = state.prompt
        rows = self.text_rows[send(input_ids(self.config, prompt, state.text[0])[begin:end], self.device)]
        media = prompt.media[begin:end].nonzero()[:, 0]
        if len(media):
            before = int(prompt.media[:begin].sum())
            media_rows = send(prompt.media_rows[before : before + len(media)], self.device).to(rows.dtype)
            rows.index_copy_(0, send(media, self.device), self.talker.hidden_projection(media_rows))
        spoken = codec_ids(self.config.talker_config, state.voice)
        first = prompt.length - len(spoken)
        if first < end:
            heard = send(torch.tensor(spoken[max(0, begin - first) : end - first]), self.device)
            rows[-len(heard) :] += self.talker.model.codec_embedding(heard)
        return rows

    def _spoken(self, state: Speech, frame: Tensor) -> Tensor | None:
        if state.reason is not None:
            return None
        if int(frame[0]) == self.end_of_speech:
            state.reason = "stop"
            return None
        state.spoken += 1
        if state.spoken >= state.cap:
            state.reason = "length"
        return frame


def frame(talker: Talker, text_rows: Tensor, requests: Requests, max_length: int) -> Frame:
    """The fastest way to a frame that there is on the talker's device."""
    if text_rows.is_cuda:
        return GraphFrame(talker, text_rows, requests, max_length)
    if compiles(text_rows.device, text_rows.dtype):
        from sglang_omni.models.qwen3_omni.compiled_frame import CompiledFrame

        return CompiledFrame(talker, text_rows, requests)
    return PlainFrame(talker, text_rows, requests)


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


def _named(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """Those whose names begin with `prefix`, by the rest of the name."""
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}


def _end_of_text(said: dict[str, Any], config: OmniConfig) -> frozenset[int]:
    """Thinker tokens that end an answer and are not spoken: the config's and those of the generation config."""
    ids = said.get("eos_token_id") or []
    return frozenset([config.im_end_token_id, *(ids if isinstance(ids, list) else [ids])])


def _load(options: StageOptions, config: OmniConfig) -> tuple[Talker, Tensor]:
    """The talker, and the thinker's vocabulary as rows of the talker's width (vocabulary, hidden)."""
    talker = Talker(config.talker_config)
    load_module(talker, options.model_path, "talker.", options.device, stage_dtype(options))
    embedding = read_tensors(options.model_path, "thinker.model.embed_tokens.", options.device)["weight"]
    with torch.inference_mode():
        return talker, talker.project_vocabulary(embedding.to(talker.codec_head.weight.dtype))
