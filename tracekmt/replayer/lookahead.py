"""Which calls a replay may send before the call in front of them is answered.

While the target makes a call, the replay sends the calls that follow, up to the first one that may block, or whose
inputs depend on a call that is not answered yet. All calls are compared at their own places.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from tracekmt.differ.outcome import EnteredCall
from tracekmt.findings import Finding
from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import is_live_value
from tracekmt.spec.paths import all_fields, has_bound_outputs
from tracekmt.spec.types import CallSpec
from tracekmt.trace.call import TracedCall

Event = tuple[TracedCall, bool]
"""A call, and True for its leave event."""


class SentAhead(NamedTuple):
    """A call that was sent before its place in the trace.

    Attributes:
        entered: The call with its inputs.
        findings: Findings about its inputs.
        ambient_handles: How many handles of objects older than the trace the call has brought.
    """

    entered: EnteredCall
    findings: list[Finding]
    ambient_handles: int


class Lookahead:
    """The events of a trace in order, with a view of those to come."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._read: deque[Event] = deque()
        self._passed = 0

    def __iter__(self) -> Iterator[Event]:
        while True:
            event = self._read.popleft() if self._read else next(self._events, None)
            if event is None:
                return
            self._passed = max(self._passed - 1, 0)
            yield event

    def coming(self) -> Iterator[Event]:
        """Yield the events to come, without those that an earlier view has passed. The last one is not passed."""
        while True:
            if self._passed == len(self._read):
                event = next(self._events, None)
                if event is None:
                    return
                self._read.append(event)
            yield self._read[self._passed]
            self._passed += 1


class Changes(NamedTuple):
    """Changes that a call makes to the inputs of later calls, which are unknown until it is answered.

    Attributes:
        handles: Recorded handles of the objects that it creates, returns or destroys.
        bindings: Bindings of the other values that it changes, of `Kind.binding`.
    """

    handles: frozenset[int]
    bindings: frozenset[str]


_NOTHING = Changes(frozenset(), frozenset())


def changes_of(entered: EnteredCall) -> Changes:
    """Return what a call changes."""
    call = entered.call
    if not _has_changes(call.spec):
        return _NOTHING
    handles, bindings = set[int](), set[str]()
    for bound in call.bound_outputs:
        if bound.kind is None or bound.field.direction == "in" or not is_live_value(bound):
            continue
        if bound.kind.binding == "handle":
            handles.add(bound.value)
        else:
            bindings.add(bound.kind.binding)
    for identity in _with_children(entered.destroyed):
        if identity.kind.binding == "handle":
            handles.add(identity.recorded)
        else:
            bindings.add(identity.kind.binding)
    return Changes(frozenset(handles), frozenset(bindings | {"fence"} if signals(call.spec) else bindings))


def depends_on(call: TracedCall, changes: Iterable[Changes]) -> bool:
    """Return True if inputs of a call may be others after some changes."""
    changes = [each for each in changes if each is not _NOTHING]
    for bound in call.bound_inputs if changes else ():
        if bound.kind is None or bound.field.direction == "out" or not is_live_value(bound):
            continue
        binding = bound.kind.binding
        if any(bound.value in each.handles if binding == "handle" else binding in each.bindings for each in changes):
            return True
    return False


def _with_children(identities: Iterable[Identity]) -> Iterator[Identity]:
    remaining = list(identities)
    while remaining:
        identity = remaining.pop()
        yield identity
        remaining += identity.children


def _has_changes(spec: CallSpec) -> bool:
    """Return True if an outcome of a call may change what the inputs of later calls are."""
    return bool(spec.creates or spec.destroys) or has_bound_outputs(spec.argument) or signals(spec)


def may_be_passed(spec: CallSpec) -> bool:
    """Return True if the calls behind a call may be sent before it is answered. A wait would keep them back."""
    return spec.may_block_when is None


@lru_cache(maxsize=1024)
def signals(spec: CallSpec) -> bool:
    """Return True if a function takes fence values and does not wait for them."""
    return spec.may_block_when is None and any(
        field.fence_handle is not None and field.direction == "in" for field in all_fields(spec.argument)
    )
