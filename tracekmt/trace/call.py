"""One recorded call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from tracekmt import codec
from tracekmt.codec import BoundLocation, FieldValue, Unreadable
from tracekmt.codec.memory import Recorded
from tracekmt.ntstatus import Status
from tracekmt.spec.types import Abi, CallSpec, Condition
from tracekmt.trace.events import Enter, Leave
from tracekmt.trace.handle_kinds import depends_on_objects

Argument = dict[str, Any] | Unreadable | None

BoundValue = FieldValue | BoundLocation
"""A value that stands for something: with the memory that holds it, or, where that is not simply told, decoded."""


def _bound(call: CallSpec, value: Argument) -> list[BoundValue]:
    leaves = codec.iter_values(call.argument, value)
    return [leaf for leaf in leaves if leaf.kind is not None and leaf.kind.binding != "literal"]


_UNKNOWN = object()


DID_NOT_RETURN = "did not return"


def outcome_of(call: CallSpec, value: int) -> tuple[Status | None, int | None]:
    """What a function gave: its status, or its result, or neither where it gives nothing."""
    if call.returns == "NTSTATUS":
        return Status(value & 0xFFFFFFFF), None
    return None, value & 0xFF if call.returns == "BOOLEAN" else None


def outcome_text(call: CallSpec, value: int | None) -> str:
    """The same in a word; None is a call that never returned."""
    if value is None:
        return DID_NOT_RETURN
    status, result = outcome_of(call, value)
    if status is not None:
        return status.name
    return "returned" if result is None else str(result)


class Origin(Protocol):
    """What a call has to know of where it is from."""

    @property
    def abi(self) -> Abi:
        """How its memory is laid out."""
        ...

    @property
    def threads(self) -> Mapping[int, int]:
        """The number of a thread by the system's id."""
        ...

    @property
    def start_time(self) -> int:
        """What times count from."""
        ...

    def description(self, number: int) -> CallSpec:
        """The call that an event names by a number."""
        ...

    def kinds_at(self, index: int) -> codec.KindOf | None:
        """What handles led to when a call was entered; None where nobody knows."""
        ...

    def place(self, address: int) -> str | None:
        """An address as module and offset."""
        ...


class TracedCall:
    """One recorded call.

    index counts calls from 0, thread is a small number by first appearance, times are nanoseconds from the first
    event. status, result, outputs and leave_ns are None for a call that never returned; status is so too for a function
    that gives no NTSTATUS, and result for one that does.
    """

    def __init__(self, origin: Origin, index: int, enter: Enter, leave: Leave | None) -> None:
        self._origin = origin
        self.index = index
        self.enter = enter
        self.leave = leave
        self.spec: CallSpec = origin.description(enter.spec_id)
        self.name = self.spec.name
        self.abi = origin.abi
        self._entered = Recorded(enter.regions)
        self.thread: int = origin.threads[enter.thread]
        self.status, self.result = (None, None) if leave is None else outcome_of(self.spec, leave.result)
        self._inputs: Any = _UNKNOWN
        self._outputs: Any = _UNKNOWN
        self._bound_inputs: Sequence[BoundValue] | None = None
        self._bound_outputs: Sequence[BoundValue] | None = None
        self._frame_found: Any = _UNKNOWN
        self.enter_ns = enter.time - origin.start_time
        self.leave_ns = None if leave is None else leave.time - origin.start_time

    @property
    def returned(self) -> bool:
        """Whether the call came back before the recording ended."""
        return self.leave is not None

    @property
    def succeeded(self) -> bool:
        """Whether the call came back and did what it was asked."""
        return self.returned and (self.status is None or self.status.succeeded)

    @property
    def answer(self) -> str:
        """How the call ended, in a word: its status' name, its result, "returned" or "did not return"."""
        return outcome_text(self.spec, None if self.leave is None else self.leave.result)

    @property
    def size(self) -> int:
        """Bytes of memory that were recorded before and after the call."""
        after = self.leave.regions if self.leave is not None else ()
        return sum(len(data) for _, _, data in self.enter.regions + after)

    @property
    def inputs(self) -> Argument:
        """The argument as the call was entered with it; None for NULL."""
        if self._inputs is _UNKNOWN:
            self._inputs = self.decode_inputs(self._kind_of)
        found: Argument = self._inputs
        return found

    @property
    def outputs(self) -> Argument:
        """The argument as the call left it."""
        if self._outputs is _UNKNOWN:
            if self.leave is None:
                self._outputs = None
            elif self.unchanged:
                self._outputs = _copied(self.inputs)
            else:
                self._outputs = self.decode_outputs(self._kind_of)
        found: Argument = self._outputs
        return found

    @property
    def unchanged(self) -> bool:
        """Whether the call left its whole argument as it was, so that its outputs equal its inputs."""
        if self.leave is None or self.spec.argument.parameters:
            return False
        return self.leave.regions == self.enter.regions

    @property
    def bound_inputs(self) -> Sequence[BoundValue]:
        """What stands for something in the argument as the call was entered with it."""
        if self._bound_inputs is None:
            frame, finder, found = self._frame, self._finder, None
            if finder is not None and frame is not None:
                found = finder.places(frame, self._entered, self.enter.arguments[0])
            self._bound_inputs = found if found is not None else _bound(self.spec, self.inputs)
        return self._bound_inputs

    @property
    def bound_outputs(self) -> Sequence[BoundValue]:
        """The same in the argument as the call left it."""
        if self._bound_outputs is None:
            self._bound_outputs = self.bound_inputs if self.unchanged else self._find_outputs()
        return self._bound_outputs

    def _find_outputs(self) -> Sequence[BoundValue]:
        finder, found = self._finder, None
        if finder is not None and self._frame is not None and self.leave is not None:
            address, after = self.enter.arguments[0], Recorded(self.leave.regions)
            frame = finder.frame(after, address, self._entered)
            found = finder.places(frame, after, address, self._entered) if frame is not None else None
        return found if found is not None else _bound(self.spec, self.outputs)

    def satisfies(self, conditions: Iterable[Condition]) -> bool:
        """Whether all of these are true of what the call was entered with; never where that cannot be read."""
        frame = self._frame
        if frame is not None:
            return all(map(frame.holds, conditions))
        return isinstance(self.inputs, dict) and all(
            codec.condition_holds(when, self.spec.argument, self.inputs) for when in conditions
        )

    def number(self, path: str) -> int:
        """A number that the call was entered with; 0 where that cannot be read."""
        if self._frame is not None:
            return self._frame.number(path)[1]
        return int(codec.look_up(self.inputs, path) or 0)

    @property
    def _finder(self) -> codec.BoundValueFinder | None:
        return codec.finder(self.spec, self.abi)

    @property
    def _frame(self) -> codec.StructContext | None:
        """The argument's own bytes when the call was entered, where that is enough to look at them."""
        if self._frame_found is _UNKNOWN:
            arguments, finder = self.enter.arguments, self._finder
            self._frame_found = finder.frame(self._entered, arguments[0]) if finder is not None and arguments else None
        found: codec.StructContext | None = self._frame_found
        return found

    @property
    def caller(self) -> str | None:
        """Module and offset of the instruction behind the call; None where unknown."""
        return self._origin.place(self.enter.caller)

    def to_json(self) -> dict[str, Any]:
        """The call as a line of `dump --json`."""
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
        }

    def decode_inputs(self, kind_of: codec.KindOf | None) -> Argument:
        """The same, with another idea of what handles lead to."""
        return codec.decode(self.spec, self.abi, self._entered, self.enter.arguments, None, kind_of)

    def decode_outputs(self, kind_of: codec.KindOf | None) -> Argument:
        """The same, with another idea of what handles lead to."""
        assert self.leave is not None
        after = Recorded(self.leave.regions)
        return codec.decode(self.spec, self.abi, after, self.enter.arguments, self._entered, kind_of)

    @property
    def _kind_of(self) -> codec.KindOf | None:
        return self._origin.kinds_at(self.index) if depends_on_objects(self.spec) else None


def _copied(value: Any) -> Any:
    """Lists and dicts of their own, with what is in them."""
    if type(value) is dict:
        return {name: _copied(each) if type(each) in _NESTING else each for name, each in value.items()}
    if type(value) is list:
        return [_copied(each) if type(each) in _NESTING else each for each in value]
    return value


_NESTING = (dict, list)
