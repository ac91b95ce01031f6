"""Determines how a target process exited when we are not its parent."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time

from tracekmt.record.process import proc

_STOPPED_SECONDS = 0.02
_JOIN_SECONDS = 1.0


class ExitWatcher:
    """Waits on its own thread for a process to exit."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._description: str | None = None
        self._thread = threading.Thread(target=self._wait, name="tracekmt-exit", daemon=True)
        self._thread.start()

    def describe(self) -> str:
        """Return how the process exited: "with status 1", "by SIGSEGV", or "" if only its parent learned it."""
        self._thread.join(_JOIN_SECONDS)
        return self._description or ""

    def _wait(self) -> None:
        if sys.platform == "win32":
            return  # the recorder in the process stores the exit status, nothing reports another end
        exit_codes = (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
        event = None
        while event is None or event.si_code not in exit_codes:
            try:
                # WNOWAIT leaves the status of a child to Frida, which waits for it too and may be first. While Frida
                # traces the process, its stops are reported as well.
                event = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                self._wait_for_foreign_child()
                return
            if event is not None and event.si_code not in exit_codes:
                time.sleep(_STOPPED_SECONDS)
        self._description = (
            f"with status {event.si_status}" if event.si_code == os.CLD_EXITED else describe_signal(event.si_status)
        )

    def _wait_for_foreign_child(self) -> None:
        """Wait for a process of another parent. /proc has its status until the parent has waited for it."""
        if sys.platform == "win32":
            return
        with contextlib.suppress(OSError, ValueError):
            handle = os.pidfd_open(self._pid)
            try:
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                poll.poll()
                status = proc.zombie_status(self._pid)
                if status is not None:
                    self._description = describe_exit(status)
            finally:
                os.close(handle)


def describe_exit(status: int) -> str:
    """Return "by SIGSEGV" or "with status 1" for a wait status."""
    number = status & 0x7F
    return describe_signal(number) if number else f"with status {status >> 8}"


def describe_signal(number: int) -> str:
    """Return "by SIGSEGV" for the number of a signal."""
    try:
        return f"by {signal.Signals(number).name}"
    except ValueError:
        return f"by signal {number}"
