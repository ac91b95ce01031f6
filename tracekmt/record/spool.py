"""The memory that a recorder shares with the process it records: a file mapping, drained while it is written.

Its layout is `trace.spooled`'s. The drain reads what is published, puts events into the order of their sequence
numbers, and hands closed blocks back once their events have been given out and written. Nobody ever waits for anybody.

The file is a trace: it begins with a header and descriptions, and the memory is a frame of it. Whoever finds it after
recorder and target are gone can read it.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tracekmt.errors import RecordError
from tracekmt.spec.types import Call
from tracekmt.trace.events import Enter, Header, Leave, Lost, call_data
from tracekmt.trace.frames import FrameKind, pack_frame, pack_live, preamble
from tracekmt.trace.spooled import BLOCK_HEADER, CONTROL_SIZE, IDLE, Assembler, Block, Control

BLOCK_SIZE = 64 << 10
SIZES = tuple(mib << 20 for mib in (64, 32, 16, 8, 4, 2))
_PAGE = 4096


class Spool:
    """The mapping, from the recorder's side. It is a file in shared memory where there is such a folder.

    offset, size: where the memory lies in the file. header, calls: what the file says of itself.
    """

    def __init__(self, header: Header, calls: Mapping[int, Call], folder: Path | None = None) -> None:
        told = preamble() + pack_frame(FrameKind.HEADER, header.to_data())
        for number, call in calls.items():
            told += pack_frame(FrameKind.CALL, call_data(number, call, header.layout))
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
        self._assembler = Assembler()
        # What has been drained of each block, and the highest sequence number in it.
        self._taken = [0] * count
        self._highest = [-1] * count
        self._read: set[int] = set()
        for block in range(count):
            self._release(block)

    def owned_by(self, user: int) -> None:
        """Let a process of another user open the file."""
        os.chown(self.path, user, -1)

    @property
    def lost(self) -> int:
        """Events that the target could not write, so far."""
        return int(self._words[Control.LOST])

    @property
    def exit_status(self) -> int | None:
        """What the target ended with, if it did so by itself."""
        ended = int(self._words[Control.ENDED])
        return ended & 0xFF if ended else None

    def drain(self, *, last: bool = False) -> list[Enter | Leave | Lost]:
        """What has been recorded since the last time, in order. What was given out then is taken to be written: it is
        gone from the memory.

        last: the target writes no more, so that what is unfinished never will be finished.
        """
        for block in [each for each in self._read if self._highest[each] < self._assembler.next]:
            self._release(block)
        upto = int(self._words[Control.SEQUENCE])
        starts = [self._start(block) for block in range(self._count)]
        if not last:
            upto = min(upto, *(self._words[start + Block.ACTIVE] for start in starts))
        for block, start in enumerate(starts):
            self._drain_block(block, start)
        return list(self._assembler.in_order(upto))

    def close(self) -> None:
        """Unmap and remove the file."""
        if self._map is not None:
            self._words.release()
            self._queue.release()
            self._memory.release()
            self._map.close()
            self._map = None
        self.path.unlink(missing_ok=True)

    def _start(self, block: int) -> int:
        return (self._blocks + block * BLOCK_SIZE) // 8

    def _drain_block(self, block: int, start: int) -> None:
        words = self._words
        if not words[start + Block.USED] or block in self._read:
            return
        # In this order: a closed block takes no new event, and the one that it was closed in is no longer written.
        done = words[start + Block.CLOSED] and words[start + Block.ACTIVE] == IDLE
        committed = words[start + Block.COMMITTED]
        if committed > self._taken[block]:
            at = start * 8 + BLOCK_HEADER
            data = bytes(self._memory[at + self._taken[block] : at + committed])
            try:
                self._highest[block] = max(self._highest[block], self._assembler.take(data))
            except ValueError as error:
                raise RecordError(f"{self.path}: damaged by the recorded process: {error}") from None
            self._taken[block] = committed
        if done and words[start + Block.COMMITTED] == committed:
            self._read.add(block)

    def _release(self, block: int) -> None:
        """Put a block into the queue of free ones. The order matters: the target may take it at once."""
        words, start = self._words, self._start(block)
        self._taken[block], self._highest[block] = 0, -1
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


def _allocate(folder: Path, offset: int) -> tuple[Path, int]:
    """A file with all its bytes in place, and as much memory behind an offset as there is room for: a store into a hole
    of a full disk would kill the target."""
    number, name = tempfile.mkstemp(prefix=f"tracekmt-{os.getpid()}-", suffix=".spool", dir=folder)
    path = Path(name)
    try:
        for size in SIZES:
            try:
                os.posix_fallocate(number, 0, offset + size)
            except OSError:
                os.ftruncate(number, 0)
            else:
                return path, size
    finally:
        os.close(number)
    path.unlink()
    raise RecordError(f"{folder}: no room for {SIZES[-1] >> 20} MB of shared memory; free some, or set TMPDIR")
