"""`python -m sglang_omni.launch_server` takes the arguments of `sgl-omni serve`."""

import sys

from sglang_omni.entrypoints.cli import serve

if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], "python -m sglang_omni.launch_server"))
