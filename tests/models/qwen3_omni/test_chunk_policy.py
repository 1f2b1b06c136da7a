"""The chunk policy by itself: a recorded trace of a talker's frames goes through code2wav's scheduler, on a clock of
our own, to players that begin with the first chunk.

`tests/data/trace.json` is what `scripts/bench trace` recorded: eight streams that begin one after another.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sglang_omni.audio.player import Player
from sglang_omni.models.qwen3_omni.code2wav_stage import CHUNK_FRAMES, Code2WavRunner, State, chunk_length
from sglang_omni.sidecar.memory import SlotOnly
from sglang_omni.sidecar.messages import Chunk, Finish, Message, Start
from sglang_omni.sidecar.scheduler import Scheduler

FRAME = 1920 / 24_000
LOST = 555 / 24_000  # of a stream's first chunk
TRACE = json.loads((Path(__file__).parents[2] / "data" / "trace.json").read_text())


class Recorded(Code2WavRunner):
    """Code2wav's chunks, without its network: a step takes as long as one of its kind took."""

    def __init__(self, slots: int, slowness: float, sizes: Sequence[int]):
        self.slots, self.memory, self.chunk_frames = slots, SlotOnly(), tuple(sizes)
        self.slowness, self.now = slowness, 0.0

    def feed(self, state: State, data: Any) -> None:
        if data is None:
            state.ended = True
        else:
            state.waiting.append(torch.empty(0))

    def step(self, states: Sequence[State]) -> list[Any]:
        length = chunk_length(states[0])
        self.now += self.slowness * step_seconds(length, len(states))
        for state in states:
            del state.waiting[:length]
            state.frames += length
            state.chunks += 1
        return [length - (state.chunks == 1) * LOST / FRAME for state in states]

    def seconds(self, state: State) -> float:
        return state.frames * FRAME


def step_seconds(length: int, rows: int) -> float:
    times = TRACE["code2wav"]
    size = min((size for size in map(int, times) if size >= length), default=max(map(int, times)))
    return max(1, length / size) * next(took for count, took in times[str(size)].items() if int(count) >= rows)


def pace() -> float:
    """Seconds of sound that the slowest stream of the trace makes in one, from its first frame on."""
    streams = [stream["frames"] for stream in TRACE["talker"]]
    return min((len(frames) - 1) * FRAME / (frames[-1] - frames[0]) for frames in streams)


def play(slowness: float, sizes: Sequence[int] = CHUNK_FRAMES, code2wav: float = 1.0) -> list[tuple[float, Player]]:
    """How long each waited for its first sound, and its player, if the talker took `slowness` times as long, and
    code2wav so many times."""
    runner = Recorded(len(TRACE["talker"]), code2wav, sizes)
    players = [Player() for _ in TRACE["talker"]]

    def hear(sent: list[Message]) -> None:
        for message in sent:
            if isinstance(message, Chunk):
                players[int(message.request_id)].add(runner.now, message.data * FRAME)

    scheduler = Scheduler("code2wav", runner, hear, hear, clock=lambda: runner.now)
    arrivals: list[tuple[float, Message]] = []
    for number, stream in enumerate(TRACE["talker"]):
        name, times = str(number), [slowness * made for made in stream["frames"]]
        arrivals += [(times[0], Start(name, {})), *((made, Chunk(name, 0)) for made in times)]
        arrivals.append((times[-1], Finish(name, "stop")))
    arrivals.sort(key=lambda arrival: arrival[0])
    while arrivals or scheduler.requests:
        while arrivals and arrivals[0][0] <= runner.now:
            scheduler.receive(arrivals.pop(0)[1])
        if not scheduler.step():
            runner.now = arrivals[0][0]
    asked = [slowness * stream["asked"] for stream in TRACE["talker"]]
    return [((player.began or 0) - begun, player) for begun, player in zip(asked, players, strict=True)]


def test_the_trace_is_of_streams_in_company():
    frames = [stream["frames"] for stream in TRACE["talker"]]
    assert len(frames) == 8
    assert min(map(len, frames)) > 40
    assert sum(max(early[0], late[0]) < min(early[-1], late[-1]) for early in frames for late in frames) > 16
    assert pace() > 2


@pytest.mark.parametrize("ahead", [1.25, 1.5, 2.0])
def test_no_player_runs_dry_while_the_slowest_stream_keeps_its_pace(ahead: float):
    """The trace is stretched until its slowest stream is made at `ahead` times real time."""
    for _, player in play(pace() / ahead):
        assert player.silence == 0


@pytest.mark.parametrize("ahead", [1.6, 2.0, 4.0])
def test_nor_on_a_slower_machine(ahead: float):
    """Where code2wav takes longer in the same measure."""
    for _, player in play(pace() / ahead, code2wav=pace() / ahead):
        assert player.silence == 0


def test_the_first_sound_leaves_after_two_frames():
    for stream, (waited, _) in zip(TRACE["talker"], play(1.0), strict=True):
        made = stream["frames"][1] - stream["asked"]
        assert made < waited < made + 0.08


def test_larger_first_chunks_come_later_and_chunks_that_grow_too_fast_run_dry():
    """What the policy is measured against."""
    slow = pace() / 1.25
    assert max(waited for waited, _ in play(slow, [10])) > max(waited for waited, _ in play(slow)) + 0.3
    assert max(player.silence for _, player in play(slow, [4, 25])) > 0.3
