"""Countdown in a process of its own: `python -m tests.sidecar.stage NAME SOCKETS DOWNSTREAM PARENT`."""

import sys

from sglang_omni.sidecar.process import run
from tests.sidecar.countdown import Countdown

name, sockets, downstream, parent = sys.argv[1:]
run(name, Countdown(), sockets, downstream, int(parent))
