"""Sounds one behind the other without a click: they fade out and in, with silence between them."""

import numpy as np

from sglang_omni.audio.clip import BYTES_PER_SAMPLE

FADE_SECONDS = 0.01


def silence(seconds: float, sample_rate: int) -> bytes:
    return bytes(BYTES_PER_SAMPLE * round(seconds * sample_rate))


class Fade:
    """A stream of mono 16-bit PCM that may fade in at its begin and out at its end; in between it is untouched.

    `sound` returns what can leave already, `finish` the rest. Any chunking gives the same bytes.
    """

    def __init__(self, sample_rate: int, begin: bool, end: bool):
        length = round(FADE_SECONDS * sample_rate)
        ramp = (1 - np.cos(np.pi * (np.arange(length) + 0.5) / length)) / 2  # a raised cosine
        self._rise = ramp if begin else ramp[:0]
        self._fall = ramp[::-1] if end else ramp[:0]
        self._held = np.empty(0, np.int16)
        self._received = 0

    def sound(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, "<i2")
        rise = self._rise[self._received : self._received + len(samples)]
        self._received += len(samples)
        self._held = np.concatenate([self._held, _scaled(samples[: len(rise)], rise), samples[len(rise) :]])
        ready = max(0, len(self._held) - len(self._fall))
        leaving, self._held = self._held[:ready], self._held[ready:]
        return leaving.astype("<i2").tobytes()

    def finish(self) -> bytes:
        fall = self._fall[len(self._fall) - len(self._held) :]
        return _scaled(self._held, fall).astype("<i2").tobytes()


def _scaled(samples: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.round(samples * by).astype(np.int16)
