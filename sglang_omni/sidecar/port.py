"""Where messages leave and arrive: ZeroMQ over Unix sockets in a directory that only this user can enter."""

import logging
from pathlib import Path

import zmq

from sglang_omni.sidecar import messages
from sglang_omni.sidecar.messages import Message

logger = logging.getLogger(__name__)

ENVIRONMENT = "SGLANG_OMNI_SOCKETS"
HTTP = "http"  # the address of the process that answers clients
MAX_PACKET_BYTES = 2**28
"""Four times what a prompt that fills the talker's slot with media brings along; who sends more is hung up on."""


def address(directory: str, name: str) -> str:
    return f"ipc://{Path(directory) / name}"


class Outbox:
    """Sends to one stage. Never blocks its caller: what the stage has not read yet is queued."""

    def __init__(self, directory: str, name: str):
        self._socket: zmq.Socket = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, 0)
        self._socket.set(zmq.LINGER, 200)
        self._socket.connect(address(directory, name))

    def send(self, batch: list[Message]) -> None:
        self._socket.send(messages.encode(batch), zmq.NOBLOCK)

    def close(self) -> None:
        self._socket.close()


def receive_at(socket: zmq.Socket, directory: str, name: str) -> None:
    """Makes a PULL socket the one that receives what others send to `name`."""
    socket.set(zmq.RCVHWM, 0)
    socket.set(zmq.MAXMSGSIZE, MAX_PACKET_BYTES)
    socket.bind(address(directory, name))


class Inbox:
    """Receives what others send to `name`."""

    def __init__(self, directory: str, name: str):
        self._socket: zmq.Socket = zmq.Context.instance().socket(zmq.PULL)
        receive_at(self._socket, directory, name)

    def receive(self, timeout_ms: int) -> list[Message]:
        """Everything that has arrived; waits up to `timeout_ms` for the first packet."""
        arrived: list[Message] = []
        if not self._socket.poll(timeout_ms):
            return arrived
        while True:
            try:
                packet = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return arrived
            try:
                arrived += messages.decode(packet)
            except ValueError as error:
                logger.error("dropped a packet of %d bytes: %s", len(packet), error)

    def close(self) -> None:
        self._socket.close()
