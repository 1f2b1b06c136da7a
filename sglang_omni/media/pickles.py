"""Values over a socket between two processes of one server, arrays uncopied."""

import pickle
import socket
import struct
from typing import Any

import numpy as np

BUFFER_BYTES = 2**20


def pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return ends


def send(sock: socket.socket, value: Any) -> None:
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, 5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    sock.sendall(struct.pack(f"={len(parts) + 1}Q", len(parts), *(part.nbytes for part in parts)))
    for part in parts:
        sock.sendall(part)


def receive(sock: socket.socket) -> Any:
    """EOFError where the other end is closed."""
    (count,) = struct.unpack("=Q", _read(sock, 8))
    sizes = struct.unpack(f"={count}Q", _read(sock, 8 * count))
    head, *buffers = [_read(sock, size) for size in sizes]
    return pickle.loads(head, buffers=buffers)


def _read(sock: socket.socket, size: int) -> memoryview:
    whole = rest = np.empty(size, np.uint8).data  # a bytearray would be filled with zeros first
    while rest:
        received = sock.recv_into(rest)
        if not received:
            raise EOFError
        rest = rest[received:]
    return whole
