"""Signals that are to end this process, while it records."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

ENDING_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Ctrl-C, kill, the end of a terminal, and Ctrl-Break of Windows."""


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[threading.Event]:
    """Set an event on a signal that is to end this process, unless the signal is ignored.

    An exception in the middle of a drain would lose events already taken from the buffer.
    """
    interrupted = threading.Event()
    previous = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ENDING_SIGNALS if hasattr(signal, name)]
        for number in numbers:
            if signal.getsignal(number) != signal.SIG_IGN:
                previous[number] = signal.signal(number, lambda *_: interrupted.set())
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
