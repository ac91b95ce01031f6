"""Signals that are to end this process, while it records or waits for programs that it started."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ENDING_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Ctrl-C, kill, the end of a terminal, and Ctrl-Break of Windows."""


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[threading.Event]:
    """Set an event on a signal that is to end this process, unless the signal is ignored.

    An exception in the middle of a drain would lose events already taken from the buffer.
    """
    interrupted = threading.Event()
    with _handling(lambda *_: interrupted.set()):
        yield interrupted


@contextlib.contextmanager
def interrupt_as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on every signal that is to end this process, which then ends the programs it started."""
    with _handling(signal.default_int_handler):
        yield


@contextlib.contextmanager
def _handling(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    previous = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ENDING_SIGNALS if hasattr(signal, name)]
        for number in numbers:
            if signal.getsignal(number) != signal.SIG_IGN:
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, former)
