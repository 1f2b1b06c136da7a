"""A decoder process: `python -m sglang_omni.media.decoder SOCKET PARENT`, a file descriptor and a process id."""

import contextlib
import os
import resource
import signal
import socket
import sys
from importlib import import_module
from multiprocessing.connection import wait
from typing import Any

import msgspec

from sglang_omni.errors import MediaError
from sglang_omni.media.policy import MediaPolicy, refusal
from sglang_omni.media.wire import receive, send

PATIENCE = 1.0
"""Seconds until it notices that its server is gone without a word."""


def serve(server: socket.socket, parent: int) -> None:
    """Does the work that `sglang_omni.media.decoders` describes, until the server is gone."""

    def choose(*question: Any) -> Any:
        send(server, ("question", question))
        return receive(server)

    while os.getppid() == parent:
        if wait([server], PATIENCE):
            where, data, limits, name, asks, options = receive(server)
            module, _, work = where.partition(":")
            policy = msgspec.convert(limits, MediaPolicy, dec_hook=lambda kind, value: kind(value))
            if asks:
                options["choose"] = choose
            send(server, _outcome(getattr(import_module(module), work), data, policy, name, options))


def _outcome(work: Any, data: Any, policy: MediaPolicy, name: str, options: dict[str, Any]) -> tuple[str, Any]:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (policy.decode_bytes, most))
    try:
        return "result", work(bytes(data), policy, name, **options)
    except MediaError as error:
        return "error", [str(error), error.param]
    except MemoryError:
        size = f"{policy.decode_bytes / 2**20:g} MiB of memory (--media-decode-bytes)"
        return "error", [str(refusal(name, f"decoding takes more than {size}")), name]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends
    with socket.socket(fileno=int(sys.argv[1])) as end, contextlib.suppress(EOFError, ConnectionError):
        serve(end, int(sys.argv[2]))
