"""Traces made by hand, for scenarios and tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tracekmt import codec, ntstatus
from tracekmt.codec import parse_value as given
from tracekmt.codec.memory import Arena
from tracekmt.errors import UsageError
from tracekmt.spec.types import ABIS, CallSpec, Kind
from tracekmt.trace.event_frame import pack
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.handle_kinds import ambiguous_kinds, created_handles
from tracekmt.trace.writer import Writer, now
from tracekmt.version import VERSION


class Builder:
    """A trace made by hand, one call after the other. `calls` are the descriptions to choose from. header: what the
    trace says of itself, instead of `abi` and `machine`."""

    def __init__(
        self,
        path: Path,
        calls: Mapping[str, CallSpec],
        *,
        abi: str = "x64",
        force: bool = False,
        machine: Mapping[str, Any] | None = None,
        header: Header | None = None,
    ) -> None:
        if abi not in ABIS:
            raise UsageError(f"{abi} is no ABI; give one of {', '.join(ABIS)}")
        if machine is not None and not isinstance(machine, Mapping):
            raise UsageError(f"machine is a table of settings, not {given.short_repr(machine)}")
        try:
            pack(dict(machine or {}))
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"machine holds what no trace can: {error}") from None
        self._calls = calls
        if header is None:
            header = Header(abi, created=now(), tool=f"tracekmt {VERSION}", machine=dict(machine or {}))
        self._writer = Writer(path, header, force=force)
        self._numbers: dict[str, int] = {}
        self._sequence = 0
        self._time = 0
        self._start: int | None = None
        self._kinds: dict[int, Kind | None] = {}
        self._several = ambiguous_kinds(calls.values())

    def add(
        self,
        name: str,
        inputs: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        status: Any = 0,
        *,
        result: int | None = None,
        thread: int = 0,
        enter_ns: int | None = None,
        leave_ns: int | None = None,
        index: int | None = None,
    ) -> None:
        """Append one call: its argument before, what the call changed in it, and its status (None: it never
        returned). Fields that `outputs` leaves out stay as they were; of a function that gives no NTSTATUS `result` is
        what it gave. index: its number, where calls before it are missing. UsageError names what is wrong."""
        if self._writer.closed:
            raise UsageError(f"{self._writer.path}: is finished; nothing can be added to it")
        call = self._calls.get(name) if isinstance(name, str) else None
        if call is None:
            raise UsageError(f"{name} is not described; tracekmt calls lists the functions that are")
        self._refuse_times(name, enter_ns, leave_ns)
        if not _counts(thread):
            raise UsageError(f"{name}: thread is a number from 0 on, not {given.short_repr(thread)}")
        if index is not None and not _counts(index):
            raise UsageError(f"{name}: index is a number from 0 on, not {given.short_repr(index)}")
        if result is not None and call.returns != "BOOLEAN":
            raise UsageError(f"{name}: gives {'a status' if call.returns == 'NTSTATUS' else 'nothing'}, not a result")
        if result is not None and not (isinstance(result, int) and 0 <= result < 256):
            raise UsageError(
                f"{name}: gives a BOOLEAN, which is a number from 0 to 255, not {given.short_repr(result)}"
            )
        answer = None if status is None else result or int(ntstatus.status(status))
        arena = Arena(self._writer.abi)
        arguments = codec.encode(call, self._writer.abi, arena, inputs, self._kinds.get)
        before = arena.regions()
        if answer is not None and outputs is not None and arguments != (0,):
            self._leave(call, arena, arguments, outputs, answer)
        number = self._number(call)
        enter = Enter(self._next(), thread, number, self._tick(enter_ns), 0, arguments, tuple(before), index)
        self._start = enter.time if self._start is None else self._start
        self._writer.events([enter], flush=False)
        if answer is not None:
            after = tuple(arena.regions())
            leave = Leave(self._next(), enter.sequence, self._tick(leave_ns), answer, after)
            self._writer.events([leave], flush=False)

    def _leave(self, call: CallSpec, arena: Arena, arguments: tuple[int, ...], outputs: Any, answer: int) -> None:
        """Lay what a call changes over what it was entered with."""
        entered = codec.decode(call, self._writer.abi, arena, arguments, None, self._kinds.get)
        codec.encode(call, self._writer.abi, arena, _laid_over(entered, outputs), self._kinds.get)
        if call.creates and (call.returns != "NTSTATUS" or ntstatus.Status(answer).succeeded):
            left = codec.decode(call, self._writer.abi, arena, arguments, None, self._kinds.get)
            self._kinds.update(created_handles(call, entered, left, self._several))

    def close(self, how: str = "made by hand", torn: str | None = None) -> None:
        """Finish the file; a second time does nothing."""
        if not self._writer.closed:
            self._writer.end(how, torn)
            self._writer.close()

    def __enter__(self) -> Builder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _number(self, call: CallSpec) -> int:
        if call.name not in self._numbers:
            self._numbers[call.name] = len(self._numbers)
            self._writer.describe(self._numbers[call.name], call)
        return self._numbers[call.name]

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _tick(self, time: int | None) -> int:
        self._time = self._time + 1000 if time is None else time
        return self._time

    def _refuse_times(self, name: str, enter_ns: Any, leave_ns: Any) -> None:
        """Times count from the first event, and no call ends before it begins."""
        for what, time in (("enter_ns", enter_ns), ("leave_ns", leave_ns)):
            if time is not None and not _counts(time):
                raise UsageError(f"{name}: {what} is a number from 0 on, not {given.short_repr(time)}")
        begins = self._time + 1000 if enter_ns is None else enter_ns
        if self._start is not None and begins < self._start:
            raise UsageError(f"{name}: enter_ns {begins} lies before the trace's first call, at {self._start}")
        if leave_ns is not None and leave_ns < begins:
            raise UsageError(f"{name}: leave_ns {leave_ns} lies before its enter_ns, {begins}")


def _counts(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 62


def _laid_over(value: Any, change: Any) -> Any:
    """A value with the parts that `change` names replaced: dicts by key, lists of dicts by index."""
    if isinstance(value, Mapping) and isinstance(change, Mapping):
        return {**value, **{name: _laid_over(value.get(name), part) for name, part in change.items()}}
    if isinstance(value, list) and isinstance(change, (list, tuple)) and len(change) <= len(value):
        parts = [_laid_over(old, new) for old, new in zip(value, change, strict=False)]
        return parts + value[len(parts) :]
    return change
