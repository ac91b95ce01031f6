"""Record the sample traces anew: python tools/make_traces.py (Linux, x86-64).

They are recorded live like any other; only the paths of modules are taken out of them, which name the machine.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from tracekmt.record.session import Recording
from tracekmt.trace import events
from tracekmt.trace.events import enter_from, header_from, leave_from, lost_from, module_from
from tracekmt.trace.frames import FrameKind, FrameReader
from tracekmt.trace.writer import Writer

TRACES = Path(__file__).parent.parent / "traces"
PROGRAMS = {
    "demo.kmt": ["renderer", "sharer"],
    "stand-alone-allocation.kmt": ["stand-alone"],
    "preallocated-resource.kmt": ["preallocated"],
}


def record(output: Path, scenarios: list[str]) -> None:
    """Record the demonstration's program from its start to its end."""
    with tempfile.TemporaryDirectory() as scratch:
        table, raw = Path(scratch) / "thunks.json", Path(scratch) / "raw.kmt"
        recording = Recording(raw, hand_over=table)
        recording.spawn([sys.executable, "-m", "tracekmt.demo.program", str(table), *scenarios])
        print(output.name, recording.run())
        without_paths(raw, output)


def without_paths(raw: Path, output: Path) -> None:
    """Copy a trace, its modules under their names alone and without those that no call came from."""
    with raw.open("rb") as file:
        frames = list(FrameReader(raw, file).scan())
    where = str(raw)
    header = next(header_from(value, where) for _, kind, value in frames if kind == FrameKind.HEADER)
    writer = Writer(output, header, force=True)
    callers = [enter_from(value, where).caller for _, kind, value in frames if kind == FrameKind.ENTER]
    for _, kind, value in frames:
        match kind:
            case FrameKind.CALL:
                writer.describe(*events.call_from(value, header.layout, where))
            case FrameKind.MODULE:
                module = module_from(value, where)
                if any(module.base <= caller < module.base + module.size for caller in callers):
                    writer.module(dataclasses.replace(module, path=module.name))
            case FrameKind.ENTER:
                writer.events([enter_from(value, where)])
            case FrameKind.LEAVE:
                writer.events([leave_from(value, where)])
            case FrameKind.LOST:
                writer.events([lost_from(value, where)])
            case FrameKind.END:
                writer.end(value["how"])
    writer.close()


if __name__ == "__main__":
    for name, scenarios in PROGRAMS.items():
        record(TRACES / name, scenarios)
