"""Peak memory of the own process."""

from __future__ import annotations

import ctypes
import sys


def peak_mib() -> int:
    """Return the largest amount of memory that this process had, in MiB."""
    if sys.platform == "win32":
        # PROCESS_MEMORY_COUNTERS: its size, page faults, then PeakWorkingSetSize.
        counters = (ctypes.c_size_t * 9)(ctypes.sizeof(ctypes.c_size_t) * 9)
        kernel32 = ctypes.WinDLL("kernel32")
        if not kernel32.K32GetProcessMemoryInfo(ctypes.c_void_p(-1), counters, ctypes.sizeof(counters)):
            raise ctypes.WinError()
        return int(counters[1]) >> 20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
