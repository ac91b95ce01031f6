"""Peak memory of the own process."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path


def peak_mib() -> int:
    """Return the largest amount of memory that this process had, in MiB."""
    if sys.platform == "win32":
        # PROCESS_MEMORY_COUNTERS: its size, page faults, then PeakWorkingSetSize.
        counters = (ctypes.c_size_t * 9)(ctypes.sizeof(ctypes.c_size_t) * 9)
        kernel32 = ctypes.WinDLL("kernel32")
        if not kernel32.K32GetProcessMemoryInfo(ctypes.c_void_p(-1), counters, ctypes.sizeof(counters)):
            raise ctypes.WinError()
        return int(counters[1]) >> 20
    with contextlib.suppress(OSError):
        # ru_maxrss of Linux also counts the process that started this one, up to its exec (getrusage(2)).
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) >> 10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
