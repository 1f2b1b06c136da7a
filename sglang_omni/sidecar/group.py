"""The sidecar processes of one server, as their parent sees them."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sglang_omni.models.spec import ModelSpec, StageOptions
from sglang_omni.sidecar.process import SidecarConfig

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
STEADY_SECONDS = 60.0


@dataclass
class BackOff:
    """When what ended is started again: soon, and after twice as long each time that it did not run for a minute.

    Times are seconds of one clock.
    """

    started: float
    delay: float = FIRST_DELAY / 2
    due: float | None = None

    def ended(self, now: float) -> float | None:
        """To be asked while it is down. The delay, where this is the first one hears of it."""
        if self.due is not None:
            return None
        self.delay = FIRST_DELAY if now - self.started > STEADY_SECONDS else min(2 * self.delay, LONGEST_DELAY)
        self.due = now + self.delay
        return self.delay

    def is_over(self, now: float) -> bool:
        """Whether to start it now; if so it counts as started."""
        if self.due is None or now < self.due:
            return False
        self.started, self.due = now, None
        return True


class Sidecars:
    """Started together, stopped together, started again one by one; leaving the block stops them."""

    def __init__(self, commands: Mapping[str, Sequence[str]]):
        """`commands` by stage name, each of a process that ends with its parent."""
        self._commands = commands
        self._back_offs = {name: BackOff(time.monotonic()) for name in commands}
        self._stopped = False
        self.processes = {name: self._start(name) for name in commands}

    @classmethod
    def start(cls, spec: ModelSpec, options: Mapping[str, StageOptions], sockets: str) -> "Sidecars":
        """One process per stage of `spec`; `options` by stage name. Returns at once: readiness is a heartbeat."""
        commands = {}
        for stage in spec.stages:
            config = SidecarConfig(spec.architecture, stage.name, sockets, os.getpid(), options[stage.name])
            commands[stage.name] = [sys.executable, "-m", "sglang_omni.sidecar.process", config.to_json()]
        return cls(commands)

    def _start(self, name: str) -> subprocess.Popen:
        return subprocess.Popen(self._commands[name], stdin=subprocess.DEVNULL)

    @property
    def names(self) -> list[str]:
        return list(self.processes)

    def pid(self, name: str) -> int:
        return self.processes[name].pid

    def dead(self) -> dict[str, int]:
        """Exit code by name of every stage that has ended."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def kill(self, name: str) -> None:
        self.processes[name].kill()

    def will_start_in(self, name: str) -> float | None:
        """Seconds until a stage that has ended is started again; None where that was said before."""
        return self._back_offs[name].ended(time.monotonic())

    def start_again(self, name: str) -> bool:
        """Starts a stage that has ended if it is time; says whether it did."""
        if self._stopped or not self._back_offs[name].is_over(time.monotonic()):
            return False
        self.processes[name] = self._start(name)
        return True

    def stop(self, seconds: float = 2.0) -> None:
        """Ends all processes, by force after `seconds`, and starts none any more. May be called twice."""
        self._stopped = True
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> "Sidecars":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
