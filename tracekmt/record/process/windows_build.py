"""Build of the Windows that a process runs on."""

from __future__ import annotations

import sys

from tracekmt import system
from tracekmt.record.process import proc


def windows_build(pid: int) -> int | None:
    """Return the build of Windows that a process runs on. Wine reports the build that it imitates.

    Returns:
        None if the process has no such data. A program under Wine has it shortly after its start.
    """
    if sys.platform == "win32":
        return system.windows_build()
    try:
        return int.from_bytes(proc.read_memory(pid, system.NT_BUILD_NUMBER, 2), "little") or None
    except OSError:
        return None
