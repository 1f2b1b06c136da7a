"""The benchmark of the kernels runs with torch alone."""

import subprocess
import sys
from pathlib import Path

WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sglang", "flashinfer", "transformers", "triton"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv = ["bench", "kernels", "--device", "cpu", "--output", sys.argv[1]]
from sglang_omni.benchmark.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_on_a_cpu_it_needs_neither_sglang_nor_flashinfer_nor_transformers_nor_triton(tmp_path: Path) -> None:
    page = tmp_path / "kernels.md"
    done = subprocess.run([sys.executable, "-c", WITHOUT, page], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = page.read_text()
    assert written == f"# Kernels\n\n{done.stdout}"
    for line in "| decoder layer, 200 rows heard | 8 rows |", "| GroupedExperts | 32 rows |", "| RmsNorm | 1 row |":
        assert line in written
