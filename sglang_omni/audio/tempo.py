"""Faster or slower at the same pitch: FFmpeg's `atempo` (WSOLA: Verhelst and Roelands, 1993)."""

import math
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from sglang_omni.audio.clip import BYTES_PER_SAMPLE

SAMPLES_PER_FRAME = 1920  # the filter is fed alike for any chunking, so that what comes out is alike too
TAIL = 4800  # samples of silence behind the sound: what the filter still holds when it is told to end
STEP = 0.5  # the slowest that one filter goes


class Tempo:
    """A stream of mono 16-bit PCM at `speed` times its tempo (0.25 to 4); n samples become round(n / speed).

    `stretch` returns what can leave already, `finish` the rest. Any chunking gives the same bytes.
    """

    def __init__(self, speed: float, sample_rate: int):
        self._speed = speed
        self._sample_rate = sample_rate
        self._graph = Graph()
        last = source = self._graph.add_abuffer(
            format="s16", sample_rate=sample_rate, layout="mono", time_base=Fraction(1, sample_rate)
        )
        filters = max(1, math.ceil(math.log(speed, STEP)))
        for _ in range(filters):
            tempo = self._graph.add("atempo", str(speed ** (1 / filters)))
            last.link_to(tempo)
            last = tempo
        self._source, self._sink = source, self._graph.add("abuffersink")
        last.link_to(self._sink)
        self._graph.configure()
        self._rest = b""
        self._received = self._sent = self._pushed = 0

    def stretch(self, pcm: bytes) -> bytes:
        self._received += len(pcm) // BYTES_PER_SAMPLE
        self._push(pcm)
        return self._pull()

    def finish(self) -> bytes:
        silence = bytes(BYTES_PER_SAMPLE * (TAIL - (self._received + TAIL) % SAMPLES_PER_FRAME + SAMPLES_PER_FRAME))
        self._push(silence)
        self._source.push(None)
        return self._pull(round(self._received / self._speed) - self._sent)

    def _push(self, pcm: bytes) -> None:
        data = self._rest + pcm
        size = BYTES_PER_SAMPLE * SAMPLES_PER_FRAME
        whole = len(data) // size * size
        for start in range(0, whole, size):
            samples = np.frombuffer(data[start : start + size], "<i2")[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = self._sample_rate, self._pushed
            self._pushed += SAMPLES_PER_FRAME
            self._source.push(frame)
        self._rest = data[whole:]

    def _pull(self, at_most: int | None = None) -> bytes:
        pieces = []
        while True:
            try:
                frame = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            assert isinstance(frame, av.AudioFrame)
            pieces.append(frame.to_ndarray()[0])
        samples = np.concatenate(pieces)[:at_most] if pieces else np.empty(0, np.int16)
        self._sent += len(samples)
        return samples.astype("<i2").tobytes()
