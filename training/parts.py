"""What every part of the recipe is told."""

import argparse
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SIZE = "trained"

JUDGES = "evaluate", "held_out", "recognise", "card", "spectrogram"
"""Modules that make no weights."""


def work_folder(go_on: bool) -> Path:
    """Another for every form of the recipe, and for going on: what one has begun, another cannot go on with."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    recipe = hashlib.sha256()
    for module in sorted(Path(__file__).parent.glob("*.py")):
        if module.stem not in JUDGES:
            recipe.update(module.read_bytes())
    return cache / "sglang-omni" / f"training-{recipe.hexdigest()[:12]}{'-go-on' * go_on}"


class Parser(argparse.ArgumentParser):
    """Whose folder depends on whether to go on."""

    def parse_args(self, arguments: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        given = super().parse_args(arguments)
        given.work = given.work or work_folder(given.go_on)
        return given


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Where to write what is to be called `file` once all of it is there, so that a run that is killed leaves no half
    of it for the next one."""
    begun = file.with_name(f"begun-{file.name}")
    yield begun
    begun.rename(file)


def parser(part: str, description: str | None, steps: int | None = None) -> argparse.ArgumentParser:
    """With `--work`, the folder in which parts find what others made, and `--go-on`; and, where there is something to
    learn in so many `steps`, with `--steps` and `--threads`."""
    made = Parser(prog=f"python -m training {part}", description=description)
    made.add_argument("--work", type=Path, metavar="DIR", help=f"(default: {work_folder(False)}, with --go-on another)")
    made.add_argument("--go-on", action="store_true", help="begin with the weights that are shipped, not with none")
    if steps:
        made.add_argument("--steps", type=int, default=steps, help="(default: %(default)s)")
        made.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    return made
