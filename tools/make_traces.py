"""Record the sample traces anew: python tools/make_traces.py (Linux, x86-64).

They are recorded live like any other; only the paths of modules are taken out of them, which name the machine.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from tracekmt.record.session import Recording
from tracekmt.trace.reader import Trace
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
    with Trace(raw) as trace:
        writer = Writer(output, trace.header, force=True)
        for number, call in trace.described.items():
            writer.describe(number, call)
        callers = [call.enter.caller for call in trace.calls()]
        for module in trace.modules:
            if any(module.base <= caller < module.base + module.size for caller in callers):
                writer.module(dataclasses.replace(module, path=module.name))
        for index, left in trace.timeline():
            traced = trace[index]
            event = traced.leave if left else traced.enter
            assert event is not None
            writer.events([event], flush=False)
        writer.end(trace.ended or "")
        writer.close()


if __name__ == "__main__":
    for name, scenarios in PROGRAMS.items():
        record(TRACES / name, scenarios)
