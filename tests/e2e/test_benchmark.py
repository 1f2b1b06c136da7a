"""The benchmark command, with small numbers, against the server that runs."""

import re
import subprocess

from tests.e2e.server import ROOT, Server


def test_against_transformers(server: Server):
    command = ["scripts/bench", "against-transformers", "--url", server.url]
    small = ["--text-tokens", "8", "--concurrency", "2", "--repeats", "1"]
    done = subprocess.run([*command, *small], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *_, agreement, last = done.stdout.splitlines()
    assert agreement == "same text as transformers: 2 of 2"
    assert re.fullmatch(r"speedup: alone \d+\.\dx, concurrent \d+\.\dx", last)
