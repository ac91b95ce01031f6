"""Recovery of a damaged or unfinished trace to a sealed one."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tracekmt.edit.copy import UNFINISHED, open_copy, refuse_output, replace_on_success
from tracekmt.edit.redact import Redactor
from tracekmt.errors import TraceError
from tracekmt.printable import printable
from tracekmt.spec.types import CallSpec
from tracekmt.trace import index
from tracekmt.trace.buffer_format import Leftover, drop_orphan_returns, overflow_path
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.frames import FrameKind, FrameReader, LiveFrame
from tracekmt.trace.metadata import Metadata
from tracekmt.trace.raw_events import SEQUENCE_LIMIT
from tracekmt.trace.reader import Trace
from tracekmt.trace.recorder_id import recorder_id
from tracekmt.trace.writer import Writer

SPOOL_NAME = re.compile(r"tracekmt-\d+-\w+\.spool")
"""Names of the files that recorders share with processes."""


def recover(source: Path, to: Path, *, force: bool = False) -> tuple[int, str | None]:
    """Write the calls of every complete frame to a sealed trace.

    The events that a killed recorder left in its shared memory follow. Frames after a damaged one are not read.

    Args:
        source: Trace to recover.
        to: Path of the sealed trace.
        force: Overwrite an existing file.

    Returns:
        Number of calls, and a description of the damage, if any. The sealed trace has this description, too.

    Raises:
        UsageError: `to` is the source file, or it exists and `force` is false.
        TraceError: The trace has no readable header.
    """
    refuse_output(source, to, force=force)
    with Trace(source, rebuild=True) as trace, replace_on_success(to) as part:
        writer = open_copy(trace, part)
        try:
            call_count, damage = _recover_events(trace, writer)
            writer.end(trace.ended or "recovered", damage)
        finally:
            writer.close()
        return call_count, damage


def _recover_events(trace: Trace, writer: Writer) -> tuple[int, str | None]:
    damage = trace.damage or (None if trace.ended is not None else UNFINISHED)
    call_count = next_sequence = 0
    in_flight: dict[int, Enter] = {}
    try:
        for event in trace.events():
            writer.events([event], flush=False)
            next_sequence = event.sequence + (event.count if isinstance(event, Lost) else 1)
            if isinstance(event, Enter):
                call_count += 1
                in_flight[event.sequence] = event
            elif isinstance(event, Leave):
                in_flight.pop(event.enter)
    except TraceError as error:
        damage = str(error)
    if trace.ended is None:
        with _KilledRecorderFiles(trace) as files:
            described = set(trace.specs)
            for event in files.events(next_sequence, in_flight):
                if isinstance(event, Enter) and event.spec_id not in described:
                    described.add(event.spec_id)
                    writer.describe(event.spec_id, files.spec(event.spec_id))
                writer.events([event], flush=False)
                call_count += isinstance(event, Enter)
            damage = "; ".join(text for text in (damage, *files.damage) if text)
    return call_count, damage


def _is_own_file(path: Path) -> bool:
    """Return True for a regular file of this user on this machine."""
    if path.drive.startswith("\\\\"):
        return False
    try:
        status = path.lstat()
    except OSError:
        return False
    # The buffer of a recorder that runs as root belongs to the user of the recorded process.
    return stat.S_ISREG(status.st_mode) and (sys.platform == "win32" or os.geteuid() in (0, status.st_uid))


class _KilledRecorderFiles(ExitStack):
    """Files that a killed recorder left: its shared memory, and the overflow file with unparsed events.

    A file of another recording is ignored.

    Attributes:
        damage: Descriptions of the damage of these files.
    """

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.damage: list[str] = []
        self._trace = trace
        self._specs: dict[int, CallSpec] = {}
        self._overflow = self._open(overflow_path(trace.path))
        self._memory = self._open_spool()

    def _open_spool(self) -> tuple[FrameReader, LiveFrame | None] | None:
        """Open the shared memory: a copy beside the trace, as of a recording on another system, or the original."""
        recorded = self._trace.header.settings.get("spool")
        if not isinstance(recorded, str):
            return None
        # The path has the form of the system that recorded it.
        name = recorded.replace("\\", "/").rpartition("/")[2]
        if SPOOL_NAME.fullmatch(name):
            if (self._trace.path.parent / name).is_file():
                return self._open(self._trace.path.parent / name)
            # A trace from elsewhere must not name a file to open. Windows would even ask another host for it.
            if self._trace.header.settings.get("recorded_by") == recorder_id() and _is_own_file(Path(recorded)):
                return self._open(Path(recorded))
        missing = f"the recorder's buffer {printable(name)} is missing"
        self.damage.append(f"{missing} (put it beside the trace if it still exists)")
        return None

    def _open(self, path: Path) -> tuple[FrameReader, LiveFrame | None] | None:
        """Open a file and read its descriptions. Return None if there is no readable file of this recording."""
        if not path.is_file():
            return None
        try:
            frames = FrameReader(path, self.enter_context(path.open("rb")))
            file_index = index.rebuild_index(frames)
            metadata = Metadata(path)
            for offset in file_index.metadata:
                metadata.add(offset, *frames.read_frame(offset))
            if metadata.header.settings.get("recording") != self._trace.header.settings.get("recording"):
                return None
            self._specs.update(metadata.specs)
        except TraceError as error:
            self.damage.append(str(error))
            return None
        return frames, file_index.live_frame

    def spec(self, spec_id: int) -> CallSpec:
        """Return a call description by the id that events use.

        Raises:
            TraceError: Neither the trace nor the files have such a description.
        """
        if spec_id in self._trace.specs:
            return self._trace.specs[spec_id]
        if spec_id not in self._specs:
            raise TraceError(f"{self._trace.path}: an event refers to the missing description {spec_id}")
        return self._specs[spec_id]

    def events(self, first: int, in_flight: dict[int, Enter]) -> Iterator[Enter | Leave | Lost]:
        """Yield the events of the files. They are redacted if the trace is.

        Args:
            first: Lowest sequence number to yield.
            in_flight: Enter events without leave events in the trace, by sequence number.
        """
        memory = None
        if self._memory is not None and self._memory[1] is not None:
            memory = self._memory[0], self._memory[1]
        if memory is None and self._overflow is None:
            return
        leftover = Leftover(first, memory, self._overflow_batches())
        events = drop_orphan_returns(leftover, set(in_flight))
        if self._trace.header.redacted:
            specs = [*self._trace.specs.values(), *self._specs.values()]
            events = Redactor(self._trace.abi, specs, self.spec, in_flight).events(events)
        yield from events
        self.damage += [leftover.damage] if leftover.damage else []

    def _overflow_batches(self) -> Iterator[tuple[int | None, list[bytes]]]:
        for _, kind, value in self._overflow[0].scan() if self._overflow is not None else ():
            match value:
                case [None | int() as end, [*parts]] if _is_batch(kind, end, parts):
                    yield end, parts
                case _ if kind == FrameKind.SPILL:
                    self.damage.append("a part of the unparsed events is malformed")


def _is_batch(kind: int, end: int | None, parts: list[Any]) -> bool:
    is_sequence = end is None or 0 <= end <= SEQUENCE_LIMIT
    return kind == FrameKind.SPILL and is_sequence and set(map(type, parts)) <= {bytes}
