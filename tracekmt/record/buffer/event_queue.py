"""FIFO of raw event data drained from the target but not yet parsed."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator

from tracekmt.record.buffer.blocks import Fragments
from tracekmt.record.buffer.overflow_file import OverflowFile
from tracekmt.trace.buffer_format import Assembler
from tracekmt.trace.ready_events import RawEvents, raw_events

MEMORY_LIMIT = 16 << 20
"""Bytes that wait in memory. More data waits in the overflow file."""

PART_SIZE = 1 << 20
"""Bytes that are parsed at once."""

EVERYTHING = 1 << 62
"""Sequence number above all others, for the last data of a target: no event can be missing below it."""


class EventQueue:
    """Takes raw stretches of event data and returns events in order.

    Attributes:
        damage: The first invalid data, None without. The rest of a stretch with an invalid fragment is lost.
    """

    def __init__(self, open_overflow: Callable[[], OverflowFile] | None = None) -> None:
        """Create an empty queue.

        Args:
            open_overflow: Creates the overflow file when more data waits than `MEMORY_LIMIT`. None: all data waits in
                memory.
        """
        self.damage: str | None = None
        self._end: int | None = None
        self._assembler = Assembler()
        self._parts: deque[tuple[int | None, Fragments]] = deque()
        self._size = 0
        # By block: the number of its stretches in memory, and the highest sequence number parsed from it.
        self._waiting: Counter[int] = Counter()
        self._highest: dict[int, int] = {}
        # Sequence number up to which the events of the parsed part are complete, None if all of them were returned.
        self._upto: int | None = None
        self._open_overflow = open_overflow
        self._overflow: OverflowFile | None = None

    def __bool__(self) -> bool:
        return bool(self._upto is not None or self._parts or self._overflow)

    def holds(self, block: int) -> bool:
        """Return True if a block has events that were neither returned nor written to the overflow file."""
        return self._waiting[block] > 0 or self._highest.get(block, -1) >= self._assembler.next_sequence

    def forget(self, block: int) -> None:
        """Drop the state of a released block. Later data with its number is new."""
        self._highest.pop(block, None)

    def put(self, upto: int, fragments: Fragments, end: int | None = None) -> None:
        """Append the data that was found at once.

        Args:
            upto: Sequence number below which no event is missing once this data is parsed.
            fragments: The data.
            end: Sequence number that the target has not given to an event yet. None: unknown.
        """
        self._end = end
        size = sum(len(data) for _, data in fragments)
        if self._overflow is None and self._open_overflow is not None and self._size + size > MEMORY_LIMIT:
            self._overflow = self._open_overflow()
        # While data waits in the file, all new data is younger and must wait there too.
        overflows = self._overflow is not None and (bool(self._overflow) or self._size + size > MEMORY_LIMIT)
        for part_upto, part in _split_into_parts(upto, fragments):
            if overflows:
                assert self._overflow is not None
                self._overflow.put(part_upto, [data for _, data in part])
                continue
            self._parts.append((part_upto, part))
            self._size += sum(len(data) for _, data in part)
            self._waiting.update(block for block, _ in part)

    def events(self, most: int | None = None) -> RawEvents:
        """Remove and return the next events in order.

        Args:
            most: Limit of the number of events, and of the work: at most one part is parsed. None: all events.
        """
        events = raw_events()
        while self and (most is None or len(events) < most):
            if self._upto is None:
                self._upto = self._parse_part()
                if self._upto is None and most is not None:
                    break  # a part was parsed, which takes time even without a complete event
                continue
            self._assembler.take(events, self._upto, sys.maxsize if most is None else most - len(events))
            if self._assembler.next_sequence >= self._upto:
                self._upto = None
        if self._overflow is not None and not self and self._overflow.size and self._assembler.is_empty:
            self._overflow.clear()
        return events

    def close(self, *, keep: bool = False) -> None:
        """Close the overflow file and remove it, unless it is kept for `tracekmt recover`."""
        if self._overflow is not None:
            self._overflow.close(keep=keep)

    def _parse_part(self) -> int | None:
        """Parse the oldest part. Return the number up to which events are complete, None if more parts belong to it."""
        if self._parts:
            upto, part = self._parts.popleft()
            for block, data in part:
                self._size -= len(data)
                self._waiting[block] -= 1
                self._highest[block] = max(self._highest.get(block, -1), self._add_fragments(data))
        else:
            assert self._overflow is not None
            upto, stretches = self._overflow.take()
            for data in stretches:
                self._add_fragments(data)
        if upto == EVERYTHING:
            upto = self._assembler.end_sequence
        return upto

    def _add_fragments(self, data: bytes) -> int:
        """Parse a stretch and return the highest sequence number in it, -1 if the stretch is damaged."""
        try:
            return self._assembler.add_fragments(data, self._end)
        except ValueError as error:
            self.note_damage(str(error))
            return -1

    def note_damage(self, damage: str) -> None:
        """Note damage of the data. The first damage counts."""
        self.damage = self.damage or damage


def _split_into_parts(upto: int, fragments: Fragments) -> Iterator[tuple[int | None, Fragments]]:
    """Yield parts of about `PART_SIZE`. Only the last part carries `upto`, because the earlier ones are incomplete."""
    part: Fragments = []
    size = 0
    for block, data in fragments:
        part.append((block, data))
        size += len(data)
        if size >= PART_SIZE:
            yield None, part
            part, size = [], 0
    yield upto, part
