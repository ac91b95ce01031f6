"""Events as hooks/recorder.c writes them, and their content as objects."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

from tracekmt.trace.events import Enter, Leave, Lost, Region

RawEvent = tuple[int, int, bytes]
"""An event: its sequence number, RAW_ENTER or RAW_LEAVE, and its content."""

RAW_ENTER, RAW_LEAVE = 1, 2

SEQUENCE_LIMIT = TIME_LIMIT = 1 << 62
"""Limits of sequence numbers and of times in nanoseconds. Their differences are numbers of 64 bits."""

_PIECE = struct.Struct("<QIIII")
_TIME = struct.Struct("<Q")


def parse_event(event: RawEvent) -> Enter | Leave:
    """Return an event as an object.

    Raises:
        ValueError: The content is malformed.
    """
    sequence, kind, content = event
    try:
        (time,) = _TIME.unpack_from(content, 0)
        if time >= TIME_LIMIT:
            raise ValueError(f"an event at the time {time}")
        if kind == RAW_ENTER:
            spec_id, caller, thread, count = struct.unpack_from("<QQQQ", content, 8)
            if count > len(content) // 8:
                raise ValueError(f"an event with {count} arguments")
            if max(spec_id, thread) >> 32:
                raise ValueError(f"an event of thread {thread} and function {spec_id}")
            arguments = struct.unpack_from(f"<{count}Q", content, 40)
            return Enter(sequence, thread, spec_id, time, caller, arguments, _regions(content, 40 + 8 * count))
        if kind == RAW_LEAVE:
            enter, result = struct.unpack_from("<QQ", content, 8)
            return Leave(sequence, enter, time, result, _regions(content, 24))
    except struct.error:
        raise ValueError("a truncated event") from None
    raise ValueError(f"an event of unknown kind {kind}")


def parse_events(events: Iterable[RawEvent | Lost], on_damage: Callable[[str], None]) -> Iterator[Enter | Leave | Lost]:
    """Yield events as objects. A loss takes the place of a malformed event.

    Args:
        events: The events.
        on_damage: Gets the reason for each malformed event.
    """
    for event in events:
        if isinstance(event, Lost):
            yield event
            continue
        try:
            yield parse_event(event)
        except ValueError as error:
            on_damage(str(error))
            yield Lost(event[0], 1)


def _regions(content: bytes, offset: int) -> tuple[Region, ...]:
    regions: list[Region] = []
    while offset < len(content):
        address, requested, read, continues, _ = _PIECE.unpack_from(content, offset)
        data = content[offset + _PIECE.size : offset + _PIECE.size + read]
        offset += _PIECE.size + (read + 7 & ~7)
        if len(data) < read or (continues and not regions):
            raise ValueError("a truncated region")
        if continues:
            start, total, before = regions[-1]
            regions[-1] = start, total, before + data
        else:
            regions.append((address, requested, data))
    return tuple(regions)
