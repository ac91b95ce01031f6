"""Events of a buffer as objects, which the recorder makes of some events only."""

from __future__ import annotations

from tracekmt.record.buffer.remote_buffer import RemoteBuffer
from tracekmt.record.buffer.shared_buffer import SharedBuffer
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.raw_events import parse_events


def drained(
    buffer: SharedBuffer | RemoteBuffer, *, last: bool = False, most: int | None = None
) -> list[Enter | Leave | Lost]:
    """Drain a buffer and return the events."""
    return list(parse_events(buffer.drain(last=last, most=most), buffer.note_damage))
