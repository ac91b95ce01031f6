"""Older formats, each made into the next one; the reader reads the newest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from tracekmt.errors import TraceError
from tracekmt.trace import events
from tracekmt.trace.events import Enter, Leave, Lost, Region
from tracekmt.trace.frames import FrameKind, FrameReader
from tracekmt.trace.writer import Writer


def upgrade(frames: FrameReader) -> tuple[BinaryIO, str | None]:
    """The trace as the newest format has it, in a file without a name, and what is wrong at the end of the old one."""
    return _STEPS[frames.version](frames)


def _from_0(frames: FrameReader) -> tuple[BinaryIO, str | None]:
    """Format 0 had a frame for every event."""
    made = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 (the trace closes it)
    writer: Writer | None = None
    layout: events.Header | None = None
    described: set[int] = set()
    for offset, kind, value in frames.scan():
        where = f"{frames.path}: byte {offset}"
        if writer is None or layout is None:
            if kind != FrameKind.HEADER:
                raise TraceError(f"{frames.path}: the trace does not begin with a header")
            layout = events.header_from(value, where)
            writer = Writer(frames.path, layout, file=made)
            continue
        match kind:
            case FrameKind.CALL:
                number, call = events.call_from(value, layout.layout, where)
                described.add(number)
                writer.describe(number, call)
            case FrameKind.MODULE:
                writer.module(events.module_from(value, where))
            case FrameKind.ENTER:
                enter = _enter_from(value, where)
                if enter.spec_id not in described:
                    raise TraceError(f"{where}: an event names the call {enter.spec_id}, which is not described before it")
                writer.events([enter], flush=False)
            case FrameKind.LEAVE:
                writer.events([_leave_from(value, where)], flush=False)
            case FrameKind.LOST:
                writer.events([_lost_from(value, where)], flush=False)
            case FrameKind.END:
                writer.end(str(value.get("how")) if isinstance(value, dict) else "")
                break
    if writer is None:
        raise TraceError(frames.torn or f"{frames.path}: the trace has no header")
    writer.flush()
    made.seek(0)
    return made, frames.torn


def _enter_from(value: Any, where: str) -> Enter:
    """An enter event from its frame."""
    match value:
        case [int(sequence), int(thread), int(call), int(time), int(caller), [*arguments], [*regions]] if all(
            isinstance(argument, int) for argument in arguments
        ):
            return Enter(sequence, thread, call, time, caller, tuple(arguments), _regions(regions, where))
    raise TraceError(f"{where}: an enter event in it is malformed")


def _leave_from(value: Any, where: str) -> Leave:
    """A leave event from its frame."""
    match value:
        case [int(sequence), int(enter), int(time), int(result), [*regions]]:
            return Leave(sequence, enter, time, result, _regions(regions, where))
    raise TraceError(f"{where}: a leave event in it is malformed")


def _lost_from(value: Any, where: str) -> Lost:
    """A loss from its frame."""
    match value:
        case [int(sequence), int(count)]:
            return Lost(sequence, count)
    raise TraceError(f"{where}: a loss in it is malformed")


def _regions(regions: list[Any], where: str) -> tuple[Region, ...]:
    found: list[Region] = []
    for region in regions:
        match region:
            case [int(address), int(wanted), bytes(data)]:
                found.append((address, wanted, data))
            case _:
                raise TraceError(f"{where}: a region in it is malformed")
    return tuple(found)


_STEPS: dict[int, Callable[[FrameReader], tuple[BinaryIO, str | None]]] = {0: _from_0}
