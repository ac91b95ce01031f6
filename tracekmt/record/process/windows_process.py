"""Processes of Windows by their ids."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from typing import Any

PROCESS_QUERY_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION = 0x0400, 0x1000
STILL_ACTIVE = 259


@contextlib.contextmanager
def open_process(pid: int, access: int) -> Iterator[Any]:
    """Open a process. The handle is null if there is no such process, or it is protected."""
    if sys.platform != "win32":
        raise NotImplementedError
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.OpenProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel32.OpenProcess(access, False, pid))
    try:
        yield process
    finally:
        if process:
            kernel32.CloseHandle(process)


def is_wow64(pid: int) -> bool:
    """Return True if Windows runs a process under WoW64."""
    if sys.platform != "win32":
        return False
    result = ctypes.c_int(0)
    with open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION) as process:
        return bool(ctypes.WinDLL("kernel32").IsWow64Process(process, ctypes.byref(result)) and result.value)


def is_running(pid: int) -> bool:
    """Return True if there is a process with this id that has not ended."""
    if sys.platform != "win32":
        return False
    status = ctypes.c_uint32(0)
    with open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION) as process:
        is_known = ctypes.WinDLL("kernel32").GetExitCodeProcess(process, ctypes.byref(status))
    return bool(is_known) and status.value == STILL_ACTIVE
