"""Writer of traces. Every written frame is readable at once. An index follows at the end."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from itertools import compress
from pathlib import Path
from typing import Any, BinaryIO

from tracekmt import core
from tracekmt.errors import TraceError, UsageError
from tracekmt.private_file import create_private
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace.blob_numbers import (
    KEY_OVERHEAD,
    KNOWN_SIZE,
    LONG_BLOB_SIZE,
    MIN_BLOB_SIZE,
    BlobNumbers,
    digest,
)
from tracekmt.trace.event_frame import EventTable, enter_body, leave_body
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module, spec_to_data
from tracekmt.trace.frame_calls import ENTER, IS_LEAVE, LEAVE, LOST
from tracekmt.trace.frames import FrameKind, pack_frame, preamble, tail
from tracekmt.trace.raw_events import RAW_ENTER, TIME_LIMIT, parse_event
from tracekmt.trace.ready_events import RawEvents

FRAME_EVENTS = 4096
"""Maximum number of events in a frame. A reader unpacks a whole frame for one call."""

FRAME_BYTES = 2 << 20
"""Size of the bodies of a frame's events in bytes from which on the frame is written."""

_CALL_HEAD = struct.Struct("=qII")
"""Head of a call in flight from the core: the index of the call, the number of the thread, the description's id."""


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise UsageError if `path` exists, also as a link to nothing, unless `force` allows to overwrite it."""
    if os.path.lexists(path) and not force:
        raise UsageError(f"cannot write {path}: the file already exists (-f overwrites it)")


class Writer:
    """Trace file that is being written. A description must precede the first event that refers to it.

    Attributes:
        path: Path of the file.
        abi: ABI of the recorded process.
    """

    def __init__(self, path: Path, header: Header, *, force: bool = False, file: BinaryIO | None = None) -> None:
        """Create the file and write the header.

        Args:
            path: Path of the file.
            header: Header of the trace.
            force: Overwrite an existing file.
            file: Open file to write instead of `path`.

        Raises:
            UsageError: The file exists or cannot be created.
        """
        if file is None:
            refuse_existing(path, force=force)
        self.path = path
        self.abi: Abi = header.abi
        try:
            self._file = create_private(path, force=force) if file is None else file
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None
        except ValueError:
            raise UsageError(f"invalid file name: {str(path)!r}") from None
        self._table, self._bodies = EventTable(), bytearray()
        # Calls in flight, by the sequence numbers of their enter events: the index of the call and the event. From the
        # core: a head and the content of the raw event.
        self._in_flight: dict[int, tuple[int, Enter] | bytes] = {}
        self._threads: dict[int, int] = {}
        self._new_threads: list[int] = []
        self._blobs = BlobNumbers()
        self._last_call = -1
        self._origin = header.origin
        self._index: dict[str, Any] = {
            "calls": 0, "events": 0, "lost": 0, "start": header.origin or 0, "end": None,
            "frames": [], "late": [], "blobs": [], "told": [], "threads": [],
        }  # fmt: skip
        self._offset = self._file.write(preamble())
        self._write_metadata(FrameKind.HEADER, header.to_data())
        self._file.flush()

    def describe(self, spec_id: int, spec: CallSpec) -> None:
        """Write the description that events refer to by `spec_id`."""
        self._write_metadata(FrameKind.CALL, spec_to_data(spec_id, spec, self.abi))

    def module(self, module: Module) -> None:
        """Write a mapped module."""
        self._write_metadata(FrameKind.MODULE, list(vars(module).values()))

    def threads(self, system_ids: Iterable[int]) -> None:
        """Number threads in the given order, before their events do."""
        for system_id in system_ids:
            self._thread_number(system_id)

    def events(self, events: Iterable[Enter | Leave | Lost], *, flush: bool = True) -> None:
        """Append events in the order of their sequence numbers.

        Args:
            events: The events.
            flush: Write them to the file at once. Otherwise the writer keeps them until a frame is full.
        """
        blobs = self._blobs
        for event in events:
            self._add(event)
            is_full = len(self._table.kinds) >= FRAME_EVENTS or len(self._bodies) >= FRAME_BYTES
            if is_full or blobs.young_size >= KNOWN_SIZE:
                self._finish_event()
        if flush:
            self.flush_events()

    def flush_events(self) -> None:
        """Write the kept events to the file."""
        self._write_events()
        self._file.flush()

    def frame(self, events: RawEvents, position: int, plain: Mapping[int, bytes]) -> int:
        """Append raw events without an object for each, by the core. Nothing is flushed.

        Args:
            events: Raw events in the order of their sequence numbers.
            position: Position of the first one to append.
            plain: Descriptions whose events need no other handling, by their ids: places of addresses that must be
                zero, in the form of `record.process.memory_map.address_places`.

        Returns:
            The position of the first event that is left to the caller: a loss, an event that does not follow the one
            before it, of another description or of a new thread, a failed call, a malformed event. Without the core,
            `position`.
        """
        while core.CORE is not None and position < len(events):
            blobs = self._blobs
            position, next_call, blobs.count, blobs.young_size, columns, bodies = core.CORE.frame_events(
                *(events, position, plain, self._in_flight, self._threads),
                *(blobs.marks, blobs.young, blobs.old, blobs.new, digest),
                *(self._last_call + 1, blobs.count, blobs.young_size, len(self._bodies)),
                *(FRAME_EVENTS - len(self._table), FRAME_BYTES - len(self._bodies), KNOWN_SIZE),
                *(MIN_BLOB_SIZE, LONG_BLOB_SIZE, KEY_OVERHEAD),
            )
            calls, is_first = next_call - self._last_call - 1, not self._index["calls"]
            self._last_call = next_call - 1
            self._index["calls"] += calls
            self._table.extend(columns)
            self._bodies += bodies
            if calls and is_first and self._origin is None:
                self._index["start"] = self._table.times[self._table.kinds.index(ENTER)]
            if not self._finish_event():
                break
        return position

    def function_in_flight(self, sequence: int) -> int | None:
        """Return the description id of a call in flight, by the sequence number of its enter event."""
        entry = self._in_flight.get(sequence)
        if entry is None:
            return None
        return int(_CALL_HEAD.unpack_from(entry)[2]) if isinstance(entry, bytes) else entry[1].spec_id

    @property
    def call_count(self) -> int:
        """Number of appended calls."""
        return int(self._index["calls"])

    @property
    def in_flight(self) -> Mapping[int, object]:
        """Calls in flight, by the sequence numbers of their enter events."""
        return self._in_flight

    def end(self, reason: str, damage: str | None = None) -> None:
        """Seal the trace: write the end frame and the index.

        Args:
            reason: How the recording ended.
            damage: Reason why events at the end are missing, if any.
        """
        self._write_events()
        self._index |= {"end": reason, "torn": damage}
        self._write(FrameKind.END, {"how": reason, "torn": damage})
        offset = self._write(FrameKind.INDEX, {**self._index, "threads": list(self._threads)})
        self._file.write(tail(offset))

    def flush(self) -> None:
        """Write the kept events to the file, without an end frame."""
        if self._index["end"] is None:
            self._write_events()
        self._file.flush()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._offset

    @property
    def closed(self) -> bool:
        """True if the file is closed."""
        return self._file.closed

    def close(self) -> None:
        """Close the file. A trace without an end frame is still readable."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def _write_metadata(self, kind: FrameKind, value: Any) -> None:
        self._write_events()
        self._index["told"].append(self._write(kind, value))

    def _write(self, kind: FrameKind, value: Any) -> int:
        """Write a frame and return its offset."""
        data, offset = pack_frame(kind, value), self._offset
        self._file.write(data)
        self._offset += len(data)
        return offset

    def _add(self, event: Enter | Leave | Lost) -> None:
        index = self._index
        offset = len(self._bodies)
        if isinstance(event, Enter):
            call_index = self._last_call = self._call_index(event)
            index["calls"] += 1
            self._in_flight[event.sequence] = call_index, event
            thread = self._thread_number(event.thread)
            if index["calls"] == 1 and self._origin is None:
                index["start"] = event.time
            self._bodies += enter_body(event, self._blobs.intern)
            row = (ENTER, call_index, event.sequence, event.time, thread, event.spec_id, event.caller, offset)
        elif isinstance(event, Leave):
            if event.enter not in self._in_flight:
                raise TraceError(f"{self.path}: leave event {event.sequence} has no enter event")
            call_index, enter = self._entered(event.enter)
            self._bodies += leave_body(event, enter.regions, self._blobs.intern)
            thread = self._thread_number(enter.thread)
            row = (LEAVE, call_index, event.sequence, event.time, thread, enter.spec_id, event.result, offset)
        else:
            last_time = self._table.times[-1] if self._table.times else 0
            row = (LOST, self._last_call + 1, event.sequence, last_time, 0, 0, event.count, offset)
            index["lost"] += event.count
        try:
            # The columns of differences.
            if row[1] >= TIME_LIMIT or not -TIME_LIMIT < row[2] < TIME_LIMIT or not -TIME_LIMIT < row[3] < TIME_LIMIT:
                raise OverflowError
            self._table.add(*row)
        except OverflowError:
            raise UsageError(f"{self.path}: an event has a number that is too large for its column: {row}") from None

    def _call_index(self, event: Enter) -> int:
        if event.index is not None and event.index <= self._last_call:
            raise TraceError(f"{self.path}: call {event.index} cannot follow call {self._last_call}")
        return self._last_call + 1 if event.index is None else event.index

    def _thread_number(self, system_id: int) -> int:
        if system_id not in self._threads:
            self._threads[system_id] = len(self._threads)
            self._new_threads.append(system_id)
        return self._threads[system_id]

    def _entered(self, sequence: int) -> tuple[int, Enter]:
        """Remove a call in flight. Return its index and its enter event."""
        entry = self._in_flight.pop(sequence)
        if isinstance(entry, tuple):
            return entry
        enter = parse_event((sequence, RAW_ENTER, entry[_CALL_HEAD.size :]))
        assert isinstance(enter, Enter)
        return _CALL_HEAD.unpack_from(entry)[0], enter

    def _finish_event(self) -> bool:
        """Write the frame and forget blobs if there are enough. Return True if the next event finds more room."""
        is_full = len(self._table) >= FRAME_EVENTS or len(self._bodies) >= FRAME_BYTES
        if is_full:
            self._write_events()
        return self._blobs.forget() or is_full

    def _write_events(self) -> None:
        """Write the kept events as a frame, after a frame of the blobs that they add."""
        table = self._table
        if not len(table):
            return
        index = self._index
        blobs = self._blobs
        if blobs.new:
            first_blob = blobs.count - len(blobs.new)
            index["blobs"].append([first_blob, self._write(FrameKind.BLOBS, [first_blob, blobs.new])])
        kinds = table.kinds.tobytes()
        first_row = kinds.find(ENTER)
        first_call = table.calls[first_row] if first_row >= 0 else self._last_call + 1
        left = compress(table.calls, kinds.translate(IS_LEAVE))
        index["late"] += [[call_index, len(index["frames"])] for call_index in left if call_index < first_call]
        offset = self._write(FrameKind.EVENTS, [table.pack(), bytes(self._bodies), self._new_threads])
        index["frames"].append([offset, first_call, kinds.count(ENTER), index["events"], len(table)])
        index["events"] += len(table)
        self._table, self._bodies, blobs.new, self._new_threads = EventTable(), bytearray(), [], []


def now() -> str:
    """Return the current time in the form of a header's `created`."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
