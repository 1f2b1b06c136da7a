"""`python -m benchmark NAME ...`, or `scripts/bench NAME ...`."""

import sys

from benchmark import against_transformers, http_layer, soak, trace

BENCHMARKS = {
    "against-transformers": against_transformers.main,
    "http-layer": http_layer.main,
    "soak": soak.main,
    "trace": trace.main,
}


def main() -> int:
    name, *arguments = sys.argv[1:] or [""]
    if name not in BENCHMARKS:
        print(f"usage: python -m benchmark {{{','.join(BENCHMARKS)}}} [--help]", file=sys.stderr)
        return 2
    return BENCHMARKS[name](arguments)


if __name__ == "__main__":
    sys.exit(main())
