"""Memory of a live process, for calls that the simulator answers there."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from tracekmt.codec.memory import MemoryFault

_READ_LIMIT = 1 << 28
"""Bytes of the largest read. A larger size is a MemoryFault instead of an allocation in this process."""


class ProcessMemory:
    """Memory of a process, probed like in the kernel: a bad address is a MemoryFault, not a crash.

    Args:
        pid: Id of the process, None for this one. Other processes are read on Linux only.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._pid = os.getpid() if pid is None else pid
        if sys.platform == "win32":
            kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
            self._read: Any = kernel32.ReadProcessMemory
            self._write: Any = kernel32.WriteProcessMemory
            size_t, pointer = ctypes.c_size_t, ctypes.c_void_p
            for function in (self._read, self._write):
                function.argtypes = [pointer, pointer, pointer, size_t, ctypes.POINTER(size_t)]
        else:
            libc = ctypes.CDLL(None, use_errno=True)
            self._read, self._write = libc.process_vm_readv, libc.process_vm_writev
            for function in (self._read, self._write):
                function.restype = ctypes.c_ssize_t
                vector, count = ctypes.POINTER(_IoVector), ctypes.c_ulong
                function.argtypes = [ctypes.c_int, vector, count, vector, count, ctypes.c_ulong]

    def read(self, address: int, size: int) -> bytes:
        """Read `size` bytes.

        Raises:
            MemoryFault: Not all bytes are readable. The error has the readable beginning.
        """
        if size > _READ_LIMIT:
            raise MemoryFault(address)
        buffer = ctypes.create_string_buffer(max(size, 1))
        copied = self._copy(self._read, address, buffer, size)
        if copied < size:
            raise MemoryFault(address + copied, buffer.raw[:copied])
        return buffer.raw[:size]

    def write(self, address: int, data: bytes) -> None:
        """Overwrite memory.

        Raises:
            MemoryFault: Not all bytes are writable.
        """
        buffer = ctypes.create_string_buffer(data, max(len(data), 1))
        if self._copy(self._write, address, buffer, len(data)) < len(data):
            raise MemoryFault(address)

    def _copy(self, function: Any, address: int, buffer: Any, size: int) -> int:
        """Copy between an address and a buffer, and return the number of copied bytes."""
        if sys.platform == "win32":
            copied = ctypes.c_size_t(0)
            function(ctypes.c_void_p(-1), address, buffer, size, ctypes.byref(copied))
            return copied.value
        local = _IoVector(ctypes.addressof(buffer), size)
        remote = _IoVector(address, size)
        return max(int(function(self._pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)), 0)


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))
