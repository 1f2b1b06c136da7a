"""What arrives is what was sent; what is no message, or too large to be one, is dropped, and the next one arrives."""

import time

import msgspec
import pytest
import zmq

from sglang_omni.sidecar import port
from sglang_omni.sidecar.messages import Abort, Chunk
from sglang_omni.sidecar.port import Inbox, Outbox, address


@pytest.fixture
def inbox(sockets: str):
    inbox = Inbox(sockets, "stage")
    yield inbox
    inbox.close()


def hostile(directory: str, packet: bytes) -> None:
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.connect(address(directory, "stage"))
    socket.send(packet)
    socket.close(linger=1000)


def after(inbox: Inbox, sockets: str) -> list:
    """All that arrives until a message of a friend does."""
    outbox = Outbox(sockets, "stage")
    outbox.send([Abort("friend")])
    arrived, deadline = [], time.monotonic() + 10
    while Abort("friend") not in arrived:
        assert time.monotonic() < deadline
        arrived += inbox.receive(100)
    outbox.close()
    return arrived


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1\r\n",
        msgspec.msgpack.encode([{"type": "Stranger"}]),
        b"\x91" * 100_000,  # a list in a list in a list
        msgspec.msgpack.encode([{"type": "Chunk", "request_id": "a", "data": msgspec.msgpack.Ext(1, b"\x91" * 9)}]),
    ],
)
def test_what_is_no_message_is_dropped(inbox: Inbox, sockets: str, packet: bytes):
    hostile(sockets, packet)
    assert after(inbox, sockets) == [Abort("friend")]


def test_a_deep_message_is_dropped(inbox: Inbox, sockets: str):
    deep = b"\x91\x83\xa4type\xa5Chunk\xaarequest_id\xa1a\xa4data" + b"\x91" * 100_000 + b"\x01"
    hostile(sockets, deep)
    assert after(inbox, sockets) == [Abort("friend")]


def test_a_packet_that_is_too_large_is_dropped(sockets: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(port, "MAX_PACKET_BYTES", 2**20)
    inbox = Inbox(sockets, "stage")
    outbox = Outbox(sockets, "stage")
    outbox.send([Chunk("small", bytes(2**19))])
    assert inbox.receive(5000) == [Chunk("small", bytes(2**19))]
    outbox.send([Chunk("large", bytes(2**20))])
    assert after(inbox, sockets) == [Abort("friend")]
    outbox.close()
    inbox.close()
