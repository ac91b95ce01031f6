"""The process that a library is loaded into. A crash or a hang of the library costs this process, not the replay.

    python -m tracekmt.thunks.worker

Requests arrive on standard input, answers leave on the former standard output. Both are msgpack values, each after its
length in 32 bits, little endian. A request is a list with the name of a method of `Worker` and its arguments. An answer
is [True, result] or [False, reason]. The process ends at the end of its input.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
from typing import IO, Any

import msgpack

from tracekmt.trace.msgpack_objects import count_objects

ARENA_SIZE = 64 << 20
"""Maximum size of the arguments of one call and the memory that they point to, in bytes."""

GUARD_SIZE = 64 << 10
VALUE_LIMIT = ARENA_SIZE + (16 << 20)
"""Maximum size of a request or an answer, in bytes."""

OBJECT_LIMIT = 4_000_000
"""Maximum number of objects in a request or an answer."""

_RESULTS: dict[str, Any] = {"NTSTATUS": ctypes.c_uint32, "BOOLEAN": ctypes.c_uint8, "void": None}


class Worker:
    """A loaded library, and memory for its calls."""

    def __init__(self) -> None:
        self._libraries: list[Any] = []
        self._functions: dict[str, Any] = {}
        self._blocks: list[Any] = []

    def load(self, paths: list[str]) -> dict[str, int]:
        """Load the first library of a list that can be loaded.

        Args:
            paths: Paths of libraries.

        Returns:
            "base" and "size" of the memory for arguments, and "guard", the address of inaccessible memory.

        Raises:
            OSError: No library can be loaded.
        """
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
        """Return True if the library exports a function."""
        return self._function(name) is not None

    def call(self, name: str, returns: str, arguments: list[int], blocks: list[tuple[int, bytes]]) -> list[Any]:
        """Call a function.

        Args:
            name: Name of the function.
            returns: Type of its return value, a key of `_RESULTS`.
            arguments: Arguments, each a word.
            blocks: Memory to write before the call, with its addresses.

        Returns:
            The return value, and the contents of the same memory after the call.
        """
        for address, data in blocks:
            ctypes.memmove(address, data, len(data))
        function = self._function(name)
        function.restype = _RESULTS[returns]
        result = function(*map(ctypes.c_size_t, arguments))
        return [result or 0, [ctypes.string_at(address, len(data)) for address, data in blocks]]

    def memory(self, size: int) -> int:
        """Allocate zeroed bytes at the start of a page, and return their address."""
        block = mmap.mmap(-1, max(size, 1))
        self._blocks.append(block)
        return ctypes.addressof(ctypes.c_char.from_buffer(block))

    def event(self) -> int:
        """Create an unsignalled event, and return its handle."""
        if sys.platform == "win32":
            return int(_kernel32().CreateEventW(None, 0, 0, None) or 0)
        # libdxg takes an eventfd in place of an event.
        return os.eventfd(0) if hasattr(os, "eventfd") else int(ctypes.CDLL(None).eventfd(0, 0))

    def section(self, size: int) -> int:
        """Create a section of a size in bytes, and return its handle."""
        if sys.platform == "win32":
            read_write = 0x04
            return int(_kernel32().CreateFileMappingW(-1, None, read_write, size >> 32, size & 0xFFFFFFFF, None) or 0)
        file = os.memfd_create("tracekmt")
        os.ftruncate(file, size)
        return file

    def process(self) -> int:
        """Return a handle to this process."""
        if sys.platform == "win32":
            return -1 & (1 << 8 * ctypes.sizeof(ctypes.c_void_p)) - 1
        return os.pidfd_open(os.getpid())

    def _function(self, name: str) -> Any:
        if name not in self._functions:
            exports = (getattr(library, name, None) for library in self._libraries)
            self._functions[name] = next((function for function in exports if function is not None), None)
        return self._functions[name]


def _guard() -> int:
    """Reserve memory that cannot be read or written. Unreadable pointers of a recording are replaced by its address."""
    if sys.platform == "win32":
        reserve, no_access = 0x2000, 0x01
        return int(_kernel32().VirtualAlloc(None, GUARD_SIZE, reserve, no_access) or 0)
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    private_anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return int(libc.mmap(None, GUARD_SIZE, 0, private_anonymous, -1, 0))


def _open(path: str) -> Any:
    """Load a library with the calling convention of its system."""
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


HEAD_SIZE = 4
"""Bytes of the length before a value."""


def receive(source: IO[bytes]) -> Any:
    """Read the next value of a stream.

    Raises:
        EOFError: The stream has ended.
        ValueError: The value is not valid. The library may have written it.
    """
    head = source.read(HEAD_SIZE)
    size = value_size(head)
    data = source.read(size) if len(head) == HEAD_SIZE else b""
    if len(head) < HEAD_SIZE or len(data) < size:
        raise EOFError
    return decode(data)


def value_size(head: bytes | bytearray) -> int:
    """Return the size of a value in bytes. Raise ValueError for a value that is too large."""
    size = int.from_bytes(head, "little")
    if size > VALUE_LIMIT:
        raise ValueError(size)
    return size


def decode(data: bytes) -> Any:
    """Return a value. Raise ValueError or an exception of msgpack for data that are not valid."""
    if count_objects(data, OBJECT_LIMIT) > OBJECT_LIMIT:
        raise ValueError(OBJECT_LIMIT)
    return msgpack.unpackb(data, raw=False, unicode_errors="surrogatepass")


def message(value: Any) -> bytes:
    """Return one value as it is in a stream."""
    data: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return len(data).to_bytes(HEAD_SIZE, "little") + data


def main() -> None:
    """Answer requests until the input ends."""
    if sys.platform == "linux":
        from tracekmt.thunks.supervisor import continue_in_child

        continue_in_child()
    # Ctrl-C is for the replay, which then destroys the objects of this process. Output of the library goes to stderr.
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
        except OSError as error:  # On Windows, ctypes also reports a crash of the library as OSError
            answer = [False, str(error)]
        answers.write(message(answer))
        answers.flush()
        if name == "call" and not answer[0]:
            return  # no call is made in a process that has crashed


if __name__ == "__main__":
    main()
