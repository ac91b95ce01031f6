"""Conversion of older trace formats. Each step converts one format to the next. The reader reads the newest one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from tracekmt.errors import TraceError
from tracekmt.trace.events import Enter, Leave, Lost, Region
from tracekmt.trace.frames import FrameKind, FrameReader
from tracekmt.trace.metadata import TemporaryTrace


def upgrade(frames: FrameReader) -> tuple[BinaryIO, str | None]:
    """Convert a trace to the newest format.

    Returns:
        The converted trace in an unnamed temporary file, and the damage at the end of the old one, if any.
    """
    return _STEPS[frames.version](frames)


def _from_0(frames: FrameReader) -> tuple[BinaryIO, str | None]:
    """Convert format 0, which has a frame for every event."""
    copy = TemporaryTrace(frames.path)
    for offset, kind, value in frames.scan():
        if copy.copy_metadata(offset, kind, value):
            continue
        where, writer = f"{frames.path}: byte {offset}", copy.writer
        match kind:
            case FrameKind.ENTER:
                enter = _enter_from_data(value, where)
                if enter.spec_id not in copy.metadata.specs:
                    raise TraceError(f"{where}: an event refers to the missing description {enter.spec_id}")
                writer.events([enter], flush=False)
            case FrameKind.LEAVE:
                writer.events([_leave_from_data(value, where)], flush=False)
            case FrameKind.LOST:
                writer.events([_lost_from_data(value, where)], flush=False)
            case FrameKind.END:
                writer.end(str(value.get("how")) if isinstance(value, dict) else "")
                break
    if frames.damage and not copy.metadata.has_header:
        raise TraceError(frames.damage)
    return copy.finish(), frames.damage


def _enter_from_data(value: Any, where: str) -> Enter:
    match value:
        case [int(sequence), int(thread), int(spec_id), int(time), int(caller), [*arguments], [*regions]] if all(
            isinstance(argument, int) for argument in arguments
        ):
            return Enter(sequence, thread, spec_id, time, caller, tuple(arguments), _regions(regions, where))
    raise TraceError(f"{where}: malformed enter event")


def _leave_from_data(value: Any, where: str) -> Leave:
    match value:
        case [int(sequence), int(enter), int(time), int(result), [*regions]]:
            return Leave(sequence, enter, time, result, _regions(regions, where))
    raise TraceError(f"{where}: malformed leave event")


def _lost_from_data(value: Any, where: str) -> Lost:
    match value:
        case [int(sequence), int(count)]:
            return Lost(sequence, count)
    raise TraceError(f"{where}: malformed loss")


def _regions(rows: list[Any], where: str) -> tuple[Region, ...]:
    regions: list[Region] = []
    for row in rows:
        match row:
            case [int(address), int(requested), bytes(data)]:
                regions.append((address, requested, data))
            case _:
                raise TraceError(f"{where}: malformed region")
    return tuple(regions)


_STEPS: dict[int, Callable[[FrameReader], tuple[BinaryIO, str | None]]] = {0: _from_0}
