"""Reader of traces: calls by index, decoded on demand. Only the requested parts of the file are in memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from functools import cached_property
from os import SEEK_END
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from tracekmt import core
from tracekmt.codec import KindOf
from tracekmt.errors import TraceError, UsageError
from tracekmt.spec.types import Abi, CallSpec, Kind
from tracekmt.trace import migrate
from tracekmt.trace.buffer_format import convert_leftover
from tracekmt.trace.caches import FRAME_CACHE_SIZE, OBJECT_SIZE, BlobCache, FrameCache
from tracekmt.trace.call import TracedCall
from tracekmt.trace.event_frame import EventFrame, EventTable
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.frame_calls import ENTER, LEAVE, LOST, NO_ROW
from tracekmt.trace.frames import VERSION, FrameKind, FrameReader
from tracekmt.trace.handle_kinds import HandleKinds, ambiguous_kinds, created_handles, creates_handles
from tracekmt.trace.index import Index, rebuild_index
from tracekmt.trace.metadata import Metadata

_NO_LIMIT = 1 << 63
_ROW_BITS = 32


class CallRow(NamedTuple):
    """One call without its argument.

    Attributes:
        call_index: Index of the call.
        spec_id: Id of its description.
        thread: Number of the thread, by first appearance.
        caller: Return address of the call, 0 if unknown.
        enter_ns: Time of the enter event, in nanoseconds since the first event.
        leave_ns: Time of the leave event. None if the call did not return.
        result: Raw return value. None if the call did not return.
    """

    call_index: int
    spec_id: int
    thread: int
    caller: int
    enter_ns: int
    leave_ns: int | None
    result: int | None


class Trace:
    """Trace that is open for reading. A context manager.

    Damage at the end is not an error: every complete frame before it is readable.

    Attributes:
        path: Path of the file.
        version: Format version of the file.
        header: Header of the trace.
        abi: ABI of the recorded process.
        threads: Numbers of the threads by first appearance, by the system's thread id.
        start_time: Time of the first event in nanoseconds, by the clock of the recorded machine.
        damage: Description of the damage at the end. None for an undamaged trace.
        blobs: Blobs of the trace by number.
    """

    def __init__(self, source: Path | BinaryIO, *, rebuild: bool = False) -> None:
        """Open a trace.

        Args:
            source: A path, or an open seekable file.
            rebuild: Rebuild the index from all frames instead of reading it.

        Raises:
            TraceError: The file is not a readable trace.
        """
        self.path = source if isinstance(source, Path) else Path(str(getattr(source, "name", "(file)")))
        try:
            self._file = source.open("rb") if isinstance(source, Path) else source
        except OSError as error:
            # Windows answers "Permission denied" for a folder.
            reason = "it is a folder" if self.path.is_dir() else error.strerror or type(error).__name__
            raise TraceError(f"cannot open {self.path}: {reason}") from None
        except ValueError:
            raise TraceError(f"invalid file name: {str(self.path)!r}") from None
        try:
            self._open(rebuild)
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise TraceError(f"cannot read {self.path}: {error.strerror}") from None
            raise

    def _open(self, rebuild: bool) -> None:
        self._frames = FrameReader(self.path, self._file)
        self.version: int = self._frames.version
        damage = None
        if self.version < VERSION:
            upgraded, damage = migrate.upgrade(self._frames)
            self._replace_file(upgraded)
        self._index = rebuild_index(self._frames) if rebuild else Index.load(self._frames)
        if self._index.live_frame is not None:
            converted, damage = convert_leftover(self._frames, self._index.live_frame)
            self._replace_file(converted)
            self._index = rebuild_index(self._frames)
        self.damage: str | None = damage or self._index.damage
        self._metadata = Metadata(self.path)
        for offset in self._index.metadata:
            kind, value = self._frames.read_frame(offset)
            self._metadata.add(offset, kind, value)
        if self.damage and not self._metadata.has_header:
            raise TraceError(self.damage)
        self.header: Header = self._metadata.header
        self.abi: Abi = self.header.abi
        self.threads: dict[int, int] = {system_id: number for number, system_id in enumerate(self._index.threads)}
        self.start_time: int = self._index.start
        self._first_calls: list[int] = [entry.first_call for entry in self._index.frames]
        self._first_blobs: list[int] = [first for first, _ in self._index.blobs]
        self._event_frame: FrameCache[EventFrame] = FrameCache(FRAME_CACHE_SIZE, self._load_event_frame)
        self._blob_frame: FrameCache[list[bytes]] = FrameCache(FRAME_CACHE_SIZE, self._load_blob_frame)
        self.blobs = BlobCache(self._load_blob)

    def _replace_file(self, file: BinaryIO) -> None:
        """Read a converted copy instead of the opened file."""
        self._file.close()
        self._file = file
        self._frames = FrameReader(self.path, file)

    @property
    def modules(self) -> list[Module]:
        """Modules that were mapped in the recorded process."""
        return self._metadata.modules

    @property
    def lost(self) -> int:
        """Number of events that could not be recorded."""
        return self._index.lost

    @property
    def warning(self) -> str | None:
        """Warning about damage, for reports. None for an undamaged trace."""
        return f"{self.damage}; the calls before the damage are complete" if self.damage else None

    @property
    def ended(self) -> str | None:
        """End of the recording, in words. None if the recording did not finish."""
        return self._index.end

    @property
    def duration(self) -> int:
        """Nanoseconds between the first event and the last."""
        for number in reversed(range(len(self._index.frames))):
            times = self._event_frame(number).table.times
            if times:
                return max(max(times) - self.start_time, 0)
        return 0

    @cached_property
    def faults(self) -> list[str]:
        """Faults that the recorder injected, as the user wrote them."""
        faults = self.header.settings.get("inject")
        return [str(fault) for fault in faults[:256]] if isinstance(faults, list) else []

    @property
    def specs(self) -> dict[int, CallSpec]:
        """Call descriptions by the id that events use."""
        return self._metadata.specs

    def spec(self, spec_id: int) -> CallSpec:
        """Return a call description by the id that events use.

        Raises:
            TraceError: The trace has no such description.
        """
        spec = self._metadata.specs.get(spec_id)
        if spec is None:
            raise TraceError(f"{self.path}: an event refers to the missing description {spec_id}")
        return spec

    def __len__(self) -> int:
        return self._index.calls

    def __getitem__(self, index: int) -> TracedCall:
        """Return the call with an index. A negative index counts from the last call.

        Raises:
            IndexError: The trace has no call with this index.
        """
        if not isinstance(index, int):
            raise UsageError(f"{self.path}: invalid call index: {str(index)[:40]!r} (expected a number)")
        call_index = self._nth(len(self) + index) if index < 0 else index
        number = self._frame_of(call_index)
        frame = self._event_frame(number) if number >= 0 else None
        rank = frame.calls.rank(call_index) if frame is not None else None
        if frame is None or rank is None:
            trimmed = " and is trimmed" if self.header.trimmed else ""
            raise IndexError(f"no call {index}: {self.path} has {len(self)} calls{trimmed}")
        return self.call_in(frame, rank)

    def calls(self, first: int = 0, last: int | None = None) -> Iterator[TracedCall]:
        """Yield calls in the order of their enter events.

        Args:
            first: Lowest index.
            last: Highest index. None for all later calls. Frames outside of the range are not read.
        """
        for number in range(max(self._frame_of(first), 0), len(self._index.frames)):
            frame = self._event_frame(number)
            for rank, call_index in enumerate(frame.calls.indexes):
                if last is not None and call_index > last:
                    return
                if call_index >= first:
                    yield self.call_in(frame, rank)

    def call_rows(self, first: int = 0, last: int | None = None) -> Iterator[CallRow]:
        """Yield the rows of calls in the order of their enter events. No body is unpacked.

        Args:
            first: Lowest index.
            last: Highest index, None for all later calls.
        """
        threads = self.thread_numbers
        start = self.start_time
        for number in range(max(self._frame_of(first), 0), len(self._index.frames)):
            frame = self._event_frame(number)
            table, calls = frame.table, frame.calls
            for index, row, left_row in zip(calls.indexes, calls.enter_rows, calls.leave_rows, strict=True):
                if index < first:
                    continue
                if last is not None and index > last:
                    return
                thread = table.threads[row]
                if thread >= len(threads):
                    raise TraceError(f"{self.path}: call {index}: the enter event has an unknown thread")
                left_in, leave_row = (frame, left_row) if left_row != NO_ROW else self._late_leave(index)
                leave_ns, result = None, None
                if left_in is not None:
                    leave_ns, result = left_in.table.times[leave_row] - start, left_in.table.values[leave_row]
                enter_ns = table.times[row] - start
                spec_id, caller = table.functions[row], table.values[row]
                yield CallRow(index, spec_id, threads[thread], caller, enter_ns, leave_ns, result)

    def ranges(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield the first and the last index of the calls of each frame, within a range. No frame is read.

        Args:
            first: Lowest index.
            last: Highest index, None for all later calls.
        """
        starts = [entry.first_call for entry in self._index.frames if entry.calls]
        for start, following in zip(starts, [*starts[1:], _NO_LIMIT], strict=False):
            low, high = max(start, first), following - 1 if last is None else min(following - 1, last)
            if low <= high:
                yield low, high

    @property
    def file_size(self) -> int:
        """Size of the file in bytes."""
        return self._file.seek(0, SEEK_END)

    def event_frames(self) -> Iterator[EventFrame]:
        """Yield the frames of events in order."""
        return map(self._event_frame, range(len(self._index.frames)))

    @cached_property
    def thread_numbers(self) -> array[int]:
        """Numbers of the threads by the numbers in the frames of events."""
        return array("I", [self.threads[system_id] for system_id in self._index.threads])

    def _tables(self) -> Iterator[EventTable]:
        return (frame.table for frame in self.event_frames())

    def timeline(self, functions: Collection[int] | None = None) -> Iterator[tuple[int, bool]]:
        """Yield (index of the call, True for its leave event) of the events in order.

        Args:
            functions: Ids of the descriptions of the calls to yield, None for every call.
        """
        return ((index, is_leave) for _, _, index, is_leave in self._call_events(functions))

    def call_events(self, functions: Collection[int] | None = None) -> Iterator[tuple[TracedCall, bool]]:
        """Yield (call, True for its leave event) of the events in order. Both events of a call have the same object.

        Args:
            functions: Ids of the descriptions of the calls to yield, None for every call.
        """
        in_flight: dict[int, TracedCall] = {}
        for frame, rank, index, is_leave in self._call_events(functions):
            if is_leave:
                yield in_flight.pop(index), True
            else:
                call = in_flight[index] = self.call_in(frame, rank)
                yield call, False

    def _call_events(self, functions: Collection[int] | None) -> Iterator[tuple[EventFrame, int, int, bool]]:
        """Yield frame, number of the calls entered in it before, index, True for a leave event; see `timeline`."""
        in_flight: dict[int, bool] = {}
        for frame in self.event_frames():
            rank = 0
            for kind, index, spec_id in zip(frame.table.kinds, frame.table.calls, frame.table.functions, strict=True):
                if kind == ENTER:
                    in_flight[index] = is_wanted = functions is None or spec_id in functions
                    if is_wanted:
                        yield frame, rank, index, False
                    rank += 1
                elif kind == LEAVE:
                    if index not in in_flight:
                        raise self.unmatched_leave(index)
                    if in_flight.pop(index):
                        yield frame, rank, index, True

    def events(self) -> Iterator[Enter | Leave | Lost]:
        """Yield every event in order."""
        in_flight: dict[int, Enter] = {}
        for frame in self.event_frames():
            for row, (kind, call_index) in enumerate(zip(frame.table.kinds, frame.table.calls, strict=True)):
                if kind == ENTER:
                    in_flight[call_index] = self._enter(frame, call_index, row)
                    yield in_flight[call_index]
                elif kind == LEAVE and call_index in in_flight:
                    yield self._leave(frame, row, in_flight.pop(call_index))
                elif kind == LEAVE:
                    raise self.unmatched_leave(call_index)
                else:
                    yield Lost(frame.table.sequences[row], frame.table.values[row])

    def unmatched_leave(self, call_index: int) -> TraceError:
        """Return the error about a leave event of a call that is not in flight."""
        return TraceError(f"{self.path}: the leave event of call {call_index} has no enter event")

    def tally(self) -> Counter[tuple[int, int | None]]:
        """Count calls by description id and raw return value.

        The return value of calls without a leave event is None. No body is unpacked.
        """
        counts: Counter[tuple[int, int | None]] = Counter()
        for table in self._tables():
            rows = list(zip(table.kinds, table.functions, table.values, strict=True))
            counts.update((spec_id, result) for kind, spec_id, result in rows if kind == LEAVE)
            counts.update((spec_id, None) for kind, spec_id, _ in rows if kind == ENTER)
            counts.subtract((spec_id, None) for kind, spec_id, _ in rows if kind == LEAVE)
        return +counts

    def abandoned_calls(self) -> list[int]:
        """Return the indexes of the calls that their thread left without a return: by a jump or an exception.

        Such a call has no leave event, and the same thread entered another call afterwards.
        """
        open_calls: dict[int, dict[int, None]] = defaultdict(dict)
        last_call: dict[int, int] = {}
        for table in self._tables():
            for kind, index, thread in zip(table.kinds, table.calls, table.threads, strict=True):
                if kind == ENTER:
                    open_calls[thread][index] = None
                    last_call[thread] = index
                elif kind == LEAVE:
                    open_calls[thread].pop(index, None)
        return sorted(
            index for thread, indexes in open_calls.items() for index in indexes if index != last_call[thread]
        )

    def losses(self) -> Iterator[Lost]:
        """Yield every loss in order."""
        for table in self._tables() if self.lost else ():
            rows = zip(table.kinds, table.sequences, table.values, strict=True)
            yield from (Lost(sequence, count) for kind, sequence, count in rows if kind == LOST)

    def spec_ids(self) -> Iterator[tuple[int, int]]:
        """Yield index and description id of every call in order. No body is unpacked."""
        for table in self._tables():
            rows = zip(table.kinds, table.calls, table.functions, strict=True)
            yield from ((call_index, spec_id) for kind, call_index, spec_id in rows if kind == ENTER)

    def calls_by_thread(self) -> dict[int, tuple[array[int], array[int]]]:
        """Return indexes and description ids of the calls of each thread, by the thread's number."""
        threads: dict[int, tuple[array[int], array[int]]] = {}
        for table in self._tables():
            rows = zip(table.kinds, table.calls, table.functions, table.threads, strict=True)
            for kind, call_index, spec_id, thread in rows:
                if kind == ENTER:
                    call_indexes, spec_ids = threads.setdefault(thread, (array("Q"), array("I")))
                    call_indexes.append(call_index)
                    spec_ids.append(spec_id)
        return threads

    def kinds_at(self, index: int) -> KindOf:
        """Return the kinds of the objects behind handles when a call was entered."""
        return self._handle_kinds.at(self._place(index, ENTER))

    @cached_property
    def _handle_kinds(self) -> HandleKinds:
        return HandleKinds(self._created_handles())

    def _created_handles(self) -> Iterator[tuple[int, int, Kind | None]]:
        ambiguous = ambiguous_kinds(self.specs.values())
        creators = {spec_id for spec_id, spec in self._metadata.specs.items() if creates_handles(spec)}
        for index, is_leave in self.timeline(creators):
            if is_leave and (call := self[index]).succeeded:
                created = [creates for creates in call.spec.creates if call.satisfies(creates.when)]
                for handle, kind in created_handles(created, call.bound_outputs, ambiguous):
                    yield self._place(index, LEAVE), handle, kind

    def _place(self, index: int, kind: int) -> int:
        """Return a number for an event of a call that grows with the events of the trace."""
        number = self._frame_of(index)
        calls = self._event_frame(number).calls
        rank = calls.rank(index)
        if rank is None:
            raise self.unmatched_leave(index)
        row = calls.enter_rows[rank] if kind == ENTER else calls.leave_rows[rank]
        if row == NO_ROW:
            number, (_, row) = self._index.late.get(index, number), self._late_leave(index)
        return number << _ROW_BITS | row

    def module_offset(self, address: int) -> str | None:
        """Return an address as module and offset ("d3d11.dll+0x1f2a0"). None outside of the mapped modules."""
        position = bisect_right(self._modules_by_base, (address, len(self.modules))) - 1
        if position < 0:
            return None
        module = self.modules[self._modules_by_base[position][1]]
        offset = address - module.base
        return f"{module.name}+0x{offset:x}" if offset < module.size else None

    @cached_property
    def _modules_by_base(self) -> list[tuple[int, int]]:
        return sorted((module.base, position) for position, module in enumerate(self.modules))

    def _frame_of(self, call_index: int) -> int:
        """Return the number of the frame with a call's enter event. -1 if the call precedes all frames.

        A frame without enter events has the same first call as the next one.
        """
        number = bisect_right(self._first_calls, call_index) - 1 if call_index >= 0 else -1
        while number >= 0 and not self._index.frames[number].calls:
            number -= 1
        return number

    def _nth(self, position: int) -> int:
        """Return the index of a call by its position. -1 for an invalid position."""
        for number, entry in enumerate(self._index.frames):
            if 0 <= position < entry.calls:
                return self._event_frame(number).calls.indexes[position]
            position -= entry.calls
        return -1

    def _load_event_frame(self, number: int) -> tuple[EventFrame, int]:
        entry = self._index.frames[number]
        kind, value = self._frames.read_frame(entry.offset)
        try:
            if kind != FrameKind.EVENTS:
                raise ValueError("does not match the index")
            frame = EventFrame(value)
            entry.check(frame)
        except ValueError as error:
            raise TraceError(f"{self.path}: the frame at byte {entry.offset} {error}") from None
        return frame, frame.size

    def call_in(self, frame: EventFrame, rank: int) -> TracedCall:
        """Return a call that is entered in a frame, by its rank there."""
        native, blobs, thread_ids, calls = core.CORE, self.blobs, self._index.threads, frame.calls
        index, row, left_row = calls.indexes[rank], calls.enter_rows[rank], calls.leave_rows[rank]
        left_in, left_row = (frame, left_row) if left_row != NO_ROW else self._late_leave(index)
        if left_in is None:
            enter = self._enter(frame, index, row)
            return TracedCall(self, index, self.spec(enter.spec_id), enter, None)
        table, left, starts, ends = frame.table, left_in.table, frame.offsets, left_in.offsets
        thread, found = table.threads[row], None
        if native is not None and thread < len(thread_ids):
            try:
                found = native.read_call(
                    frame.bodies,
                    starts[row],
                    starts[row + 1],
                    left_in.bodies,
                    ends[left_row],
                    ends[left_row + 1],
                    blobs,
                    blobs.young,
                )
            except ValueError:  # a missing blob, of which the event is not known
                found = None
        if found is None:
            enter = self._enter(frame, index, row)
            return TracedCall(self, index, self.spec(enter.spec_id), enter, self._leave(left_in, left_row, enter))
        sequence, spec_id, time, caller = (
            table.sequences[row],
            table.functions[row],
            table.times[row],
            table.values[row],
        )
        enter = Enter(sequence, thread_ids[thread], spec_id, time, caller, found[0], found[1], index)
        leave = Leave(left.sequences[left_row], sequence, left.times[left_row], left.values[left_row], found[2])
        spec = self._metadata.specs.get(spec_id) or self.spec(spec_id)
        return TracedCall(self, index, spec, enter, leave)

    def _late_leave(self, index: int) -> tuple[EventFrame | None, int]:
        """Return frame and row of the leave event of a call that did not return in the frame that it was entered in.

        None if it did not return.
        """
        number = self._index.late.get(index)
        frame = None if number is None else self._event_frame(number)
        row = None if frame is None else frame.calls.leave_row(index)
        return (None, NO_ROW) if row is None else (frame, row)

    def _enter(self, frame: EventFrame, index: int, row: int) -> Enter:
        table = frame.table
        try:
            arguments, regions = frame.enter(row, self.blobs, self.blobs.young)
            thread = self._index.threads[table.threads[row]]
        except (ValueError, IndexError) as error:
            raise TraceError(f"{self.path}: call {index}: the enter event {error}") from None
        sequence, time, caller = table.sequences[row], table.times[row], table.values[row]
        return Enter(sequence, thread, table.functions[row], time, caller, arguments, regions, index)

    def _leave(self, frame: EventFrame, row: int, enter: Enter) -> Leave:
        table = frame.table
        try:
            regions = frame.leave(row, enter.regions, self.blobs, self.blobs.young)
        except ValueError as error:
            raise TraceError(f"{self.path}: call {table.calls[row]}: the leave event {error}") from None
        return Leave(table.sequences[row], enter.sequence, table.times[row], table.values[row], regions)

    def _load_blob_frame(self, number: int) -> tuple[list[bytes], int]:
        _, offset = self._index.blobs[number]
        match self._frames.read_frame(offset):
            case FrameKind.BLOBS, [int(), [*blobs]] if set(map(type, blobs)) <= {bytes}:
                return blobs, sum(map(len, blobs)) + OBJECT_SIZE * len(blobs)
        raise TraceError(f"{self.path}: the frame at byte {offset} has malformed blobs")

    def _load_blob(self, number: int) -> bytes:
        frame_number = bisect_right(self._first_blobs, number) - 1
        blobs = self._blob_frame(frame_number) if frame_number >= 0 else []
        position = number - self._first_blobs[frame_number] if frame_number >= 0 else 0
        if not 0 <= position < len(blobs):
            raise ValueError(f"refers to the missing blob {number}")
        return blobs[position]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


__all__ = ["Trace", "TracedCall"]
