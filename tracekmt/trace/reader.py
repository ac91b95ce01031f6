"""Reading traces: calls by index, decoded when asked for."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from tracekmt import codec
from tracekmt.codec import Unreadable
from tracekmt.errors import TraceError, UsageError
from tracekmt.memory import Recorded
from tracekmt.ntstatus import Status
from tracekmt.spec.types import Call
from tracekmt.trace import events
from tracekmt.trace.events import Enter, Leave, Module
from tracekmt.trace.frames import FrameKind, FrameReader
from tracekmt.trace.objects import Objects, depends_on_objects

Argument = dict[str, Any] | Unreadable | None
_NOT_RETURNED = (1 << 64) - 1


class TracedCall:
    """One recorded call.

    index counts calls from 0, thread is a small number by first appearance, times are nanoseconds from the first
    event. status, result, outputs and leave_ns are None for a call that never returned; status is so too for a function
    that gives no NTSTATUS, and result for one that does.
    """

    def __init__(self, trace: Trace, index: int, enter: Enter, leave: Leave | None) -> None:
        self._trace = trace
        self.index = index
        self.enter = enter
        self.leave = leave
        self.call: Call = trace.description(enter.call)
        self.name = self.call.name
        self.thread: int = trace.threads[enter.thread]
        self.status: Status | None = None
        self.result: int | None = None
        if leave is not None and self.call.returns == "NTSTATUS":
            self.status = Status(leave.result & 0xFFFFFFFF)
        elif leave is not None and self.call.returns == "BOOLEAN":
            self.result = leave.result & 0xFF
        self.enter_ns = enter.time - trace.start_time
        self.leave_ns = None if leave is None else leave.time - trace.start_time

    @property
    def returned(self) -> bool:
        """Whether the call came back before the recording ended."""
        return self.leave is not None

    @property
    def succeeded(self) -> bool:
        """Whether the call came back and did what it was asked."""
        return self.returned and (self.status is None or self.status.succeeded)

    @cached_property
    def inputs(self) -> Argument:
        """The argument as the call was entered with it; None for NULL."""
        return self.decode_inputs(self._kind_of)

    @cached_property
    def outputs(self) -> Argument:
        """The argument as the call left it."""
        if self.leave is None:
            return None
        return self.decode_outputs(self._kind_of)

    @property
    def caller(self) -> str | None:
        """Module and offset of the instruction behind the call; None where unknown."""
        return self._trace.place(self.enter.caller)

    def to_json(self) -> dict[str, Any]:
        """The call as a line of `dump --json`."""
        argument = self.call.argument
        return {
            "index": self.index,
            "call": self.name,
            "thread": self.thread,
            "caller": self.caller,
            "returned": self.returned,
            "status": self.status.name if self.status is not None else None,
            "code": self.status.code if self.status is not None else None,
            "result": self.result,
            "in": codec.to_json(argument, self.inputs),
            "out": codec.to_json(argument, self.outputs),
            "enter_ns": str(self.enter_ns),
            "leave_ns": str(self.leave_ns) if self.leave_ns is not None else None,
        }

    def decode_inputs(self, kind_of: codec.KindOf | None) -> Argument:
        """The same, with another idea of what handles lead to."""
        regions = Recorded(self.enter.regions)
        return codec.decode(self.call, self._trace.header.layout, regions, self.enter.arguments, None, kind_of)

    def decode_outputs(self, kind_of: codec.KindOf | None) -> Argument:
        """The same, with another idea of what handles lead to."""
        assert self.leave is not None
        before, after = Recorded(self.enter.regions), Recorded(self.leave.regions)
        return codec.decode(self.call, self._trace.header.layout, after, self.enter.arguments, before, kind_of)

    @property
    def _kind_of(self) -> codec.KindOf | None:
        return self._trace.objects.at(self.index) if depends_on_objects(self.call) else None


class Trace:
    """A trace opened for reading; a context manager. Damage at the end is not an error: `torn` says what was there,
    and every whole event before it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise TraceError(f"{path}: {error.strerror or 'cannot be opened'}") from None
        except ValueError:
            raise TraceError(f"{str(path)!r} is no name of a file") from None
        try:
            self._frames = FrameReader(path, self._file)
            self._scan()
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise TraceError(f"{path}: cannot be read: {error.strerror}") from None
            raise

    def _scan(self) -> None:
        self.modules: list[Module] = []
        self.threads: dict[int, int] = {}
        self.lost = 0
        self.ended: str | None = None
        self.start_time = 0
        self._calls: dict[int, Call] = {}
        self._enters = array("Q")
        self._functions = array("Q")
        self._leaves = array("Q")
        self._timeline: array[int] = array("q")
        self._header: events.Header | None = None
        open_calls: dict[int, int] = {}
        for offset, kind, value in self._frames.scan():
            if self._header is None and kind != FrameKind.HEADER:
                raise TraceError(f"{self.path}: the trace does not begin with a header")
            self._take(kind, value, offset, open_calls)
        if self._header is None:
            raise TraceError(self.torn or f"{self.path}: the trace has no header")

    def _take(self, kind: int, value: Any, offset: int, open_calls: dict[int, int]) -> None:
        where = f"{self.path}: byte {offset}"
        match kind:
            case FrameKind.HEADER if self._header is None:
                self._header = events.header_from(value, where)
            case FrameKind.CALL:
                number, call = events.call_from(value, self.header.layout, where)
                self._calls[number] = call
            case FrameKind.MODULE:
                self.modules.append(events.module_from(value, where))
            case FrameKind.ENTER:
                enter = events.enter_from(value, where)
                self.description(enter.call)
                if not self._enters:
                    self.start_time = enter.time
                self.threads.setdefault(enter.thread, len(self.threads))
                open_calls[enter.sequence] = len(self._enters)
                self._timeline.append(len(self._enters))
                self._enters.append(offset)
                self._functions.append(enter.call)
                self._leaves.append(_NOT_RETURNED)
            case FrameKind.LEAVE:
                leave = events.leave_from(value, where)
                index = open_calls.pop(leave.enter, None)
                if index is None:
                    raise TraceError(f"{where}: a call returns that was never entered")
                self._timeline.append(~index)
                self._leaves[index] = offset
            case FrameKind.LOST:
                self.lost += events.lost_from(value, where).count
            case FrameKind.END:
                self.ended = str(value.get("how")) if isinstance(value, dict) else ""

    @property
    def header(self) -> events.Header:
        """Where the trace comes from."""
        assert self._header is not None
        return self._header

    @property
    def torn(self) -> str | None:
        """What is wrong behind the last whole event, if anything is."""
        return self._frames.torn

    @property
    def version(self) -> int:
        """The format that the file was written in."""
        return self._frames.version

    @property
    def described(self) -> dict[int, Call]:
        """The calls that the trace describes, by the number that events have."""
        return self._calls

    @property
    def descriptions(self) -> list[Call]:
        """The calls that the trace describes."""
        return list(self._calls.values())

    def description(self, number: int) -> Call:
        """The description that events name by a number."""
        if number not in self._calls:
            raise TraceError(f"{self.path}: an event names the call {number}, which is not described before it")
        return self._calls[number]

    def __len__(self) -> int:
        return len(self._enters)

    def __getitem__(self, index: int) -> TracedCall:
        if not isinstance(index, int):
            raise UsageError(f"{self.path}: a call is taken by its number, not by {str(index)[:40]!r}")
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} calls, 0 to {len(self) - 1}; there is no {index}")
        enter = events.enter_from(self._frames.at(self._enters[index]), str(self.path))
        leave = None
        if self._leaves[index] != _NOT_RETURNED:
            leave = events.leave_from(self._frames.at(self._leaves[index]), str(self.path))
        return TracedCall(self, index, enter, leave)

    def calls(self) -> Iterator[TracedCall]:
        """Every call, in the order in which they were entered."""
        return (self[index] for index in range(len(self)))

    def timeline(self) -> Iterator[tuple[int, bool]]:
        """What happened one after the other: (index of the call, whether it was left)."""
        return ((~step, True) if step < 0 else (step, False) for step in self._timeline)

    @cached_property
    def objects(self) -> Objects:
        """What sorts of objects handles led to."""
        return Objects(self)

    def functions(self) -> Iterator[int]:
        """The number of every call's description."""
        return iter(self._functions)

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

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
