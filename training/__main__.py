"""`python -m training PART [options]`: one part of the trained demo model's recipe, or `all` of it."""

import shlex
import subprocess
import sys
from importlib import import_module

from training.errors import MissingTool

PARTS = ("speech", "codes", "talker", "decoder", "thinker", "assemble")
"""Each a module, whose `main` makes it from the arguments that are left."""

SHOWN = ("card", "spectrogram")
"""What is made once the model is there: its card, and a picture of what it says."""


def run(part: str, arguments: list[str]) -> None:
    import_module(f"training.{part}").main(arguments)


def run_all(arguments: list[str]) -> None:
    """On two cores: what speaks on one, the thinker on the other. What is done is not done again."""
    thinker = _begin(["thinker"], arguments)
    speaker = _begin(["speech", "codes", "talker", "decoder"], arguments)
    if any([thinker.wait(), speaker.wait()]):
        sys.exit("a part failed; when that is mended, the same command goes on from here")
    run("assemble", arguments)


def _begin(parts: list[str], arguments: list[str]) -> subprocess.Popen:
    commands = [shlex.join([sys.executable, "-m", "training", part, *arguments]) for part in parts]
    return subprocess.Popen(" && ".join(commands), shell=True)


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
