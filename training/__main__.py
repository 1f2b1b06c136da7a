"""`python -m training PART [options]`: one part of the trained demo model's recipe, or `all` of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module

from training.errors import MissingTool

NEEDS = {
    "speech": (),
    "thinker": (),
    "codes": ("speech",),
    "talker": ("codes",),
    "decoder": ("codes",),
    "assemble": ("thinker", "talker", "decoder"),
}
"""Each part a module, whose `main` makes it from the arguments that are left; and the parts that it follows."""

CORES = 2
"""On which so many parts are made at once, those that come first above first: one on each."""

POLL_SECONDS = 0.5

SHOWN = ("card", "spectrogram")
"""What is made once the model is there: its card, and a picture of what it says."""


def run(part: str, arguments: list[str]) -> None:
    import_module(f"training.{part}").main(arguments)
    if part in NEEDS:
        user, system, childrens_user, childrens_system, _ = os.times()
        print(f"{part}: {(user + system + childrens_user + childrens_system) / 60:.1f} min of CPU time", flush=True)


def run_all(arguments: list[str]) -> None:
    """What is done is not done again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    done: set[str] = set()
    with ExitStack() as running:
        parts: dict[str, subprocess.Popen] = {}
        while len(done) < len(NEEDS):
            for part in following(done, parts):
                parts[part] = running.enter_context(_begun(part, arguments))
            time.sleep(POLL_SECONDS)
            ended = {part: process for part, process in parts.items() if process.poll() is not None}
            if any(process.returncode for process in ended.values()):
                sys.exit("a part failed; when that is mended, the same command goes on from here")
            done |= ended.keys()
            parts = {part: process for part, process in parts.items() if part not in done}


def following(done: Collection[str], running: Collection[str]) -> list[str]:
    """The parts to begin now."""
    ready = [part for part, needed in NEEDS.items() if part not in (*done, *running) and set(needed) <= set(done)]
    return ready[: CORES - len(running)]


@contextmanager
def _begun(part: str, arguments: list[str]) -> Iterator[subprocess.Popen]:
    """In a process that ends with this one, with all that it has begun."""
    process = subprocess.Popen([sys.executable, "-m", "training", part, *arguments], start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


def main() -> None:
    part, *arguments = sys.argv[1:] or [""]
    if part not in (*NEEDS, *SHOWN, "all"):
        sys.exit(f"{__doc__}\nParts: {', '.join(NEEDS)}; afterwards: {', '.join(SHOWN)}")
    try:
        run_all(arguments) if part == "all" else run(part, arguments)
    except MissingTool as error:
        sys.exit(f"python -m training: {error}")


if __name__ == "__main__":
    main()
