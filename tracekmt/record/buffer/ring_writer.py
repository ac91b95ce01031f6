"""Flight recorder: a trace writer that keeps only the newest calls.

Two traces take turns beside the requested one, each with half of the space. The older is deleted when the newer is
full. Both are valid traces, so a killed recorder leaves readable files. At the end they are merged into one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tracekmt.spec.types import CallSpec
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer


class RingWriter:
    """A `Writer` that drops old calls."""

    def __init__(self, path: Path, header: Header, size_limit: int, *, force: bool = False) -> None:
        """Create the trace file and the first part.

        Args:
            path: The requested trace.
            header: Header of the trace.
            size_limit: Approximate size of the trace in bytes.
            force: True to overwrite an existing file.
        """
        # The requested file is created now, so that a bad path fails before anything is recorded.
        self._final = Writer(path, header, force=force)
        self._final.close()
        self._path = path
        self._header = header
        self._half = size_limit // 2
        self._specs: dict[int, CallSpec] = {}
        self._modules: list[Module] = []
        self._index = 0
        self._in_flight: dict[int, Enter] = {}
        self._parts = 0
        self._older: Path | None = None
        self._newer = self._open_part()

    @property
    def size(self) -> int:
        """Bytes written to both parts."""
        return self._newer.size + (self._older.stat().st_size if self._older is not None else 0)

    def describe(self, spec_id: int, spec: CallSpec) -> None:
        """Write a description, see `Writer.describe`."""
        self._specs[spec_id] = spec
        self._newer.describe(spec_id, spec)

    def module(self, module: Module) -> None:
        """Write a module, see `Writer.module`."""
        self._modules.append(module)
        self._newer.module(module)

    @property
    def in_flight(self) -> Mapping[int, object]:
        """Calls in flight, see `Writer.in_flight`."""
        return self._in_flight

    def events(self, events: Iterable[Enter | Leave | Lost], *, flush: bool = True) -> None:
        """Append events, see `Writer.events`. Delete the older part if the newer one is full."""
        self._newer.events(self._number(events), flush=flush)
        if self._newer.size > self._half:
            self._newer.close()
            if self._older is not None:
                self._older.unlink()
            self._older = self._newer.path
            self._newer = self._open_part()

    def flush_events(self) -> None:
        """Write the kept events, see `Writer.flush_events`."""
        self._newer.flush_events()

    def end(self, how: str) -> None:
        """Merge the parts into the requested trace and end it."""
        self._newer.close()
        parts = [part for part in (self._older, self._newer.path) if part is not None]
        with Trace(parts[0]) as trace:
            first_index = next(trace.calls()).index if len(trace) else 0
        trimmed = f"{self._index} calls, of which the newest were kept" if first_index else ""
        writer = self._open_writer(self._path, replace(self._header, trimmed=trimmed))
        last = -1
        for part in parts:
            with Trace(part) as trace:
                # A part repeats the enter events of the calls that were in flight when it began.
                writer.events((event for event in trace.events() if event.sequence > last), flush=False)
                last = max((event.sequence for event in trace.events()), default=last)
        writer.end(how)
        writer.close()
        for part in parts:
            part.unlink()

    def close(self) -> None:
        """Close the newer part, see `Writer.close`."""
        self._newer.close()

    def _number(self, events: Iterable[Enter | Leave | Lost]) -> Iterator[Enter | Leave | Lost]:
        """Yield the events, with call indexes that count from the start of the recording."""
        for event in events:
            if isinstance(event, Enter):
                enter = replace(event, index=self._index)
                self._index += 1
                self._in_flight[event.sequence] = enter
                yield enter
                continue
            if isinstance(event, Leave):
                del self._in_flight[event.enter]
            yield event

    def _open_part(self) -> Writer:
        self._parts += 1
        writer = self._open_writer(self._path.with_name(f"{self._path.name}.{self._parts}"), self._header)
        # Each leave event needs its enter event in the same part.
        writer.events(self._in_flight.values())
        return writer

    def _open_writer(self, path: Path, header: Header) -> Writer:
        """Open a trace and write all descriptions and modules so far."""
        writer = Writer(path, header, force=True)
        for spec_id, spec in self._specs.items():
            writer.describe(spec_id, spec)
        for module in self._modules:
            writer.module(module)
        return writer
