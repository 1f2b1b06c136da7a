"""What a figure was measured with: the head of every page of results."""

import os
import platform
import re
import sys
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def facts(command: str) -> dict[str, str]:
    """The date, this machine, the versions and the command, in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    machine = [processor(), f"{os.cpu_count()} cores", f"{memory / 2**30:.0f} GiB", *gpus()]
    return {
        "date": date.today().isoformat(),
        "machine": ", ".join(machine),
        "versions": ", ".join([*versions(), f"Python {platform.python_version()}"]),
        "command": command,
    }


def table(facts: Mapping[str, str]) -> str:
    """In Markdown, a line each."""
    cells = {name: f"`{value}`" if name == "command" else value for name, value in facts.items()}
    return "\n".join(["| | |\n|---|---|", *(f"| {name} | {cell} |" for name, cell in cells.items())])


def versions() -> list[str]:
    found = []
    for name in ("sglang-omni", "sglang", "torch", "transformers", "triton", "numba"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # of a checkout that is not installed, or what is not needed
            continue
    return found


def processor() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def gpus() -> list[str]:
    """As CUDA names them where this process uses it, and else as NVIDIA's driver does: a client leaves a GPU alone."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return [*names, f"CUDA {torch.version.cuda}"]
    pages = [page.read_text() for page in Path("/proc/driver/nvidia/gpus").glob("*/information")]
    return [name for page in pages for name in re.findall(r"^Model:\s*(.*)$", page, re.MULTILINE)]
