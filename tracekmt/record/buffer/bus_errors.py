"""Survives SIGBUS in a file mapping that another process truncates (x86-64 Linux).

An access beyond the end of a mapped file raises SIGBUS, which ends the process. The handler maps a page of zeros there,
counts the fault and repeats the access. It is machine code, because a handler in Python runs after the access.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
import threading
from functools import cache
from typing import Any

_SIGBUS = 7
_SA_SIGINFO = 4
_PAGE = 4096
_SIZE = 4 * _PAGE
_PREVIOUS, _RANGES = 0x100, 0x128
"""Offsets in the handler's memory: address of the previous handler, before a zeroed sigaction; first watched range."""

_RANGE = struct.Struct("<QQQ")
"""A watched range: address of its first byte, address after its last byte, number of faults."""

_LIMIT = (_SIZE - _RANGES) // _RANGE.size - 1
"""Limit of ranges. A range at address 0 ends the list."""

_UNUSED = 1
"""Address of an unused range of the list, which is empty."""

_CODE = (
    b"\x48\x8b\x46\x10"  # mov rax, [rsi + 16], which is si_addr
    b"\x48\x8d\x0d\x1d\x01\x00\x00"  # lea rcx, [ranges]
    b"\x4c\x8b\x01"  # next: mov r8, [rcx]
    b"\x4d\x85\xc0"  # test r8, r8
    b"\x74\x42"  # je other
    b"\x4c\x39\xc0"  # cmp rax, r8
    b"\x72\x06"  # jb skip
    b"\x48\x3b\x41\x08"  # cmp rax, [rcx + 8]
    b"\x72\x06"  # jb found
    b"\x48\x83\xc1\x18"  # skip: add rcx, 24
    b"\xeb\xe7"  # jmp next
    b"\xf0\x48\xff\x41\x10"  # found: lock inc qword [rcx + 16]
    b"\x48\x89\xc7"  # mov rdi, rax
    b"\x48\x81\xe7\x00\xf0\xff\xff"  # and rdi, -4096
    b"\xbe\x00\x10\x00\x00"  # mov esi, 4096
    b"\xba\x03\x00\x00\x00"  # mov edx, PROT_READ | PROT_WRITE
    b"\x41\xba\x32\x00\x00\x00"  # mov r10d, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
    b"\x49\xc7\xc0\xff\xff\xff\xff"  # mov r8, -1
    b"\x45\x31\xc9"  # xor r9d, r9d
    b"\xb8\x09\x00\x00\x00"  # mov eax, mmap
    b"\x0f\x05\xc3"  # syscall; ret
    b"\x48\x8b\x05\xa4\x00\x00\x00"  # other: mov rax, [previous]
    b"\x48\x83\xf8\x01"  # cmp rax, SIG_IGN
    b"\x77\x1c"  # ja chain
    b"\xbf\x07\x00\x00\x00"  # mov edi, SIGBUS
    b"\x48\x8d\x35\x9a\x00\x00\x00"  # lea rsi, [a sigaction of SIG_DFL]
    b"\x31\xd2"  # xor edx, edx
    b"\x41\xba\x08\x00\x00\x00"  # mov r10d, 8
    b"\xb8\x0d\x00\x00\x00"  # mov eax, rt_sigaction
    b"\x0f\x05\xc3"  # syscall; ret, to fault again and end
    b"\xff\xe0"  # chain: jmp rax
)


class _Sigaction(ctypes.Structure):
    """The C library's struct sigaction."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_byte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class _Handler:
    """An installed handler."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    @property
    def is_current(self) -> bool:
        """True while the C library has this handler for SIGBUS."""
        action = _Sigaction()
        _sigaction()(_SIGBUS, None, ctypes.byref(action))
        return bool(action.handler == address_of(self._memory))

    def add(self, start: int, size: int) -> int | None:
        """Watch a range of memory. Return its index in the list, or None if the list is full."""
        for index in range(_LIMIT):
            offset = _RANGES + _RANGE.size * index
            first, _, _ = _RANGE.unpack_from(self._memory, offset)
            if first <= _UNUSED:
                struct.pack_into("<QQ", self._memory, offset + 8, start + size, 0)
                struct.pack_into("<Q", self._memory, offset, start)  # last: a thread may fault at any time
                return index
        return None

    def remove(self, index: int) -> None:
        """Watch a range no longer."""
        struct.pack_into("<QQQ", self._memory, _RANGES + _RANGE.size * index, _UNUSED, 0, 0)

    def faults(self, index: int) -> int:
        """Return the number of faults in a range."""
        return int(_RANGE.unpack_from(self._memory, _RANGES + _RANGE.size * index)[2])


def _install() -> _Handler | None:
    """Install a handler. Return None where there is no such handler."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 1 << 32:
        return None
    try:
        memory = mmap.mmap(-1, _SIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # a hardened system allows no executable memory
        return None
    memory[: len(_CODE)] = _CODE
    previous = _Sigaction()
    action = _Sigaction(handler=address_of(memory), flags=_SA_SIGINFO)
    _sigaction()(_SIGBUS, None, ctypes.byref(previous))
    struct.pack_into("<Q", memory, _PREVIOUS, previous.handler or 0)
    return None if _sigaction()(_SIGBUS, ctypes.byref(action), None) else _Handler(memory)


@cache
def _sigaction() -> Any:
    return ctypes.CDLL(None).sigaction


_LOCK = threading.Lock()
_HANDLERS: list[_Handler] = []
"""Installed handlers, the newest last. Older ones stay: a later handler may still call them."""


def _watch(start: int, size: int) -> tuple[_Handler, int] | None:
    """Watch a range of memory. Return its handler and its index, or None if it cannot be watched."""
    with _LOCK:
        # Frida's agent in this process puts back the handler that it found, when it is unloaded (seen with 17.26).
        if not _HANDLERS or not _HANDLERS[-1].is_current:
            installed = _install()
            if installed is None:
                return None
            _HANDLERS.append(installed)
        index = _HANDLERS[-1].add(start, size)
        return None if index is None else (_HANDLERS[-1], index)


class BusErrorWatch:
    """Watches a mapping until it is closed, on x86-64 Linux. Elsewhere it does nothing."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._range = address_of(mapped), len(mapped)
        self._watched = _watch(*self._range)
        self._earlier_faults = 0

    @property
    def faults(self) -> int:
        """Number of pages that were replaced with zeros because the file was too short."""
        if self._watched is None:
            return self._earlier_faults
        handler, index = self._watched
        return self._earlier_faults + handler.faults(index)

    def renew(self) -> None:
        """Install the handler again if something else took it back, which happens at any time."""
        if self._watched is not None and not self._watched[0].is_current:
            self._earlier_faults = self.faults
            self.close()
            self._watched = _watch(*self._range)

    def close(self) -> None:
        """End the watch. The mapping may be closed afterwards."""
        if self._watched is not None:
            handler, index = self._watched
            handler.remove(index)
            self._watched = None


def address_of(memory: mmap.mmap | memoryview) -> int:
    """Return the address of writable memory."""
    view: Any = ctypes.c_char.from_buffer(memory)
    return ctypes.addressof(view)
