"""Writable memory of a Windows process, as VirtualQueryEx reports it."""

from __future__ import annotations

import ctypes
import sys

from tracekmt.record.process.windows_process import PROCESS_QUERY_INFORMATION, open_process

MEM_COMMIT = 0x1000
WRITABLE = 0x04 | 0x08 | 0x40 | 0x80
"""PAGE_READWRITE, PAGE_WRITECOPY and their executable forms."""

PAGE_GUARD = 0x100


class _MemoryInformation(ctypes.Structure):
    """MEMORY_BASIC_INFORMATION of a 64-bit Python."""

    _fields_ = (
        ("BaseAddress", ctypes.c_uint64),
        ("AllocationBase", ctypes.c_uint64),
        ("AllocationProtect", ctypes.c_uint32),
        ("PartitionId", ctypes.c_uint32),
        ("RegionSize", ctypes.c_uint64),
        ("State", ctypes.c_uint32),
        ("Protect", ctypes.c_uint32),
        ("Type", ctypes.c_uint32),
        ("_padding", ctypes.c_uint32),
    )


def writable_range(pid: int, address: int) -> tuple[int, int] | None:
    """Return start and end of the writable memory from an address on, None if the address is not writable."""
    if sys.platform != "win32":
        raise NotImplementedError
    information, end = _MemoryInformation(), address
    query = ctypes.WinDLL("kernel32").VirtualQueryEx
    query.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    with open_process(pid, PROCESS_QUERY_INFORMATION) as process:
        while query(process, end, ctypes.byref(information), ctypes.sizeof(information)):
            is_writable = information.Protect & WRITABLE and not information.Protect & PAGE_GUARD
            if information.State != MEM_COMMIT or not is_writable:
                break
            end = information.BaseAddress + information.RegionSize
    return (address, end) if end > address else None
