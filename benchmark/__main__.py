"""`sgl-omni bench NAME ...`, or `scripts/bench NAME ...`, which installs what is missing first.

Without a name it is `load`, with the options that are given: `sgl-omni bench --url http://localhost:8000`."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

BENCHMARKS = {
    "load": "a server under load: first audio, real-time factor, throughput, errors, quality",
    "against-transformers": "spoken answers, beside those of transformers' `generate`",
    "http-layer": "CPU time of the HTTP process, without the model's work",
    "stages": "a step of each stage by itself, without HTTP, queues and processes",
    "kernels": "each kernel against the plain operations it replaces",
    "tap": "what the talker's ear costs the thinker in reading prompts",
    "soak": "a server under load for minutes: is everything right, and free after",
    "trace": "when the talker makes frames, for simulations of the chunk policy",
}


OF_A_CHECKOUT = "http-layer", "soak"
"""What needs the tests' data or fakes."""
ROOT = Path(__file__).resolve().parents[1]


def usage() -> str:
    names = "\n".join(f"  {name:<22}{what}" for name, what in BENCHMARKS.items())
    return f"usage: sgl-omni bench [NAME] ...\n\n{names}\n\n`sgl-omni bench NAME --help` says more; no NAME: load.\n"


def main(argv: Sequence[str]) -> int:
    name, *arguments = [*argv] or ["load"]
    if name in ("-h", "--help"):
        print(usage(), end="")
        return 0
    if name.startswith("-"):
        name, arguments = "load", [name, *arguments]
    if name not in BENCHMARKS:
        print(usage(), end="", file=sys.stderr)
        return 2
    if name in OF_A_CHECKOUT:
        if not (ROOT / "tests").exists():
            print(f"sgl-omni bench {name} needs a checkout: scripts/bench {name}", file=sys.stderr)
            return 2
        sys.path.append(str(ROOT))
    return import_module(f"sglang_omni.benchmark.{name.replace('-', '_')}").main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
