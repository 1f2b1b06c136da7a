"""Files that mean harm, and work that does."""

import io
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

import tests.media_files as files
from sglang_omni.media import MediaPolicy


def crash(data: bytes, policy: MediaPolicy, name: str) -> None:
    os.abort()


def hang(data: bytes, policy: MediaPolicy, name: str, seconds: float = 60) -> None:
    time.sleep(seconds)


def grow(data: bytes, policy: MediaPolicy, name: str) -> int:
    return len(bytearray(2**31))


def fail(data: bytes, policy: MediaPolicy, name: str) -> None:
    raise ZeroDivisionError


def process_id(data: bytes, policy: MediaPolicy, name: str) -> int:
    return os.getpid()


def peak_bytes(data: bytes, policy: MediaPolicy, name: str) -> int:
    """The most memory that this process ever had."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A header that states this size, and whatever follows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def png_of_text(mebibytes: int) -> bytes:
    """One chunk of text per MiB, which takes a thousandth of that."""
    text = b"a\0\0" + zlib.compress(bytes(2**20), 9)
    return png(8, 8, *[(b"zTXt", text)] * mebibytes, (b"IDAT", zlib.compress(bytes(25 * 8))))


def png_of_zeros(width: int, height: int) -> bytes:
    """An honest picture that was compressed a thousandfold."""
    return png(width, height, (b"IDAT", zlib.compress(bytes((3 * width + 1) * height), 9)))


def jpeg_of_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG that goes over its pixels again and again, for a few bytes each time."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    starts = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
    tables = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xc4"]
    again = data[starts[1] : next(table for table in tables if table > starts[1])]
    return data[: starts[1]] + again * scans + data[starts[1] :]


def mp4_of_frames(frames: int, tracks: int = 1) -> bytes:
    """A small MP4 whose index claims this many frames of one byte in each track."""

    def tamper(kind: bytes, body: bytes) -> bytes:
        if kind == b"stsz":
            return body[:4] + struct.pack(">II", 1, frames)
        if kind == b"stts":
            return body[:4] + struct.pack(">III", 1, frames, 1)
        if kind == b"stsc":
            return body[:4] + struct.pack(">IIII", 1, 1, frames, 1)
        if kind == b"stco":
            return body[:4] + struct.pack(">I", 1) + body[8:12]
        return body

    def rewrite(data: bytes) -> bytes:
        made = b""
        while data:
            size, kind = struct.unpack(">I4s", data[:8])
            body, data = data[8:size], data[size:]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
                body = rewrite(body)
            body = tamper(kind, body)
            made += (struct.pack(">I4s", len(body) + 8, kind) + body) * (tracks if kind == b"trak" else 1)
        return made

    return rewrite(files.video())


def growing_video() -> bytes:
    """Its frames change size half-way, from what its header says to four times that."""
    parts = [files.video(10, size=size, format="mpegts", codec="mpeg2video") for size in ((64, 48), (128, 96))]
    return b"".join(parts)


def wav(channels: int, rate: int, samples: int) -> bytes:
    """Silence (samples, channels), with a header that may say anything of it."""
    body = b"\x80" * (samples * channels)
    form = struct.pack("<HHIIHH", 1, channels, rate, (rate * channels) % 2**32, channels, 8)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + form + b"data\xff\xff\xff\xff" + body


def mutations(data: bytes, count: int) -> list[bytes]:
    """`data` with some bytes changed, a piece cut out, or its end cut off."""
    random = np.random.default_rng(len(data))
    made = []
    for _ in range(count):
        copy = bytearray(data)
        for position in random.integers(0, min(len(copy), random.choice([64, 512, len(copy)])), random.integers(1, 20)):
            copy[position] = random.integers(0, 256)
        if random.random() < 0.3:
            begin = random.integers(0, len(copy))
            del copy[begin : begin + random.integers(1, 100)]
        if random.random() < 0.2:
            del copy[random.integers(0, len(copy)) :]
        made.append(bytes(copy))
    return made
