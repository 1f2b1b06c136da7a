"""A real server for the tests: started by the command a user types, stopped as a user stops it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sglang_omni.models.qwen3_omni.demo import cached_demo_model

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, children first."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found: list[int] = []
    generation = [pid]
    while generation:
        generation = [child for parent in generation for child in children.get(parent, [])]
        found += generation
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until_gone(pids: list[int], seconds: float = 10) -> None:
    ended = time.monotonic() + seconds
    while alive := [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]:
        assert time.monotonic() < ended, f"{alive} outlived the server"
        time.sleep(0.05)


@dataclass
class Server:
    """A server of the random demo model in a process group of its own, its output in `log`.

    `model` is None where the command names one, or is to find one by itself.
    """

    log: Path
    command: tuple[str | Path, ...] = (ROOT / "scripts" / "serve",)
    model: Path | None = field(default_factory=cached_demo_model)
    port: int = field(default_factory=free_port)

    def start(self, seconds: float = 300) -> "Server":
        started = time.monotonic()
        self.begin()
        self.wait_for(lambda: self.health()[0] == 200, seconds)
        self.start_seconds = time.monotonic() - started
        return self

    def begin(self) -> None:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.command, *(("--model-path", self.model) if self.model else ()), "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                start_new_session=True,
            )

    def wait_for(self, condition: Callable[[], bool], seconds: float = 300) -> None:
        """Of a server that starts."""
        ended = time.monotonic() + seconds
        while not condition():
            late = time.monotonic() > ended
            if late or self.process.poll() is not None:
                self.kill()
                raise AssertionError(f"{'not ready in time' if late else 'it ended'}:\n{self.output()[-5000:]}")
            time.sleep(0.25)

    def stop(self, seconds: float = 20) -> float:
        """Ctrl-C, as a terminal sends it: to the whole process group. Returns how long the end took."""
        sockets = self.sockets()
        family = [self.process.pid, *descendants(self.process.pid)]
        begun = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(seconds)
            wait_until_gone(family, seconds)
            assert not sockets.exists()
        finally:
            kill(family)
        return time.monotonic() - begun

    def kill(self) -> None:
        kill(self.processes())

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def health(self) -> tuple[int, dict]:
        """Status and body of /health; status 0 while nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def processes(self) -> list[int]:
        return [self.process.pid, *descendants(self.process.pid)]

    def sidecar(self, stage: str) -> int:
        """Process id of a stage."""
        return self._sidecars()[stage][0]

    def thinker(self) -> int:
        """Process id of SGLang's scheduler."""
        return next(pid for pid in self.processes() if "sglang::scheduler" in Path(f"/proc/{pid}/cmdline").read_text())

    def sockets(self) -> Path:
        """The directory of the stages' sockets."""
        return Path(self._sidecars()["talker"][1]["sockets"])

    def _sidecars(self) -> dict[str, tuple[int, dict]]:
        """Process id and configuration of every stage."""
        found = {}
        for pid in self.processes():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
            except FileNotFoundError:
                continue  # it ended while we looked
            if "sglang_omni.sidecar.process" in command:
                config = json.loads(command[-1])
                found[config["stage"]] = pid, config
        return found

    def memory(self) -> int:
        """Proportional set size of all processes together, in bytes."""
        total = 0
        for pid in self.processes():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += 1024 * next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total

    def wait_until_free(self, seconds: float = 10) -> None:
        """Waits until every slot of every stage is free."""
        ended = time.monotonic() + seconds
        while True:
            stages = self.health()[1]["slots"]
            held = {name: stage for name, stage in stages.items() if stage["free"] != stage["slots"]}
            if stages and not held:
                return
            assert time.monotonic() < ended, f"still held: {held}"
            time.sleep(0.1)
