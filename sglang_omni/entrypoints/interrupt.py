"""Ctrl-C. A terminal sends it to the whole process group, and processes that are importing would print tracebacks."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker

EXIT_CODE = 130


def block() -> None:
    """Keeps the signal from this thread and, by inheritance, from every thread and process started later.

    Libraries start threads when they are imported, so this comes first.
    """
    resource_tracker.ensure_running()  # it unblocks the signal when it starts, as the first spawned process makes it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def on_interrupt(stop: Callable[[], None]) -> None:
    """From now on Ctrl-C calls `stop` and ends this process, whatever it is doing."""

    def wait() -> None:
        signal.sigwait({signal.SIGINT})
        print("\nStopping", file=sys.stderr, flush=True)
        stop()
        os._exit(EXIT_CODE)

    threading.Thread(target=wait, name="interrupt", daemon=True).start()
