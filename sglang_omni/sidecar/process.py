"""A stage in a process of its own: `python -m sglang_omni.sidecar.process '{"architecture": ..., "stage": ...}'`."""

import json
import logging
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass

from sglang_omni.errors import ConfigError, OmniError
from sglang_omni.models import families
from sglang_omni.models.spec import StageOptions
from sglang_omni.sidecar import ready
from sglang_omni.sidecar.messages import Heartbeat
from sglang_omni.sidecar.port import HTTP, Inbox, Outbox
from sglang_omni.sidecar.runner import Runner
from sglang_omni.sidecar.scheduler import Scheduler

HEARTBEAT_SECONDS = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SidecarConfig:
    """All a sidecar process is told."""

    architecture: str
    stage: str
    sockets: str
    parent: int  # process id of who started it
    options: StageOptions

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "SidecarConfig":
        fields = json.loads(text)
        return cls(**{**fields, "options": StageOptions(**fields["options"])})


def serve(config: SidecarConfig) -> None:
    """Loads the stage and runs it until the process that started it is gone."""
    import torch

    torch.set_num_threads(config.options.threads)
    try:
        device = torch.empty(0, device=config.options.device).device
    except (RuntimeError, AssertionError) as error:  # torch's for a device it does not know, or that is not there
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"device {config.options.device} cannot be used: {reason}") from None
    if device.type == "cuda":
        torch.cuda.set_device(device)  # kernels run on the current one
    spec = families()[config.architecture]
    names = [stage.name for stage in spec.stages]
    place = names.index(config.stage)
    try:
        runner = spec.stages[place].build(config.options)
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"{config.options.device} has too little memory: {str(error).partition('. If reserved')[0]}; "
            "docs/operations.md tells what a stage takes"
        ) from None
    ready.mark(config.sockets, config.stage)

    downstream = names[place + 1] if place + 1 < len(names) else HTTP
    run(config.stage, runner, config.sockets, downstream, config.parent)


def run(stage: str, runner: Runner, sockets: str, downstream: str, parent: int) -> None:
    """Receives, steps and beats until the process `parent` is gone."""
    inbox, listener = Inbox(sockets, stage), Outbox(sockets, HTTP)
    scheduler = Scheduler(stage, runner, Outbox(sockets, downstream).send, listener.send)
    logger.info("%s is ready", stage)

    busy, next_beat = False, 0.0
    while os.getppid() == parent:
        for message in inbox.receive(0 if busy else int(HEARTBEAT_SECONDS * 1000)):
            scheduler.receive(message)
        busy = scheduler.step()
        if time.monotonic() >= next_beat:
            listener.send([Heartbeat(stage, os.getpid(), scheduler.state())])
            next_beat = time.monotonic() + HEARTBEAT_SECONDS
            if not busy:
                scheduler.check_integrity()


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server ends us in order
    config = SidecarConfig.from_json(sys.argv[1])
    logging.basicConfig(
        level=config.options.log_level.upper(),
        format=f"[%(asctime)s {config.stage}] %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    try:
        serve(config)
    except OmniError as error:
        print(f"sgl-omni: {config.stage}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
