"""A flight recorder: of a recording only the newest calls are kept.

Two traces take turns beside the one that is wanted, each of half the room; the older is dropped when the younger is
full. Both are whole traces, so a recorder that is killed leaves them to be read. At the end they become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tracekmt.spec.types import CallSpec
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer


class RingWriter:
    """A Writer that forgets what is old. room: about how many bytes the trace may have."""

    def __init__(self, path: Path, header: Header, room: int, *, force: bool = False) -> None:
        # The name that is wanted is taken at once, so that nothing is recorded in vain.
        self._final = Writer(path, header, force=force)
        self._final.close()
        self._path = path
        self._header = header
        self._half = room // 2
        self._calls: dict[int, CallSpec] = {}
        self._modules: list[Module] = []
        self._index = 0
        self._under_way: dict[int, Enter] = {}
        self._parts = 0
        self._older: Path | None = None
        self._younger = self._begin()

    @property
    def size(self) -> int:
        """Bytes written to the part at hand, and to the one before it."""
        return self._younger.size + (self._older.stat().st_size if self._older is not None else 0)

    def describe(self, number: int, call: CallSpec) -> None:
        """As Writer.describe."""
        self._calls[number] = call
        self._younger.describe(number, call)

    def module(self, module: Module) -> None:
        """As Writer.module."""
        self._modules.append(module)
        self._younger.module(module)

    def events(self, events: Iterable[Enter | Leave | Lost]) -> None:
        """As Writer.events; what is old may go."""
        self._younger.events(self._told(events))
        if self._younger.size > self._half:
            self._younger.close()
            if self._older is not None:
                self._older.unlink()
            self._older = self._younger.path
            self._younger = self._begin()

    def end(self, how: str) -> None:
        """Make one trace of what is kept."""
        self._younger.close()
        parts = [part for part in (self._older, self._younger.path) if part is not None]
        with Trace(parts[0]) as trace:
            first = next(trace.calls()).index if len(trace) else 0
        cut = f"{self._index} calls, of which the newest were kept" if first else ""
        writer = self._write(self._path, replace(self._header, trimmed=cut))
        last = -1
        for part in parts:
            with Trace(part) as trace:
                # Calls that were under way when the part began are told there once more.
                writer.events((event for event in trace.events() if event.sequence > last), flush=False)
                last = max((event.sequence for event in trace.events()), default=last)
        writer.end(how)
        writer.close()
        for part in parts:
            part.unlink()

    def close(self) -> None:
        """As Writer.close."""
        self._younger.close()

    def _told(self, events: Iterable[Enter | Leave | Lost]) -> Iterator[Enter | Leave | Lost]:
        """Events, with the calls' numbers in the whole recording."""
        for event in events:
            if isinstance(event, Enter):
                entered = replace(event, index=self._index)
                self._index += 1
                self._under_way[event.sequence] = entered
                yield entered
                continue
            if isinstance(event, Leave):
                del self._under_way[event.enter]
            yield event

    def _begin(self) -> Writer:
        self._parts += 1
        writer = self._write(self._path.with_name(f"{self._path.name}.{self._parts}"), self._header)
        # So that what returns here has been entered here.
        writer.events(self._under_way.values())
        return writer

    def _write(self, path: Path, header: Header) -> Writer:
        """A trace that knows what this recording has told so far."""
        writer = Writer(path, header, force=True)
        for number, call in self._calls.items():
            writer.describe(number, call)
        for module in self._modules:
            writer.module(module)
        return writer
