"""Memory that the simulator shares with programs: mailboxes for their calls, and a heap for what a kernel would map.

A thread of the program writes its call into a letter, and waits until the letter is answered (hooks/mailbox.c). Both
sides wait on futexes. The memory is a file without a name, which the program opens through /proc.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tracekmt import futex
from tracekmt.errors import RecordError

LETTERS = 512
_BELL, _CLOSED, _HEAP = 0, 8, 16
_WRITTEN, _LETTERS = 64, 4096
_LETTER_SIZE = 128
_SIZE = _LETTERS + LETTERS * _LETTER_SIZE
_STATE_WRITTEN, _STATE_ANSWERED, _STATE_DECLINED = 2, 3, 4
_LETTER = struct.Struct("<8xQQ6Q8xQ")
_RESULT = 72

HEAP_SIZE = 1 << 40
"""Bytes of addresses for the contents of allocations. Only pages with contents take memory."""

CELL = 64
"""Bytes of a small piece of the heap: a cache line, so that two fences never share one."""

_PAGE = 4096
_PUNCH_HOLE_AND_KEEP_SIZE = 3


class _SharedFile:
    """A file without a name, mapped by this process, that other processes of the user can map.

    Attributes:
        memory: The mapped contents.
    """

    def __init__(self, name: str, size: int) -> None:
        self._file = _create_file(name)
        try:
            os.ftruncate(self._file, size)
            self.memory = mmap.mmap(self._file, size)
        except (OSError, ValueError) as error:
            os.close(self._file)
            raise RecordError(f"cannot map {size >> 20} MB for the simulator: {error}") from None
        self.location = {"path": f"/proc/{os.getpid()}/fd/{self._file}", "offset": 0, "size": size}

    def free(self, offset: int, size: int) -> None:
        """Return pages to the system. They read as zeros afterwards."""
        _libc().fallocate(self._file, _PUNCH_HOLE_AND_KEEP_SIZE, ctypes.c_long(offset), ctypes.c_long(size))

    def close(self) -> None:
        """Close the file. Programs keep what they have mapped."""
        os.close(self._file)


def _create_file(name: str) -> int:
    if sys.platform != "linux":
        raise NotImplementedError
    return os.memfd_create(name, os.MFD_CLOEXEC)


class Heap:
    """Memory for the contents of allocations and the values of fences, at the same offsets in all processes."""

    def __init__(self) -> None:
        self._file = _SharedFile("tracekmt-heap", HEAP_SIZE)
        self._end = 0
        self._is_closed = False
        self._free: dict[int, list[int]] = defaultdict(list)

    @property
    def location(self) -> dict[str, Any]:
        """Path, offset and size, for the program's side."""
        return self._file.location

    def allocate(self, size: int) -> int:
        """Return the offset of a piece of zeros: a cell, or whole pages.

        Raises:
            RecordError: The heap has no more addresses.
        """
        size = _piece_size(size)
        free = self._free[size]
        if not free:
            step = max(size, _PAGE)
            if self._end + step > HEAP_SIZE:
                raise RecordError("the program has locked more memory than the simulator can map")
            free += range(self._end, self._end + step, size)
            self._end += step
        return free.pop()

    def free(self, offset: int, size: int) -> None:
        """Take a piece back. A closed heap takes none: the number of its descriptor may be that of another file."""
        if self._is_closed:
            return
        size = _piece_size(size)
        if size == CELL:
            self._file.memory[offset : offset + CELL] = bytes(CELL)
        else:
            self._file.free(offset, size)
        self._free[size].append(offset)

    def write_value(self, offset: int, value: int) -> None:
        """Write 64 bits at once."""
        _WORD.pack_into(self._file.memory, offset, value)

    def close(self) -> None:
        """Close the heap. Programs keep what they have mapped."""
        self._is_closed = True
        self._file.close()


_WORD = struct.Struct("<Q")


def _piece_size(size: int) -> int:
    return CELL if size <= CELL else -(-size // _PAGE) * _PAGE


@dataclass(frozen=True)
class Letter:
    """A call of the program that waits for an answer.

    Attributes:
        number: Number of the letter in its mailbox.
        thread: Id of the thread.
        spec_id: Id of the call's description.
        arguments: The first seven parameters.
    """

    number: int
    thread: int
    spec_id: int
    arguments: tuple[int, ...]


class Mailbox:
    """Calls of one program that are answered here."""

    def __init__(self) -> None:
        self._file = _SharedFile("tracekmt-mailbox", _SIZE)
        self._memory = self._file.memory
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))

    @property
    def location(self) -> dict[str, Any]:
        """Path, offset and size, for the program's side."""
        return self._file.location

    @property
    def heap_address(self) -> int:
        """Address of the heap in the program."""
        return int(_WORD.unpack_from(self._memory, _HEAP)[0])

    def take(self, seconds: float) -> Iterator[Letter]:
        """Wait for letters, and yield those that have been written.

        Args:
            seconds: Limit of the wait.
        """
        (bell,) = struct.unpack_from("<I", self._memory, _BELL)
        letters = list(self._written())
        if not letters:
            self._wait(bell, seconds)
            letters = list(self._written())
        yield from letters

    def answer(self, letter: Letter, result: int) -> None:
        """Answer a call with its return value."""
        _WORD.pack_into(self._memory, _offset_of(letter) + _RESULT, result)
        self._finish(letter, _STATE_ANSWERED)

    def decline(self, letter: Letter) -> None:
        """Let the program call the function itself."""
        self._finish(letter, _STATE_DECLINED)

    def close(self) -> None:
        """Let the program make its calls itself from now on."""
        _WORD.pack_into(self._memory, _CLOSED, 1)
        for number in range(LETTERS):
            self._wake(_LETTERS + number * _LETTER_SIZE)
        self._file.close()

    def _written(self) -> Iterator[Letter]:
        number = self._memory.find(b"\1", _WRITTEN, _WRITTEN + LETTERS) - _WRITTEN
        while number >= 0:
            self._memory[_WRITTEN + number] = 0
            thread, spec_id, *arguments = _LETTER.unpack_from(self._memory, _LETTERS + number * _LETTER_SIZE)
            yield Letter(number, thread, spec_id, tuple(arguments))
            number = self._memory.find(b"\1", _WRITTEN + number, _WRITTEN + LETTERS) - _WRITTEN

    def _finish(self, letter: Letter, state: int) -> None:
        _WORD.pack_into(self._memory, _offset_of(letter), state)
        self._wake(_offset_of(letter))

    def _wake(self, offset: int) -> None:
        futex.wake(self._address + offset)

    def _wait(self, bell: int, seconds: float) -> None:
        """Wait until the bell has another value."""
        try:
            futex.wait(self._address + _BELL, bell, seconds)
        except OSError as error:
            raise RecordError(f"cannot wait for calls of the program: {error.strerror}") from None


def _offset_of(letter: Letter) -> int:
    return _LETTERS + letter.number * _LETTER_SIZE


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
