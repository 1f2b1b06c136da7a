"""Small media files, made in memory."""

import io

import av
import numpy as np
from PIL import Image


def picture(width: int = 40, height: int = 30, format: str = "PNG", **options) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def tone(seconds: float = 0.5, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    """(channels, samples) float32; a different pitch in each channel."""
    time = np.arange(int(seconds * rate)) / rate
    return np.stack([0.4 * np.sin(2 * np.pi * (220 + 110 * c) * time) for c in range(channels)]).astype(np.float32)


def sound(samples: np.ndarray, rate: int = 16_000, format: str = "wav", codec: str = "pcm_s16le") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=format) as container:
        _encode_sound(container, _sound_stream(container, samples, rate, codec), samples)
    return file.getvalue()


def video(
    frames: int = 50,
    rate: int = 25,
    size: tuple[int, int] = (64, 48),
    samples: np.ndarray | None = None,
    format: str = "mp4",
    codec: str = "mpeg4",
    side: int = 0,
) -> bytes:
    """Frame i is grey with level 4 i, so a decoded frame tells its number; its right half is brighter by `side`."""
    file = io.BytesIO()
    with av.open(file, "w", format=format) as container:
        stream = container.add_stream(codec, rate=rate, width=size[0], height=size[1], pix_fmt="yuv420p")
        stream.bit_rate = 2_000_000
        track = None if samples is None else _sound_stream(container, samples, 16_000, "aac")
        for i in range(frames):
            grey = np.full((size[1], size[0], 3), 4 * i % 256, np.uint8)
            grey[:, size[0] // 2 :] += side
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey)))
        container.mux(stream.encode(None))
        if track:
            _encode_sound(container, track, samples)
    return file.getvalue()


def _sound_stream(container, samples: np.ndarray, rate: int, codec: str):
    return container.add_stream(codec, rate=rate, layout={1: "mono", 2: "stereo"}[len(samples)])


def _encode_sound(container, stream, samples: np.ndarray) -> None:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", stream.layout.name)
    frame.sample_rate = stream.rate
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
