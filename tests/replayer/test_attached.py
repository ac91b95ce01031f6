"""Recordings that begin in the middle: no call is a difference, wherever the recording begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import tracekmt
from tracekmt.resources import resource
from tracekmt.trace.events import Enter, Leave
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

STEPS = {"demo.kmt": 1, "stand-alone-allocation.kmt": 1, "preallocated-resource.kmt": 1, "intel-opencl.kmt": 12}
"""Distance between the calls at which the recordings of each sample trace begin."""


def recording_from(path: Path, first: int, copy: Path) -> Path:
    """Copy the calls of a trace from an index on. The header then has no machine."""
    with Trace(path) as trace:
        writer = Writer(copy, replace(trace.header, machine={}), force=True)
        for spec_id, spec in trace.specs.items():
            writer.describe(spec_id, spec)
        events: list[Enter | Leave] = []
        positions: dict[int, int] = {}
        count = 0
        for event in trace.events():
            if isinstance(event, Enter):
                count += 1
                if count > first:
                    positions[event.sequence] = len(events)
                    events.append(replace(event, sequence=len(events)))
            elif isinstance(event, Leave) and event.enter in positions:
                events.append(replace(event, sequence=len(events), enter=positions[event.enter]))
        writer.events(events, flush=False)
        writer.end("made by hand", None)
        writer.close()
    return copy


@pytest.mark.parametrize("name", STEPS)
def test_a_recording_from_any_call_on_has_no_differences(name: str, tmp_path: Path) -> None:
    path = resource("traces", name)
    with tracekmt.open(path) as trace:
        length = len(trace)
    for first in range(0, length, STEPS[name]):
        report = tracekmt.replay(recording_from(path, first, tmp_path / "t.kmt"))
        assert [finding for finding in report.findings if finding.counts] == [], first
        assert report.total == length - first
