"""A decoder process: `python -m sglang_omni.media.decoder SOCKET PARENT`, a file descriptor and a process id."""

import contextlib
import os
import resource
import signal
import socket
import sys
from multiprocessing.connection import wait
from typing import Any

from sglang_omni.errors import MediaError
from sglang_omni.media.pickles import receive, send
from sglang_omni.media.policy import MediaPolicy, refusal

PATIENCE = 1.0
"""Seconds until it notices that its server is gone without a word."""


def serve(server: socket.socket, parent: int) -> None:
    """Does the work that `sglang_omni.media.decoders` describes, until the server is gone."""

    def choose(*question: Any) -> Any:
        send(server, ("question", question))
        return receive(server)

    while os.getppid() == parent:
        if wait([server], PATIENCE):
            work, data, policy, name, asks, options = receive(server)
            if asks:
                options["choose"] = choose
            send(server, _outcome(work, data, policy, name, options))


def _outcome(work: Any, data: Any, policy: MediaPolicy, name: str, options: dict[str, Any]) -> tuple[str, Any]:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (policy.decode_bytes, most))
    try:
        return "result", work(bytes(data), policy, name, **options)
    except MediaError as error:
        return "error", error
    except MemoryError:
        size = f"{policy.decode_bytes / 2**20:g} MiB of memory (--media-decode-bytes)"
        return "error", refusal(name, f"decoding takes more than {size}")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends
    with socket.socket(fileno=int(sys.argv[1])) as end, contextlib.suppress(EOFError, ConnectionError):
        serve(end, int(sys.argv[2]))
