"""The kernels where there is no GPU. Both need Triton as no other test does, so they are processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(*arguments: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=HERE.parents[1],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_they_equal_their_references_in_tritons_interpreter() -> None:
    assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", HERE / "interpreted", TRITON_INTERPRET="1")


def test_they_compile_for_hopper() -> None:
    lines = run(HERE / "compile_for_hopper.py").splitlines()
    compiled = {line.split()[0] for line in lines}
    assert compiled == {"_attend", "_combine", "_down", "_gate_up", "_norm_rope", "_snake", "_snake_conv"}


def test_the_stages_do_not_import_triton_where_no_kernel_can_run(tiny_model: Path) -> None:
    program = (
        "import sys\n"
        "from sglang_omni.models.qwen3_omni.code2wav_stage import Code2WavRunner\n"
        "from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner\n"
        "from sglang_omni.models.spec import StageOptions\n"
        "for stage in TalkerRunner, Code2WavRunner:\n"
        "    stage(StageOptions(sys.argv[1], slots=1))\n"
        "assert 'triton' not in sys.modules\n"
    )
    run("-c", program, tiny_model)
