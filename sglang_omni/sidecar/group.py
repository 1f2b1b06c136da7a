"""The sidecar processes of one server, as their parent sees them."""

import os
import subprocess
import sys
from collections.abc import Mapping

from sglang_omni.models.spec import ModelSpec, StageOptions
from sglang_omni.sidecar.process import SidecarConfig


class Sidecars:
    """Started together, stopped together; leaving the block stops them."""

    def __init__(self, processes: Mapping[str, subprocess.Popen]):
        self.processes = processes

    @classmethod
    def start(
        cls, spec: ModelSpec, options: Mapping[str, StageOptions], sockets: str, log_level: str = "info"
    ) -> "Sidecars":
        """One process per stage of `spec`; `options` by stage name. Returns at once: readiness is a heartbeat."""
        processes = {}
        for stage in spec.stages:
            config = SidecarConfig(spec.architecture, stage.name, sockets, os.getpid(), options[stage.name], log_level)
            command = [sys.executable, "-m", "sglang_omni.sidecar.process", config.to_json()]
            processes[stage.name] = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        return cls(processes)

    def dead(self) -> dict[str, int]:
        """Exit code by name of every stage that has ended."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def stop(self, seconds: float = 2.0) -> None:
        """Ends all processes, by force after `seconds`. May be called twice."""
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
