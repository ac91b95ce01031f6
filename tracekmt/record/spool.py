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
import time
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from tracekmt.errors import RecordError
from tracekmt.record.spill import Spill
from tracekmt.spec.types import Call
from tracekmt.trace.events import Enter, Header, Leave, Lost, call_data
from tracekmt.trace.frames import FrameKind, pack_frame, pack_live, preamble
from tracekmt.trace.spooled import BLOCK_HEADER, CONTROL_SIZE, IDLE, Assembler, Block, Control

BLOCK_SIZE = 64 << 10
BUSY = 1 << 20
"""Bytes that, found at once, say that the target fills the memory faster than it is taken apart."""

GIVEN_AT_ONCE = 1000

KEPT = 16 << 20
"""Bytes that wait here to be taken apart; more waits in a file."""

SIZES = tuple(mib << 20 for mib in (64, 32, 16, 8, 4, 2))
_PAGE = 4096


class Spool:
    """The mapping, from the recorder's side. It is a file in shared memory where there is such a folder.

    offset, size: where the memory lies in the file. header, calls: what the file says of itself. spill: where what is
    found faster than it is taken apart waits.
    """

    def __init__(
        self, header: Header, calls: Mapping[int, Call], folder: Path | None = None, spill: Path | None = None
    ) -> None:
        told = preamble() + pack_frame(FrameKind.HEADER, header.to_data())
        for number, call in calls.items():
            told += pack_frame(FrameKind.CALL, call_data(number, call, header.layout))
        self._told = told
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
        # What has been found of each block, the highest sequence number in it, and how many stretches of it wait.
        self._taken = [0] * count
        self._highest = [-1] * count
        self._pending = [0] * count
        self._read: set[int] = set()
        # What was found and not yet taken apart, a batch for each drain: here as much as KEPT, then in the spill.
        self._found: deque[tuple[int, list[tuple[int, bytes]]]] = deque()
        self._found_bytes = 0
        self._giving: Iterator[Enter | Leave | Lost] | None = None
        self._spill_to = spill
        self._spill: Spill | None = None
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

    @property
    def behind(self) -> bool:
        """Whether more was found than has been taken apart."""
        return bool(self._giving is not None or self._found or self._spill)

    def drain(self, *, last: bool = False, budget: float | None = None) -> list[Enter | Leave | Lost]:
        """What has been recorded since the last time, in order. What was given out then is taken to be written: it is
        gone from the memory.

        last: the target writes no more, so that what is unfinished never will be finished. budget: seconds after which
        what is left waits for the next time.
        """
        for block in [each for each in self._read if self._given_out(each)]:
            self._release(block)
        found = self._collect(last)
        if budget is not None and found > BUSY and not last:
            return []  # making room comes first
        until = None if budget is None else time.monotonic() + budget
        events: list[Enter | Leave | Lost] = []
        while self.behind and (until is None or time.monotonic() < until):
            if self._giving is None:
                self._giving = self._take_apart()
                continue
            given = list(islice(self._giving, GIVEN_AT_ONCE))
            events += given
            if len(given) < GIVEN_AT_ONCE:
                self._giving = None
        if self._spill is not None and not self.behind and self._spill.size and self._assembler.idle:
            self._spill.clear()
        return events

    def _collect(self, last: bool) -> int:
        """Find what is new in the memory, as a batch; gives its bytes."""
        upto = int(self._words[Control.SEQUENCE])
        starts = [self._start(block) for block in range(self._count)]
        if not last:
            upto = min(upto, *(self._words[start + Block.ACTIVE] for start in starts))
        found = [(block, data) for block, start in enumerate(starts) if (data := self._new_in(block, start))]
        size = sum(len(data) for _, data in found)
        if self._spill or (self._spill_to is not None and self._found_bytes + size > KEPT):
            # Whatever is found now is younger than what waits there.
            if self._spill is None and self._spill_to is not None:
                self._spill = Spill(self._spill_to, self._told)
            assert self._spill is not None
            self._spill.put(upto, [data for _, data in found])
            for block in [each for each in self._read if not self._pending[each]]:
                self._release(block)  # all of it is in the file
            return size
        self._found.append((upto, found))
        self._found_bytes += size
        for block, _ in found:
            self._pending[block] += 1
        return size

    def _given_out(self, block: int) -> bool:
        """Whether all of a block that was read has been given out."""
        return not self._pending[block] and self._highest[block] < self._assembler.next

    def _take_apart(self) -> Iterator[Enter | Leave | Lost] | None:
        """The events of the oldest batch; None where a part of it was taken that others follow."""
        try:
            if self._found:
                upto: int | None
                upto, found = self._found.popleft()
                self._found_bytes -= sum(len(data) for _, data in found)
                for block, data in found:
                    self._pending[block] -= 1
                    self._highest[block] = max(self._highest[block], self._assembler.take(data))
            else:
                assert self._spill is not None
                upto, stretches = self._spill.take()
                for data in stretches:
                    self._assembler.take(data)
        except ValueError as error:
            raise RecordError(f"{self.path}: damaged by the recorded process: {error}") from None
        return None if upto is None else self._assembler.in_order(upto)

    def close(self, *, keep: bool = False) -> None:
        """Unmap, and remove the file and the spill, unless they are to be kept for who recovers the recording."""
        if self._map is not None:
            self._words.release()
            self._queue.release()
            self._memory.release()
            self._map.close()
            self._map = None
        if self._spill is not None:
            self._spill.close(keep=keep)
        if not keep:
            self.path.unlink(missing_ok=True)

    def _start(self, block: int) -> int:
        return (self._blocks + block * BLOCK_SIZE) // 8

    def _new_in(self, block: int, start: int) -> bytes:
        """What a block has that was not found before."""
        words = self._words
        if not words[start + Block.USED] or block in self._read:
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
