"""The directory of one server: its sockets and temporary files, which nobody else may enter.

Its owner holds a lock on it, so what a server that was killed has left is known by its lock, and removed by the next.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "sgl-omni-"


def make() -> str:
    """A fresh one, mode 0700, locked until this process ends."""
    while True:
        path = tempfile.mkdtemp(prefix=PREFIX)
        if _lock(path, fcntl.LOCK_EX) is not None:
            return path


def add(directory: str | Path, path: str) -> None:
    """A file that lies elsewhere, as shared memory does, and is to go with the directory."""
    (Path(directory) / Path(path).name).symlink_to(path)


def remove(directory: str | Path) -> None:
    for link in filter(Path.is_symlink, Path(directory).glob("*")):
        link.readlink().unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)


def remove_abandoned() -> None:
    """Those of this user whose owner has ended."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            remove(path)
            os.close(lock)


def _lock(path: str | Path, how: int) -> int | None:
    """The descriptor that holds it; None if it is another's, or is there no more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, how)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
