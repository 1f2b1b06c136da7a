"""Benchmarks of kernels and stages run in a checkout with torch alone."""

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from sglang_omni.benchmark.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def run(absent: str, *arguments: str) -> tuple[str, str]:
    """What it tells, and what it told on the way."""
    command = [sys.executable, "-c", WITHOUT, absent, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_kernels(tmp_path: Path) -> None:
    page = tmp_path / "kernels.md"
    absent = "sglang flashinfer transformers triton"
    told, err = run(absent, "kernels", "--device", "cpu", "--output", str(page))
    assert page.read_text() == f"# Kernels\n\n{told}"
    assert "kernels: | GroupedExperts | 1 row |" in err
    for line in "| decoder layer, 200 rows heard | 8 rows |", "| GroupedExperts | 32 rows |", "| RmsNorm | 1 row |":
        assert line in told


@pytest.mark.parametrize("absent", ["sglang flashinfer triton", "sglang flashinfer triton numba av"])
def test_stages(tmp_path: Path, absent: str) -> None:
    page = tmp_path / "stages.md"
    few = ["--size", "tiny", "--device", "cpu", "--rows", "1", "2", "--repeats", "1"]
    told, err = run(absent, "stages", *few, "--output", str(page))
    assert "ours: talker, frame, 2 streams: " in err
    assert page.read_text() == f"# Stages\n\n{told}"
    table = [line.split(" | ") for line in told.splitlines() if line.startswith("| talker, frame")]
    assert [row[1] for row in table] == ["1 stream", "2 streams"]
    assert all(float(row[2]) > 0 and float(row[3]) > 0 for row in table)
    assert ("mp3 encoder" in told) == ("av" not in absent.split())
