"""What a figure was measured with: the head of every page of results."""

import os
import platform
import re
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil


def facts(command: str) -> dict[str, str]:
    """The date, this machine, the versions and the command, in words."""
    machine = [processor(), f"{os.cpu_count()} cores", f"{psutil.virtual_memory().total / 2**30:.0f} GiB", *gpus()]
    return {
        "date": date.today().isoformat(),
        "machine": ", ".join(machine),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("sglang-omni", "sglang", "torch"))
        + f", Python {platform.python_version()}",
        "command": f"`{command}`",
    }


def table(facts: Mapping[str, str]) -> str:
    """In Markdown, a line each."""
    return "\n".join(["| | |\n|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])


def processor() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def gpus() -> list[str]:
    """As NVIDIA's driver names them, without asking CUDA."""
    pages = [page.read_text() for page in Path("/proc/driver/nvidia/gpus").glob("*/information")]
    return [name for page in pages for name in re.findall(r"^Model:\s*(.*)$", page, re.MULTILINE)]
