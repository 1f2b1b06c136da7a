"""PCM is what stages make: signed 16-bit little-endian, mono. This is what containers need to know about it."""

import struct

BYTES_PER_SAMPLE = 2
CHANNELS = 1
UNKNOWN_SIZE = 0xFFFFFFFF


def wav_header(sample_rate: int, pcm_bytes: int | None = None) -> bytes:
    """The 44 bytes before PCM. `pcm_bytes` None: the usual convention for a stream of unknown length."""
    data = UNKNOWN_SIZE if pcm_bytes is None else pcm_bytes
    riff = UNKNOWN_SIZE if pcm_bytes is None else pcm_bytes + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        riff,
        b"WAVE",
        b"fmt ",
        16,  # the size of the fields up to `data`
        1,  # PCM
        CHANNELS,
        sample_rate,
        sample_rate * CHANNELS * BYTES_PER_SAMPLE,
        CHANNELS * BYTES_PER_SAMPLE,
        8 * BYTES_PER_SAMPLE,
        b"data",
        data,
    )
