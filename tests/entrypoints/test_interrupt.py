"""Ctrl-C reaches every process of the group and ends them all: quietly, at once, with the shell's exit code."""

import os
import signal
import subprocess
import sys

import pytest

SERVER = """
import multiprocessing, threading, time, sys
from sglang_omni.entrypoints import interrupt

def child():
    time.sleep(60)

if __name__ == "__main__":
    interrupt.block()
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    interrupt.on_interrupt(lambda: (print("cleaned up", flush=True), process.kill()))
    print("ready", flush=True)
    {busy}
"""


@pytest.mark.parametrize("busy", ["time.sleep(60)", "process.join()", "while True: pass"])
def test_it(busy: str, tmp_path: os.PathLike[str]) -> None:
    script = f"{tmp_path}/server.py"
    with open(script, "w") as file:
        file.write(SERVER.format(busy=busy))
    server = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    os.killpg(server.pid, signal.SIGINT)
    said, complained = server.communicate(timeout=10)
    assert server.returncode == 130
    assert said == "cleaned up\n"
    assert complained == "\nStopping\n"
