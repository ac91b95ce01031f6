"""Events whose fragments were all read, and which wait until those before them were read too.

The core keeps them where there is one, without an object for each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol, cast

from tracekmt import core
from tracekmt.trace.events import Lost
from tracekmt.trace.raw_events import RawEvent

Part = tuple[int, int, int, int, bytes]
"""A fragment of an event that spans blocks: sequence number, kind, 1 for the last one, its number, its content."""

_FRAGMENT = struct.Struct("<IBBHQ")
FRAGMENT_HEADER = _FRAGMENT.size
"""Size of a fragment without content in bytes."""


class RawEvents(Protocol):
    """Events and losses in the order of their sequence numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> RawEvent | Lost: ...

    def __iter__(self) -> Iterator[RawEvent | Lost]: ...

    def append(self, event: RawEvent | Lost, /) -> None:
        """Append an event or a loss."""


class ReadyEvents(Protocol):
    """Complete events, by their sequence numbers. The last one added with a number counts."""

    def __len__(self) -> int: ...

    def add_fragments(self, data: bytes, first: int, limit: int, /) -> tuple[list[Part], int]:
        """Add the events of a part of a block.

        Args:
            data: The fragments.
            first: Sequence number below which events are dropped.
            limit: Limit of their sequence numbers.

        Returns:
            The fragments of events that span blocks, and the highest sequence number, -1 without fragments.

        Raises:
            ValueError: The data is malformed. The events before the malformed fragment are added.
        """

    def add(self, event: RawEvent, /) -> None:
        """Add an event."""

    def take(self, batch: RawEvents, first: int, end: int, most: int, /) -> int:
        """Move the next events to a batch. A loss takes the place of missing events.

        Args:
            batch: The events are appended to it.
            first: Sequence number of the first event. No event before it was added.
            end: Sequence number after the last event.
            most: Limit of the number of events and losses.

        Returns:
            The sequence number of the next event.
        """

    def last(self) -> int:
        """Return the highest sequence number, -1 without events."""


class ReadyEventsInPython:
    """Ready events without the core."""

    def __init__(self) -> None:
        self._events: dict[int, RawEvent] = {}

    def __len__(self) -> int:
        return len(self._events)

    def add_fragments(self, data: bytes, first: int, limit: int) -> tuple[list[Part], int]:
        """See `ReadyEvents.add_fragments`."""
        offset, highest = 0, -1
        parts: list[Part] = []
        while offset < len(data):
            if len(data) - offset < _FRAGMENT.size:
                raise ValueError("a truncated fragment")
            size, kind, is_last, number, sequence = _FRAGMENT.unpack_from(data, offset)
            if size < _FRAGMENT.size or offset + size > len(data) or sequence >= limit:
                raise ValueError(f"an invalid fragment of {size} bytes")
            content = data[offset + _FRAGMENT.size : offset + size]
            offset += size
            highest = max(highest, sequence)
            if sequence < first:
                continue
            if number == 0 and is_last:
                self._events[sequence] = sequence, kind, content
            else:
                parts.append((sequence, kind, int(is_last != 0), number, content))
        return parts, highest

    def add(self, event: RawEvent) -> None:
        """See `ReadyEvents.add`."""
        self._events[event[0]] = event

    def take(self, batch: RawEvents, first: int, end: int, most: int) -> int:
        """See `ReadyEvents.take`."""
        while first < end and most > 0 and first in self._events:
            batch.append(self._events.pop(first))
            first, most = first + 1, most - 1
        if first >= end or most <= 0:
            return first
        for sequence in sorted(filter(end.__gt__, self._events)):  # an event is missing
            if sequence > first:
                batch.append(Lost(first, sequence - first))
                first, most = sequence, most - 1
            if most <= 0:
                return first
            batch.append(self._events.pop(sequence))
            first, most = sequence + 1, most - 1
            if most <= 0:
                return first
        if first < end:
            batch.append(Lost(first, end - first))
        return end

    def last(self) -> int:
        """See `ReadyEvents.last`."""
        return max(self._events, default=-1)


def ready_events() -> ReadyEvents:
    """Return a collection without events."""
    return ReadyEventsInPython() if core.CORE is None else cast("ReadyEvents", core.CORE.ReadyEvents(Lost))


def raw_events() -> RawEvents:
    """Return an empty batch, for `ReadyEvents.take`."""
    return [] if core.CORE is None else cast("RawEvents", core.CORE.RawEvents())
