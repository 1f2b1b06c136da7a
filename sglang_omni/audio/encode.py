"""PCM in, the bytes of a file or a stream out.

    encoder = Encoder("mp3", sample_rate=24_000)
    for pcm in speech:
        send(encoder.encode(pcm))
    send(encoder.finish())

Any chunking gives the same bytes. `encode` makes a whole file, with its true sizes written in its header.
"""

import io
from dataclasses import dataclass

import av
import numpy as np

from sglang_omni.audio.clip import wav_header
from sglang_omni.errors import InvalidRequest


@dataclass(frozen=True)
class Format:
    """What a client calls it, what HTTP calls it, and FFmpeg's names where FFmpeg makes it."""

    name: str
    media_type: str
    container: str | None = None
    codec: str | None = None

    @property
    def available(self) -> bool:
        """Whether this machine's FFmpeg has the encoder."""
        try:
            return self.codec is None or av.Codec(self.codec, "w").is_encoder
        except av.codec.codec.UnknownCodecError:
            return False


FORMATS = {
    format.name: format
    for format in (
        Format("wav", "audio/wav"),
        Format("mp3", "audio/mpeg", "mp3", "libmp3lame"),
        Format("flac", "audio/flac", "flac", "flac"),
        Format("opus", "audio/ogg", "ogg", "libopus"),
        Format("aac", "audio/aac", "adts", "aac"),
        Format("pcm", "audio/pcm"),
        Format("pcm16", "audio/pcm"),
    )
}

SAMPLES_PER_FRAME = 1920  # FFmpeg's frames are cut alike for any chunking, so that its bytes are alike too


def find_format(name: str, known: tuple[str, ...], param: str) -> Format:
    """Raises InvalidRequest naming the formats in `known` for any other name."""
    if name not in known:
        raise InvalidRequest(f"{param} {name!r} is not one of {', '.join(known)}", param=param)
    return FORMATS[name]


class _Sink(io.RawIOBase):
    """A file that only grows; what was written is taken away piece by piece."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def, override]
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class _Codec:
    """One of FFmpeg's encoders writing to `file`."""

    def __init__(self, format: Format, sample_rate: int, file: io.RawIOBase | io.BytesIO):
        # Ogg would otherwise hold a second of sound back before it writes a page, and number its streams at random.
        options = {"page_duration": "40000", "fflags": "bitexact"} if format.container == "ogg" else {}
        self._container = av.open(file, "w", format=format.container, options=options)
        self._stream: av.AudioStream = self._container.add_stream(format.codec, rate=sample_rate, layout="mono")  # type: ignore[arg-type, assignment]
        self._sample_rate = sample_rate
        self._rest = np.empty(0, np.int16)

    def write(self, pcm: bytes, last: bool = False) -> None:
        samples = np.concatenate([self._rest, np.frombuffer(pcm, "<i2")])
        whole = len(samples) if last else len(samples) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        for start in range(0, whole, SAMPLES_PER_FRAME):
            frame = samples[None, start : min(start + SAMPLES_PER_FRAME, whole)]
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(frame), format="s16", layout="mono")
            sound.sample_rate = self._sample_rate
            self._container.mux(self._stream.encode(sound))
        self._rest = samples[whole:]

    def close(self) -> None:
        self.write(b"", last=True)
        self._container.mux(self._stream.encode(None))
        self._container.close()


class Encoder:
    """A stream of one format: `encode` returns what can leave already, `finish` the rest."""

    def __init__(self, format: str, sample_rate: int):
        self._header = wav_header(sample_rate) if format == "wav" else b""
        self._sink = _Sink()
        self._codec = _Codec(FORMATS[format], sample_rate, self._sink) if FORMATS[format].codec else None

    def encode(self, pcm: bytes) -> bytes:
        if self._codec is None:
            header, self._header = self._header, b""
            return header + pcm
        self._codec.write(pcm)
        return self._sink.take()

    def finish(self) -> bytes:
        if self._codec is None:
            return self.encode(b"")
        self._codec.close()
        return self._sink.take()


def encode(pcm: bytes, format: str, sample_rate: int) -> bytes:
    """A whole file."""
    if format == "wav":
        return wav_header(sample_rate, len(pcm)) + pcm
    if FORMATS[format].codec is None:
        return pcm
    file = io.BytesIO()
    codec = _Codec(FORMATS[format], sample_rate, file)
    codec.write(pcm)
    codec.close()
    return file.getvalue()
