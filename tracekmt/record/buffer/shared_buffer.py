"""The buffer that a recorder shares with its target process: a file mapping, drained while it is written.

`trace.buffer_format` defines the layout. The drain finds published data, and releases closed blocks once their events
have been returned and written. Neither side ever blocks on the other.

The target process is not trusted. The drain checks what it reads, notes the first damage, and goes on where it can.

The file is a trace: it begins with a header and descriptions, and the shared memory is a frame of it. It is therefore
readable after recorder and target are gone.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import tempfile
from pathlib import Path

from tracekmt.errors import RecordError
from tracekmt.record.buffer.blocks import Fragments, blocks_of
from tracekmt.record.buffer.bus_errors import BusErrorWatch
from tracekmt.record.buffer.event_queue import EVERYTHING, EventQueue
from tracekmt.trace.buffer_format import CONTROL_SIZE, IDLE, Block, Control
from tracekmt.trace.frames import pack_live_head
from tracekmt.trace.ready_events import FRAGMENT_HEADER, RawEvents, raw_events

BLOCK_SIZE = 16 << 10
"""Bytes of a block. Each calling thread has its own block, so this limits the number of threads."""

BUSY = 1 << 20
"""Bytes found in one drain that show that the target fills the buffer faster than it is parsed."""

UNCOUNTED = 1 << 16
"""Events that threads may have counted but neither lost nor published yet. More of them are a damaged counter."""

SIZES = tuple(mib << 20 for mib in (64, 32, 16, 8, 4, 2))
_PAGE = 4096


class SharedBuffer:
    """The recorder's side of the mapping, a file in shared memory where the system has a folder for that.

    Attributes:
        path: Path of the file.
        offset: Offset of the shared memory in the file.
        size: Bytes of the shared memory.
        is_unreadable: True once the target process has damaged the memory so that no later event can be read.
    """

    def __init__(self, file_preface: bytes, event_queue: EventQueue, folder: Path | None = None) -> None:
        """Create the file and map it.

        Args:
            file_preface: Start of the file, from `overflow_file.preface`.
            event_queue: Queue that parses the data.
            folder: Folder of the file, None for the default.

        Raises:
            RecordError: The folder has no space.
        """
        # The size of the frame headers does not depend on the size of the memory.
        self.offset = len(file_preface) + len(pack_live_head(len(file_preface), 0, _PAGE))
        self.path, self.size = _allocate(folder or default_folder(), self.offset)
        self._map: mmap.mmap | None = None
        with self.path.open("r+b") as file:
            file.write(file_preface + pack_live_head(len(file_preface), self.size, _PAGE))
            file.flush()
            self._map = mmap.mmap(file.fileno(), self.offset + self.size)
        self._bus_errors = BusErrorWatch(self._map)
        self._memory = memoryview(self._map)[self.offset :]
        self._words = self._memory.cast("Q")
        self._start, self._count = _block_layout(self.size)
        self._queue = self._memory[CONTROL_SIZE : CONTROL_SIZE + 4 * self._count].cast("I")
        words = self._words
        words[Control.BLOCK_SIZE], words[Control.BLOCK_COUNT] = BLOCK_SIZE, self._count
        words[Control.QUEUE], words[Control.BLOCKS] = CONTROL_SIZE, self._start
        self._blocks = blocks_of(self._memory, CONTROL_SIZE, self._start, BLOCK_SIZE, self._count)
        self._event_queue = event_queue
        self._head = self._tail = 0
        # Sequence number that no found event has, and bytes found.
        self._end = self._found_size = 0
        self._damage: str | None = None
        self.is_unreadable = False
        # Blocks that threads have taken, and blocks that are closed and found completely.
        self._used: set[int] = set()
        self._complete: set[int] = set()
        self._release(list(range(self._count)))

    def change_owner(self, uid: int) -> None:
        """Let a process of another user open the file."""
        if sys.platform != "win32":
            os.chown(self.path, uid, -1)

    @property
    def control(self) -> memoryview[int]:
        """Control words, which the process and the follower of its execs also use. They are released by `close`."""
        return self._words

    @property
    def exit_status(self) -> int | None:
        """Exit status of the target process, None while it runs or if it was killed."""
        ended = int(self._words[Control.ENDED])
        return ended & 0xFFFFFFFF if ended else None

    @property
    def damage(self) -> str | None:
        """Damage of the memory by the target process, None for undamaged memory."""
        return self._damage or self._event_queue.damage

    def note_damage(self, damage: str) -> None:
        """Note damage of an event by the target process. The first damage counts."""
        self._event_queue.note_damage(damage)

    @property
    def behind(self) -> bool:
        """True while data that was found is not parsed."""
        return bool(self._event_queue)

    def drain(self, *, last: bool = False, most: int | None = None) -> RawEvents:
        """Return the events since the last drain in order.

        The events of the last drain count as written: their blocks are released.

        Args:
            last: True if the target process writes no more. Unfinished events are then lost.
            most: Limit of the number of events. The others wait for the next drain.
        """
        self._bus_errors.renew()
        self._check_file()
        size = 0 if self.is_unreadable else self._collect(last)
        self._check_file()
        self._release([block for block in self._complete if not self._event_queue.holds(block)])
        if most is not None and size > BUSY and not last:
            return raw_events()  # free blocks are more urgent than events
        return self._event_queue.events(most)

    def start_over(self) -> None:
        """Close all blocks, because the process has executed another program and new threads write.

        Unfinished events stay unfinished. Every block is released once it is parsed.
        """
        for block in self._used:
            first_word = (self._start + block * BLOCK_SIZE) // 8
            self._words[first_word + Block.ACTIVE] = IDLE
            self._words[first_word + Block.CLOSED] = 1

    def close(self, *, keep: bool = False) -> None:
        """Unmap and remove the file and the overflow file, unless they are kept for `tracekmt recover`."""
        if self._map is not None:
            self._blocks.close()
            self._words.release()
            self._queue.release()
            self._memory.release()
            self._bus_errors.close()
            self._map.close()
            self._map = None
        self._event_queue.close(keep=keep)
        if not keep:
            with contextlib.suppress(PermissionError):  # Windows deletes no file that the process still maps
                self.path.unlink(missing_ok=True)

    def _note(self, damage: str) -> None:
        self._damage = self._damage or damage

    def _end_reading(self, damage: str, fragments: Fragments, end: int) -> None:
        """Queue the last data, with sequence numbers below `end`, and read nothing more."""
        self._note(damage)
        self.is_unreadable = True
        self._event_queue.put(EVERYTHING, fragments, end)

    def _check_file(self) -> None:
        """Note a file that the process has truncated. The end of the memory is zeros then."""
        if self._map is not None and (self._map.size() < self.offset + self.size or self._bus_errors.faults):
            self._damage = "it truncated the file"
            if not self.is_unreadable:
                self._end_reading(self._damage, [], self._end)

    def _collect(self, last: bool) -> int:
        """Move new data to the event queue and return its size in bytes."""
        # The sequence number is read first: an event below `upto` is in a block that was taken before that.
        upto = int(self._words[Control.SEQUENCE])
        if not self._take_blocks():
            return 0
        if not last:
            upto = min(upto, self._blocks.lowest_active(list(self._used)))
        # An event that ended before ACTIVE was read may have continued in blocks that were taken in the meantime.
        if not self._take_blocks():
            return 0
        fragments, complete, invalid = self._blocks.new_data(list(self._used))
        if invalid is not None:
            self._note(f"a block has an invalid length of {invalid} bytes")
        self._complete.update(complete)
        self._used.difference_update(complete)
        size = sum(len(data) for _, data in fragments)
        self._found_size += size
        # Every number below the counter belongs to an event that was found, lost, or is just being written.
        end, limit = self._words[Control.SEQUENCE], self._words[Control.LOST] + UNCOUNTED
        limit += self._found_size // FRAGMENT_HEADER
        if not max(upto, self._end) <= end <= limit:
            self._end_reading(f"it counted {end} events", fragments, limit)
            return 0
        self._end = end
        self._event_queue.put(upto, fragments, end)
        return size

    def _take_blocks(self) -> bool:
        """Add the blocks that threads have taken from the queue. Return False if the position in it is damaged."""
        head = self._words[Control.HEAD]
        if not 0 <= head - self._head <= self._count:
            self._end_reading(f"it took {head} blocks", [], self._end)
            return False
        for index in range(self._head, head):
            block = self._queue[index % self._count]
            if block < self._count:
                self._used.add(block)
            else:
                self._note(f"it took block {block} of {self._count}")
        self._head = head
        return True

    def _release(self, blocks: list[int]) -> None:
        """Append blocks to the queue of free blocks. TAIL is written last: the target may take them at once."""
        self._blocks.release(blocks, self._tail)
        self._complete.difference_update(blocks)
        for block in blocks:
            self._event_queue.forget(block)
        self._tail += len(blocks)
        self._words[Control.TAIL] = self._tail


def _block_layout(size: int) -> tuple[int, int]:
    """Return the offset of the first block in memory of this size, aligned to a block, and the number of blocks."""
    count = (size - CONTROL_SIZE) // (BLOCK_SIZE + 4)
    blocks = -(-(CONTROL_SIZE + 4 * count) // BLOCK_SIZE) * BLOCK_SIZE
    return blocks, (size - blocks) // BLOCK_SIZE


def default_folder() -> Path:
    """Return the folder of buffer files: /dev/shm on Linux, or the folder for temporary files."""
    shared = Path("/dev/shm")  # noqa: S108 (a file of our own name, created exclusively)
    is_usable = sys.platform == "linux" and shared.is_dir() and os.access(shared, os.W_OK)
    return shared if is_usable else Path(tempfile.gettempdir())


def _reserve(descriptor: int, size: int) -> None:
    """Extend a file and allocate all of its blocks on the disk."""
    if sys.platform == "win32":
        os.ftruncate(descriptor, size)  # leaves no holes on Windows
    else:
        os.posix_fallocate(descriptor, 0, size)


def _allocate(folder: Path, offset: int) -> tuple[Path, int]:
    """Create a fully allocated file. A store into a hole on a full disk would kill the target process.

    Returns:
        The path, and the size in bytes of the memory after `offset`, the largest of `SIZES` that fits.
    """
    descriptor, name = tempfile.mkstemp(prefix=f"tracekmt-{os.getpid()}-", suffix=".spool", dir=folder)
    path = Path(name)
    try:
        for size in SIZES:
            try:
                _reserve(descriptor, offset + size)
            except OSError:
                os.ftruncate(descriptor, 0)
            else:
                return path, size
    finally:
        os.close(descriptor)
    path.unlink()
    raise RecordError(f"{folder}: no room for {SIZES[-1] >> 20} MB of shared memory; free some, or set TMPDIR")
