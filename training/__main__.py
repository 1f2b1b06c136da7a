"""`python -m training PART [options]`: one part of the trained demo model's recipe."""

import sys
from collections.abc import Callable
from importlib import import_module

PARTS = {"thinker": "training.thinker"}
"""Its name -> the module whose `main` makes it from the arguments that are left."""


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in PARTS:
        sys.exit(f"{__doc__}\nParts: {', '.join(PARTS)}")
    run: Callable[[list[str]], None] = import_module(PARTS[sys.argv[1]]).main
    run(sys.argv[2:])


if __name__ == "__main__":
    main()
