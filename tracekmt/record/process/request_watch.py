"""Waits for the requests of a recorded process, so that they need no looking for (Linux)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tracekmt import futex
from tracekmt.record.buffer.bus_errors import address_of
from tracekmt.trace.buffer_format import Control

LOOK_SECONDS = 1.0
"""Longest time between looks for requests. A process that damages the memory may make one without a wake."""

PAUSE_SECONDS = 0.002
"""Pause after a look. A hostile process wakes the watch all the time."""

DAMAGED_SECONDS = 0.02
"""Pause between looks if the memory cannot be waited for, because the process has truncated the file."""


class RequestWatch:
    """Calls a function when a process makes a request, on a thread of the watch."""

    def __init__(self, control: memoryview[int], look: Callable[[], None]) -> None:
        """Start to watch.

        Args:
            control: Control words of the process's buffer. They are used until `close`.
            look: Called after each request, at most every `PAUSE_SECONDS`, and at least every `LOOK_SECONDS`.
        """
        self._control = control
        self._address = address_of(control) + 8 * Control.REQUESTS
        self._look = look
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="tracekmt-requests", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the watch. The control words are not used afterwards."""
        self._is_closing = True
        self._control[Control.REQUESTS] = (self._control[Control.REQUESTS] + 1) % (1 << 64)
        futex.wake(self._address)
        self._thread.join()

    def _run(self) -> None:
        while True:
            count = int(self._control[Control.REQUESTS])
            if self._is_closing:
                return
            self._look()
            time.sleep(PAUSE_SECONDS)
            try:
                futex.wait(self._address, count, LOOK_SECONDS)
            except OSError:
                time.sleep(DAMAGED_SECONDS)
