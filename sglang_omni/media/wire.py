"""Values over a socket between two processes of one server: msgpack, and arrays beside it, uncopied.

Never pickle: what a decoder says may be what a hostile file made it say.
"""

import socket
import struct
from pathlib import PurePath
from typing import Any

import msgspec
import numpy as np

BUFFER_BYTES = 2**20
ARRAY = 1  # msgpack's extension type: data type, shape and place among the buffers


def pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return ends


def send(sock: socket.socket, value: Any) -> None:
    """Plain values, arrays and data classes of them; a data class arrives as a dict."""
    arrays: list[np.ndarray] = []

    def beside(value: Any) -> Any:
        if isinstance(value, PurePath):
            return str(value)
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{type(value).__name__} does not travel between processes")
        arrays.append(np.ascontiguousarray(value))
        place = [value.dtype.str, value.shape, len(arrays)]
        return msgspec.msgpack.Ext(ARRAY, msgspec.msgpack.encode(place))

    head = msgspec.msgpack.encode(value, enc_hook=beside)
    parts = [memoryview(head), *(array.reshape(-1).view(np.uint8).data for array in arrays)]
    sock.sendall(struct.pack(f"={len(parts) + 1}Q", len(parts), *(part.nbytes for part in parts)))
    for part in parts:
        sock.sendall(part)


def receive(sock: socket.socket) -> Any:
    """EOFError where the other end is closed, ConnectionError where it talks nonsense."""
    (count,) = struct.unpack("=Q", _read(sock, 8))
    sizes = struct.unpack(f"={count}Q", _read(sock, 8 * count))
    parts = [_read(sock, size) for size in sizes]

    def array(code: int, data: memoryview) -> np.ndarray:
        dtype, shape, place = msgspec.msgpack.decode(data, type=tuple[str, tuple[int, ...], int])
        return np.frombuffer(parts[place], np.dtype(dtype)).reshape(shape)

    try:
        return msgspec.msgpack.decode(parts[0], ext_hook=array)
    except (msgspec.MsgspecError, ValueError, TypeError, IndexError) as error:
        raise ConnectionError("the other process was not understood") from error


def _read(sock: socket.socket, size: int) -> memoryview:
    whole = rest = np.empty(size, np.uint8).data  # a bytearray would be filled with zeros first
    while rest:
        received = sock.recv_into(rest)
        if not received:
            raise EOFError
        rest = rest[received:]
    return whole
