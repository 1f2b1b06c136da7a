"""A server's processes, and which of them takes how much CPU time."""

import re
from collections import Counter
from contextlib import suppress

import psutil

TITLES = {"sglang::scheduler": "thinker", "sglang::detokenizer": "detokenizer", "media.decoder": "media"}


def family(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_seconds(pid: int) -> Counter[str]:
    """So far, of the process and all below it: of the `thinker`, the `detokenizer`, what decodes `media`, each stage,
    and of `HTTP`, which is the rest: what a request passes through before and after these.
    """
    taken = Counter[str]()
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            taken[_work(" ".join(process.cmdline()))] += times.user + times.system
    return taken


def _work(command: str) -> str:
    if stage := re.search(r'"stage": "(\w+)"', command):
        return stage[1]
    return next((name for title, name in TITLES.items() if title in command), "HTTP")
