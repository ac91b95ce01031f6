"""A call on both sides of a comparison: the recorded one with its inputs for the other side, and the outcome there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tracekmt.codec import BoundLocation, iter_values
from tracekmt.ntstatus import Status
from tracekmt.objects.identity import Identity
from tracekmt.spec.types import Kind, Struct
from tracekmt.trace.call import BoundValue, TracedCall

NO_HANDLE = 0x0BAD0000
"""Handle of an object that does not exist on the other side. Its top bits are zero, so no kernel returns it."""

Adopt = Callable[[Kind, int, dict[Kind, int]], int | None]
"""Returns a live handle for an object that no call of the trace creates, or None.

The arguments are its kind, its recorded handle, and the live handles of other kinds in the same call.
"""


@dataclass(slots=True)  # frozen, it would take three times as long to create one for each call
class Outcome:
    """Outcome of a call on the other side.

    Attributes:
        status: Status, or None if the function returns no NTSTATUS or the call did not return.
        argument: Structure of `outputs`.
        outputs: Values of the argument after the call. Not set if `unchanged`.
        index: Index of the call on the other side.
        reason: Explanation of the outcome, if the target has one.
        result: Return value of a function that returns no NTSTATUS.
        returned: True if the call returned.
        modelled: True if the target claims this outcome. Otherwise only handles are compared.
        taken: Why the outcome is taken from the recording, None if it is the target's own.
        status_judged: True if only the outputs are taken, and the status is the target's own.
        performed: False if the target did not make a call whose outcome is taken, and adopted what the call created.
        uncertain_outputs: Reason by path, without indexes, for outputs whose differences do not count.
        injected: Failures injected at this call.
        unchanged: True if only bound values differ from the recorded outputs. `bound_outputs` has these values.
        bound_outputs: Bound values of the outputs by path, if `unchanged`.
    """

    status: Status | None
    argument: Struct
    outputs: Any
    index: int
    reason: str | None = None
    result: int | None = None
    returned: bool = True
    modelled: bool = True
    taken: str | None = None
    status_judged: bool = False
    performed: bool = True
    uncertain_outputs: Mapping[str, str] = field(default_factory=dict)
    injected: tuple[str, ...] = ()
    unchanged: bool = False
    bound_outputs: Mapping[str, BoundValue] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """True if the call returned without a failure status."""
        return self.returned and (self.status is None or self.status.succeeded)


@dataclass
class EnteredCall:
    """A call between enter and leave.

    Attributes:
        call: The recorded call.
        changes: Inputs with another value on the other side, with that value.
        cause: Index of the call whose difference affects the inputs, if any.
        destroyed: Objects that the call destroys if it succeeds.
        handles: Live handles of the call, by kind.
        unborn: Path and kind of each handle whose object has an unknown state; see `Identity.is_unborn`.
    """

    call: TracedCall
    changes: list[tuple[BoundValue, Any]] = field(default_factory=list)
    cause: int | None = None
    destroyed: list[Identity] = field(default_factory=list)
    handles: dict[Kind, int] = field(default_factory=dict)
    unborn: list[tuple[str, Kind]] = field(default_factory=list)

    def inputs(self) -> Any:
        """Return the inputs for the other side."""
        call = self.call
        if not self.changes:
            return call.inputs
        inputs = deepcopy(call.inputs)
        by_path = {field_value.path: field_value for field_value in iter_values(call.spec.argument, inputs)}
        for bound, value in self.changes:
            field_value = by_path[bound.path]
            field_value.values[field_value.key] = value
        return inputs

    def patches(self) -> list[tuple[int, bytes]] | None:
        """Return the changes as addresses and bytes for the recorded memory.

        None if a change has no location in memory, or is not a number.
        """
        if not self.changes:  # most calls
            return []
        if not all(isinstance(bound, BoundLocation) and isinstance(value, int) for bound, value in self.changes):
            return None
        return [
            (location.address, location.packed(value))
            for location, value in self.changes
            if isinstance(location, BoundLocation)
        ]
