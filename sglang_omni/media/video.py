"""Videos: sampled frames, and the sound track if it is wanted."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglang_omni.media.audio import check_time, decode_audio, open_container
from sglang_omni.media.images import check_size
from sglang_omni.media.policy import MediaPolicy, refusal
from sglang_omni.media.source import read

ChooseFrames = Callable[[int, float], list[int]]
"""From the number of frames and their rate (frames/s) to ascending indices."""


@dataclass(frozen=True)
class Video:
    """`frames` (chosen, height, width, 3) in RGB, their `indices` among the file's `total` frames at `rate` frames/s;
    `sound` (samples,) at 16 kHz if it was asked for."""

    frames: NDArray[np.uint8]
    indices: list[int]
    total: int
    rate: float
    sound: NDArray[np.float32] | None


def load_video(
    source: str | bytes,
    policy: MediaPolicy,
    choose: ChooseFrames,
    with_sound: bool = False,
    name: str = "video",
) -> Video:
    """Decodes the frames that `choose` picks; it is told the frame count and rate before anything is decoded."""
    data = read(source, policy, name)
    deadline = time.monotonic() + policy.decode_seconds
    total, rate = _length(data, policy, name)
    while True:
        indices = choose(total, rate)
        frames, decoded = _decode(data, indices, policy, name, deadline)
        if len(frames) == len(indices):
            break
        if not decoded:
            raise refusal(name, "the video could not be decoded")
        total = decoded  # fewer than the file has packets: choose among those
    sound = decode_audio(data, policy, name) if with_sound else None
    if with_sound and sound is None:
        raise refusal(name, "the video has no sound track, which use_audio_in_video asks for")
    return Video(np.stack(frames), indices, total, rate, sound)


def _length(data: bytes, policy: MediaPolicy, name: str) -> tuple[int, float]:
    """The number of frames, which not every container states, and frames per second."""
    with open_container(data, "video", name) as container:
        if not container.streams.video:
            raise refusal(name, "the file holds no video")
        stream = container.streams.video[0]
        check_size(stream.width, stream.height, policy, name)
        total = sum(packet.size > 0 for packet in container.demux(stream))
        rate = float(stream.average_rate or stream.guessed_rate or 0)
    if not total or not rate:
        raise refusal(name, "the video could not be decoded")
    if total / rate > policy.max_seconds:
        raise refusal(name, f"longer than {policy.max_seconds:g} s")
    return total, rate


def _decode(
    data: bytes, indices: list[int], policy: MediaPolicy, name: str, deadline: float
) -> tuple[list[NDArray[np.uint8]], int]:
    """The frames at `indices`, as many as there are, and how many were decoded to find them."""
    frames: list[NDArray[np.uint8]] = []
    decoded = 0
    with open_container(data, "video", name) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        pixels = stream.width * stream.height * len(indices)
        if pixels > policy.max_video_pixels:
            raise refusal(name, f"{len(indices)} frames of {stream.width} x {stream.height} pixels are too many")
        for frame in container.decode(stream):
            if decoded == indices[len(frames)]:
                picture = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                frames.append(np.rot90(picture, round(frame.rotation / 90)))  # as telephones mean it
            decoded += 1
            if len(frames) == len(indices):
                break
            check_time(deadline, policy, name)
    return frames, decoded
