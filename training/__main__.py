"""`python -m training PART [options]`: one part of the trained demo model's recipe, or `all` of it."""

import subprocess
import sys
from importlib import import_module

from training.errors import MissingTool

PARTS = ("speech", "codec", "talker", "thinker", "assemble")
"""Each a module, whose `main` makes it from the arguments that are left."""

SHOWN = ("card", "spectrogram")
"""What is made once the model is there: its card, and a picture of what it says."""


def run(part: str, arguments: list[str]) -> None:
    import_module(f"training.{part}").main(arguments)


def run_all(arguments: list[str]) -> None:
    """On two cores: the codec beside the thinker, then the talker on both. What is done is not done again."""

    def begin(part: str, *more: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-m", "training", part, *arguments, *more])

    def finish(*begun: subprocess.Popen) -> None:
        if any([part.wait() for part in begun]):  # noqa: C419 (all of them)
            sys.exit("a part failed; when that is mended, the same command goes on from here")

    finish(begin("speech"))
    finish(begin("codec"), begin("thinker"))
    finish(begin("talker", "--threads", "2"))
    finish(begin("assemble"))


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
