"""The simulator behind real C addresses, so that native callers and hooks meet it as they would meet a driver.

Every function gets an address of its own in executable memory: a few bytes of machine code that jump to a callback.
A program that wants to be recorded hands these addresses over in a file; see `HandOver`.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracekmt import ntstatus
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena, MemoryFault
from tracekmt.errors import Error
from tracekmt.simulator.simulator import BEHAVIOURS, Simulator

_STUB_SIZE = 32
_READ_LIMIT = 1 << 28
_UNSUCCESSFUL = 0xC0000001
_THUNK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)


class Thunks:
    """C addresses of a simulator's functions, valid as long as this object lives. Error where the system or the
    processor is not one that they are written for."""

    def __init__(self, simulator: Simulator) -> None:
        if platform.machine().lower() not in ("x86_64", "amd64") or sys.platform not in ("linux", "win32"):
            raise Error(
                f"the simulator has C addresses on x86-64 Linux and Windows only, not on {sys.platform} "
                f"{platform.machine()}; replay a trace instead: tracekmt replay"
            )
        self.simulator = simulator
        self._memory = ProcessMemory()
        base, self._code = _executable(_STUB_SIZE * len(BEHAVIOURS))
        self._callbacks = [_prototype(name)(self._callback(name)) for name in BEHAVIOURS]
        self.addresses: dict[str, int] = {}
        for index, (name, callback) in enumerate(zip(BEHAVIOURS, self._callbacks, strict=True)):
            target = ctypes.cast(callback, ctypes.c_void_p).value or 0
            stub = b"\x48\xb8" + target.to_bytes(8, "little") + b"\xff\xe0"  # mov rax, target; jmp rax
            self.addresses[name] = base + index * _STUB_SIZE
            ctypes.memmove(self.addresses[name], stub.ljust(_STUB_SIZE, b"\xcc"), _STUB_SIZE)

    def function(self, name: str) -> Callable[[int], int]:
        """A function to call with the address of its argument, as a C program would; gives its NTSTATUS, signed."""
        thunk: Callable[[int], int] = _THUNK(self.addresses[name])
        return thunk

    def _callback(self, name: str) -> Callable[..., int]:
        def answer(*arguments: int) -> int:
            try:
                rule = self.simulator.invoke(name, "x64", self._memory, arguments).rule
                status = int(ntstatus.status(rule.status)) if rule else 0
            except Exception:  # a defect of ours must not look like an answer
                traceback.print_exc()
                status = _UNSUCCESSFUL
            return status - (1 << 32) if status >= 1 << 31 else status

        return answer


def _prototype(name: str) -> Any:
    """A function's type in C: every argument is a word."""
    struct = CALLS[name].argument
    words = [ctypes.c_uint64] * (len(struct.members) if struct.parameters else 1)
    return ctypes.CFUNCTYPE(ctypes.c_int32, *words)


class HandOver:
    """The file in which a program offers its functions to a recorder, instead of exporting them.

    The program writes the table {"functions": {name: "0x..."}, "machine": {...}} and may wait until `PATH.hooked`
    exists, which the recorder makes when its hooks are in place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hooked = path.with_name(path.name + ".hooked")

    def offer(self, thunks: Thunks) -> None:
        """Write the table; it appears whole or not at all."""
        table = {
            "functions": {name: f"0x{address:x}" for name, address in thunks.addresses.items()},
            "machine": thunks.simulator.machine.settings(),
        }
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text(json.dumps(table), "utf-8")
        partial.replace(self.path)

    def wait(self, seconds: float) -> bool:
        """Wait for a recorder; False if none came."""
        until = time.monotonic() + seconds
        while not self.hooked.exists():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


class ProcessMemory:
    """The memory of this process, probed as the kernel probes it: a bad address is a MemoryFault, not a crash."""

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
        """`size` bytes; MemoryFault with the readable beginning."""
        if size > _READ_LIMIT:
            raise MemoryFault(address)
        buffer = ctypes.create_string_buffer(max(size, 1))
        done = self._copy(self._read, address, buffer, size)
        if done < size:
            raise MemoryFault(address + done, buffer.raw[:done])
        return buffer.raw[:size]

    def write(self, address: int, data: bytes) -> None:
        """Overwrite memory; MemoryFault where it may not be written."""
        buffer = ctypes.create_string_buffer(data, max(len(data), 1))
        if self._copy(self._write, address, buffer, len(data)) < len(data):
            raise MemoryFault(address)

    def _copy(self, function: Any, address: int, buffer: Any, size: int) -> int:
        if sys.platform == "win32":
            done = ctypes.c_size_t(0)
            function(ctypes.c_void_p(-1), address, buffer, size, ctypes.byref(done))
            return done.value
        ours = _IoVector(ctypes.addressof(buffer), size)
        theirs = _IoVector(address, size)
        return max(int(function(os.getpid(), ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)), 0)


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class ProcessArena(Arena):
    """An arena at real addresses of this process, for calling real functions."""

    def __init__(self) -> None:
        super().__init__("x64")

    def locate(self, block: bytearray) -> int:
        """Where the bytes really lie."""
        return ctypes.addressof(ctypes.c_char.from_buffer(block))


def _executable(size: int) -> tuple[int, Any]:
    """The address of executable memory, and what keeps it."""
    if sys.platform == "win32":
        allocate = ctypes.WinDLL("kernel32", use_last_error=True).VirtualAlloc
        allocate.restype = ctypes.c_void_p
        allocate.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ulong, ctypes.c_ulong]
        commit_and_reserve, execute_read_write = 0x3000, 0x40
        address = allocate(None, size, commit_and_reserve, execute_read_write)
        if not address:
            raise Error("this system gives no executable memory, which the simulator's C addresses need")
        return address, None
    try:
        code = mmap.mmap(-1, size, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError as error:
        raise Error(
            f"this system gives no executable memory, which the simulator's C addresses need ({error.strerror})"
        ) from None
    return ctypes.addressof(ctypes.c_char.from_buffer(code)), code
