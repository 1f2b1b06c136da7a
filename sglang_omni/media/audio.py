"""Sounds, and the sound tracks of videos."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import av
import numpy as np
from numpy.typing import NDArray

from sglang_omni.errors import MediaError
from sglang_omni.media.policy import MediaPolicy, refusal

SAMPLE_RATE = 16_000
MIN_SAMPLES = 400
"""One analysis window (25 ms) of the feature extractor."""

MAX_CHANNELS = 64
RATES = range(1_000, 768_001)
"""Samples per second of one channel. Below, a small file would grow large."""

FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,eac3,flac,flv,gif,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,"
    "w64,wav,wv"
)
"""Containers FFmpeg may open: none that names other files, as playlists do."""


def decode_audio(data: bytes, policy: MediaPolicy, name: str) -> NDArray[np.float32]:
    """The sound in a file, (samples,) at 16 kHz, channels averaged."""
    sound = decode_track(data, policy, name)
    if sound is None:
        raise refusal(name, "the file holds no sound")
    return sound


def decode_track(data: bytes, policy: MediaPolicy, name: str) -> NDArray[np.float32] | None:
    """The first sound track of a file, (samples,) at 16 kHz; None if there is no track."""
    with open_container(data, "sound", policy, name) as container:
        if not container.streams.audio:
            return None
        resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)  # of "fltp", PyAV crashes on eight channels
        pieces: list[NDArray[np.float32]] = []
        seconds = 0.0
        for frame in container.decode(container.streams.audio[0]):
            if frame.layout.nb_channels > MAX_CHANNELS:
                raise refusal(name, f"the sound has more than {MAX_CHANNELS} channels")
            if frame.sample_rate not in RATES:
                raise refusal(name, f"the sound has not {RATES[0]} to {RATES[-1]} samples per second")
            seconds += frame.samples / frame.sample_rate
            if seconds > policy.max_seconds:
                raise refusal(name, f"longer than {policy.max_seconds:g} s (--media-max-seconds)")
            pieces += map(_mean, resampler.resample(frame))
        pieces += map(_mean, resampler.resample(None))
    sound = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if len(sound) < MIN_SAMPLES:
        raise refusal(name, f"the sound is shorter than {1000 * MIN_SAMPLES // SAMPLE_RATE} ms")
    return sound


def _mean(piece: av.AudioFrame) -> NDArray[np.float32]:
    return piece.to_ndarray().reshape(piece.samples, -1).mean(axis=1, dtype=np.float32)


def limits(policy: MediaPolicy) -> dict[str, str]:
    """For FFmpeg's decoders. They pad what they allocate; the caller checks the frames that come out."""
    return {"max_pixels": str(2 * policy.max_pixels + 2**20)}


@contextmanager
def open_container(data: bytes, kind: str, policy: MediaPolicy, name: str) -> Iterator[av.container.InputContainer]:
    """FFmpeg on bytes in memory; it opens nothing else, and what it cannot decode is the user's to know."""
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none", **limits(policy)}
    try:
        with av.open(io.BytesIO(data), "r", options=options) as container:
            yield container
    except (MediaError, MemoryError):
        raise
    except Exception:  # PyAV raises anything on broken files
        raise refusal(name, f"the {kind} could not be decoded") from None
