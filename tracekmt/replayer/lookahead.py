"""Which calls a replay may send before the call in front of them is answered.

A call that changes no object and no value of the replay is a query. While the target makes it, the replay sends the
calls that follow, up to the first one that is not a query. All calls are compared at their own places.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from tracekmt.differ.outcome import EnteredCall
from tracekmt.findings import Finding
from tracekmt.spec.paths import has_bound_values, structures
from tracekmt.spec.types import CallSpec

Event = tuple[int, bool]
"""Index of a call, and True for its leave event."""


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


@lru_cache(maxsize=1024)
def is_query(spec: CallSpec) -> bool:
    """Return True if no outcome of a call changes what the inputs of later calls are."""
    fields = [field for struct in structures(spec.argument) for field in struct.fields()]
    has_bound_outputs = any(field.direction != "in" and has_bound_values(field.type) for field in fields)
    changes_objects = spec.creates or spec.destroys or has_bound_outputs
    return not changes_objects and spec.may_block_when is None and not signals(spec)


def signals(spec: CallSpec) -> bool:
    """Return True if a function takes fence values and does not wait for them."""
    fields = (field for struct in structures(spec.argument) for field in struct.fields())
    return spec.may_block_when is None and any(
        field.fence_handle is not None and field.direction == "in" for field in fields
    )
