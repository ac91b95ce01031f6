"""Index of a trace: offsets of its frames, from the index frame or from a scan of all frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracekmt.errors import TraceError
from tracekmt.printable import printable
from tracekmt.trace import events
from tracekmt.trace.event_frame import EventFrame
from tracekmt.trace.frame_calls import ENTER, LEAVE, LOST
from tracekmt.trace.frames import FrameKind, FrameReader, LiveFrame

_TEXT_LIMIT = 1000
"""Characters of a remark about the end of a recording."""


@dataclass(frozen=True)
class FrameEntry:
    """Entry of a frame of events.

    Attributes:
        offset: Offset of the frame in the file.
        first_call: Index of the first call that was entered in the frame.
        calls: Number of calls that were entered in the frame.
        first_event: Number of the frame's first event in the trace.
        events: Number of events in the frame.
    """

    offset: int
    first_call: int
    calls: int
    first_event: int
    events: int

    def check(self, frame: EventFrame) -> None:
        """Compare the entry with its frame.

        Raises:
            ValueError: The frame differs from the entry.
        """
        entered = frame.calls.indexes
        if (
            len(frame.table) != self.events
            or len(entered) != self.calls
            or (self.calls and entered[0] != self.first_call)
        ):
            raise ValueError("does not match the index")


@dataclass
class Index:
    """Index of a trace.

    Attributes:
        calls: Number of calls.
        events: Number of events.
        lost: Number of lost events.
        start: Time that other times count from, in nanoseconds.
        end: Text of the end frame. None if the recording did not finish.
        frames: Entries of the frames of events.
        late: Number of the frame with a call's leave event, by the call's index, if it is not the frame with the
            enter event.
        blobs: First blob number and offset of every frame of blobs.
        metadata: Offsets of the frames that other frames depend on: header, descriptions, modules.
        threads: The system's thread ids by first appearance.
        damage: Defect after the last complete frame.
        live_frame: Memory of a recorder, if the file has a live frame.
    """

    calls: int = 0
    events: int = 0
    lost: int = 0
    start: int = 0
    end: str | None = None
    frames: list[FrameEntry] = field(default_factory=list)
    late: dict[int, int] = field(default_factory=dict)
    blobs: list[tuple[int, int]] = field(default_factory=list)
    metadata: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    damage: str | None = None
    live_frame: LiveFrame | None = None

    @classmethod
    def load(cls, frames: FrameReader) -> Index:
        """Return the index of a sealed trace, or else a rebuilt one."""
        value = frames.read_index()
        return _index_from_data(value, frames) if value is not None else rebuild_index(frames)


def _index_from_data(value: Any, frames: FrameReader) -> Index:
    match value:
        case {
            "calls": int(calls),
            "events": int(event_count),
            "lost": int(lost),
            "start": int(start),
            "end": end,
            "frames": [*frame_rows],
            "late": [*late],
            "blobs": [*blobs],
            "told": [*metadata],
            "threads": [*threads],
        } if (
            isinstance(end, (str, type(None)))
            and _are_rows(frame_rows, 5)
            and _are_rows(late, 2)
            and _are_rows(blobs, 2)
        ):
            index = Index(
                calls=calls,
                events=event_count,
                lost=lost,
                start=start,
                end=end,
                frames=[FrameEntry(*row) for row in frame_rows],
                late=dict(late),
                blobs=[(first, offset) for first, offset in blobs],
                metadata=metadata,
                threads=threads,
                damage=_optional_text(value.get("torn")),
            )
            if _is_consistent(index):
                return index
    raise TraceError(f"{frames.path}: the index is malformed; tracekmt recover rebuilds it")


def _optional_text(value: Any) -> str | None:
    return None if value is None else printable(str(value)[:_TEXT_LIMIT])


def _are_rows(rows: list[Any], length: int) -> bool:
    return all(
        isinstance(row, list) and len(row) == length and all(type(number) is int and number >= 0 for number in row)
        for row in rows
    )


def _is_consistent(index: Index) -> bool:
    call_count = event_count = next_call = 0
    for frame in index.frames:
        # A trimmed trace has gaps between the indexes of its calls.
        if frame.first_call < next_call or frame.first_event != event_count:
            return False
        next_call = frame.first_call + frame.calls
        call_count, event_count = call_count + frame.calls, event_count + frame.events
    are_numbers = all(type(number) is int and number >= 0 for number in (*index.metadata, *index.threads))
    are_frames = all(frame < len(index.frames) for frame in index.late.values())
    counts_match = (call_count, event_count) == (index.calls, index.events)
    return are_numbers and are_frames and counts_match and index.blobs == sorted(index.blobs)


def rebuild_index(frames: FrameReader) -> Index:
    """Return the index that one scan over all frames finds. Damage ends the scan.

    Raises:
        TraceError: The first frame is not a valid header.
    """
    index = Index()
    in_flight: set[int] = set()
    next_call = last_blob = 0
    origin = None
    for offset, kind, value in frames.scan():
        where = f"{frames.path}: byte {offset}"
        if not index.metadata and kind != FrameKind.HEADER:
            raise TraceError(f"{frames.path}: the trace does not begin with a header")
        match kind:
            case FrameKind.HEADER | FrameKind.CALL | FrameKind.MODULE:
                if not index.metadata:
                    origin = events.header_from_data(value, where).origin
                index.metadata.append(offset)
            case FrameKind.BLOBS:
                if not isinstance(value, list) or not value or type(value[0]) is not int or value[0] < last_blob:
                    index.damage = f"{frames.path}: the frame at byte {offset} has malformed blobs"
                    break
                last_blob = value[0]
                index.blobs.append((last_blob, offset))
            case FrameKind.EVENTS:
                try:
                    next_call = _add_frame(index, in_flight, value, offset, next_call)
                except ValueError as error:
                    index.damage = f"{frames.path}: the frame at byte {offset} {error}"
                    break
            case FrameKind.SPOOL if isinstance(value, LiveFrame):
                index.live_frame = value
            case FrameKind.END:
                index.end = str(value.get("how")) if isinstance(value, dict) else ""
                index.damage = _optional_text(value.get("torn")) if isinstance(value, dict) else None
    index.damage = index.damage or frames.damage
    index.start = index.start if origin is None else origin
    return index


def _add_frame(index: Index, in_flight: set[int], value: Any, offset: int, next_call: int) -> int:
    """Add a frame of events to the index.

    Args:
        index: The index. It stays unchanged if the frame is malformed.
        in_flight: Indexes of the calls that were entered and did not return. Updated by the frame.
        value: Payload of the frame.
        offset: Offset of the frame in the file.
        next_call: Lowest index that the first call of the frame can have.

    Returns:
        Lowest index that the first call of the next frame can have.

    Raises:
        ValueError: The frame is malformed.
    """
    event_frame = EventFrame(value)
    table = event_frame.table
    entered: list[int] = []
    returned: list[int] = []
    open_calls = set(in_flight)
    for kind, call_index in zip(table.kinds, table.calls, strict=True):
        if kind == ENTER:
            if call_index < next_call:
                raise ValueError("has calls out of order")
            next_call = call_index + 1
            entered.append(call_index)
            open_calls.add(call_index)
        elif kind == LEAVE:
            if call_index not in open_calls:
                raise ValueError(f"has a leave event of call {call_index} without an enter event")
            open_calls.remove(call_index)
            returned.append(call_index)
    threads = events.thread_ids(value)
    first_call = entered[0] if entered else next_call
    if entered and not index.calls:
        index.start = table.times[table.kinds.index(ENTER)]
    late = {call_index: len(index.frames) for call_index in returned if call_index < first_call}
    entry = FrameEntry(offset, first_call, len(entered), index.events, len(table))
    entry.check(event_frame)
    in_flight.clear()
    in_flight.update(open_calls)
    index.lost += sum(count for kind, count in zip(table.kinds, table.values, strict=True) if kind == LOST)
    index.calls += len(entered)
    index.events += len(table)
    index.late.update(late)
    index.threads += threads
    index.frames.append(entry)
    return next_call
