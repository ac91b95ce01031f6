"""A sealed trace of what a damaged or unfinished one still holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tracekmt.edit.copy import UNFINISHED, open_copy, refuse_output, replacing
from tracekmt.edit.redact import Redactor
from tracekmt.errors import TraceError
from tracekmt.spec.types import CallSpec
from tracekmt.trace import buffer_format as spooled
from tracekmt.trace import index
from tracekmt.trace.buffer_format import overflow_path
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.frames import FrameKind, FrameReader, Room
from tracekmt.trace.metadata import Metadata
from tracekmt.trace.reader import Trace


def recover(source: Path, to: Path, *, force: bool = False) -> tuple[int, str | None]:
    """Write every whole frame's calls to another trace, with a new index; how many calls those are, and what was wrong,
    None where nothing was. The new trace says so too.

    Where the recorder was killed, what is still in the memory that it shared with the program follows. What stands
    behind a damaged frame is not read. UsageError where the two are one file or the other one exists, TraceError where
    nothing can be read.
    """
    refuse_output(source, to, force=force)
    with Trace(source, rebuild=True) as trace, replacing(to) as part:
        wrong = trace.torn or (None if trace.ended is not None else UNFINISHED)
        writer = open_copy(trace, part)
        try:
            calls, following = 0, 0
            under_way: dict[int, Enter] = {}
            try:
                for event in trace.events():
                    writer.events([event], flush=False)
                    following = event.sequence + (event.count if isinstance(event, Lost) else 1)
                    if isinstance(event, Enter):
                        calls += 1
                        under_way[event.sequence] = event
                    elif isinstance(event, Leave):
                        under_way.pop(event.enter)
            except TraceError as error:
                wrong = str(error)
            if trace.ended is None:
                with _Left(trace) as left:
                    described = set(trace.described)
                    for event in left.events(following, under_way):
                        if isinstance(event, Enter) and event.spec_id not in described:
                            described.add(event.spec_id)
                            writer.describe(event.spec_id, left.description(event.spec_id))
                        writer.events([event], flush=False)
                        calls += isinstance(event, Enter)
                    wrong = "; ".join(each for each in (wrong, *left.damage) if each)
            writer.end(trace.ended or "recovered", wrong)
        finally:
            writer.close()
        return calls, wrong


class _Left(ExitStack):
    """What a recorder that was killed left beside a trace: the memory that it shared with the program, and what waited
    to be taken apart. Each is used if it is of the same recording. damage: what is wrong with them."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.damage: list[str] = []
        self._trace = trace
        self._calls: dict[int, CallSpec] = {}
        shared = trace.header.settings.get("spool")
        self._spill = self._open(overflow_path(trace.path))
        self._memory = self._open(Path(shared)) if isinstance(shared, str) else None

    def _open(self, path: Path) -> tuple[FrameReader, Room | None] | None:
        """A file with its descriptions; None where there is none of this recording."""
        if not path.is_file():
            return None
        try:
            frames = FrameReader(path, self.enter_context(path.open("rb")))
            found = index.rebuild_index(frames)
            metadata = Metadata(path)
            for offset in found.metadata:
                metadata.add(offset, *frames.at(offset))
            if metadata.header.settings.get("recording") != self._trace.header.settings.get("recording"):
                return None
            self._calls.update(metadata.specs)
        except TraceError as error:
            self.damage.append(str(error))
            return None
        return frames, found.room

    def description(self, number: int) -> CallSpec:
        """The description that events name by a number."""
        if number in self._trace.described:
            return self._trace.described[number]
        if number not in self._calls:
            raise TraceError(f"{self._trace.path}: an event names the call {number}, which is not described")
        return self._calls[number]

    def events(self, first: int, under_way: dict[int, Enter]) -> Iterator[Enter | Leave | Lost]:
        """The events from a sequence number on; redacted, if the trace is."""
        memory = None
        if self._memory is not None and self._memory[1] is not None:
            memory = self._memory[0], self._memory[1]
        if memory is None and self._spill is None:
            return
        rest = spooled.Leftover(first, memory, self._spilled())
        whole = spooled.drop_orphan_returns(rest, set(under_way))
        if self._trace.header.redacted:
            calls = [*self._trace.descriptions, *self._calls.values()]
            whole = Redactor(self._trace.abi, calls, self.description, under_way).events(whole)
        yield from whole
        self.damage += [rest.damage] if rest.damage else []

    def _spilled(self) -> Iterator[tuple[int | None, list[bytes]]]:
        for _, kind, value in self._spill[0].scan() if self._spill is not None else ():
            match value:
                case [upto, [*stretches]] if kind == FrameKind.SPILL:
                    yield upto, stretches
