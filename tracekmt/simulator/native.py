"""C addresses for the functions of a simulator, so that native callers and hooks can use it like a driver.

Every function has its own address in executable memory: a few bytes of machine code that jump to a callback. A program
passes these addresses to a recorder in a file (see `tracekmt.record.handover`).
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from tracekmt import ntstatus, system
from tracekmt.calls import CALLS
from tracekmt.codec.memory import Arena
from tracekmt.errors import Error
from tracekmt.simulator.behaviours import BEHAVIOURS
from tracekmt.simulator.model.gpu_queue import Fence
from tracekmt.simulator.model.shared_objects import AllocationMemory
from tracekmt.simulator.process_memory import ProcessMemory
from tracekmt.simulator.simulator import Simulator

_STUB_SIZE = 32
_UNKNOWN_SIZE = 16 << 20
"""Bytes of an allocation whose size only a driver knows. Pages without contents take no memory."""

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
        self._fences: WeakKeyDictionary[Fence, ctypes.c_uint64] = WeakKeyDictionary()
        self._contents: WeakKeyDictionary[AllocationMemory, mmap.mmap] = WeakKeyDictionary()
        simulator.map_fence_memory = self._map_fence
        simulator.map_allocation_memory = self._map_allocation
        simulator.signal_event = _signal_event
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

    def _map_fence(self, fence: Fence) -> tuple[int, Callable[[int], None]]:
        """Return the address of the value of a fence, which lives as long as the fence, and its writer."""
        value = self._fences.setdefault(fence, ctypes.c_uint64())
        return ctypes.addressof(value), partial(setattr, value, "value")

    def _map_allocation(self, memory: AllocationMemory) -> int:
        """Return the address of the contents of an allocation, which live as long as the allocation."""
        contents = self._contents.get(memory)
        if contents is None:
            contents = self._contents[memory] = mmap.mmap(-1, memory.size if memory.size_known else _UNKNOWN_SIZE)
        return ctypes.addressof(ctypes.c_char.from_buffer(contents))

    def _callback(self, name: str) -> Callable[..., int]:
        def callback(*arguments: int) -> int:
            try:
                answer = self.simulator.invoke_after_wait(CALLS[name], "x64", self._memory, arguments)
                assert answer is not None
                status = int(ntstatus.status(answer.status_name))
            except Exception:  # an internal error must not look like an answer of the simulator
                traceback.print_exc()
                status = int(ntstatus.status("STATUS_UNSUCCESSFUL"))
            return status - (1 << 32) if status >= 1 << 31 else status

        return callback


def _prototype(name: str) -> Any:
    """Return the C type of a function, with a word for each argument."""
    struct = CALLS[name].argument
    words = [ctypes.c_uint64] * (len(struct.members) if struct.parameters else 1)
    return ctypes.CFUNCTYPE(ctypes.c_int32, *words)


class ProcessArena(Arena):
    """An arena at real addresses of this process, for calls of real functions."""

    def __init__(self) -> None:
        super().__init__("x64")

    def locate(self, block: bytearray) -> int:
        """Return the real address of a block."""
        return ctypes.addressof(ctypes.c_char.from_buffer(block))


def _signal_event(handle: int) -> None:
    """Signal an event of this process: an eventfd on Linux."""
    if sys.platform == "win32":
        ctypes.WinDLL("kernel32").SetEvent(ctypes.c_void_p(handle))
        return
    with contextlib.suppress(OSError):
        os.write(handle, (1).to_bytes(8, "little"))


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
