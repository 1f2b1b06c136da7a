"""`python -m training PART [options]`: one part of the trained demo model's recipe, or `all` of it."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module

from training.errors import MissingTool

SPEAKS, THINKS = ("speech", "codes", "talker", "decoder"), ("thinker",)
PARTS = (*SPEAKS, *THINKS, "assemble")
"""Each a module, whose `main` makes it from the arguments that are left."""

SHOWN = ("card", "spectrogram")
"""What is made once the model is there: its card, and a picture of what it says."""


def run(part: str, arguments: list[str]) -> None:
    import_module(f"training.{part}").main(arguments)
    if part in PARTS:
        user, system, childrens_user, childrens_system, _ = os.times()
        print(f"{part}: {(user + system + childrens_user + childrens_system) / 60:.1f} min of CPU time", flush=True)


def run_all(arguments: list[str]) -> None:
    """On two cores: what speaks on one, the thinker on the other. What is done is not done again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with _begun(THINKS, arguments) as thinker, _begun(SPEAKS, arguments) as speaker:
        if any([thinker.wait(), speaker.wait()]):
            sys.exit("a part failed; when that is mended, the same command goes on from here")
    run("assemble", arguments)


@contextmanager
def _begun(parts: Sequence[str], arguments: list[str]) -> Iterator[subprocess.Popen]:
    """One after another, in a process that ends with this one."""
    commands = [shlex.join([sys.executable, "-m", "training", part, *arguments]) for part in parts]
    process = subprocess.Popen(" && ".join(commands), shell=True, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


def main() -> None:
    part, *arguments = sys.argv[1:] or [""]
    if part not in (*PARTS, *SHOWN, "all"):
        sys.exit(f"{__doc__}\nParts: {', '.join(PARTS)}; afterwards: {', '.join(SHOWN)}")
    try:
        run_all(arguments) if part == "all" else run(part, arguments)
    except MissingTool as error:
        sys.exit(f"python -m training: {error}")


if __name__ == "__main__":
    main()
