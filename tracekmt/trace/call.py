"""Recorded calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from tracekmt import codec, core
from tracekmt.codec import BoundLocation, FieldValue, Unreadable
from tracekmt.codec.memory import Recorded
from tracekmt.errors import TraceError
from tracekmt.ntstatus import Status
from tracekmt.spec.types import Abi, CallSpec, Condition
from tracekmt.trace.events import Enter, Leave, Region
from tracekmt.trace.handle_kinds import depends_on_objects

Argument = dict[str, Any] | Unreadable | None

BoundValue = FieldValue | BoundLocation
"""A bound value: its location in the recorded memory, or its decoded field if the location is not easy to find."""

DID_NOT_RETURN = "did not return"

InjectionKind = Literal["answered", "replaced", "delayed"]
"""What the recorder did: it answered the call itself, replaced the status of the function, or delayed the call."""

_ANSWERED = 0x494E4A
_INJECTED: dict[int, InjectionKind] = {_ANSWERED: "answered", 0x494E4B: "replaced", 0x494E4C: "delayed"}
"""Bits 40 to 63 of the raw return value of an injected call; see docs/format.md."""

KEPT_RESULTS = 4096
"""Number of calls whose results are kept in case that the call is repeated."""

_FEW, _SMALL = 8, 1024
_UNKNOWN = object()
_NESTED_TYPES = (dict, list)


def _decoded_bound_values(spec: CallSpec, argument: Argument) -> list[BoundValue]:
    values = codec.iter_values(spec.argument, argument)
    return [value for value in values if value.kind is not None and value.kind.binding != "literal"]


def outcome_of(spec: CallSpec, raw_result: int) -> tuple[Status | None, int | None]:
    """Return the status and the result of a raw return value.

    The status is None if the function does not return NTSTATUS. The result is None if it does not return BOOLEAN.
    """
    if spec.returns == "NTSTATUS":
        return _status(raw_result & 0xFFFFFFFF), None
    return None, raw_result & 0xFF if spec.returns == "BOOLEAN" else None


def outcome_text(spec: CallSpec, raw_result: int | None) -> str:
    """Return the outcome of a call: its status name, its result, "returned" or "did not return".

    Args:
        spec: Description of the call.
        raw_result: Raw return value. None for a call that did not return.
    """
    if raw_result is None:
        return DID_NOT_RETURN
    return format_outcome(*outcome_of(spec, raw_result))


def format_outcome(status: Status | None, result: int | None, *, returned: bool = True) -> str:
    """Return an outcome as text; see `outcome_text`."""
    if not returned:
        return DID_NOT_RETURN
    if status is not None:
        return status.name
    return "returned" if result is None else str(result)


def is_small(regions: Sequence[Region]) -> bool:
    """Return True if a result about regions may be kept in case that the call is repeated, as programs often do."""
    if len(regions) == 1:  # most calls
        return len(regions[0][2]) <= _SMALL
    return len(regions) <= _FEW and sum([len(data) for _, _, data in regions]) <= _SMALL


def _input_locations(
    finder: codec.BoundValueFinder, address: int, regions: tuple[Region, ...]
) -> Sequence[BoundLocation] | None:
    """Find the bound inputs in the memory of an enter event."""
    return finder.find(Recorded(regions), address)


_status = lru_cache(maxsize=KEPT_RESULTS)(Status)
_repeated_locations = lru_cache(maxsize=KEPT_RESULTS)(_input_locations)


def module_of(caller: str | None) -> str | None:
    """Return the module of a caller, such as d3d11.dll of d3d11.dll+0x1f2a0."""
    return None if caller is None else caller.rpartition("+")[0]


class Injection(NamedTuple):
    """A fault of the user's that the recorder injected into a call.

    Attributes:
        text: The fault as the user wrote it.
        kind: What the recorder did.
    """

    text: str
    kind: InjectionKind


def injected_fault(raw_result: int | None) -> tuple[int, InjectionKind] | None:
    """Return the number and the kind of the fault behind a raw return value, None for the function's own value."""
    kind = _INJECTED.get((raw_result or 0) >> 40)
    return None if kind is None else ((raw_result or 0) >> 32 & 0xFF, kind)


def answered_result(status: int, fault: int) -> int:
    """Return the raw return value of a call that a fault has answered with a status."""
    return (_ANSWERED << 8 | fault) << 32 | status


class Origin(Protocol):
    """Source of a call, such as a trace."""

    @property
    def path(self) -> Path:
        """Path of the trace, for messages."""
        ...

    @property
    def abi(self) -> Abi:
        """ABI of the recorded process."""
        ...

    @property
    def faults(self) -> Sequence[str]:
        """Faults that the recorder injected, as the user wrote them, by their number."""
        ...

    @property
    def threads(self) -> Mapping[int, int]:
        """Numbers of the threads, by the system's thread id."""
        ...

    @property
    def start_time(self) -> int:
        """Time that other times count from, in nanoseconds."""
        ...

    def kinds_at(self, index: int) -> codec.KindOf | None:
        """Return the kinds of handles when a call was entered. None if they are unknown."""
        ...

    def module_offset(self, address: int) -> str | None:
        """Return an address as module and offset. None if the module is unknown."""
        ...


class TracedCall:
    """One recorded call. Its argument is decoded at the first access.

    Attributes:
        index: Index of the call in the trace, from 0.
        spec: Description of the function.
        enter: Enter event.
        leave: Leave event. None if the call did not return.
        name: Name of the function.
    """

    # What is decoded at the first access. Class attributes, because millions of calls are created.
    _recorded: Recorded | None = None
    _status: Any = _UNKNOWN
    _inputs: Any = _UNKNOWN
    _outputs: Any = _UNKNOWN
    _bound_inputs: Sequence[BoundValue] | None = None
    _bound_outputs: Sequence[BoundValue] | None = None
    _input_context: Any = _UNKNOWN
    _resolved_spec: CallSpec | None = None

    def __init__(self, origin: Origin, index: int, spec: CallSpec, enter: Enter, leave: Leave | None) -> None:
        self._origin = origin
        self.index = index
        self.spec = spec
        self.name = spec.name
        self.enter = enter
        self.leave = leave

    @property
    def abi(self) -> Abi:
        """ABI of the recorded process."""
        return self._origin.abi

    @property
    def thread(self) -> int:
        """Number of the thread, by first appearance."""
        return self._origin.threads[self.enter.thread]

    @property
    def status(self) -> Status | None:
        """Returned status. None if the call did not return, or if the function does not return NTSTATUS."""
        if self._status is _UNKNOWN:
            self._status = None if self.leave is None else outcome_of(self.spec, self.leave.result)[0]
        status: Status | None = self._status
        return status

    @property
    def result(self) -> int | None:
        """Returned value of a function that does not return NTSTATUS. None if the call did not return."""
        return None if self.leave is None else outcome_of(self.spec, self.leave.result)[1]

    @property
    def enter_ns(self) -> int:
        """Time of the enter event, in nanoseconds since the first event."""
        return self.enter.time - self._origin.start_time

    @property
    def leave_ns(self) -> int | None:
        """Time of the leave event, in nanoseconds since the first event. None if the call did not return."""
        return None if self.leave is None else self.leave.time - self._origin.start_time

    @property
    def returned(self) -> bool:
        """True if the call returned before the recording ended."""
        return self.leave is not None

    @property
    def succeeded(self) -> bool:
        """True if the call returned without a failure status."""
        status = self.status
        return self.leave is not None and (status is None or status.succeeded)

    @property
    def injection(self) -> Injection | None:
        """Fault that the recorder injected into the call, None for other calls."""
        if self.leave is None or self.leave.result <= 0xFFFFFFFF:  # most calls
            return None
        fault = None if self.status is None else injected_fault(self.leave.result)
        if fault is None or fault[0] >= len(self._origin.faults):
            return None
        return Injection(self._origin.faults[fault[0]], fault[1])

    @property
    def outcome_text(self) -> str:
        """Outcome of the call: its status name, its result, "returned" or "did not return"."""
        return outcome_text(self.spec, None if self.leave is None else self.leave.result)

    @property
    def size(self) -> int:
        """Bytes of memory that were recorded before and after the call."""
        after = self.leave.regions if self.leave is not None else ()
        return sum(len(data) for _, _, data in self.enter.regions + after)

    @property
    def inputs(self) -> Argument:
        """Argument before the call. None for NULL."""
        if self._inputs is _UNKNOWN:
            self._inputs = self._decode(self.enter.regions, None)
        argument: Argument = self._inputs
        return argument

    @property
    def outputs(self) -> Argument:
        """Argument after the call. None for NULL, or if the call did not return."""
        if self._outputs is _UNKNOWN:
            if self.leave is None:
                self._outputs = None
            elif self.unchanged:
                self._outputs = _copied(self.inputs)
            else:
                self._outputs = self._decode(self.leave.regions, self.enter.regions)
        argument: Argument = self._outputs
        return argument

    @property
    def unchanged(self) -> bool:
        """True if the call changed none of the recorded memory. Its outputs then equal its inputs."""
        if self.leave is None or self.spec.argument.parameters:
            return False
        return self.leave.regions == self.enter.regions

    @property
    def bound_inputs(self) -> Sequence[BoundValue]:
        """Input values that are handles, addresses, fence values or LUIDs."""
        if self._bound_inputs is None:
            finder, values, enter = self._finder, None, self.enter
            if finder is not None and enter.arguments:
                find = _repeated_locations if is_small(enter.regions) else _input_locations
                try:
                    values = find(finder, enter.arguments[0], enter.regions)
                except TraceError as error:
                    raise self._located(error) from None
            self._bound_inputs = values if values is not None else _decoded_bound_values(self.spec, self.inputs)
        return self._bound_inputs

    @property
    def bound_outputs(self) -> Sequence[BoundValue]:
        """Output values that are handles, addresses, fence values or LUIDs."""
        if self._bound_outputs is None:
            self._bound_outputs = self.bound_inputs if self.unchanged else self._find_bound_outputs()
        return self._bound_outputs

    def _find_bound_outputs(self) -> Sequence[BoundValue]:
        finder, values = self._finder, None
        if finder is not None and self.enter.arguments and self.leave is not None:
            try:
                values = finder.find(Recorded(self.leave.regions), self.enter.arguments[0], self._entered)
            except TraceError as error:
                raise self._located(error) from None
        return values if values is not None else _decoded_bound_values(self.spec, self.outputs)

    def satisfies(self, conditions: Iterable[Condition]) -> bool:
        """Return True if the inputs satisfy all conditions. Unreadable inputs satisfy none."""
        context = self._context
        if context is not None:
            return all(map(context.holds, conditions))
        return isinstance(self.inputs, dict) and all(
            codec.condition_holds(condition, self.spec.argument, self.inputs) for condition in conditions
        )

    def number(self, path: str) -> int:
        """Return an input number by its path. Return 0 if it is unreadable."""
        if self._context is not None:
            return self._context.number(path)[1]
        return int(codec.look_up(self.inputs, path) or 0)

    @property
    def _finder(self) -> codec.BoundValueFinder | None:
        return codec.finder(self._resolved, self.abi)

    @property
    def _resolved(self) -> CallSpec:
        """Description of the call, with the arms that its objects select."""
        if not depends_on_objects(self.spec):
            return self.spec
        if self._resolved_spec is None:
            kind_of = self._kind_of
            return self.spec if kind_of is None else self.select_arms(kind_of)
        return self._resolved_spec

    def select_arms(self, kind_of: codec.KindOf) -> CallSpec:
        """Return the description with the arms that the call's objects select. The call uses it from now on.

        Args:
            kind_of: Returns the kind of a handle's object when the call was entered.
        """
        address = self.enter.arguments[0] if self.enter.arguments else 0
        self._resolved_spec = codec.resolve(self.spec, self.abi, self._entered, address, kind_of)
        return self._resolved_spec

    @property
    def _context(self) -> codec.StructContext | None:
        """Bytes of the argument structure before the call. None if the call needs a full decode."""
        if self._input_context is _UNKNOWN:
            arguments, finder = self.enter.arguments, self._finder
            self._input_context = (
                finder.context(self._entered, arguments[0]) if finder is not None and arguments else None
            )
        context: codec.StructContext | None = self._input_context
        return context

    @property
    def caller(self) -> str | None:
        """Return address of the call as module and offset. None if unknown."""
        return self._origin.module_offset(self.enter.caller)

    def to_json(self) -> dict[str, Any]:
        """Return the call as a line of `dump --json`."""
        inputs = codec.to_json(self.spec.argument, self.inputs)
        return {
            "index": self.index,
            "call": self.name,
            "thread": self.thread,
            "caller": self.caller,
            "returned": self.returned,
            "status": self.status.name if self.status is not None else None,
            "code": self.status.code if self.status is not None else None,
            "result": self.result,
            "in": inputs,
            "out": _copied(inputs) if self.unchanged else codec.to_json(self.spec.argument, self.outputs),
            "enter_ns": str(self.enter_ns),
            "leave_ns": str(self.leave_ns) if self.leave_ns is not None else None,
            **({"injected": self.injection.text} if self.injection is not None else {}),
        }

    @property
    def _entered(self) -> Recorded:
        """Memory of the enter event."""
        if self._recorded is None:
            self._recorded = Recorded(self.enter.regions)
        return self._recorded

    def decode_inputs(self, kind_of: codec.KindOf | None) -> Argument:
        """Return the argument before the call, decoded with other kinds of handles."""
        return self._decode_as(self.spec, kind_of, self.enter.regions, None)

    def decode_outputs(self, kind_of: codec.KindOf | None) -> Argument:
        """Return the argument after the call, decoded with other kinds of handles."""
        assert self.leave is not None
        return self._decode_as(self.spec, kind_of, self.leave.regions, self.enter.regions)

    def _decode(self, regions: tuple[Region, ...], before: tuple[Region, ...] | None) -> Argument:
        spec = self.spec
        decoded: Argument = codec.decode_in_core(spec, self._origin.abi, regions, self.enter.arguments, before)
        if decoded is not NotImplemented:  # most calls
            return decoded
        if depends_on_objects(spec):
            spec = self._resolved
        return self._decode_as(spec, self._kind_of if depends_on_objects(spec) else None, regions, before)

    def _decode_as(
        self,
        spec: CallSpec,
        kind_of: codec.KindOf | None,
        regions: tuple[Region, ...],
        before: tuple[Region, ...] | None,
    ) -> Argument:
        try:
            return codec.decode_recorded(spec, self._origin.abi, regions, self.enter.arguments, before, kind_of)
        except TraceError as error:
            raise self._located(error) from None

    def _located(self, error: TraceError) -> TraceError:
        """Add the file and the index of the call to an error."""
        return TraceError(f"{self._origin.path}: call {self.index}: {error}")

    @property
    def _kind_of(self) -> codec.KindOf | None:
        return self._origin.kinds_at(self.index) if depends_on_objects(self.spec) else None


def _copied(value: Any) -> Any:
    """Return a deep copy of dicts and lists. Other values are shared."""
    if core.CORE is not None:
        return core.CORE.copy_value(value)
    return _copied_in_python(value)


def _copied_in_python(value: Any) -> Any:
    if type(value) is dict:
        return {name: _copied_in_python(item) if type(item) in _NESTED_TYPES else item for name, item in value.items()}
    if type(value) is list:
        return [_copied_in_python(item) if type(item) in _NESTED_TYPES else item for item in value]
    return value
