"""A sealed trace of what a damaged or unfinished one still holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tracekmt.errors import TraceError
from tracekmt.redact import Redactor
from tracekmt.spec.types import Call
from tracekmt.trace import events, index, spooled
from tracekmt.trace.copy import UNFINISHED, open_copy, refuse_output, replacing
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.frames import FrameKind, FrameReader, Room
from tracekmt.trace.reader import Trace
from tracekmt.trace.spooled import spill_of

Spilled = Iterator[tuple["int | None", list[bytes]]]


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
            memory = _Memory.of(trace) if trace.ended is None else None
            if memory is not None:
                with memory:
                    described = set(trace.described)
                    for event in memory.rest(trace, following, under_way):
                        if isinstance(event, Enter) and event.call not in described:
                            described.add(event.call)
                            writer.describe(event.call, memory.description(event.call))
                        writer.events([event], flush=False)
                        calls += isinstance(event, Enter)
                wrong = f"{wrong}; {memory.damage}" if memory.damage else wrong
            writer.end(trace.ended or "recovered", wrong)
        finally:
            writer.close()
        return calls, wrong


class _Memory(ExitStack):
    """What a recorder that was killed left in the memory that it shared with the program."""

    def __init__(self, frames: FrameReader, room: Room, calls: dict[int, Call], spilled: Spilled) -> None:
        super().__init__()
        self._frames = frames
        self._room = room
        self._calls = calls
        self._spilled = spilled
        self._rest: spooled.Rest | None = None

    @property
    def damage(self) -> str | None:
        """What is wrong with it, when the events have been taken."""
        return self._rest.damage if self._rest is not None else None

    @classmethod
    def of(cls, trace: Trace) -> _Memory | None:
        """The memory of a trace's recording, if it is still there; None where it is gone, or another's."""
        named, identity = (trace.header.settings.get(key) for key in ("spool", "recording"))
        if not isinstance(named, str) or not Path(named).is_file():
            return None
        file = Path(named).open("rb")  # noqa: SIM115 (closed with the memory)
        try:
            frames = FrameReader(Path(named), file)
            found = index.rebuild(frames)
            told = [(offset, *frames.at(offset)) for offset in found.told]
            header = events.header_from(told[0][2], named)
            if found.room is None or header.settings.get("recording") != identity:
                file.close()
                return None
            calls = dict(
                events.call_from(value, header.layout, named) for _, kind, value in told if kind == FrameKind.CALL
            )
        except BaseException:
            file.close()
            raise
        memory = cls(frames, found.room, calls, _spilled(trace.path, identity))
        memory.enter_context(file)
        return memory

    def description(self, number: int) -> Call:
        """The description that events name by a number."""
        if number not in self._calls:
            raise TraceError(f"{self._frames.path}: an event names the call {number}, which is not described")
        return self._calls[number]

    def rest(self, trace: Trace, first: int, under_way: dict[int, Enter]) -> Iterator[Enter | Leave | Lost]:
        """The events from a sequence number on; redacted, if the trace is."""
        self._rest = spooled.Rest(self._frames, self._room, first, self._spilled)
        whole = spooled.returning(self._rest, set(under_way))
        if not trace.header.redacted:
            return whole
        redactor = Redactor(trace.layout, self._calls.values(), self.description, under_way)
        return redactor.events(whole)


def _spilled(trace: Path, identity: object) -> Spilled:
    """What waited beside a trace to be taken apart, if its recording had to let something wait."""
    path = spill_of(trace)
    if not path.is_file():
        return
    with path.open("rb") as file:
        frames = FrameReader(path, file)
        for _, kind, value in frames.scan():
            match kind, value:
                case FrameKind.HEADER, {"settings": {"recording": other}} if other != identity:
                    return
                case FrameKind.SPILL, [upto, [*stretches]]:
                    yield upto, stretches
