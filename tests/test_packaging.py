"""What `pip install` installs is what the repository holds."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path):
    source, wheels = tmp_path / "source", tmp_path / "wheels"
    unwanted = shutil.ignore_patterns("__pycache__", "results")
    shutil.copytree(ROOT / "sglang_omni", source / "sglang_omni", ignore=unwanted)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    subprocess.run([sys.executable, "-c", BUILD, wheels], cwd=source, check=True, capture_output=True)

    (wheel,) = wheels.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {str(file.relative_to(source)) for file in (source / "sglang_omni").rglob("*") if file.is_file()}
    pages = {"sglang_omni/benchmark/README.md", "sglang_omni/kernels/README.md"}  # for readers of the repository
    assert files - pages <= held
