"""Ctrl-C. A terminal sends it to the whole process group, and processes that are importing would print tracebacks."""

import os
import signal
import sys
import threading
from collections.abc import Callable

EXIT_CODE = 130


def on_interrupt(stop: Callable[[], None]) -> None:
    """From now on Ctrl-C calls `stop` and ends this process, wherever it is.

    The signal is blocked here and, by inheritance, in all threads and processes that are started later; one thread
    waits for it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    def wait() -> None:
        signal.sigwait({signal.SIGINT})
        print("\nStopping", file=sys.stderr, flush=True)
        stop()
        os._exit(EXIT_CODE)

    threading.Thread(target=wait, name="interrupt", daemon=True).start()
