"""Parks a process in a few instructions that sleep until it is released.

A parked process has no tracer, so Frida can attach to it. Its parent does not see a stopped child. It continues by
itself after PARKED_SECONDS, in case the recorder is killed.
"""

from __future__ import annotations

import struct

from tracekmt.record.process import ptrace
from tracekmt.record.process.ptrace import Registers

PARKED_SECONDS = 30
SLEEP_MS = 2
_PAGE = 4096
_RELEASED, _COUNTDOWN, _RESUME, _SAVED = 0x400, 0x404, 0x408, 0x410
"""Offsets in the page: release flag, remaining sleeps, address to continue at, saved registers."""

_BREAKPOINT = b"\xcc"


def run_to(tid: int, pid: int, address: int) -> bool:
    """Run a stopped tracee up to an address of its code. Return False if it ended before."""
    original = ptrace.read_memory(pid, address, 1)
    ptrace.write_memory(pid, address, _BREAKPOINT)
    deliver = 0
    while True:
        ptrace.request(ptrace.CONT, tid, 0, deliver)
        stop = ptrace.wait(tid)
        if stop is None or stop.has_exited:
            return False
        deliver = 0
        if stop.event:
            continue
        registers = ptrace.get_registers(tid)
        if stop.signal == ptrace.SIGTRAP and registers.rip == address + 1:
            ptrace.write_memory(pid, address, original)
            registers.rip = address
            ptrace.set_registers(tid, registers)
            return True
        deliver = stop.signal


def park(tid: int, pid: int) -> int:
    """Park a stopped tracee at its current instruction, and detach from it.

    Returns:
        Address of the page with the code, for `release`.

    Raises:
        OSError: The process cannot map executable memory. It is still a tracee.
    """
    registers = ptrace.get_registers(tid)
    page = _map_page(tid, pid, registers)
    code = _code_32bit(page) if registers.is_32bit else _code_64bit()
    data = struct.pack("<IIQ", 0, PARKED_SECONDS * 1000 // SLEEP_MS, registers.rip)
    ptrace.write_memory(pid, page, code)
    ptrace.write_memory(pid, page + _RELEASED, data)
    registers.rip = page
    registers.orig_rax = (1 << 64) - 1  # no system call to restart
    ptrace.set_registers(tid, registers)
    ptrace.request(ptrace.DETACH, tid)
    return page


def release(pid: int, page: int) -> None:
    """Let a parked process continue."""
    ptrace.write_memory(pid, page + _RELEASED, b"\1\0\0\0")


def _map_page(tid: int, pid: int, registers: Registers) -> int:
    """Make a tracee map a page of executable memory."""
    address = registers.rip
    instruction = b"\xcd\x80" if registers.is_32bit else b"\x0f\x05"
    original = ptrace.read_memory(pid, address, 2)
    changed = Registers.from_buffer_copy(registers)
    changed.orig_rax = (1 << 64) - 1
    if registers.is_32bit:  # mmap2(0, page, rwx, private and anonymous, -1, 0)
        changed.rax, changed.rbx, changed.rcx, changed.rdx = 192, 0, _PAGE, 7
        changed.rsi, changed.rdi, changed.rbp = 0x22, (1 << 32) - 1, 0
    else:
        changed.rax, changed.rdi, changed.rsi, changed.rdx = 9, 0, _PAGE, 7
        changed.r10, changed.r8, changed.r9 = 0x22, (1 << 64) - 1, 0
    ptrace.write_memory(pid, address, instruction)
    try:
        ptrace.set_registers(tid, changed)
        page = _step(tid)
    finally:
        ptrace.write_memory(pid, address, original)
        ptrace.set_registers(tid, registers)
    if page is None or page & 0xFFF:
        raise OSError(f"process {pid} cannot map executable memory")
    return page


def _step(tid: int) -> int | None:
    """Step over a tracee's system call and return the result."""
    ptrace.request(ptrace.SINGLESTEP, tid)
    stop = ptrace.wait(tid)
    if stop is None or stop.has_exited:
        return None
    registers = ptrace.get_registers(tid)
    return int(registers.rax & 0xFFFFFFFF if registers.is_32bit else registers.rax)


def _code_64bit() -> bytes:
    """Save the registers that a system call changes, sleep until released, restore them and continue."""
    code = bytearray()
    saved = (b"\x48\x89\x15", b"\x48\x89\x35", b"\x48\x89\x3d", b"\x48\x89\x05", b"\x48\x89\x0d", b"\x4c\x89\x1d")

    def relative(opcode: bytes, target: int, tail: bytes = b"") -> None:
        code.extend(opcode + struct.pack("<i", target - len(code) - len(opcode) - 4 - len(tail)) + tail)

    for number, store in enumerate(saved):  # rdx, rsi, rdi, rax, rcx, r11
        relative(store, _SAVED + 8 * number)
    loop = len(code)
    relative(b"\x83\x3d", _RELEASED, b"\0")  # cmp dword [released], 0
    code.extend(b"\x75\0")  # jne out
    first = len(code)
    relative(b"\xff\x0d", _COUNTDOWN)  # dec dword [countdown]
    code.extend(b"\x74\0")  # je out
    second = len(code)
    code.extend(b"\x31\xff\x31\xf6\xba" + struct.pack("<I", SLEEP_MS) + b"\xb8\x07\0\0\0\x0f\x05")  # poll(0, 0, ms)
    code.extend(b"\xeb" + struct.pack("<b", loop - len(code) - 2))
    code[first - 1], code[second - 1] = len(code) - first, len(code) - second
    for number, store in enumerate(saved):
        relative(store.replace(b"\x89", b"\x8b"), _SAVED + 8 * number)
    relative(b"\xff\x25", _RESUME)  # jmp [resume]
    return bytes(code)


def _code_32bit(page: int) -> bytes:
    """Save the registers that a system call changes, sleep until released, restore them and continue."""

    def absolute(opcode: bytes, offset: int, tail: bytes = b"") -> bytes:
        return opcode + struct.pack("<I", page + offset) + tail

    saved = (b"\x89\x15", b"\x89\x0d", b"\x89\x1d", b"\x89\x05")  # edx, ecx, ebx, eax
    code = bytearray()
    for number, store in enumerate(saved):
        code.extend(absolute(store, _SAVED + 8 * number))
    loop = len(code)
    code.extend(absolute(b"\x83\x3d", _RELEASED, b"\0") + b"\x75\0")
    first = len(code)
    code.extend(absolute(b"\xff\x0d", _COUNTDOWN) + b"\x74\0")
    second = len(code)
    code.extend(b"\x31\xdb\x31\xc9\xba" + struct.pack("<I", SLEEP_MS) + b"\xb8\xa8\0\0\0\xcd\x80")  # poll(0, 0, ms)
    code.extend(b"\xeb" + struct.pack("<b", loop - len(code) - 2))
    code[first - 1], code[second - 1] = len(code) - first, len(code) - second
    for number, store in enumerate(saved):
        code.extend(absolute(store.replace(b"\x89", b"\x8b"), _SAVED + 8 * number))
    code.extend(absolute(b"\xff\x25", _RESUME))
    return bytes(code)
