"""C addresses for the functions of a simulator, so that native callers and hooks can use it like a driver.

Every function has its own address in executable memory: a few bytes of machine code that jump to a callback. A program
passes these addresses to a recorder in a file (see `tracekmt.record.handover`).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from tracekmt import ntstatus, system
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena, MemoryFault
from tracekmt.errors import Error
from tracekmt.simulator.behaviours import BEHAVIOURS
from tracekmt.simulator.recorded_state import PENDING, SUCCESS
from tracekmt.simulator.simulator import Simulator

_STUB_SIZE = 32
_READ_LIMIT = 1 << 28
"""Bytes of the largest read. A larger size is a MemoryFault instead of an allocation in this process."""

_UNSUCCESSFUL = 0xC0000001
_THUNK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
_NO_EXECUTABLE_MEMORY = "cannot allocate executable memory for the simulator's C addresses"


class Thunks:
    """C addresses of a simulator's functions, valid while this object lives.

    Attributes:
        simulator: The simulator.
        addresses: Address of each function by name.

    Raises:
        Error: The system or the processor is not supported, or does not allow executable memory.
    """

    def __init__(self, simulator: Simulator) -> None:
        if system.machine() != "x86_64" or sys.platform not in ("linux", "win32"):
            raise Error(
                f"unsupported system for the simulator's C addresses: {sys.platform} {system.machine()} "
                "(expected x86-64 Linux or Windows). Replay a trace instead: tracekmt replay"
            )
        self.simulator = simulator
        self._memory = ProcessMemory()
        self._fences: list[ctypes.c_uint64] = []
        simulator.map_fence_memory = self._map_fence
        base, self._code = _allocate_executable(_STUB_SIZE * len(BEHAVIOURS))
        self._callbacks = [_prototype(name)(self._callback(name)) for name in BEHAVIOURS]
        self.addresses: dict[str, int] = {}
        for index, (name, callback) in enumerate(zip(BEHAVIOURS, self._callbacks, strict=True)):
            target = ctypes.cast(callback, ctypes.c_void_p).value or 0
            stub = b"\x48\xb8" + target.to_bytes(8, "little") + b"\xff\xe0"  # mov rax, target; jmp rax
            self.addresses[name] = base + index * _STUB_SIZE
            ctypes.memmove(self.addresses[name], stub.ljust(_STUB_SIZE, b"\xcc"), _STUB_SIZE)

    def function(self, name: str) -> Callable[[int], int]:
        """Return a function that takes the address of its argument, like a C caller, and returns a signed NTSTATUS."""
        thunk: Callable[[int], int] = _THUNK(self.addresses[name])
        return thunk

    def _map_fence(self) -> tuple[int, Callable[[int], None]]:
        """Return the address of a fence value that lives as long as the addresses of the functions, and its writer."""
        value = ctypes.c_uint64()
        self._fences.append(value)
        return ctypes.addressof(value), partial(setattr, value, "value")

    def _callback(self, name: str) -> Callable[..., int]:
        def callback(*arguments: int) -> int:
            try:
                answer = self.simulator.invoke(CALLS[name], "x64", self._memory, arguments)
                success = PENDING if answer.is_pending else SUCCESS
                status = int(ntstatus.status(answer.rule.status if answer.rule else success))
            except Exception:  # an internal error must not look like an answer of the simulator
                traceback.print_exc()
                status = _UNSUCCESSFUL
            return status - (1 << 32) if status >= 1 << 31 else status

        return callback


def _prototype(name: str) -> Any:
    """Return the C type of a function, with a word for each argument."""
    struct = CALLS[name].argument
    words = [ctypes.c_uint64] * (len(struct.members) if struct.parameters else 1)
    return ctypes.CFUNCTYPE(ctypes.c_int32, *words)


class ProcessMemory:
    """Memory of this process, probed like in the kernel: a bad address is a MemoryFault, not a crash."""

    def __init__(self) -> None:
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
        return max(int(function(os.getpid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)), 0)


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class ProcessArena(Arena):
    """An arena at real addresses of this process, for calls of real functions."""

    def __init__(self) -> None:
        super().__init__("x64")

    def locate(self, block: bytearray) -> int:
        """Return the real address of a block."""
        return ctypes.addressof(ctypes.c_char.from_buffer(block))


def _allocate_executable(size: int) -> tuple[int, Any]:
    """Allocate executable memory. Return its address, and the object that keeps it mapped."""
    if sys.platform == "win32":
        allocate = ctypes.WinDLL("kernel32", use_last_error=True).VirtualAlloc
        allocate.restype = ctypes.c_void_p
        allocate.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ulong, ctypes.c_ulong]
        commit_and_reserve, execute_read_write = 0x3000, 0x40
        address = allocate(None, size, commit_and_reserve, execute_read_write)
        if not address:
            raise Error(_NO_EXECUTABLE_MEMORY)
        return address, None
    try:
        code = mmap.mmap(-1, size, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError as error:
        raise Error(f"{_NO_EXECUTABLE_MEMORY}: {error.strerror}") from None
    return ctypes.addressof(ctypes.c_char.from_buffer(code)), code
