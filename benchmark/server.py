"""A server of one's own, for as long as a block lasts."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

START_SECONDS = 600


def address(url: str) -> str:
    """Of a server, from its own or from that of its API, as clients of OpenAI's take it: without `/v1`."""
    return url.rstrip("/").removesuffix("/v1")


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen
    log: IO[str]

    def output(self) -> str:
        """All it has logged; where it writes next is left alone."""
        log = self.log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")


@contextmanager
def serve(arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Runs `sgl-omni serve` on a free port; the block gets it once it is healthy, and may end it by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "sglang_omni.entrypoints.cli", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", *arguments]
    with tempfile.TemporaryFile("w+") as log:
        environment = {**os.environ, **(environment or {})}
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        server = Server(f"http://127.0.0.1:{port}", process, log)
        try:
            if not _wait_until_healthy(server.url, process):
                raise SystemExit("the server did not start")
            yield server
        except BaseException:
            print(server.output()[-4000:], file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_healthy(url: str, process: subprocess.Popen) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{url}/health", timeout=5)
            return True
        time.sleep(0.5)
    return False
