"""How a recorded process ended that did not end by itself, as far as the system tells anybody but its parent."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path

_STOPPED_SECONDS = 0.02


class ExitWatcher:
    """Waits beside a recording for its process to end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._told: str | None = None
        self._thread = threading.Thread(target=self._wait, name="tracekmt-ending", daemon=True)
        self._thread.start()

    def describe(self) -> str:
        """How the process ended: "with status 1", "by SIGSEGV"; empty where only its parent was told."""
        self._thread.join(1.0)
        return self._told or ""

    def _wait(self) -> None:
        if sys.platform == "win32":
            return  # the recorder in the process tells its status, and nobody how it ended otherwise
        ended = (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
        found = None
        while found is None or found.si_code not in ended:
            try:
                # A child's status, without taking it from Frida, which waits for it too and may be quicker. While Frida
                # traces it, its stops are reported as well.
                found = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                self._wait_for_another_s()
                return
            if found is not None and found.si_code not in ended:
                time.sleep(_STOPPED_SECONDS)
        self._told = f"with status {found.si_status}" if found.si_code == os.CLD_EXITED else _by(found.si_status)

    def _wait_for_another_s(self) -> None:
        """The status stands in /proc until the parent has asked for it."""
        if sys.platform == "win32":
            return
        with contextlib.suppress(OSError, ValueError):
            handle = os.pidfd_open(self._pid)
            try:
                ended = select.poll()
                ended.register(handle, select.POLLIN)
                ended.poll()
                state, *_, status = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
                if state == "Z":
                    code = int(status)
                    self._told = _by(code & 0x7F) if code & 0x7F else f"with status {code >> 8}"
            finally:
                os.close(handle)


def _by(number: int) -> str:
    try:
        return f"by {signal.Signals(number).name}"
    except ValueError:
        return f"by signal {number}"
