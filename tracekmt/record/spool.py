"""The memory that a recorder shares with the process it records: a file mapping of blocks.

Every thread of the target has a block, appends events to it and publishes how far it got; a full block is closed and
another taken from the queue of free ones. A thread that ends leaves its block to the next one. The drain, here, reads
what is published, hands closed blocks back, and puts events into the order of their sequence numbers. Nobody ever waits
for anybody.

Layout, little endian words of 64 bits: the control words (see `_Control`), from byte 4096 the queue of free blocks
(u32 each), then the blocks. A block begins with whether it is used, the bytes committed, the lowest sequence number
that is being written (all ones: none), and whether it is closed; from byte 64 on it holds fragments. An event is one
fragment, or several where blocks ended; pieces of a region that was split say that they continue it.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tracekmt.errors import RecordError
from tracekmt.trace.events import Enter, Leave, Lost, Region

BLOCK_SIZE = 64 << 10
SIZES = tuple(mib << 20 for mib in (64, 32, 16, 8, 4, 2))
_CONTROL_SIZE = 4096
_BLOCK_HEADER = 64
_IDLE = (1 << 64) - 1
_ENTER = 1

_FRAGMENT = struct.Struct("<IBBHQ")
_PIECE = struct.Struct("<QIIII")
_WORD = struct.Struct("<Q")


class _Control:
    """Indexes of the control words; hooks/recorder.c has the same. Those that are written often are apart."""

    BLOCK_SIZE = 1
    BLOCK_COUNT = 2
    QUEUE = 3
    BLOCKS = 4
    SEQUENCE = 8
    HEAD = 16
    TAIL = 24
    LOST = 32


class _Block:
    """Indexes of the words that a block begins with."""

    USED = 0
    COMMITTED = 1
    ACTIVE = 2
    CLOSED = 3


class Spool:
    """The mapping, from the recorder's side. It is a file in shared memory where there is such a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path, self.size = _allocate(folder or _default_folder())
        self._map: mmap.mmap | None = None
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), self.size)
        self._words = memoryview(self._map).cast("Q")
        count = (self.size - _CONTROL_SIZE) // (BLOCK_SIZE + 4)
        self._blocks = -(-(_CONTROL_SIZE + 4 * count) // BLOCK_SIZE) * BLOCK_SIZE
        count = (self.size - self._blocks) // BLOCK_SIZE
        self._queue = memoryview(self._map)[_CONTROL_SIZE : _CONTROL_SIZE + 4 * count].cast("I")
        self._count = count
        words = self._words
        words[_Control.BLOCK_SIZE], words[_Control.BLOCK_COUNT] = BLOCK_SIZE, count
        words[_Control.QUEUE], words[_Control.BLOCKS] = _CONTROL_SIZE, self._blocks
        for block in range(count):
            self._release(block)
        # What is drained and not yet given out: events by sequence number, and fragments of unfinished ones.
        self._taken = [0] * count
        self._ready: dict[int, Enter | Leave] = {}
        self._unfinished: dict[int, list[tuple[int, int, bytes]]] = {}
        self._next = 0

    def owned_by(self, user: int) -> None:
        """Let a process of another user open the file."""
        os.chown(self.path, user, -1)

    @property
    def lost(self) -> int:
        """Events that the target could not write, so far."""
        return int(self._words[_Control.LOST])

    def drain(self, *, last: bool = False) -> list[Enter | Leave | Lost]:
        """What has been recorded since the last time, in order.

        last: the target writes no more, so that what is unfinished never will be finished.
        """
        upto = int(self._words[_Control.SEQUENCE])
        starts = [self._start(block) for block in range(self._count)]
        if not last:
            upto = min(upto, *(self._words[start + _Block.ACTIVE] for start in starts))
        for block, start in enumerate(starts):
            self._drain_block(block, start)
        return list(self._in_order(upto))

    def close(self) -> None:
        """Unmap and remove the file."""
        if self._map is not None:
            self._words.release()
            self._queue.release()
            self._map.close()
            self._map = None
        self.path.unlink(missing_ok=True)

    def _start(self, block: int) -> int:
        return (self._blocks + block * BLOCK_SIZE) // 8

    def _drain_block(self, block: int, start: int) -> None:
        words = self._words
        if not words[start + _Block.USED]:
            return
        # In this order: a closed block takes no new event, and the one that it was closed in is no longer written.
        done = words[start + _Block.CLOSED] and words[start + _Block.ACTIVE] == _IDLE
        committed = words[start + _Block.COMMITTED]
        if committed > self._taken[block]:
            at = start * 8 + _BLOCK_HEADER
            assert self._map is not None
            self._split(self._map[at + self._taken[block] : at + committed])
            self._taken[block] = committed
        if done and words[start + _Block.COMMITTED] == committed:
            self._taken[block] = 0
            self._release(block)

    def _release(self, block: int) -> None:
        """Put a block into the queue of free ones. The order matters: the target may take it at once."""
        words, start = self._words, self._start(block)
        words[start + _Block.USED] = 0
        words[start + _Block.COMMITTED] = 0
        words[start + _Block.CLOSED] = 0
        words[start + _Block.ACTIVE] = _IDLE
        tail = words[_Control.TAIL]
        self._queue[tail % self._count] = block
        words[_Control.TAIL] = tail + 1

    def _split(self, data: bytes) -> None:
        """Take the fragments of one stretch of a block apart."""
        at = 0
        while at < len(data):
            size, kind, is_last, part, sequence = _FRAGMENT.unpack_from(data, at)
            if size < _FRAGMENT.size or at + size > len(data):
                raise RecordError(f"{self.path}: damaged by the recorded process (a fragment of {size} bytes)")
            content = data[at + _FRAGMENT.size : at + size]
            at += size
            if part == 0 and is_last:
                self._ready[sequence] = _event(kind, sequence, content)
                continue
            # Fragments of one event lie in several blocks, which are read in any order.
            parts = self._unfinished.setdefault(sequence, [])
            parts.append((part, is_last, content))
            if any(last for _, last, _ in parts) and len(parts) == 1 + max(number for number, _, _ in parts):
                del self._unfinished[sequence]
                whole = b"".join(content for _, _, content in sorted(parts))
                self._ready[sequence] = _event(kind, sequence, whole)

    def _in_order(self, upto: int) -> Iterator[Enter | Leave | Lost]:
        """The events below a sequence number, and in their places those that are missing."""
        for sequence in sorted(number for number in self._ready if number < upto):
            if sequence > self._next:
                yield Lost(self._next, sequence - self._next)
            yield self._ready.pop(sequence)
            self._next = sequence + 1
        if upto > self._next:
            yield Lost(self._next, upto - self._next)
            self._next = upto
        for sequence in [number for number in self._unfinished if number < upto]:
            del self._unfinished[sequence]


def _event(kind: int, sequence: int, content: bytes) -> Enter | Leave:
    """An event from its content, as hooks/recorder.c writes it."""
    (time,) = _WORD.unpack_from(content, 0)
    if kind == _ENTER:
        call, caller, thread, count = struct.unpack_from("<QQQQ", content, 8)
        arguments = struct.unpack_from(f"<{count}Q", content, 40)
        return Enter(sequence, thread, call, time, caller, arguments, _regions(content, 40 + 8 * count))
    enter, result = struct.unpack_from("<QQ", content, 8)
    return Leave(sequence, enter, time, result, _regions(content, 24))


def _regions(content: bytes, at: int) -> tuple[Region, ...]:
    regions: list[Region] = []
    while at < len(content):
        address, wanted, got, continued, _ = _PIECE.unpack_from(content, at)
        data = content[at + _PIECE.size : at + _PIECE.size + got]
        at += _PIECE.size + (got + 7 & ~7)
        if continued:
            start, whole, before = regions[-1]
            regions[-1] = start, whole, before + data
        else:
            regions.append((address, wanted, data))
    return tuple(regions)


def _default_folder() -> Path:
    shared = Path("/dev/shm")  # noqa: S108 (a file of our own name, made exclusively)
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def _allocate(folder: Path) -> tuple[Path, int]:
    """A file with all its bytes in place, as large as there is room for: a store into a hole of a full disk would
    kill the target."""
    number, name = tempfile.mkstemp(prefix=f"tracekmt-{os.getpid()}-", suffix=".spool", dir=folder)
    path = Path(name)
    try:
        for size in SIZES:
            try:
                os.posix_fallocate(number, 0, size)
            except OSError:
                os.ftruncate(number, 0)
            else:
                return path, size
    finally:
        os.close(number)
    path.unlink()
    raise RecordError(f"{folder}: no room for {SIZES[-1] >> 20} MB of shared memory; free some, or set TMPDIR")
