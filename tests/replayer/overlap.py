"""Traces with calls that overlap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tracekmt.trace.events import Enter, Leave
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer


def overlap_call(path: Path, waits: int) -> Path:
    """Copy a trace, with the leave event of call `waits` after that of the next call."""
    copy = path.with_name(f"overlapping-{path.name}")
    with Trace(path) as trace:
        writer = Writer(copy, trace.header)
        for spec_id, spec in trace.specs.items():
            writer.describe(spec_id, spec)
        events = [event for event in trace.events() if isinstance(event, (Enter, Leave))]
        at = 2 * waits + 1
        events[at], events[at + 1], events[at + 2] = events[at + 1], events[at + 2], events[at]
        positions = {event.sequence: position for position, event in enumerate(events)}
        for position, event in enumerate(events):
            copied = replace(event, enter=positions[event.enter]) if isinstance(event, Leave) else event
            writer.events([replace(copied, sequence=position, time=1000 * position)], flush=False)
        writer.end("handmade", None)
        writer.close()
    return copy
