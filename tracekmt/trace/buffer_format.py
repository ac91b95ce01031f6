"""Layout of the shared memory that the recorder fills while the target process runs.

Every thread of the target process has a block. It appends events to the block and publishes the number of bytes. A
full block is closed, and the thread takes another one from the queue of free blocks. An event is one fragment, or
several if it spans blocks. A region that was split has a continuation mark on its later pieces.

`hooks/recorder.c` writes this memory and `record.buffer` drains it. This module has the layout, the assembly of events
from fragments, and the conversion of the memory that a killed recorder left.

All words are little endian, of 64 bits unless noted:

- control words (see `Control`)
- queue of free blocks (u32 each)
- blocks: words (see `Block`) up to byte 64, then fragments
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from tracekmt.errors import TraceError
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.frames import FrameReader, LiveFrame
from tracekmt.trace.metadata import TemporaryTrace
from tracekmt.trace.raw_events import SEQUENCE_LIMIT, RawEvent, parse_events
from tracekmt.trace.ready_events import RawEvents, raw_events, ready_events

CONTROL_SIZE = 4096
"""Size of the control words in bytes."""

BLOCK_HEADER = 64
"""Offset of the first fragment in a block."""

IDLE = (1 << 64) - 1
"""Value of `Block.ACTIVE` while no event is being written."""

_RUN = 4096
"""Events that are taken at once."""


class Control:
    """Indexes of the control words.

    Frequently written words are in separate cache lines.

    Attributes:
        BLOCK_SIZE: Size of a block in bytes.
        BLOCK_COUNT: Number of blocks.
        QUEUE: Offset of the queue of free blocks.
        BLOCKS: Offset of the first block.
        SEQUENCE: Next sequence number.
        HEAD: Position in the queue at which threads take blocks.
        TAIL: Position in the queue at which the recorder appends blocks.
        LOST: Number of lost events.
        RECEIVED: Number of the agent's messages that the recorder has received.
        ENDED: Exit status of the process with bit 32 set. 0 while the process runs.
        REQUESTS: Number of requests to follow a thread. A futex in its low half wakes the recorder.
    """

    BLOCK_SIZE = 1
    BLOCK_COUNT = 2
    QUEUE = 3
    BLOCKS = 4
    SEQUENCE = 8
    HEAD = 16
    TAIL = 24
    LOST = 32
    ENDED = 40
    FOLLOWER = 48
    CHILDREN = 49
    RECEIVED = 50
    REQUESTS = 51
    FOLLOW = 56


class Block:
    """Indexes of the words at the start of a block.

    Attributes:
        USED: Nonzero if a thread has the block.
        COMMITTED: Number of published bytes.
        ACTIVE: Lowest sequence number that is being written, or `IDLE`.
        CLOSED: Nonzero if the thread has left the block.
    """

    USED = 0
    COMMITTED = 1
    ACTIVE = 2
    CLOSED = 3


def c_definitions() -> str:
    """Return the layout as C definitions, which precede the sources in hooks."""
    names = {f"C_{name}": value for name, value in vars(Control).items() if name.isupper()}
    names |= {f"B_{name}": value for name, value in vars(Block).items() if name.isupper()}
    names |= {"CONTROL_SIZE": CONTROL_SIZE, "BLOCK_HEADER": BLOCK_HEADER, "IDLE": f"{IDLE:#x}ULL"}
    return "".join(f"#define {name} {value}\n" for name, value in names.items())


class Assembler:
    """Assembles events from fragments in any order, and returns them in the order of their sequence numbers.

    Attributes:
        next_sequence: Sequence number of the next event to return.
    """

    def __init__(self, first: int = 0) -> None:
        self.next_sequence = max(first, 0)
        self._ready = ready_events()
        self._fragments: dict[int, list[tuple[int, int, bytes]]] = {}

    @property
    def is_empty(self) -> bool:
        """True if every event has been returned."""
        return not len(self._ready) and not self._fragments

    @property
    def end_sequence(self) -> int:
        """Sequence number after the last complete event."""
        return max(self._ready.last() + 1, self.next_sequence)

    def add_fragments(self, data: bytes, end: int | None = None) -> int:
        """Add the fragments of a part of a block.

        Args:
            data: The fragments.
            end: Limit of their sequence numbers. None: the limit of the format.

        Returns:
            Highest sequence number among the fragments. -1 without fragments.

        Raises:
            ValueError: The data is malformed.
        """
        limit = SEQUENCE_LIMIT if end is None else min(end, SEQUENCE_LIMIT)
        parts, highest = self._ready.add_fragments(data, self.next_sequence, limit)
        for sequence, kind, is_last, number, content in parts:
            # The fragments of one event are in several blocks. The blocks are read in any order.
            fragments = self._fragments.setdefault(sequence, [])
            fragments.append((number, is_last, content))
            count = 1 + max(number for number, _, _ in fragments)
            if any(last for _, last, _ in fragments) and len(fragments) == count:
                del self._fragments[sequence]
                self._ready.add((sequence, kind, b"".join(content for _, _, content in sorted(fragments))))
        return highest

    def events_until(self, end: int) -> Iterator[RawEvent | Lost]:
        """Yield the events below a sequence number. A loss takes the place of missing events."""
        while self.next_sequence < end:
            batch = raw_events()
            self.take(batch, end, _RUN)
            yield from batch

    def take(self, batch: RawEvents, end: int, most: int) -> None:
        """Move events below a sequence number to a batch, in order. A loss takes the place of missing events.

        Args:
            batch: The events are appended to it.
            end: The sequence number.
            most: Limit of the number of events and losses.
        """
        if self.next_sequence < end and most > 0:
            self.next_sequence = self._ready.take(batch, self.next_sequence, end, most)
        if self.next_sequence >= end:
            for sequence in [number for number in self._fragments if number < end]:
                del self._fragments[sequence]


def overflow_path(trace: Path) -> Path:
    """Return the path of the file with the unparsed events of a recording."""
    return trace.with_name(f"{trace.name}.spill")


def convert_leftover(frames: FrameReader, live_frame: LiveFrame) -> tuple[BinaryIO, str]:
    """Convert the memory that a killed recorder left to a trace.

    Returns:
        The trace in an unnamed temporary file, and a description of the damage. The recording did at least not finish.

    Raises:
        TraceError: An event refers to a missing description.
    """
    copy = TemporaryTrace(frames.path)
    for offset, kind, value in frames.scan():
        copy.copy_metadata(offset, kind, value)
    damage = f"{frames.path}: memory of a recorder that was killed; the recording did not finish"
    leftover = Leftover(0, (frames, live_frame))
    for event in drop_orphan_returns(leftover, set()):
        if isinstance(event, Enter) and event.spec_id not in copy.metadata.specs:
            raise TraceError(f"{frames.path}: an event refers to the missing description {event.spec_id}")
        copy.writer.events([event], flush=False)
    return copy.finish(), f"{damage}; {leftover.damage}" if leftover.damage else damage


def drop_orphan_returns(
    events: Iterable[Enter | Leave | Lost], in_flight: Container[int]
) -> Iterator[Enter | Leave | Lost]:
    """Yield events. A loss takes the place of a leave event without an enter event.

    Args:
        events: The events in order.
        in_flight: Sequence numbers of earlier enter events without leave events.
    """
    entered: set[int] = set()
    left: set[int] = set()
    for event in events:
        if isinstance(event, Enter):
            entered.add(event.sequence)
        elif isinstance(event, Leave):
            if event.enter in entered:
                entered.remove(event.enter)
            elif event.enter in in_flight and event.enter not in left:
                left.add(event.enter)
            else:
                yield Lost(event.sequence, 1)
                continue
        yield event


class Leftover:
    """Events that a killed recorder left, in order.

    Args:
        first: Lowest sequence number to yield.
        memory: Shared memory of the recorder, if it still exists.
        spilled: Batches of the overflow file, which were moved out of the memory before. A batch has a sequence number
            up to which the events are complete, if known, and parts of blocks.

    Attributes:
        damage: Damage of the memory. Valid after the iteration.
    """

    def __init__(
        self,
        first: int,
        memory: tuple[FrameReader, LiveFrame] | None,
        spilled: Iterable[tuple[int | None, list[bytes]]] = (),
    ) -> None:
        self.damage: str | None = None
        self._memory = memory
        self._assembler = Assembler(first)
        self._spilled = spilled

    def __iter__(self) -> Iterator[Enter | Leave | Lost]:
        return parse_events(self._events(), self._note)

    def _events(self) -> Iterator[RawEvent | Lost]:
        for end, parts in self._spilled:
            for data in parts:
                self._add(data)
            if end is not None:
                yield from self._assembler.events_until(end)
        end = self._read(*self._memory) if self._memory is not None else self._assembler.end_sequence
        yield from self._assembler.events_until(end)

    def _add(self, data: bytes) -> None:
        try:
            self._assembler.add_fragments(data)
        except ValueError as error:
            self._note(str(error))

    def _note(self, damage: str) -> None:
        self.damage = f"a block has {damage}"

    def _read(self, frames: FrameReader, live_frame: LiveFrame) -> int:
        """Add every block. Return the sequence number of the next event that the recorder would have written."""
        control = frames.read_bytes(live_frame.start, min(CONTROL_SIZE, live_frame.length))
        if len(control) < CONTROL_SIZE:
            self.damage = "the memory is too short"
            return 0
        words = struct.unpack(f"<{CONTROL_SIZE // 8}Q", control)
        size, count, blocks = (words[index] for index in (Control.BLOCK_SIZE, Control.BLOCK_COUNT, Control.BLOCKS))
        if not BLOCK_HEADER < size <= live_frame.length or blocks + count * size > live_frame.length:
            self.damage = "the memory is damaged"
            return 0
        for number in range(count):
            start = live_frame.start + blocks + number * size
            header = struct.unpack("<8Q", frames.read_bytes(start, BLOCK_HEADER))
            committed = header[Block.COMMITTED]
            if not header[Block.USED] or not committed:
                continue
            if committed > size - BLOCK_HEADER:
                self.damage = f"a block has an invalid length of {committed} bytes"
                continue
            self._add(frames.read_bytes(start + BLOCK_HEADER, committed))
        return int(min(words[Control.SEQUENCE], SEQUENCE_LIMIT))
