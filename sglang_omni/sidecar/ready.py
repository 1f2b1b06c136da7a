"""A stage says that it has all of its memory, and the thinker waits for that before it takes what is left of the GPU's.

SGLang sizes its KV cache by the memory that is free when it looks, once. A stage that came later would find none.
"""

import logging
import time
from collections.abc import Iterable
from pathlib import Path

PATIENCE = 900.0
POLL_SECONDS = 0.05

logger = logging.getLogger(__name__)


def mark(directory: str | Path, stage: str) -> None:
    """In the server's directory."""
    _path(directory, stage).touch(0o600)


def wait(directory: str | Path, stages: Iterable[str], patience: float = PATIENCE) -> bool:
    """Until all have been marked. Of one that fails to start the server hears otherwise, and ends."""
    waited = time.monotonic() + patience
    while missing := [stage for stage in stages if not _path(directory, stage).exists()]:
        if time.monotonic() > waited:
            logger.warning("%s not ready after %g s: memory may not suffice", " and ".join(missing), patience)
            return False
        time.sleep(POLL_SECONDS)
    return True


def _path(directory: str | Path, stage: str) -> Path:
    return Path(directory) / f"{stage}.ready"
