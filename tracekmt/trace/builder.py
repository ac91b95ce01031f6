"""Builder of traces by hand, for scenarios and tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tracekmt import codec, ntstatus
from tracekmt.codec.memory import Arena
from tracekmt.codec.parse_value import short_repr
from tracekmt.errors import UsageError
from tracekmt.spec.types import ABIS, CallSpec, Kind
from tracekmt.trace.event_frame import pack
from tracekmt.trace.events import Enter, Header, Leave
from tracekmt.trace.handle_kinds import ambiguous_kinds, handles_of_values
from tracekmt.trace.writer import Writer, now
from tracekmt.version import VERSION


class Builder:
    """Trace that is built by hand, one call after the other. A context manager."""

    def __init__(
        self,
        path: Path,
        specs: Mapping[str, CallSpec],
        *,
        abi: str = "x64",
        force: bool = False,
        machine: Mapping[str, Any] | None = None,
        header: Header | None = None,
    ) -> None:
        """Create the file.

        Args:
            path: Path of the file.
            specs: Descriptions of the functions that calls can be added of, by name.
            abi: ABI of the process, x64 or x86.
            force: Overwrite an existing file.
            machine: Machine of the process, for the header.
            header: Header of the trace, instead of `abi` and `machine`.

        Raises:
            UsageError: An argument is invalid, or the file exists or cannot be created.
        """
        if abi not in ABIS:
            raise UsageError(f"invalid ABI: {abi} (expected {' or '.join(ABIS)})")
        if machine is not None and not isinstance(machine, Mapping):
            raise UsageError(f"invalid machine: {short_repr(machine)} (expected a mapping of settings)")
        try:
            pack(dict(machine or {}))
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"invalid machine: a trace cannot store its value ({error})") from None
        self._specs = specs
        if header is None:
            header = Header(abi, created=now(), tool=f"tracekmt {VERSION}", machine=dict(machine or {}))
        self._writer = Writer(path, header, force=force)
        self._spec_ids: dict[str, int] = {}
        self._sequence = 0
        self._time = 0
        self._start: int | None = None
        self._kinds: dict[int, Kind | None] = {}
        self._ambiguous = ambiguous_kinds(specs.values())

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
        """Append one call.

        Args:
            name: Name of the function.
            inputs: Argument before the call. None for NULL.
            outputs: Fields that the call changes. Other fields keep their input values. A pointer parameter that the
                function only writes through needs no input.
            status: Returned status. None for a call that never returned.
            result: Returned value of a function that returns BOOLEAN, 0 to 255.
            thread: Thread id.
            enter_ns: Time before the call in nanoseconds. By default 1000 after the event before.
            leave_ns: Time after the call in nanoseconds. By default 1000 after the enter event.
            index: Index of the call, if calls before it are missing.

        Raises:
            UsageError: An argument is invalid, or the trace is closed.
        """
        if self._writer.closed:
            raise UsageError(f"cannot add a call to {self._writer.path}: the trace is closed")
        spec = self._specs.get(name) if isinstance(name, str) else None
        if spec is None:
            raise UsageError(f"undescribed function: {short_repr(name)} (see `tracekmt calls`)")
        self._check_times(name, enter_ns, leave_ns)
        for parameter, number in (("thread", thread), ("index", 0 if index is None else index)):
            if not _is_unsigned(number):
                raise UsageError(f"{name}: invalid {parameter}: {short_repr(number)} (expected a number from 0)")
        if result is not None and spec.returns != "BOOLEAN":
            returned = "a status" if spec.returns == "NTSTATUS" else "nothing"
            raise UsageError(f"{name}: unexpected result: the function returns {returned}")
        if result is not None and not (isinstance(result, int) and 0 <= result < 256):
            raise UsageError(f"{name}: invalid result: {short_repr(result)} (expected a number from 0 to 255)")
        raw_result = None if status is None else result or int(ntstatus.status(status))
        arena = Arena(self._writer.abi)
        arguments = codec.encode(
            spec, self._writer.abi, arena, _with_output_parameters(spec, inputs, outputs), self._kinds.get
        )
        before = arena.regions()
        if raw_result is not None and outputs is not None and arguments != (0,):
            self._write_outputs(spec, arena, arguments, outputs, raw_result)
        spec_id = self._spec_id(spec)
        enter = Enter(self._next(), thread, spec_id, self._tick(enter_ns), 0, arguments, tuple(before), index)
        self._start = enter.time if self._start is None else self._start
        self._writer.events([enter], flush=False)
        if raw_result is not None:
            after = tuple(arena.regions())
            leave = Leave(self._next(), enter.sequence, self._tick(leave_ns), raw_result, after)
            self._writer.events([leave], flush=False)

    def _write_outputs(
        self, spec: CallSpec, arena: Arena, arguments: tuple[int, ...], outputs: Any, raw_result: int
    ) -> None:
        """Write the argument after the call into the arena, which has the argument before it."""
        abi, kind_of = self._writer.abi, self._kinds.get
        inputs = codec.decode(spec, abi, arena, arguments, None, kind_of)
        codec.encode(spec, abi, arena, _merge(inputs, outputs), kind_of)
        if spec.creates and (spec.returns != "NTSTATUS" or ntstatus.Status(raw_result).succeeded):
            argument = codec.decode(spec, abi, arena, arguments, None, kind_of)
            self._kinds.update(handles_of_values(spec, inputs, argument, self._ambiguous))

    def close(self, reason: str = "made by hand", damage: str | None = None) -> None:
        """Seal and close the file. A second call has no effect.

        Args:
            reason: How the recording ended.
            damage: Reason why events at the end are missing, if any.
        """
        if not self._writer.closed:
            self._writer.end(reason, damage)
            self._writer.close()

    def __enter__(self) -> Builder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spec_id(self, spec: CallSpec) -> int:
        if spec.name not in self._spec_ids:
            self._spec_ids[spec.name] = len(self._spec_ids)
            self._writer.describe(self._spec_ids[spec.name], spec)
        return self._spec_ids[spec.name]

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _tick(self, time: int | None) -> int:
        self._time = self._time + 1000 if time is None else time
        return self._time

    def _check_times(self, name: str, enter_ns: Any, leave_ns: Any) -> None:
        """Raise UsageError for a time before the first event, or for a call that returns before it is entered."""
        for parameter, time in (("enter_ns", enter_ns), ("leave_ns", leave_ns)):
            if time is not None and not _is_unsigned(time):
                raise UsageError(f"{name}: invalid {parameter}: {short_repr(time)} (expected a number from 0)")
        enter_time = self._time + 1000 if enter_ns is None else enter_ns
        if self._start is not None and enter_time < self._start:
            raise UsageError(f"{name}: enter_ns {enter_time} is before the first call of the trace ({self._start})")
        if leave_ns is not None and leave_ns < enter_time:
            raise UsageError(f"{name}: leave_ns {leave_ns} is before enter_ns {enter_time}")


def _with_output_parameters(spec: CallSpec, inputs: Any, outputs: Any) -> Any:
    """Add the pointer parameters that only the outputs have, so that the call has memory to write to."""
    if (
        not spec.argument.parameters
        or not isinstance(outputs, Mapping)
        or not isinstance(inputs, (Mapping, type(None)))
    ):
        return inputs
    given = inputs or {}
    written = [field.name for field in spec.argument.fields() if field.direction == "out"]
    return {**given, **{name: 0 for name in written if outputs.get(name) is not None and given.get(name) is None}}


def _is_unsigned(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _merge(value: Any, change: Any) -> Any:
    """Return a value with the parts in `change` replaced: dicts by key, lists of dicts by index."""
    if isinstance(value, Mapping) and isinstance(change, Mapping):
        return {**value, **{name: _merge(value.get(name), part) for name, part in change.items()}}
    if isinstance(value, list) and isinstance(change, (list, tuple)) and len(change) <= len(value):
        parts = [_merge(old, new) for old, new in zip(value, change, strict=False)]
        return parts + value[len(parts) :]
    return change
