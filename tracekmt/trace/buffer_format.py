"""What a recorder writes into shared memory while the recorded program runs, as it lies there.

Every thread of the target has a block, appends events to it and publishes how far it got; a full block is closed and
another taken from the queue of free ones. An event is one fragment, or several where blocks ended; pieces of a region
that was split say that they continue it. `hooks/recorder.c` writes this, `record.spool` drains it while it is written,
and here is what both sides of a recording's end need: the layout, and events from fragments.

Little endian words of 64 bits: the control words (see `Control`), the queue of free blocks (u32 each), then the blocks.
A block begins with whether it is used, the bytes committed, the lowest sequence number that is being written (all ones:
none), and whether it is closed; from byte 64 on it holds fragments.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from tracekmt.errors import TraceError
from tracekmt.trace.events import Enter, Leave, Lost, Region
from tracekmt.trace.frames import FrameReader, Room
from tracekmt.trace.metadata import TemporaryTrace

CONTROL_SIZE = 4096
BLOCK_HEADER = 64
IDLE = (1 << 64) - 1
_ENTER, _LEAVE = 1, 2

_FRAGMENT = struct.Struct("<IBBHQ")
_PIECE = struct.Struct("<QIIII")
_TIME = struct.Struct("<q")
_SEQUENCE_LIMIT = 1 << 62


class Control:
    """Indexes of the control words. Those that are written often are apart."""

    BLOCK_SIZE = 1
    BLOCK_COUNT = 2
    QUEUE = 3
    BLOCKS = 4
    SEQUENCE = 8
    HEAD = 16
    TAIL = 24
    LOST = 32
    ENDED = 40


class Block:
    """Indexes of the words that a block begins with."""

    USED = 0
    COMMITTED = 1
    ACTIVE = 2
    CLOSED = 3


def layout_in_c() -> str:
    """The same for the C sources in hooks, which come behind it."""
    names = {f"C_{name}": value for name, value in vars(Control).items() if name.isupper()}
    names |= {f"B_{name}": value for name, value in vars(Block).items() if name.isupper()}
    names |= {"CONTROL_SIZE": CONTROL_SIZE, "BLOCK_HEADER": BLOCK_HEADER, "IDLE": f"{IDLE:#x}ULL"}
    return "".join(f"#define {name} {value}\n" for name, value in names.items())


class Assembler:
    """Events from fragments, which come in any order, in the order of their sequence numbers. next: the first number
    that has not been given out."""

    def __init__(self, first: int = 0) -> None:
        self.next = first
        self._ready: dict[int, Enter | Leave] = {}
        self._unfinished: dict[int, list[tuple[int, int, bytes]]] = {}

    @property
    def idle(self) -> bool:
        """Whether all that was taken has been given out."""
        return not self._ready and not self._unfinished

    @property
    def end(self) -> int:
        """The number behind the last event that is known."""
        return max(self._ready, default=self.next - 1) + 1

    def take(self, data: bytes) -> int:
        """Take the fragments of one stretch of a block apart; gives the highest sequence number among them, -1 for
        none. ValueError where they are none."""
        at, highest = 0, -1
        while at < len(data):
            if len(data) - at < _FRAGMENT.size:
                raise ValueError("a fragment that is cut off")
            size, kind, is_last, part, sequence = _FRAGMENT.unpack_from(data, at)
            if size < _FRAGMENT.size or at + size > len(data) or sequence >= _SEQUENCE_LIMIT:
                raise ValueError(f"a fragment of {size} bytes")
            content = data[at + _FRAGMENT.size : at + size]
            at += size
            highest = max(highest, sequence)
            if sequence < self.next:
                continue
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
        return highest

    def in_order(self, upto: int) -> Iterator[Enter | Leave | Lost]:
        """The events below a sequence number, and in their places those that are missing."""
        for sequence in sorted(number for number in self._ready if number < upto):
            if sequence > self.next:
                yield Lost(self.next, sequence - self.next)
            yield self._ready.pop(sequence)
            self.next = sequence + 1
        if upto > self.next:
            yield Lost(self.next, upto - self.next)
            self.next = upto
        for sequence in [number for number in self._unfinished if number < upto]:
            del self._unfinished[sequence]


def _event(kind: int, sequence: int, content: bytes) -> Enter | Leave:
    """An event from its content, as hooks/recorder.c writes it; ValueError where it is none."""
    try:
        (time,) = _TIME.unpack_from(content, 0)
        if kind == _ENTER:
            call, caller, thread, count = struct.unpack_from("<QQQQ", content, 8)
            if count > len(content) // 8:
                raise ValueError(f"an event with {count} arguments")
            if max(call, thread) >> 32:
                raise ValueError(f"an event of the thread {thread}, of the function {call}")
            arguments = struct.unpack_from(f"<{count}Q", content, 40)
            return Enter(sequence, thread, call, time, caller, arguments, _regions(content, 40 + 8 * count))
        if kind == _LEAVE:
            enter, result = struct.unpack_from("<QQ", content, 8)
            return Leave(sequence, enter, time, result, _regions(content, 24))
    except struct.error:
        raise ValueError("an event that is cut off") from None
    raise ValueError(f"an event of the sort {kind}")


def _regions(content: bytes, at: int) -> tuple[Region, ...]:
    regions: list[Region] = []
    while at < len(content):
        address, wanted, got, continued, _ = _PIECE.unpack_from(content, at)
        data = content[at + _PIECE.size : at + _PIECE.size + got]
        at += _PIECE.size + (got + 7 & ~7)
        if len(data) < got or (continued and not regions):
            raise ValueError("a region that is cut off")
        if continued:
            start, whole, before = regions[-1]
            regions[-1] = start, whole, before + data
        else:
            regions.append((address, wanted, data))
    return tuple(regions)


def overflow_path(trace: Path) -> Path:
    """Where a recording lets wait what is found faster than it is taken apart."""
    return trace.with_name(f"{trace.name}.spill")


def convert_leftover(frames: FrameReader, room: Room) -> tuple[BinaryIO, str]:
    """The trace that a recorder's memory is when nobody writes to it any more, in a file without a name, and what is
    wrong with it: at least that the recording did not finish."""
    copy = TemporaryTrace(frames.path)
    for offset, kind, value in frames.scan():
        copy.copy_metadata(offset, kind, value)
    torn = f"{frames.path}: what a recorder left in its memory; the recording did not finish"
    leftover = Leftover(0, (frames, room))
    for event in drop_orphan_returns(leftover, set()):
        if isinstance(event, Enter) and event.spec_id not in copy.metadata.specs:
            raise TraceError(f"{frames.path}: an event names the call {event.spec_id}, which is not described")
        copy.writer.events([event], flush=False)
    return copy.finish(), f"{torn}; {leftover.damage}" if leftover.damage else torn


def drop_orphan_returns(found: Iterable[Enter | Leave | Lost], entered: set[int]) -> Iterator[Enter | Leave | Lost]:
    """Events, with a loss for the return of a call whose beginning is missing. entered: the sequence numbers of calls
    that were entered before."""
    for event in found:
        if isinstance(event, Enter):
            entered.add(event.sequence)
        if isinstance(event, Leave) and event.enter not in entered:
            yield Lost(event.sequence, 1)
            continue
        if isinstance(event, Leave):
            entered.discard(event.enter)
        yield event


class Leftover:
    """What a recorder left, from a sequence number on. memory: what it shared with the program, if that is there still.
    spilled: what was moved out of it before, as batches of stretches. damage: what is wrong with it, when the events
    have been taken."""

    def __init__(
        self,
        first: int,
        memory: tuple[FrameReader, Room] | None,
        spilled: Iterable[tuple[int | None, list[bytes]]] = (),
    ) -> None:
        self.damage: str | None = None
        self._memory = memory
        self._assembler = Assembler(first)
        self._spilled = spilled

    def __iter__(self) -> Iterator[Enter | Leave | Lost]:
        for upto, stretches in self._spilled:
            for stretch in stretches:
                self._take(stretch)
            if upto is not None:
                yield from self._assembler.in_order(upto)
        end = self._read(*self._memory) if self._memory is not None else self._assembler.end
        yield from self._assembler.in_order(end)

    def _take(self, data: bytes) -> None:
        try:
            self._assembler.take(data)
        except ValueError as error:
            self.damage = f"a block of it holds {error}"

    def _read(self, frames: FrameReader, room: Room) -> int:
        """Take every block; gives the number that the next event would have had."""
        control = frames.bytes_at(room.start, min(CONTROL_SIZE, room.length))
        if len(control) < CONTROL_SIZE:
            self.damage = "it is too short"
            return 0
        words = struct.unpack(f"<{CONTROL_SIZE // 8}Q", control)
        size, count, blocks = (words[index] for index in (Control.BLOCK_SIZE, Control.BLOCK_COUNT, Control.BLOCKS))
        if not BLOCK_HEADER < size <= room.length or blocks + count * size > room.length:
            self.damage = "it is damaged"
            return 0
        for number in range(count):
            start = room.start + blocks + number * size
            head = struct.unpack("<8Q", frames.bytes_at(start, BLOCK_HEADER))
            committed = head[Block.COMMITTED]
            if not head[Block.USED] or not committed:
                continue
            if committed > size - BLOCK_HEADER:
                self.damage = f"a block of it holds {committed} bytes"
                continue
            self._take(frames.bytes_at(start + BLOCK_HEADER, committed))
        return int(min(words[Control.SEQUENCE], _SEQUENCE_LIMIT))
