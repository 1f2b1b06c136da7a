"""What every part of the recipe is told."""

import argparse
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sglang_omni.models.qwen3_omni import demo

SIZE = "trained"

JUDGES = "evaluate", "held_out", "recognise", "card", "spectrogram"
"""Modules that make no weights."""


BEGUN_BY = "recipe"
"""In a folder, the file that tells which recipe began it."""


def recipe(go_on: bool) -> str:
    """Another for every form of the recipe, and for going on: what one has begun, another cannot go on with."""
    sources = [file for file in Path(__file__).parent.glob("*.py") if file.stem not in JUDGES]
    sources += [file for file in Path(demo.__file__).parent.iterdir() if file.is_file()]
    read = hashlib.sha256()
    for file in sorted(sources):
        read.update(file.read_bytes())
    return read.hexdigest()[:12] + "-go-on" * go_on


class Parser(argparse.ArgumentParser):
    """Knows the folder of every recipe, and refuses another's."""

    def parse_args(self, arguments: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        given = super().parse_args(arguments)
        mine = recipe(given.go_on)
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        given.work = given.work or cache / "sglang-omni" / f"training-{mine}"
        given.work.mkdir(parents=True, exist_ok=True)
        begun_by = given.work / BEGUN_BY
        if begun_by.exists() and begun_by.read_text() != mine:
            self.error(f"another form of the recipe began {given.work}; give another --work, or remove {begun_by}")
        begun_by.write_text(mine)
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
    made.add_argument(
        "--work", type=Path, metavar="DIR", help="(default: one in the cache for every form of the recipe)"
    )
    made.add_argument("--go-on", action="store_true", help="begin with the weights that are shipped, not with none")
    if steps:
        made.add_argument("--steps", type=int, default=steps, help="(default: %(default)s)")
        made.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    return made
