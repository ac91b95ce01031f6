"""Where everything is in a trace: from the index at its end, or from a pass over its frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tracekmt.errors import TraceError
from tracekmt.trace import event_frame as batch
from tracekmt.trace import events
from tracekmt.trace.event_frame import EventFrame
from tracekmt.trace.frames import FrameKind, FrameReader, Room


@dataclass(frozen=True)
class FrameEntry:
    """A frame of events: where it is, the calls entered in it, and its events, by number."""

    offset: int
    first_call: int
    calls: int
    first_event: int
    events: int

    def check(self, found: EventFrame) -> None:
        """ValueError where a frame is not as the index says."""
        table = found.table
        entered = [call for kind, call in zip(table.kinds, table.calls, strict=True) if kind == batch.ENTER]
        if len(table) != self.events or len(entered) != self.calls or entered[:1] not in ([], [self.first_call]):
            raise ValueError("holds other events than the index says")
        if any(b <= a for a, b in pairwise(entered)):
            raise ValueError("has calls that are not in order")
        if len(found.positions) != sum(kind != batch.LOST for kind in table.kinds):
            raise ValueError("has an event twice")


@dataclass
class Index:
    """metadata: the frames that say what the others mean (header, descriptions, modules), by their offsets. late: the frame
    in which a call returned, where that is not the one in which it was entered. blobs: the first number in each frame
    of contents, and its offset. threads: the system's ids by first appearance. torn: what is wrong behind the last
    whole frame. room: where a recorder's memory is, if the file is one."""

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
    torn: str | None = None
    room: Room | None = None

    @classmethod
    def load(cls, frames: FrameReader) -> Index:
        """The index of a sealed trace, else one that is made from its frames."""
        value = frames.index()
        return _from_frame(value, frames) if value is not None else rebuild_index(frames)


def _from_frame(value: Any, frames: FrameReader) -> Index:
    match value:
        case {
            "calls": int(calls),
            "events": int(count),
            "lost": int(lost),
            "start": int(start),
            "end": end,
            "frames": [*listed],
            "late": [*late],
            "blobs": [*blobs],
            "told": [*metadata],
            "threads": [*threads],
        } if isinstance(end, (str, type(None))) and _numbers(listed, 5) and _numbers(late, 2) and _numbers(blobs, 2):
            index = Index(
                calls=calls,
                events=count,
                lost=lost,
                start=start,
                end=end,
                frames=[FrameEntry(*each) for each in listed],
                late=dict(late),
                blobs=[(first, offset) for first, offset in blobs],
                metadata=metadata,
                threads=threads,
                torn=_text(value.get("torn")),
            )
            if _sound(index):
                return index
    raise TraceError(f"{frames.path}: its index is malformed; tracekmt recover makes a new one")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _numbers(rows: list[Any], length: int) -> bool:
    return all(isinstance(r, list) and len(r) == length and all(type(n) is int and n >= 0 for n in r) for r in rows)


def _sound(index: Index) -> bool:
    calls = events_ = following = 0
    for frame in index.frames:
        # Of a trace that was cut out of another, calls are missing between others.
        if frame.first_call < following or frame.first_event != events_:
            return False
        following = frame.first_call + frame.calls
        calls, events_ = calls + frame.calls, events_ + frame.events
    plain = all(type(n) is int and n >= 0 for n in (*index.metadata, *index.threads))
    frames = all(frame < len(index.frames) for frame in index.late.values())
    return plain and frames and (calls, events_) == (index.calls, index.events) and index.blobs == sorted(index.blobs)


def rebuild_index(frames: FrameReader) -> Index:
    """The index that one pass over every frame makes; what is torn ends it."""
    index = Index()
    entered: set[int] = set()
    following = stored = 0
    origin = None
    for offset, kind, value in frames.scan():
        where = f"{frames.path}: byte {offset}"
        if not index.metadata and kind != FrameKind.HEADER:
            raise TraceError(f"{frames.path}: the trace does not begin with a header")
        match kind:
            case FrameKind.HEADER | FrameKind.CALL | FrameKind.MODULE:
                if not index.metadata:
                    origin = events.header_from(value, where).origin
                index.metadata.append(offset)
            case FrameKind.BLOBS:
                if not isinstance(value, list) or not value or type(value[0]) is not int or value[0] < stored:
                    index.torn = f"{frames.path}: the frame at byte {offset} holds no contents that can follow"
                    break
                stored = value[0]
                index.blobs.append((stored, offset))
            case FrameKind.EVENTS:
                try:
                    following = _take_events(index, entered, value, offset, following)
                except ValueError as error:
                    index.torn = f"{frames.path}: the frame at byte {offset} {error}"
                    break
            case FrameKind.SPOOL if isinstance(value, Room):
                index.room = value
            case FrameKind.END:
                index.end = str(value.get("how")) if isinstance(value, dict) else ""
                index.torn = _text(value.get("torn")) if isinstance(value, dict) else None
    index.torn = index.torn or frames.torn
    index.start = index.start if origin is None else origin
    return index


def _take_events(index: Index, under_way: set[int], value: Any, offset: int, following: int) -> int:
    """Add a frame of events to the index, if all of it is sound; ValueError says what is not. `following` is the least
    number that its first call can have; gives that of the next frame."""
    found = EventFrame(value)
    table = found.table
    entered: list[int] = []
    left: list[int] = []
    known = set(under_way)
    for kind, call in zip(table.kinds, table.calls, strict=True):
        if kind == batch.ENTER:
            if call < following:
                raise ValueError("has calls that are not in order")
            following = call + 1
            entered.append(call)
            known.add(call)
        elif kind == batch.LEAVE:
            if call not in known:
                raise ValueError(f"lets call {call} return, which was not entered")
            known.remove(call)
            left.append(call)
    threads = events.thread_ids(value)
    first = entered[0] if entered else following
    if entered and not index.calls:
        index.start = table.times[table.kinds.index(batch.ENTER)]
    late = {call: len(index.frames) for call in left if call < first}
    frame = FrameEntry(offset, first, len(entered), index.events, len(table))
    frame.check(found)
    under_way.clear()
    under_way.update(known)
    index.lost += sum(n for kind, n in zip(table.kinds, table.values, strict=True) if kind == batch.LOST)
    index.calls += len(entered)
    index.events += len(table)
    index.late.update(late)
    index.threads += threads
    index.frames.append(frame)
    return following
