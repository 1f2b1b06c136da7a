"""Decoding in processes of its own, with limits of time and memory that hold whatever a codec does.

A file that hangs, bursts or crashes its decoder is refused; the server and the other requests do not notice.

    server                                   decoder (`sglang_omni.media.decoder`)
    work, data, policy, name, options   ->   work(data, policy, name, **options)
                                        <-   a question, as often as `work` asks one
    answer                              ->
                                        <-   the result, or the MediaError that `work` raised
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

import numpy as np

from sglang_omni.errors import MediaError
from sglang_omni.media.deadline import Deadline
from sglang_omni.media.policy import MediaPolicy, refusal
from sglang_omni.media.wire import pair, receive, send

PATIENCE = 0.5
"""Seconds until a decoder whose request was cancelled is ended."""

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Each thread of its own would reserve memory, which is limited."""


class Decoders:
    """As many processes as there are callers at once, kept for the next ones."""

    def __init__(self) -> None:
        self._idle: list[Decoder] = []

    def start(self) -> None:
        """One process ahead of the first file: it takes most of a second."""
        self._idle.append(Decoder())

    def run(
        self,
        work: Callable[..., Any],
        data: bytes,
        policy: MediaPolicy,
        name: str,
        deadline: Deadline,
        answer: Callable[..., Any] | None = None,
        **options: Any,
    ) -> Any:
        """`work(data, policy, name, **options)`, a function of a module; a data class comes back as a dict.

        With `answer`, `work` also gets `choose`, which asks that one here.
        """
        decoder = self._take()
        where = f"{work.__module__}:{work.__name__}"
        task = where, np.frombuffer(data, np.uint8), policy, name, answer is not None, options
        try:
            result = decoder.run(task, deadline, answer)
        except MediaError:
            self._idle.append(decoder)
            raise
        except TimeoutError:
            decoder.stop()
            raise refusal(
                name, f"decoding takes longer than {policy.decode_seconds:g} s (--media-decode-seconds)"
            ) from None
        except (OSError, EOFError):  # its process is gone
            decoder.stop()
            raise refusal(name, "the file could not be decoded") from None
        except BaseException:
            decoder.stop()
            raise
        self._idle.append(decoder)
        return result

    def _take(self) -> "Decoder":
        with suppress(IndexError):  # none is idle
            while True:
                decoder = self._idle.pop()
                if decoder.alive:
                    return decoder
                decoder.stop()
        return Decoder()

    def stop(self) -> None:
        while self._idle:
            self._idle.pop().stop()


class Decoder:
    """One process, as the server sees it."""

    def __init__(self) -> None:
        self._socket, theirs = pair()
        command = [sys.executable, "-m", "sglang_omni.media.decoder", str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env={**os.environ, **ENVIRONMENT}
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, task: tuple[Any, ...], deadline: Deadline, answer: Callable[..., Any] | None) -> Any:
        send(self._socket, task)
        while True:
            while not wait([self._socket], min(PATIENCE, deadline.remaining())):
                pass
            kind, value = receive(self._socket)
            if kind == "result":
                return value
            if kind == "error":
                message, param = value
                raise MediaError(message, param=param)
            assert answer is not None
            send(self._socket, answer(*value))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()
