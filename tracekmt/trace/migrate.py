"""Older formats, each made into the next one; the reader reads the newest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from tracekmt.errors import TraceError
from tracekmt.trace.events import Enter, Leave, Lost, Region
from tracekmt.trace.frames import FrameKind, FrameReader
from tracekmt.trace.metadata import TemporaryTrace


def upgrade(frames: FrameReader) -> tuple[BinaryIO, str | None]:
    """The trace as the newest format has it, in a file without a name, and what is wrong at the end of the old one."""
    return _STEPS[frames.version](frames)


def _from_0(frames: FrameReader) -> tuple[BinaryIO, str | None]:
    """Format 0 had a frame for every event."""
    copy = TemporaryTrace(frames.path)
    for offset, kind, value in frames.scan():
        if copy.copy_metadata(offset, kind, value):
            continue
        where, writer = f"{frames.path}: byte {offset}", copy.writer
        match kind:
            case FrameKind.ENTER:
                enter = _enter_from(value, where)
                if enter.spec_id not in copy.metadata.specs:
                    raise TraceError(
                        f"{where}: an event names the call {enter.spec_id}, which is not described before it"
                    )
                writer.events([enter], flush=False)
            case FrameKind.LEAVE:
                writer.events([_leave_from(value, where)], flush=False)
            case FrameKind.LOST:
                writer.events([_lost_from(value, where)], flush=False)
            case FrameKind.END:
                writer.end(str(value.get("how")) if isinstance(value, dict) else "")
                break
    if frames.torn and not copy.metadata.has_header:
        raise TraceError(frames.torn)
    return copy.finish(), frames.torn


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
