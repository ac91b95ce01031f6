"""The trace that a recording writes, and the counters of what it wrote."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path

from tracekmt import core
from tracekmt.calls import CALLS
from tracekmt.edit.redact import Redactor, redacted_header, redacted_module
from tracekmt.errors import Error
from tracekmt.ntstatus import Status
from tracekmt.record.agent.hooks import Hooks
from tracekmt.record.buffer.null_writer import NullWriter
from tracekmt.record.buffer.ring_writer import RingWriter
from tracekmt.record.limits import Progress, StopConditions
from tracekmt.record.process.memory_map import address_places
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.ready_events import RawEvents
from tracekmt.trace.writer import Writer

Observer = Callable[[Hooks, Sequence["Enter | Leave | Lost"]], None]
"""Receives the events of a recording, and the hooked functions whose descriptions they refer to."""


class Sink:
    """Writes descriptions, modules and events to a trace.

    Attributes:
        described: Ids of the descriptions that are in the trace.
    """

    def __init__(
        self,
        output: Path,
        header: Header,
        hooks: Hooks,
        progress: Progress,
        limits: StopConditions,
        *,
        redact: bool,
        force: bool,
        observer: Observer | None = None,
    ) -> None:
        """Create the trace.

        Args:
            output: Path of the trace.
            header: Header of the trace, before redaction.
            hooks: The hooked functions, whose descriptions the events refer to.
            progress: Counters to update.
            limits: Status to look for, and the size of a flight recorder's trace.
            redact: True to keep names, paths and private data out of the trace.
            force: True to overwrite an existing file.
            observer: Receives the events. No trace is written then.
        """
        self.described: set[int] = set()
        self._hooks = hooks
        self._observer = observer
        self._progress = progress
        self._until_status = limits.until_status
        self._redactor = Redactor(hooks.abi, CALLS.values(), lambda spec_id: hooks.specs[spec_id]) if redact else None
        # Description ids of the calls in flight that `write` counted, by the sequence numbers of their enter events.
        self._in_flight: dict[int, int] = {}
        # Descriptions whose events `frame` may append, by their ids: the places of their undescribed addresses.
        self._plain: dict[int, bytes] = {}
        header = redacted_header(header) if redact else header
        self._writer: Writer | RingWriter | NullWriter
        if observer is not None:
            self._writer = NullWriter()
        elif limits.last is not None:
            self._writer = RingWriter(output, header, limits.last, force=force)
        else:
            self._writer = Writer(output, header, force=force)

    def module(self, module: Module) -> None:
        """Write where a module is mapped."""
        self._writer.module(redacted_module(module) if self._redactor is not None else module)

    def describe(self, spec_id: int) -> None:
        """Write the description that later events refer to."""
        spec = self._hooks.specs[spec_id]
        self.described.add(spec_id)
        self._writer.describe(spec_id, spec)
        places = address_places(spec, self._hooks.abi)
        if not spec.raw and places is not None:
            self._plain[spec_id] = places

    @property
    def in_flight(self) -> Container[int]:
        """Sequence numbers of the enter events of calls in flight."""
        return self._writer.in_flight

    @property
    def uses_core(self) -> bool:
        """True if `frame` appends most events. False without the core, and if each event needs other handling."""
        is_plain = isinstance(self._writer, Writer) and self._redactor is None and self._until_status is None
        return is_plain and core.CORE is not None

    def frame(self, events: RawEvents, position: int) -> int:
        """Append raw events that need no other handling, and count them, see `Writer.frame`."""
        writer = self._writer
        assert isinstance(writer, Writer)
        calls_before = writer.call_count
        position = writer.frame(events, position, self._plain)
        self._progress.calls += writer.call_count - calls_before
        return position

    def write(self, events: list[Enter | Leave | Lost]) -> None:
        """Append events, all of them described, and count them."""
        self._count(events)
        if self._observer is not None:
            self._observer(self._hooks, events)
        self._writer.events(self._redactor.events(events) if self._redactor is not None else events, flush=False)

    def flush(self) -> None:
        """Write the appended events to the file."""
        self._writer.flush_events()
        self._progress.size = self._writer.size

    def end(self, reason: str) -> None:
        """Write the reason for the end of the recording and close the trace."""
        self._writer.end(reason)
        self._writer.close()

    def close(self) -> None:
        """Close the trace without an end."""
        self._writer.close()

    def abandon(self) -> None:
        """Close the trace after an error, which may occur again."""
        with contextlib.suppress(OSError, Error):
            self._writer.close()

    def _count(self, events: Iterable[Enter | Leave | Lost]) -> None:
        for event in events:
            if isinstance(event, Lost):
                self._progress.lost += event.count
            elif isinstance(event, Enter):
                self._progress.calls += 1
                if self._hooks.specs[event.spec_id].raw:
                    self._progress.undescribed[self._hooks.specs[event.spec_id].name] += 1
                self._in_flight[event.sequence] = event.spec_id
            else:
                spec_id = self._in_flight.pop(event.enter, None)
                if spec_id is None and isinstance(self._writer, Writer):
                    spec_id = self._writer.function_in_flight(event.enter)
                assert spec_id is not None
                self._count_status(spec_id, event)

    def _count_status(self, spec_id: int, event: Leave) -> None:
        spec = self._hooks.specs[spec_id]
        status = Status(event.result & 0xFFFFFFFF)
        if spec.returns == "NTSTATUS" and not spec.raw and not status.succeeded:
            self._progress.failing[spec.name, status] += 1
        if spec.returns == "NTSTATUS" and status == self._until_status and self._progress.seen is None:
            self._progress.seen = time.monotonic()
