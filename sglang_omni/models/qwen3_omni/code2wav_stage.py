"""The code2wav sidecar's Runner: frames of codes in, PCM out, rows of many streams in one step."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sglang_omni.errors import CheckpointError, ConfigError, RequestFailed
from sglang_omni.layers.streaming import Stream
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig
from sglang_omni.models.spec import StageOptions
from sglang_omni.models.weights import load_module, stage_dtype
from sglang_omni.sidecar.memory import Memory, SlotOnly

CHUNK_FRAMES = (2, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""As large as can be while a player that starts with the first chunk never runs dry, if the talker makes frames at
1.2 times real time: what a chunk takes to be made has been heard meanwhile. Streams are let in for 1.25 (`Pace`), and
what is between the two is for code2wav."""

SAMPLE_RATE = 24_000


@dataclass
class State:
    """A stream: its frames that wait, each (groups,), and how far it is. `sizes` are its chunks' in turn."""

    slot: int
    sizes: Sequence[int]
    waiting: list[Tensor] = field(default_factory=list)
    frames: int = 0
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


def pcm(samples: Tensor) -> bytes:
    """Samples in [-1, 1], 1.0 becoming 32767, rounded to the nearest: 16-bit little-endian PCM."""
    return (samples.clamp(-1, 1) * 32767).round().to(torch.int16).numpy().astype("<i2", copy=False).tobytes()


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
        self.model.prepare(options.slots)
        self.config = self.model.config
        self.slots = options.slots
        self.memory: Memory = SlotOnly()
        self.device = next(self.model.parameters()).device

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
    def step(self, states: Sequence[State]) -> list[bytes | None]:
        length = chunk_length(states[0])
        codes = torch.stack([torch.stack(state.waiting[:length], -1) for state in states])
        stream = Stream(
            slots=torch.tensor([state.slot for state in states], device=self.device),
            positions=torch.tensor([state.frames for state in states], device=self.device),
            first=states[0].chunks == 0,
        )
        samples = self.model(codes.to(self.device), stream)[:, 0].float().cpu()
        for state in states:
            del state.waiting[:length]
            state.frames += length
            state.chunks += 1
        return [pcm(row) for row in samples]

    def seconds(self, state: State) -> float:
        return state.frames * self.config.samples_per_frame / SAMPLE_RATE

    def finished(self, state: State) -> str | None:
        return "stop" if state.ended and not state.waiting else None
