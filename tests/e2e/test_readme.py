"""Every command of the README, run as it is printed there, apart from the port."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sglang_omni.benchmark.words import edits
from tests.e2e.server import ROOT, Server
from training import dialogue
from training.recognise import pocketsphinx, read

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, re.DOTALL)
CURL = [text for language, text in BLOCKS if language == "bash" and text.startswith("curl")]
COMMANDS = [text.strip() for language, text in BLOCKS if language == "bash" and not text.startswith("curl")]
PYTHON = [text for language, text in BLOCKS if language == "python"]

ANY = f"({' | '.join(dialogue.NUMBERS[:10])})"
SAID, OTHERS = [f"hello it is half past {ANY} and {ANY} plus {ANY} is {ANY}"], ["good morning", "i do not know", "stop"]
TRULY = "hello it is half past seven and two plus three is five"
"""What speech.wav may say, as a recogniser's grammar; it is drawn anew each time, so that a word may be misheard."""


def at(server: Server, text: str) -> str:
    assert "localhost:8000" in text
    return text.replace("localhost:8000", f"localhost:{server.port}")


@pytest.fixture(scope="module")
def server(trained_server: Server) -> Server:
    """What the page's first command starts."""
    return trained_server


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Somewhere to write to, from where the README's relative paths are right."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    return tmp_path


def test_the_readme_is_what_these_tests_run():
    assert COMMANDS == ["scripts/serve", "scripts/test"]  # the one started the server, the other runs this test
    assert len(CURL) == 3
    assert len(PYTHON) == 1


@pytest.mark.parametrize("command", CURL)
def test_curl(server: Server, directory: Path, command: str):
    done = subprocess.run(["bash", "-c", at(server, command)], cwd=directory, capture_output=True, timeout=120)
    assert done.returncode == 0
    if "-o speech.wav" in command:
        heard = pocketsphinx([*SAID, *OTHERS])(read(directory / "speech.wav")).split()
        assert edits(TRULY.split(), heard) <= 2, heard
    elif '"stream": true' in command:
        lines = done.stdout.decode().split("\n\n")
        assert lines[-2] == "data: [DONE]"
        assert any('"audio":{' in line and '"data"' in line for line in lines)
    else:
        content = json.loads(done.stdout)["choices"][0]["message"]["content"]
        assert json.dumps(content) in README


@pytest.mark.parametrize("program", PYTHON)
def test_python(server: Server, directory: Path, program: str):
    done = subprocess.run(
        [sys.executable, "-c", at(server, program)], cwd=directory, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in README
    assert (directory / "answer.wav").read_bytes().startswith(b"RIFF")
