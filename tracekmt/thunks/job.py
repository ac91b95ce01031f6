"""Ends the processes of libraries with this process on Windows, even if this process is killed."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

PROCESS_TERMINATE, PROCESS_SET_QUOTA = 0x0001, 0x0100
EXTENDED_LIMIT_INFORMATION = 9
KILL_ON_JOB_CLOSE = 0x2000
LIMIT_FLAGS = 16 // 4
"""Index of LimitFlags in JOBOBJECT_EXTENDED_LIMIT_INFORMATION, whose size in bytes is `LIMITS_SIZE`."""

LIMITS_SIZE = 144 if ctypes.sizeof(ctypes.c_void_p) == 8 else 112


def end_with_this_process(pid: int) -> None:
    """Put a process into a job that Windows ends when this process ends. Linux has PR_SET_PDEATHSIG for that."""
    if sys.platform != "win32":
        return
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.OpenProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel32.OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, False, pid))
    kernel32.AssignProcessToJobObject(ctypes.c_void_p(_job()), process)
    kernel32.CloseHandle(process)


@cache
def _job() -> int:
    """Return the job of this process. It is never closed, so it ends with the process."""
    if sys.platform != "win32":
        raise NotImplementedError
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.CreateJobObjectW.restype = ctypes.c_void_p
    job = kernel32.CreateJobObjectW(None, None)
    limits = (ctypes.c_uint32 * (LIMITS_SIZE // 4))()
    limits[LIMIT_FLAGS] = KILL_ON_JOB_CLOSE
    kernel32.SetInformationJobObject(ctypes.c_void_p(job), EXTENDED_LIMIT_INFORMATION, limits, LIMITS_SIZE)
    return int(job)
