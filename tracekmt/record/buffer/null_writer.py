"""Writer of a recording whose events are observed, and not kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tracekmt.spec.types import CallSpec
from tracekmt.trace.events import Enter, Leave, Lost, Module


class NullWriter:
    """A `Writer` without a trace. It knows only the calls in flight.

    Attributes:
        in_flight: Enter events of the calls in flight, by their sequence numbers.
        size: Bytes written.
    """

    def __init__(self) -> None:
        self.in_flight: Mapping[int, object]
        self.in_flight = self._in_flight = dict[int, Enter]()
        self.size = 0

    def describe(self, spec_id: int, spec: CallSpec) -> None:
        """Ignore a description."""

    def module(self, module: Module) -> None:
        """Ignore a module."""

    def events(self, events: Iterable[Enter | Leave | Lost], *, flush: bool = True) -> None:
        """Note which calls are in flight."""
        for event in events:
            if isinstance(event, Enter):
                self._in_flight[event.sequence] = event
            elif isinstance(event, Leave):
                self._in_flight.pop(event.enter, None)

    def flush_events(self) -> None:
        """Do nothing, because there is no file."""

    def end(self, how: str) -> None:
        """Do nothing, because there is no file."""

    def close(self) -> None:
        """Do nothing, because there is no file."""
