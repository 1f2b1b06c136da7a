"""The code2wav sidecar's Runner: frames of codes in, PCM out, rows of many streams in one step."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sglang_omni.errors import CheckpointError, ConfigError, RequestFailed
from sglang_omni.layers.streaming import Stream
from sglang_omni.layers.transfer import fetch
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig
from sglang_omni.models.spec import StageOptions
from sglang_omni.models.weights import load_module, stage_dtype
from sglang_omni.sidecar.graphs import Graphs, bucket, buckets
from sglang_omni.sidecar.memory import Memory, SlotOnly
from sglang_omni.sidecar.runner import Later, Outputs

CHUNK_FRAMES = (2, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""As large as can be while a player that starts with the first chunk never runs dry, if the talker makes frames at
1.2 times real time: what a chunk takes to be made has been heard meanwhile. Streams are let in for 1.25 (`Pace`), and
what is between the two is for code2wav."""

SAMPLE_RATE = 24_000


@dataclass
class State:
    """A stream: its frames that wait, each (groups,), and how far it is. `sizes` are its chunks' in turn. Of the
    `frames` that it has given, the last chunk's may still be on their way; `sounded` have left."""

    slot: int
    sizes: Sequence[int]
    waiting: list[Tensor] = field(default_factory=list)
    frames: int = 0
    sounded: int = 0
    chunks: int = 0
    ended: bool = False


def chunk_length(state: State) -> int:
    """How many frames the stream decodes next: 0 while it should wait for more.

    The sizes take turns and the last repeats: small ones first, so that sound starts early, then larger ones, which
    cost less per frame and are played while the next is made. What upstream left at its end is a chunk too. A
    stream's chunks depend on its number of frames alone, not on when they came, and so does its sound, to the bit.
    """
    size = state.sizes[min(state.chunks, len(state.sizes) - 1)]
    if len(state.waiting) >= size:
        return size
    return len(state.waiting) if state.ended else 0


class Step(NamedTuple):
    """What fixes the shapes of a step: its rows, the frames of each, and whether they start their streams."""

    rows: int
    frames: int
    first: bool


def pcm(samples: Tensor) -> Tensor:
    """Samples in [-1, 1] in 16 bits, 1.0 becoming 32767, rounded to the nearest."""
    return (samples.float().clamp(-1, 1) * 32767).round().to(torch.int16)


def as_bytes(samples: Tensor) -> bytes:
    """Of 16 bits on the host: little-endian PCM."""
    return samples.numpy().astype("<i2", copy=False).tobytes()


def load(options: StageOptions) -> Code2Wav:
    """The checkpoint's code2wav. Raises CheckpointError where it has none."""
    path = Path(options.model_path)
    config = json.loads((path / "config.json").read_text()).get("code2wav_config")
    if config is None:
        raise CheckpointError(f"{path}/config.json has no code2wav_config: this model makes no sound")
    with torch.device(options.device):
        model = Code2Wav(Code2WavConfig.of(config))
    load_module(model, path, "code2wav.", options.device, stage_dtype(options))
    return model


class Code2WavRunner:
    """Data in: codes, int64 (groups,), one frame. Data out: mono 16-bit PCM at 24 kHz.

    An option of the stage, and a param of one request: `chunk_frames`, the frames of a stream's first, second, ...
    chunk; the last repeats.
    """

    def __init__(self, options: StageOptions, model: Code2Wav | None = None):
        """`model`: one that is there already, in place of the checkpoint's."""
        self.chunk_frames = tuple(options.options.get("chunk_frames", CHUNK_FRAMES))
        if not self.chunk_frames or min(self.chunk_frames) < 1:
            raise ConfigError(f"chunk_frames {list(self.chunk_frames)} must be positive numbers, at least one")
        self.model = model or load(options)
        self.model.prepare(options.slots + 1)  # the last slot is of no stream
        self.config = self.model.config
        self.slots = options.slots
        self.memory: Memory = SlotOnly()
        self.device = next(self.model.parameters()).device
        self.is_late = self.device.type == "cuda"
        self.row_sizes = buckets(self.slots) if self.is_late else range(1, self.slots + 1)
        self.graphs: Graphs[Step] = Graphs(self._step, self._blank, self.device)
        if self.is_late:
            self.capture()

    @torch.inference_mode()
    def capture(self) -> None:
        """The steps of whole chunks; others are launched kernel by kernel."""
        self.graphs.prepare(self._usual_steps())

    def _usual_steps(self) -> Iterator[Step]:
        """From the largest on."""
        first, *later = self.chunk_frames
        kinds = [(frames, False) for frames in sorted({*later}, reverse=True)] + [(first, True)]
        for frames, begins in kinds:
            for rows in reversed(self.row_sizes):
                yield Step(rows, frames, begins)

    def open(self, slot: int, params: dict[str, Any]) -> State:
        return State(slot, params.get("chunk_frames", self.chunk_frames))

    def feed(self, state: State, data: Tensor | None) -> None:
        if data is None:
            state.ended = True
            return
        groups, codes = self.config.num_quantizers, self.config.codebook_size
        if data.shape != (groups,) or data.min() < 0 or data.max() >= codes:
            raise RequestFailed(f"a frame is {groups} codes below {codes}; got one of another codec")
        state.waiting.append(data)

    def bucket(self, state: State) -> tuple[int, bool] | None:
        """(frames, starts its stream) of the next chunk."""
        length = chunk_length(state)
        return (length, state.chunks == 0) if length else None

    @torch.inference_mode()
    def step(self, states: Sequence[State]) -> Outputs | Later:
        length, first = chunk_length(states[0]), states[0].chunks == 0
        codes = torch.stack([torch.stack(state.waiting[:length], -1) for state in states])
        where = torch.tensor([(state.slot, state.frames) for state in states])
        step = Step(bucket(len(states), self.row_sizes), length, first)
        wait = fetch(self.graphs(step, torch.cat((where, codes.flatten(1)), 1))[: len(states)])
        for state in states:
            del state.waiting[:length]
            state.frames += length
            state.chunks += 1
        later = Later(lambda: self._sound(states, length, wait()))
        return later if self.is_late else later.wait()

    def _sound(self, states: Sequence[State], frames: int, samples: Tensor) -> Outputs:
        for state in states:
            state.sounded += frames
        return [as_bytes(row) for row in samples]

    def _step(self, step: Step, inputs: Tensor) -> Tensor:
        """Samples (rows, samples) in 16 bits, from each row's slot, frames before, and codes (groups, frames)."""
        stream = Stream(inputs[:, 0], inputs[:, 1], step.first)
        codes = inputs[:, 2:].view(step.rows, -1, step.frames)
        return pcm(self.model(codes, stream)[:, 0])

    def _blank(self, step: Step) -> Tensor:
        row = torch.zeros(2 + self.config.num_quantizers * step.frames, dtype=torch.int64)
        row[0] = self.slots
        return row.repeat(step.rows, 1)

    def seconds(self, state: State) -> float:
        return state.sounded * self.config.samples_per_frame / SAMPLE_RATE

    def finished(self, state: State) -> str | None:
        return "stop" if state.ended and not state.waiting else None
