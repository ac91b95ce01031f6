"""Writing traces: frames of events that are readable as soon as they are written, and an index at the end."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from tracekmt.errors import TraceError, UsageError
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace import event_frame as batch
from tracekmt.trace.event_frame import EventTable
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module, call_data
from tracekmt.trace.frames import FrameKind, pack_frame, preamble, tail

BATCH_EVENTS = 4096
BATCH_BYTES = 2 << 20
"""What a frame of events holds at most: as much as a reader has to unpack for one call."""

BLOB_SIZE = 64
LONG_BLOB_SIZE = 1024
"""From so many bytes on, memory is stored once per content: what is short from its second appearance on, since most of
what is short never appears again, and a reader that wants one content unpacks all that stand beside it."""

BLOBS_KNOWN = 1 << 17
"""How many contents are remembered; one that comes back later is stored again."""


def refuse_existing(path: Path, *, force: bool) -> None:
    """UsageError where a file would be overwritten that nobody gave up."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists already; choose another name or overwrite it with -f")


class Writer:
    """A trace file being written. A description goes in before the first event that needs it."""

    def __init__(self, path: Path, header: Header, *, force: bool = False, file: BinaryIO | None = None) -> None:
        if file is None:
            refuse_existing(path, force=force)
        self.path = path
        self.abi: Abi = header.layout
        try:
            self._file = path.open("wb") if file is None else file
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
        except ValueError:
            raise UsageError(f"{str(path)!r} is no name of a file") from None
        self._table, self._bodies = EventTable(), bytearray()
        self._open: dict[int, tuple[int, Enter]] = {}
        self._threads: dict[int, int] = {}
        self._new_threads: list[int] = []
        self._blobs: OrderedDict[bytes, int | None] = OrderedDict()
        self._new_blobs: list[bytes] = []
        self._blob_count = 0
        self._number = -1
        self._origin = header.origin
        self._index: dict[str, Any] = {
            "calls": 0, "events": 0, "lost": 0, "start": header.origin or 0, "end": None,
            "frames": [], "late": [], "blobs": [], "told": [], "threads": [],
        }  # fmt: skip
        self._offset = self._file.write(preamble())
        self._tell(FrameKind.HEADER, header.to_data())
        self._file.flush()

    def describe(self, number: int, call: CallSpec) -> None:
        """Put in a call's description under the number that events name it by."""
        self._tell(FrameKind.CALL, call_data(number, call, self.abi))

    def module(self, module: Module) -> None:
        """Put in where a file was mapped."""
        self._tell(FrameKind.MODULE, list(vars(module).values()))

    def threads(self, systems: Iterable[int]) -> None:
        """Give threads their numbers, in order, before any event does."""
        for system in systems:
            self._thread(system)

    def events(self, events: Iterable[Enter | Leave | Lost], *, flush: bool = True) -> None:
        """Append events, in the order of their sequence numbers, and hand them to the system; without `flush` they are
        kept until a frame is full."""
        for event in events:
            self._add(event)
            if len(self._table) >= BATCH_EVENTS or len(self._bodies) >= BATCH_BYTES:
                self._write_batch()
        if flush:
            self._write_batch()
            self._file.flush()

    def end(self, how: str, torn: str | None = None) -> None:
        """Say how the recording ended, what is missing at its end if anything is, and where everything is."""
        self._write_batch()
        self._index |= {"end": how, "torn": torn}
        self._write(FrameKind.END, {"how": how, "torn": torn})
        offset = self._write(FrameKind.INDEX, {**self._index, "threads": list(self._threads)})
        self._file.write(tail(offset))

    def flush(self) -> None:
        """Hand over what has been kept, without an end."""
        if self._index["end"] is None:
            self._write_batch()
        self._file.flush()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._offset

    @property
    def closed(self) -> bool:
        """Whether the file has been closed."""
        return self._file.closed

    def close(self) -> None:
        """Close the file; a trace without an end is still readable."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def _tell(self, kind: FrameKind, value: Any) -> None:
        """Write a frame that every reader needs."""
        self._write_batch()
        self._index["told"].append(self._write(kind, value))

    def _write(self, kind: FrameKind, value: Any) -> int:
        data, offset = pack_frame(kind, value), self._offset
        self._file.write(data)
        self._offset += len(data)
        return offset

    def _add(self, event: Enter | Leave | Lost) -> None:
        index = self._index
        offset = len(self._bodies)
        if isinstance(event, Enter):
            number = self._number = self._next_number(event)
            index["calls"] += 1
            self._open[event.sequence] = number, event
            thread = self._thread(event.thread)
            if index["calls"] == 1 and self._origin is None:
                index["start"] = event.time
            self._bodies += batch.enter_body(event, self._intern)
            row = (batch.ENTER, number, event.sequence, event.time, thread, event.spec_id, event.caller, offset)
        elif isinstance(event, Leave):
            if event.enter not in self._open:
                raise TraceError(f"{self.path}: a call returns that was never entered")
            number, enter = self._open.pop(event.enter)
            self._bodies += batch.leave_body(event, enter.regions, self._intern)
            thread = self._thread(enter.thread)
            row = (batch.LEAVE, number, event.sequence, event.time, thread, enter.spec_id, event.result, offset)
        else:
            last = self._table.times[-1] if self._table.times else 0
            row = (batch.LOST, self._number + 1, event.sequence, last, 0, 0, event.count, offset)
            index["lost"] += event.count
        try:
            self._table.add(*row)
        except OverflowError:
            raise UsageError(f"{self.path}: an event holds a number that is too large for its column: {row}") from None

    def _next_number(self, event: Enter) -> int:
        if event.index is not None and event.index <= self._number:
            raise TraceError(f"{self.path}: call {event.index} cannot follow call {self._number}")
        return self._number + 1 if event.index is None else event.index

    def _thread(self, system: int) -> int:
        if system not in self._threads:
            self._threads[system] = len(self._threads)
            self._new_threads.append(system)
        return self._threads[system]

    def _intern(self, data: bytes) -> int | bytes:
        if len(data) < BLOB_SIZE:
            return data
        key = hashlib.blake2b(data, digest_size=16).digest()
        known = key in self._blobs
        number = self._blobs.pop(key, None)
        if number is None and (known or len(data) >= LONG_BLOB_SIZE):
            number = self._blob_count
            self._blob_count += 1
            self._new_blobs.append(data)
        if len(self._blobs) >= BLOBS_KNOWN:
            self._blobs.popitem(last=False)
        self._blobs[key] = number  # at the end: what was not used for long is forgotten first
        return data if number is None else number

    def _write_batch(self) -> None:
        table = self._table
        if not len(table):
            return
        index = self._index
        if self._new_blobs:
            first = self._blob_count - len(self._new_blobs)
            index["blobs"].append([first, self._write(FrameKind.BLOBS, [first, self._new_blobs])])
        entered = [call for kind, call in zip(table.kinds, table.calls, strict=True) if kind == batch.ENTER]
        first_call = entered[0] if entered else self._number + 1
        late = [c for k, c in zip(table.kinds, table.calls, strict=True) if k == batch.LEAVE and c < first_call]
        index["late"] += [[call, len(index["frames"])] for call in late]
        offset = self._write(FrameKind.EVENTS, [table.pack(), bytes(self._bodies), self._new_threads])
        index["frames"].append([offset, first_call, len(entered), index["events"], len(table)])
        index["events"] += len(table)
        self._table, self._bodies, self._new_blobs, self._new_threads = EventTable(), bytearray(), [], []


def now() -> str:
    """The time of day as headers write it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
