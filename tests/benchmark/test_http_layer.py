"""`scripts/bench http-layer` with small numbers: it counts CPU time, so a busy machine changes little."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_streamed_chunk_and_the_check_of_a_request_cost_less_than_their_limits() -> None:
    command = [sys.executable, "-m", "sglang_omni.benchmark", "http-layer"]
    command += ["--chunks", "60", "--requests", "20", "--repeats", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    *costs, last = done.stdout.splitlines()[1:]
    assert re.fullmatch(r"most: 0\.\d\d ms a chunk \(limit 0\.5\), \d\.\d\d ms a check \(limit 5\.0\)", last)
    numbers = [float(line.split()[-1]) for line in costs if line.startswith("  ")]
    assert len(numbers) == 19
    assert sorted(numbers)[5] > 0, done.stdout  # the smallest may drown in noise
