"""Reading traces: calls by index, decoded when asked for; of the file only what is asked for is in memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, TypeVar

from tracekmt.codec import KindOf
from tracekmt.errors import TraceError, UsageError
from tracekmt.spec.types import Abi, CallSpec, Kind
from tracekmt.trace import buffer_format as spooled
from tracekmt.trace import event_frame as batch
from tracekmt.trace import migrate
from tracekmt.trace.call import TracedCall
from tracekmt.trace.event_frame import EventFrame
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.frames import VERSION, FrameKind, FrameReader
from tracekmt.trace.handle_kinds import HandleKinds, ambiguous_kinds, created_handles
from tracekmt.trace.index import Index, rebuild_index
from tracekmt.trace.metadata import Metadata

FRAMES_KEPT = 6 << 20
"""Bytes of unpacked frames that are kept at hand, of events and as much of contents; a larger one is kept alone."""

CONTENTS_KEPT = 32 << 20
"""Bytes of single contents that are kept at hand: what repeats may have been stored millions of calls ago."""

_OBJECT_SIZE = 64  # what Python takes for a short content besides its bytes

T = TypeVar("T")


class _Recent(Generic[T]):
    """The frames that were used last. load: gives a frame by its number, and its size."""

    def __init__(self, room: int, load: Callable[[int], tuple[T, int]]) -> None:
        self._room = room
        self._load = load
        self._kept: OrderedDict[int, tuple[T, int]] = OrderedDict()

    def __call__(self, number: int) -> T:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number][0]
        value, size = self._kept[number] = self._load(number)
        self._room -= size
        while self._room < 0 and len(self._kept) > 1:
            self._room += self._kept.popitem(last=False)[1][1]
        return value


class _Contents:
    """Contents by number, those that were used last at hand: when the young ones have half of the room, the old ones
    are let go and the young become old."""

    def __init__(self, load: Callable[[int], bytes]) -> None:
        self._load = load
        self._young: dict[int, bytes] = {}
        self._old: dict[int, bytes] = {}
        self._size = 0

    def __call__(self, number: int) -> bytes:
        found = self._young.get(number)
        if found is not None:
            return found
        found = self._old.get(number)
        if found is None:
            found = self._load(number)
        self._young[number] = found
        self._size += len(found) + _OBJECT_SIZE
        if self._size > CONTENTS_KEPT // 2:
            self._young, self._old, self._size = {}, self._young, 0
        return found


class Trace:
    """A trace opened for reading; a context manager. Damage at the end is not an error: `torn` says what was there,
    and every whole frame before it is read.

    source: a path, or a file open for reading that can seek. rebuild: do not trust the index at its end.
    """

    def __init__(self, source: Path | BinaryIO, *, rebuild: bool = False) -> None:
        self.path = source if isinstance(source, Path) else Path(str(getattr(source, "name", "(file)")))
        try:
            self._file = source.open("rb") if isinstance(source, Path) else source
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror or 'cannot be opened'}") from None
        except ValueError:
            raise TraceError(f"{str(self.path)!r} is no name of a file") from None
        try:
            self._open(rebuild)
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise TraceError(f"{self.path}: cannot be read: {error.strerror}") from None
            raise

    def _open(self, rebuild: bool) -> None:
        self._frames = FrameReader(self.path, self._file)
        self.version: int = self._frames.version
        torn = None
        if self.version < VERSION:
            older = self._file
            self._file, torn = migrate.upgrade(self._frames)
            older.close()
            self._frames = FrameReader(self.path, self._file)
        self._index = rebuild_index(self._frames) if rebuild else Index.load(self._frames)
        if self._index.room is not None:
            live = self._file
            self._file, torn = spooled.convert_leftover(self._frames, self._index.room)
            live.close()
            self._frames = FrameReader(self.path, self._file)
            self._index = rebuild_index(self._frames)
        self.torn: str | None = torn or self._index.torn
        self._metadata = Metadata(self.path)
        for offset in self._index.metadata:
            kind, value = self._frames.at(offset)
            self._metadata.add(offset, kind, value)
        if self.torn and not self._metadata.has_header:
            raise TraceError(self.torn)
        self.header: Header = self._metadata.header
        self.abi: Abi = self.header.layout
        self.threads: dict[int, int] = {system: number for number, system in enumerate(self._index.threads)}
        self._starts: list[int] = [frame.first_call for frame in self._index.frames]
        self._blob_starts: list[int] = [first for first, _ in self._index.blobs]
        self._batch: _Recent[EventFrame] = _Recent(FRAMES_KEPT, self._load_batch)
        self._blobs: _Recent[list[bytes]] = _Recent(FRAMES_KEPT, self._load_blobs)
        self._blob: batch.Blob = _Contents(self._load_blob)

    @property
    def modules(self) -> list[Module]:
        """Modules that were mapped in the recorded process."""
        return self._metadata.modules

    @property
    def lost(self) -> int:
        """Events that could not be recorded."""
        return self._index.lost

    @property
    def warning(self) -> str | None:
        """What to know before trusting the trace to be whole."""
        return f"{self.torn}; the calls before it are whole" if self.torn else None

    @property
    def ended(self) -> str | None:
        """How the recording ended; None where it did not finish."""
        return self._index.end

    @property
    def start_time(self) -> int:
        """The time of the first event, in nanoseconds of the recorded machine."""
        return self._index.start

    @property
    def duration(self) -> int:
        """Nanoseconds from the first event to the last."""
        for number in reversed(range(len(self._index.frames))):
            times = self._batch(number).table.times
            if times:
                return max(max(times) - self.start_time, 0)
        return 0

    @property
    def described(self) -> dict[int, CallSpec]:
        """The calls that the trace describes, by the number that events have."""
        return self._metadata.specs

    @property
    def descriptions(self) -> list[CallSpec]:
        """The calls that the trace describes."""
        return list(self._metadata.specs.values())

    def description(self, number: int) -> CallSpec:
        """The description that events name by a number."""
        if number not in self._metadata.specs:
            raise TraceError(f"{self.path}: an event names the call {number}, which is not described")
        return self._metadata.specs[number]

    def __len__(self) -> int:
        return self._index.calls

    def __getitem__(self, index: int) -> TracedCall:
        if not isinstance(index, int):
            raise UsageError(f"{self.path}: a call is taken by its number, not by {str(index)[:40]!r}")
        found = self._nth(len(self) + index) if index < 0 else index
        number = self._frame_of(found)
        if number < 0 or (found, batch.ENTER) not in self._batch(number).positions:
            trimmed = "; it is trimmed" if self.header.trimmed else ""
            raise IndexError(f"{self.path} has {len(self)} calls, there is no {index}{trimmed}")
        return self._call(self._batch(number), found)

    def calls(self, first: int = 0, last: int | None = None) -> Iterator[TracedCall]:
        """The calls between two indexes, all without, in the order in which they were entered. What lies before the
        first or behind the last is not read."""
        for number in range(max(self._frame_of(first), 0), len(self._index.frames)):
            loaded = self._batch(number)
            for kind, call in zip(loaded.table.kinds, loaded.table.calls, strict=True):
                if last is not None and kind == batch.ENTER and call > last:
                    return
                if kind == batch.ENTER and call >= first:
                    yield self._call(loaded, call)

    def timeline(self) -> Iterator[tuple[int, bool]]:
        """What happened one after the other: (index of the call, whether it was left)."""
        under_way: set[int] = set()
        for number in range(len(self._index.frames)):
            table = self._batch(number).table
            for kind, call in zip(table.kinds, table.calls, strict=True):
                if kind == batch.ENTER:
                    under_way.add(call)
                    yield call, False
                elif kind == batch.LEAVE:
                    if call not in under_way:
                        raise TraceError(f"{self.path}: call {call} returns without having been entered")
                    under_way.remove(call)
                    yield call, True

    def events(self) -> Iterator[Enter | Leave | Lost]:
        """Every event, in order."""
        under_way: dict[int, Enter] = {}
        for number in range(len(self._index.frames)):
            table = self._batch(number).table
            for position, (kind, call) in enumerate(zip(table.kinds, table.calls, strict=True)):
                if kind == batch.ENTER:
                    under_way[call] = self._enter(self._batch(number), call)
                    yield under_way[call]
                elif kind == batch.LEAVE and call in under_way:
                    yield self._leave(self._batch(number), position, under_way.pop(call))
                elif kind == batch.LEAVE:
                    raise TraceError(f"{self.path}: call {call} returns without having been entered")
                else:
                    yield Lost(table.sequences[position], table.values[position])

    def tally(self) -> Counter[tuple[int, int | None]]:
        """How many calls of a function, by the number of its description, gave what; None for those that never
        returned. No call is unpacked for it."""
        counts: Counter[tuple[int, int | None]] = Counter()
        for number in range(len(self._index.frames)):
            table = self._batch(number).table
            rows = list(zip(table.kinds, table.functions, table.values, strict=True))
            counts.update((function, value) for kind, function, value in rows if kind == batch.LEAVE)
            counts.update((function, None) for kind, function, _ in rows if kind == batch.ENTER)
            counts.subtract((function, None) for kind, function, _ in rows if kind == batch.LEAVE)
        return +counts

    def losses(self) -> Iterator[Lost]:
        """Every loss, in order."""
        for number in range(len(self._index.frames)) if self.lost else ():
            table = self._batch(number).table
            rows = zip(table.kinds, table.sequences, table.values, strict=True)
            yield from (Lost(sequence, count) for kind, sequence, count in rows if kind == batch.LOST)

    def functions(self) -> Iterator[tuple[int, int]]:
        """Every call's index, and the number of its description, in the order of the calls."""
        for number in range(len(self._index.frames)):
            table = self._batch(number).table
            rows = zip(table.kinds, table.calls, table.functions, strict=True)
            yield from ((call, function) for kind, call, function in rows if kind == batch.ENTER)

    def by_thread(self) -> dict[int, tuple[array[int], array[int]]]:
        """For every thread, by its number, the indexes of its calls and the numbers of their descriptions."""
        found: dict[int, tuple[array[int], array[int]]] = {}
        for frame in range(len(self._index.frames)):
            table = self._batch(frame).table
            rows = zip(table.kinds, table.calls, table.functions, table.threads, strict=True)
            for kind, call, function, thread in rows:
                if kind == batch.ENTER:
                    calls, functions = found.setdefault(thread, (array("Q"), array("I")))
                    calls.append(call)
                    functions.append(function)
        return found

    def kinds_at(self, index: int) -> KindOf:
        """Return the kinds of the objects behind handles when a call was entered."""
        kind_of: KindOf = self._handle_kinds.at(index)
        return kind_of

    @cached_property
    def _handle_kinds(self) -> HandleKinds:
        entered: dict[int, int] = {}
        left: dict[int, int] = {}
        for position, (index, returned) in enumerate(self.timeline()):
            (left if returned else entered)[index] = position
        return HandleKinds(entered, self._created_handles(left))

    def _created_handles(self, left: Mapping[int, int]) -> Iterator[tuple[int, int, Kind | None]]:
        ambiguous = ambiguous_kinds(self.descriptions)
        creators = {spec_id for spec_id, spec in self._metadata.specs.items() if spec.creates}
        for index, spec_id in self.functions():
            if spec_id in creators and index in left and (call := self[index]).succeeded:
                # The form of a call that creates objects never depends on what other handles refer to.
                inputs, outputs = call.decode_inputs(None), call.decode_outputs(None)
                for handle, kind in created_handles(call.spec, inputs, outputs, ambiguous):
                    yield left[index], handle, kind

    def place(self, address: int) -> str | None:
        """An address as module and offset; None where no module was mapped."""
        position = bisect_right(self._by_base, (address, len(self.modules))) - 1
        if position < 0:
            return None
        module = self.modules[self._by_base[position][1]]
        offset = address - module.base
        return f"{module.name}+0x{offset:x}" if offset < module.size else None

    @cached_property
    def _by_base(self) -> list[tuple[int, int]]:
        return sorted((module.base, index) for index, module in enumerate(self.modules))

    def _frame_of(self, index: int) -> int:
        """The frame that a call was entered in; frames without one begin where the next does."""
        number = bisect_right(self._starts, index) - 1 if index >= 0 else -1
        while number >= 0 and not self._index.frames[number].calls:
            number -= 1
        return number

    def _nth(self, position: int) -> int:
        """The index of a call by its position; -1 where there is none."""
        for number, frame in enumerate(self._index.frames):
            if 0 <= position < frame.calls:
                table = self._batch(number).table
                entered = (call for kind, call in zip(table.kinds, table.calls, strict=True) if kind == batch.ENTER)
                return next(islice(entered, position, None))
            position -= frame.calls
        return -1

    def _load_batch(self, number: int) -> tuple[EventFrame, int]:
        frame = self._index.frames[number]
        kind, value = self._frames.at(frame.offset)
        where = f"{self.path}: the frame at byte {frame.offset}"
        try:
            if kind != FrameKind.EVENTS:
                raise ValueError("holds no events, where the index says so")
            found = EventFrame(value)
            frame.check(found)
        except ValueError as error:
            raise TraceError(f"{where} {error}") from None
        return found, found.size

    def _call(self, loaded: EventFrame, index: int) -> TracedCall:
        enter = self._enter(loaded, index)
        if index in self._index.late:
            loaded = self._batch(self._index.late[index])
        position = loaded.positions.get((index, batch.LEAVE))
        return TracedCall(self, index, enter, None if position is None else self._leave(loaded, position, enter))

    def _enter(self, loaded: EventFrame, index: int) -> Enter:
        position = loaded.positions.get((index, batch.ENTER))
        if position is None:
            raise TraceError(f"{self.path}: call {index} is not where the index says")
        table = loaded.table
        try:
            arguments, regions = batch.enter_from(loaded.body(position), self._blob)
            thread = self._index.threads[table.threads[position]]
        except (ValueError, IndexError) as error:
            raise TraceError(f"{self.path}: call {index}: its enter event {error}") from None
        sequence, time, caller = table.sequences[position], table.times[position], table.values[position]
        return Enter(sequence, thread, table.functions[position], time, caller, arguments, regions, index)

    def _leave(self, loaded: EventFrame, position: int, enter: Enter) -> Leave:
        table = loaded.table
        try:
            found = batch.regions_from(loaded.body(position), enter.regions, self._blob)
        except ValueError as error:
            raise TraceError(f"{self.path}: call {table.calls[position]}: its leave event {error}") from None
        return Leave(table.sequences[position], enter.sequence, table.times[position], table.values[position], found)

    def _load_blobs(self, number: int) -> tuple[list[bytes], int]:
        _, offset = self._index.blobs[number]
        match self._frames.at(offset):
            case FrameKind.BLOBS, [int(), [*blobs]] if set(map(type, blobs)) <= {bytes}:
                return blobs, sum(map(len, blobs)) + _OBJECT_SIZE * len(blobs)
        raise TraceError(f"{self.path}: the frame at byte {offset} holds no contents, where the index says so")

    def _load_blob(self, number: int) -> bytes:
        position = bisect_right(self._blob_starts, number) - 1
        blobs = self._blobs(position) if position >= 0 else []
        within = number - self._blob_starts[position] if position >= 0 else 0
        if not 0 <= within < len(blobs):
            raise ValueError(f"names the content {number}, which is not there")
        return blobs[within]

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
