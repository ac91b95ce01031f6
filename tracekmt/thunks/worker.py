"""The process that a library is loaded into: what crashes or hangs there costs this process and no replay.

    python -m tracekmt.thunks.worker

Requests come in on standard input and answers go out on what was standard output; both are msgpack values, each behind
its length as 32 bits, little endian. A request is a list: the name of one of the methods below, and its arguments. An
answer is [True, result], or [False, why not]. The process ends with its input.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
from typing import IO, Any

import msgpack

ARENA_SIZE = 64 << 20
"""Bytes that one call's arguments may take, with all that they lead to."""

GUARD_SIZE = 64 << 10

_RESULTS: dict[str, Any] = {"NTSTATUS": ctypes.c_uint32, "BOOLEAN": ctypes.c_uint8, "void": None}


class Worker:
    """A loaded library, and the memory that its calls are given."""

    def __init__(self) -> None:
        self._libraries: list[Any] = []
        self._functions: dict[str, Any] = {}
        self._kept: list[Any] = []

    def load(self, paths: list[str]) -> dict[str, int]:
        """Load the first library that can be loaded. Gives where a call's memory lies, how much of it there is, and
        where memory begins that nobody may touch."""
        problems = []
        for path in paths:
            try:
                self._libraries.append(_open(path))
                break
            except OSError as error:
                problems.append(str(error))
        else:
            raise OSError("; ".join(problems))
        if sys.platform == "win32":
            self._libraries.append(_open("ntdll"))
        return {"base": self.memory(ARENA_SIZE), "size": ARENA_SIZE, "guard": _guard()}

    def has(self, name: str) -> bool:
        """Whether a function is there."""
        return self._function(name) is not None

    def call(self, name: str, returns: str, arguments: list[int], blocks: list[tuple[int, bytes]]) -> list[Any]:
        """Put bytes where they belong, call a function with these words, and tell what it gave and what the same
        memory holds then."""
        for address, data in blocks:
            ctypes.memmove(address, data, len(data))
        function = self._function(name)
        function.restype = _RESULTS[returns]
        result = function(*map(ctypes.c_size_t, arguments))
        return [result or 0, [ctypes.string_at(address, len(data)) for address, data in blocks]]

    def memory(self, size: int) -> int:
        """The address of so many zeroed bytes, at the beginning of a page."""
        block = mmap.mmap(-1, max(size, 1))
        self._kept.append(block)
        return ctypes.addressof(ctypes.c_char.from_buffer(block))

    def event(self) -> int:
        """A new event, which nobody has set."""
        if sys.platform == "win32":
            return int(_kernel32().CreateEventW(None, 0, 0, None) or 0)
        # What libdxg takes in place of an event.
        return os.eventfd(0) if hasattr(os, "eventfd") else int(ctypes.CDLL(None).eventfd(0, 0))

    def section(self, size: int) -> int:
        """A new section of so many bytes."""
        if sys.platform == "win32":
            read_write = 0x04
            return int(_kernel32().CreateFileMappingW(-1, None, read_write, size >> 32, size & 0xFFFFFFFF, None) or 0)
        file = os.memfd_create("tracekmt")
        os.ftruncate(file, size)
        return file

    def process(self) -> int:
        """A handle to this process."""
        if sys.platform == "win32":
            return -1 & (1 << 8 * ctypes.sizeof(ctypes.c_void_p)) - 1
        return os.pidfd_open(os.getpid())

    def _function(self, name: str) -> Any:
        if name not in self._functions:
            found = (getattr(library, name, None) for library in self._libraries)
            self._functions[name] = next((each for each in found if each is not None), None)
        return self._functions[name]


def _guard() -> int:
    """Memory that cannot be read or written: what a bad pointer of a recording leads to."""
    if sys.platform == "win32":
        reserve, no_access = 0x2000, 0x01
        return int(_kernel32().VirtualAlloc(None, GUARD_SIZE, reserve, no_access) or 0)
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    private_anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return int(libc.mmap(None, GUARD_SIZE, 0, private_anonymous, -1, 0))


def _open(path: str) -> Any:
    """A library, in its system's calling convention."""
    if sys.platform == "win32":
        return ctypes.WinDLL(path)
    return ctypes.CDLL(path)


def _kernel32() -> Any:
    kernel32 = _open("kernel32")
    pointer, word = ctypes.c_void_p, ctypes.c_uint32
    for function, arguments in (
        (kernel32.CreateEventW, [pointer, ctypes.c_int, ctypes.c_int, pointer]),
        (kernel32.CreateFileMappingW, [pointer, pointer, word, word, word, pointer]),
        (kernel32.VirtualAlloc, [pointer, ctypes.c_size_t, word, word]),
    ):
        function.restype, function.argtypes = pointer, arguments
    return kernel32


def receive(source: IO[bytes]) -> Any:
    """The next value of a stream; EOFError at its end."""
    size = source.read(4)
    data = source.read(int.from_bytes(size, "little")) if len(size) == 4 else b""
    if len(size) < 4 or len(data) < int.from_bytes(size, "little"):
        raise EOFError
    return msgpack.unpackb(data, raw=False, unicode_errors="surrogatepass")


def send(sink: IO[bytes], value: Any) -> None:
    """Write one value to a stream."""
    data = msgpack.packb(value, unicode_errors="surrogatepass")
    sink.write(len(data).to_bytes(4, "little") + data)
    sink.flush()


def main() -> None:
    """Answer until the input ends."""
    if sys.platform == "linux":
        die_with_parent, kill = 1, 9  # PR_SET_PDEATHSIG: a call that hangs must not outlive the replay
        ctypes.CDLL(None).prctl(die_with_parent, kill)
    # Ctrl-C is for the replay, which then has everything destroyed here. What a library prints goes to standard error.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = Worker()
    while True:
        try:
            name, *arguments = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = [True, getattr(worker, name)(*arguments)]
        except OSError as error:  # on Windows this is also how a crash of the library shows
            answer = [False, str(error)]
        send(answers, answer)


if __name__ == "__main__":
    main()
