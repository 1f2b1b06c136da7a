"""Sounds, and the sound tracks of videos."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager

import av
import numpy as np
from numpy.typing import NDArray

from sglang_omni.media.policy import MediaPolicy, refusal
from sglang_omni.media.source import read

SAMPLE_RATE = 16_000
MIN_SAMPLES = 400
"""One analysis window (25 ms) of the feature extractor."""

FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,eac3,flac,flv,gif,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,"
    "w64,wav,wv"
)
"""Containers FFmpeg may open: none that names other files, as playlists do."""


def load_audio(source: str | bytes, policy: MediaPolicy, name: str = "audio") -> NDArray[np.float32]:
    """The sound in a file, (samples,) at 16 kHz, channels averaged."""
    sound = decode_audio(read(source, policy, name), policy, name)
    if sound is None:
        raise refusal(name, "the file holds no sound")
    return sound


def decode_audio(data: bytes, policy: MediaPolicy, name: str) -> NDArray[np.float32] | None:
    """The first sound track of a file, (samples,) at 16 kHz; None if there is no track."""
    with open_container(data, "sound", name) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
        deadline = time.monotonic() + policy.decode_seconds
        pieces: list[NDArray[np.float32]] = []
        samples = 0
        for frame in container.decode(stream):
            for piece in resampler.resample(frame):
                pieces.append(piece.to_ndarray().mean(axis=0, dtype=np.float32))
                samples += len(pieces[-1])
            if samples > policy.max_seconds * SAMPLE_RATE:
                raise refusal(name, f"longer than {policy.max_seconds:g} s")
            check_time(deadline, policy, name)
        pieces += [piece.to_ndarray().mean(axis=0, dtype=np.float32) for piece in resampler.resample(None)]
    sound = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if len(sound) < MIN_SAMPLES:
        raise refusal(name, f"the sound is shorter than {1000 * MIN_SAMPLES // SAMPLE_RATE} ms")
    return sound


@contextmanager
def open_container(data: bytes, kind: str, name: str) -> Iterator[av.container.InputContainer]:
    """FFmpeg on bytes in memory; it opens nothing else, and what it cannot decode is the user's to know."""
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    try:
        with av.open(io.BytesIO(data), "r", options=options) as container:
            yield container
    except (av.FFmpegError, EOFError, ValueError):  # EOFError, ValueError: PyAV on truncated files
        raise refusal(name, f"the {kind} could not be decoded") from None


def check_time(deadline: float, policy: MediaPolicy, name: str) -> None:
    if time.monotonic() > deadline:
        raise refusal(name, f"decoding takes longer than {policy.decode_seconds:g} s")
