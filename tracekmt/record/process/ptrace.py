"""Linux's ptrace: the requests that a recorder needs to start, follow and park processes.

A tracee belongs to the thread that attached to it, so every function acts on the tracees of the calling thread.
Registers are those of x86-64. Its kernel shows 32-bit tracees to a 64-bit tracer in the same structure.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import NamedTuple

CONT, SINGLESTEP, GETREGS, SETREGS, DETACH = 7, 9, 12, 13, 17
GETEVENTMSG, SEIZE, INTERRUPT, LISTEN = 0x4201, 0x4206, 0x4207, 0x4208
O_TRACEFORK, O_TRACEVFORK, O_TRACECLONE, O_TRACEEXEC = 1 << 1, 1 << 2, 1 << 3, 1 << 4
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_STOP = 1, 2, 3, 4, 128
WALL, WNOTHREAD = 0x40000000, 0x20000000

AT_ENTRY = 9
CODE_SEGMENT_64 = 0x33

# Numbers of Linux, which Python has on Linux only.
SIGTRAP = 5
_GROUP_STOPS = (19, 20, 21, 22)  # SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU
_WNOHANG = 1
_STOPPED = 0x7F

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.restype = ctypes.c_long
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


class Registers(ctypes.Structure):
    """Registers of a stopped thread (struct user_regs_struct)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
            "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
        )
    )  # fmt: skip

    @property
    def is_32bit(self) -> bool:
        """True if the thread runs 32-bit code."""
        return int(self.cs) != CODE_SEGMENT_64


class Stop(NamedTuple):
    """A state change of a tracee or child.

    Attributes:
        tid: Thread id.
        has_exited: True if the thread has ended.
        signal: Signal that stopped or ended the thread.
        event: PTRACE_EVENT_* of the stop, 0 for a signal.
        status: Exit status of an ended thread, None if a signal ended it.
    """

    tid: int
    has_exited: bool
    signal: int
    event: int
    status: int | None


def request(kind: int, tid: int, address: int = 0, data: int = 0) -> None:
    """Make a ptrace request.

    Raises:
        OSError: The kernel refuses the request.
    """
    ctypes.set_errno(0)
    if _ptrace(kind, tid, address, data) == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def wait(tid: int, *, block: bool = True) -> Stop | None:
    """Wait for a tracee or child. Return None if it is neither, or has not changed and `block` is False.

    Each is waited for by its id. Frida traces from other threads of this process, and a wait for any child would
    consume the stops of Frida's tracees.
    """
    try:
        found, status = os.waitpid(tid, WALL | WNOTHREAD | (0 if block else _WNOHANG))
    except ChildProcessError:
        return None
    if found == 0:
        return None
    number = status & 0x7F
    if number == _STOPPED:
        return Stop(found, False, status >> 8 & 0xFF, status >> 16, None)
    return Stop(found, True, number, 0, None if number else status >> 8)


def resume(stop: Stop) -> None:
    """Continue a stopped tracee as it would continue without a tracer."""
    if stop.event == EVENT_STOP and stop.signal in _GROUP_STOPS:
        request(LISTEN, stop.tid)
    else:
        request(CONT, stop.tid, 0, 0 if stop.event else stop.signal)


def detach(stop: Stop) -> None:
    """Detach from a stopped tracee and deliver the signal that stopped it."""
    request(DETACH, stop.tid, 0, 0 if stop.event else stop.signal)


def get_registers(tid: int) -> Registers:
    """Read the registers of a stopped thread."""
    registers = Registers()
    request(GETREGS, tid, 0, ctypes.addressof(registers))
    return registers


def set_registers(tid: int, registers: Registers) -> None:
    """Write the registers of a stopped thread."""
    request(SETREGS, tid, 0, ctypes.addressof(registers))


def event_message(tid: int) -> int:
    """Return the message of an event stop: the new thread of a fork, or the former thread id of an exec."""
    message = ctypes.c_ulong()
    request(GETEVENTMSG, tid, 0, ctypes.addressof(message))
    return message.value


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Read memory of a process."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        file.seek(address)
        return file.read(size)


def write_memory(pid: int, address: int, data: bytes) -> None:
    """Write memory of a process, including write-protected memory."""
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as file:
        file.seek(address)
        file.write(data)


def entry_point(pid: int, *, is_32bit: bool) -> int:
    """Return the address of a program's first instruction, which runs when its libraries are loaded.

    Raises:
        OSError: The process is gone.
    """
    width = 4 if is_32bit else 8
    with open(f"/proc/{pid}/auxv", "rb") as file:
        words = file.read()
    for at in range(0, len(words) - width, 2 * width):
        if int.from_bytes(words[at : at + width], "little") == AT_ENTRY:
            return int.from_bytes(words[at + width : at + 2 * width], "little")
    raise OSError(errno.ESRCH, "the process has no program")
