"""The memory that a recorder shares with the process it records: a file mapping, drained while it is written.

Its layout is `trace.spooled`'s. The drain finds what is published, and hands closed blocks back once their events have
been given out and written. Nobody ever waits for anybody.

The file is a trace: it begins with a header and descriptions, and the memory is a frame of it. Whoever finds it after
recorder and target are gone can read it.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from pathlib import Path

from tracekmt.errors import RecordError
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.trace.buffer_format import BLOCK_HEADER, CONTROL_SIZE, IDLE, Block, Control
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.frames import pack_live

BLOCK_SIZE = 16 << 10
"""Each thread that calls has a block for itself, so that this says how many there may be."""

BUSY = 1 << 20
"""Bytes that, found at once, say that the target fills the memory faster than it is taken apart."""

SIZES = tuple(mib << 20 for mib in (64, 32, 16, 8, 4, 2))
_PAGE = 4096


class SharedBuffer:
    """The mapping, from the recorder's side. It is a file in shared memory where there is such a folder.

    told: what the file begins with. offset, size: where the memory lies in it.
    """

    def __init__(self, told: bytes, backlog: EventQueue, folder: Path | None = None) -> None:
        # The heads of the frames before the memory do not depend on how much there is room for.
        self.offset = len(told) + len(pack_live(len(told), 0, _PAGE))
        self.path, self.size = _allocate(folder or default_folder(), self.offset)
        self._map: mmap.mmap | None = None
        with self.path.open("r+b") as file:
            file.write(told + pack_live(len(told), self.size, _PAGE))
            file.flush()
            self._map = mmap.mmap(file.fileno(), self.offset + self.size)
        self._memory = memoryview(self._map)[self.offset :]
        self._words = self._memory.cast("Q")
        count = (self.size - CONTROL_SIZE) // (BLOCK_SIZE + 4)
        self._blocks = -(-(CONTROL_SIZE + 4 * count) // BLOCK_SIZE) * BLOCK_SIZE
        count = (self.size - self._blocks) // BLOCK_SIZE
        self._queue = self._memory[CONTROL_SIZE : CONTROL_SIZE + 4 * count].cast("I")
        self._count = count
        words = self._words
        words[Control.BLOCK_SIZE], words[Control.BLOCK_COUNT] = BLOCK_SIZE, count
        words[Control.QUEUE], words[Control.BLOCKS] = CONTROL_SIZE, self._blocks
        self._backlog = backlog
        # How much of each block has been found; which of them threads have taken, and which have nothing more to come.
        self._taken = [0] * count
        self._head = 0
        self._used: set[int] = set()
        self._read: set[int] = set()
        for block in range(count):
            self._release(block)

    def owned_by(self, user: int) -> None:
        """Let a process of another user open the file."""
        if sys.platform != "win32":
            os.chown(self.path, user, -1)

    @property
    def exit_status(self) -> int | None:
        """What the target ended with, if it did so by itself."""
        ended = int(self._words[Control.ENDED])
        return ended & 0xFFFFFFFF if ended else None

    @property
    def behind(self) -> bool:
        """Whether more was found than has been taken apart."""
        return bool(self._backlog)

    def drain(self, *, last: bool = False, most: int | None = None) -> list[Enter | Leave | Lost]:
        """What has been recorded since the last time, in order. What was given out then is taken to be written: it is
        gone from the memory.

        last: the target writes no more, so that what is unfinished never will be finished. most: how many events are
        given; what is left waits for the next time.
        """
        found = self._collect(last)
        for block in [each for each in self._read if not self._backlog.holds(each)]:
            self._release(block)
        if most is not None and found > BUSY and not last:
            return []  # making room comes first
        try:
            return self._backlog.events(most)
        except ValueError as error:
            raise RecordError(f"{self.path}: damaged by the recorded process: {error}") from None

    def start_over(self) -> None:
        """Whoever wrote is gone, and another begins: what is unfinished stays so, and every block is free again once
        it is taken apart."""
        for block in self._used:
            words, start = self._words, self._start(block)
            words[start + Block.ACTIVE] = IDLE
            words[start + Block.CLOSED] = 1

    def close(self, *, keep: bool = False) -> None:
        """Unmap, and remove the file and what waits elsewhere, unless they are to be kept for who recovers the
        recording."""
        if self._map is not None:
            self._words.release()
            self._queue.release()
            self._memory.release()
            self._map.close()
            self._map = None
        self._backlog.close(keep=keep)
        if not keep:
            self.path.unlink(missing_ok=True)

    def _collect(self, last: bool) -> int:
        """Find what is new in the memory; gives its bytes."""
        # In this order: an event below `upto` stands in a block that has been taken.
        upto, head = int(self._words[Control.SEQUENCE]), self._words[Control.HEAD]
        if not 0 <= head - self._head <= self._count:
            raise RecordError(f"{self.path}: damaged by the recorded process: it took {head} blocks")
        self._used.update(self._queue[place % self._count] for place in range(self._head, head))
        self._head = head
        if not last:
            upto = min((upto, *(self._words[self._start(block) + Block.ACTIVE] for block in self._used)))
        found = [(block, data) for block in self._used if (data := self._new_in(block))]
        self._used -= self._read
        self._backlog.put(upto, found)
        return sum(len(data) for _, data in found)

    def _start(self, block: int) -> int:
        return (self._blocks + block * BLOCK_SIZE) // 8

    def _new_in(self, block: int) -> bytes:
        """What a block has that was not found before."""
        words, start = self._words, self._start(block)
        if not words[start + Block.USED]:
            return b""
        # In this order: a closed block takes no new event, and the one that it was closed in is no longer written.
        done = words[start + Block.CLOSED] and words[start + Block.ACTIVE] == IDLE
        committed = words[start + Block.COMMITTED]
        at = start * 8 + BLOCK_HEADER
        data = bytes(self._memory[at + self._taken[block] : at + committed])
        self._taken[block] = committed
        if done and words[start + Block.COMMITTED] == committed:
            self._read.add(block)
        return data

    def _release(self, block: int) -> None:
        """Put a block into the queue of free ones. The order matters: the target may take it at once."""
        words, start = self._words, self._start(block)
        self._taken[block] = 0
        self._backlog.forget(block)
        self._read.discard(block)
        words[start + Block.USED] = 0
        words[start + Block.COMMITTED] = 0
        words[start + Block.CLOSED] = 0
        words[start + Block.ACTIVE] = IDLE
        tail = words[Control.TAIL]
        self._queue[tail % self._count] = block
        words[Control.TAIL] = tail + 1


def default_folder() -> Path:
    """Where the memory lies unless it is asked for elsewhere."""
    shared = Path("/dev/shm")  # noqa: S108 (a file of our own name, made exclusively)
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def _fill(number: int, size: int) -> None:
    """Make a file so large, with room for all of it."""
    if sys.platform == "win32":
        os.ftruncate(number, size)  # which leaves no holes there
    else:
        os.posix_fallocate(number, 0, size)


def _allocate(folder: Path, offset: int) -> tuple[Path, int]:
    """A file with all its bytes in place, and as much memory behind an offset as there is room for: a store into a hole
    of a full disk would kill the target."""
    number, name = tempfile.mkstemp(prefix=f"tracekmt-{os.getpid()}-", suffix=".spool", dir=folder)
    path = Path(name)
    try:
        for size in SIZES:
            try:
                _fill(number, offset + size)
            except OSError:
                os.ftruncate(number, 0)
            else:
                return path, size
    finally:
        os.close(number)
    path.unlink()
    raise RecordError(f"{folder}: no room for {SIZES[-1] >> 20} MB of shared memory; free some, or set TMPDIR")
