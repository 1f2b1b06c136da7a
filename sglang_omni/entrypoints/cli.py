"""`sgl-omni`: serve a model, show how it would be served, measure it, or write a random one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sglang_omni import config
from sglang_omni.entrypoints import interrupt
from sglang_omni.errors import ConfigError, StartupError

USAGE = """\
usage: sgl-omni COMMAND ...

  serve                 serve a model (without --model-path: a small demo model)
  config                show what `serve` would go by, and where each value comes from
  bench [NAME]          measure it, under load if no NAME says otherwise
  demo-model DIR        write a checkpoint of random weights in Qwen3-Omni's layout
  version

`sgl-omni COMMAND --help` says more.
"""


def serve(argv: Sequence[str], program: str = "sgl-omni serve") -> int:
    """Serves until it is stopped; returns the exit code."""
    try:
        options = config.parse(argv, program)
        interrupt.block()
        from sglang_omni.entrypoints.serve import serve  # heavy

        return serve(options)
    except KeyboardInterrupt:  # a thread from before `block`, as under `sglang serve`, took the signal
        return interrupt.EXIT_CODE
    except StartupError as error:
        print(f"sgl-omni: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def show_config(argv: Sequence[str]) -> int:
    from sglang_omni.entrypoints.show_config import page

    try:
        print(page(config.resolve(argv, "sgl-omni config")), end="")
    except StartupError as error:
        print(f"sgl-omni: {error}", file=sys.stderr)
        return 2
    return 0


def demo_model(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="sgl-omni demo-model",
        description="Write a small checkpoint in Qwen3-Omni's layout, made from a seed. It answers in random words.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--size", default="demo", help="how large (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    arguments = parser.parse_args(argv)

    from sglang_omni.models.qwen3_omni.demo import WRITTEN_SIZES, write_demo_model

    if arguments.size not in WRITTEN_SIZES:
        parser.error(f"--size {arguments.size} is not one of {', '.join(WRITTEN_SIZES)}")
    if arguments.directory.exists() and any(arguments.directory.iterdir()):
        parser.error(f"{arguments.directory} is not empty")
    write_demo_model(arguments.directory, arguments.size, arguments.seed)
    print(f"sgl-omni serve --model-path {arguments.directory}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    command, *rest = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    if command == "serve":
        return serve(rest)
    if command == "config":
        return show_config(rest)
    if command == "bench":
        from sglang_omni.benchmark.__main__ import main as bench

        return bench(rest)
    if command == "demo-model":
        return demo_model(rest)
    if command in ("version", "--version"):
        from importlib.metadata import version

        print(version("sglang-omni"))
        return 0
    if command in ("help", "-h", "--help"):
        print(USAGE, end="")
        return 0
    print(f"sgl-omni: unknown command {command!r}\n\n{USAGE}", end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
