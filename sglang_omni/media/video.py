"""Videos: sampled frames, and the sound track if it is wanted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglang_omni.media.audio import decode_track, limits, open_container
from sglang_omni.media.images import check_size
from sglang_omni.media.policy import MediaPolicy, refusal

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


def decode_video(data: bytes, policy: MediaPolicy, name: str, choose: ChooseFrames, with_sound: bool = False) -> Video:
    """Decodes the frames that `choose` picks; it is told the frame count and rate before anything is decoded."""
    total, rate = _length(data, policy, name)
    while True:
        indices = choose(total, rate)
        frames, decoded = _decode(data, indices, policy, name)
        if frames is not None:
            break
        if not 0 < decoded < total:
            raise refusal(name, "the video could not be decoded")
        total = decoded  # fewer than the file has packets: choose among those
    sound = decode_track(data, policy, name) if with_sound else None
    if with_sound and sound is None:
        raise refusal(name, "the video has no sound track, which use_audio_in_video asks for")
    return Video(frames, indices, total, rate, sound)


def _length(data: bytes, policy: MediaPolicy, name: str) -> tuple[int, float]:
    """The number of frames, which not every container states, and frames per second."""
    with open_container(data, "video", policy, name) as container:
        if not container.streams.video:
            raise refusal(name, "the file holds no video")
        stream = container.streams.video[0]
        check_size(stream.width, stream.height, policy, name)
        total = sum(packet.size > 0 for packet in container.demux(stream))
        rate = float(stream.average_rate or stream.guessed_rate or 0)
    if not total or not rate:
        raise refusal(name, "the video could not be decoded")
    if total / rate > policy.max_seconds:
        raise refusal(name, f"longer than {policy.max_seconds:g} s (--media-max-seconds)")
    return total, rate


def _decode(data: bytes, indices: list[int], policy: MediaPolicy, name: str) -> tuple[NDArray[np.uint8] | None, int]:
    """The frames at `indices`, all of the first one's size, or None if there are fewer; and how many were decoded."""
    frames: NDArray[np.uint8] | None = None
    chosen = decoded = 0
    with open_container(data, "video", policy, name) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.options = limits(policy)
        for frame in container.decode(stream):
            check_size(frame.width, frame.height, policy, name)
            if decoded == indices[chosen]:
                if frames is None:
                    width, height, turns = frame.width, frame.height, round(frame.rotation / 90)
                    if width * height * len(indices) > policy.max_total_pixels:
                        size = f"{len(indices)} frames of {width} x {height} pixels"
                        raise refusal(name, f"{size} are too many (--media-max-total-pixels)")
                    shape = (width, height) if turns % 2 else (height, width)
                    frames = np.empty((len(indices), *shape, 3), np.uint8)
                picture = frame.to_ndarray(format="rgb24", width=width, height=height)
                frames[chosen] = np.rot90(picture, turns)  # as telephones mean it
                chosen += 1
            decoded += 1
            if chosen == len(indices):
                return frames, decoded
    return None, decoded
