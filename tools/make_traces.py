"""Record the sample traces anew: python tools/make_traces.py (Linux, x86-64).

They are recorded live like any other; only the paths of modules are taken out of them, which name the machine.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from tracekmt.edit.copy import open_copy, write_copy
from tracekmt.record.session import Recording
from tracekmt.trace.reader import Trace

TRACES = Path(__file__).parent.parent / "traces"
STAND_IN = Path("/usr/lib/wsl/lib/libdxcore.so")
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


def record_driver(output: Path) -> None:
    """Record a shipping driver's program, redacted, where a stand-in for its kernel is set up."""
    program = STAND_IN.resolve().parent / "clprog"
    if not STAND_IN.is_symlink() or not program.exists():
        print(f"{output.name}: not recorded, there is no stand-in for the driver's kernel")
        return
    with tempfile.TemporaryDirectory() as scratch:
        recording = Recording(Path(scratch) / "raw.kmt", redact=True)
        recording.spawn([str(program)])
        print(output.name, recording.run())
        without_paths(Path(scratch) / "raw.kmt", output)


def without_paths(raw: Path, output: Path) -> None:
    """Copy a trace, its modules under their names alone and without those that no call came from."""
    with Trace(raw) as trace:
        settings = {name: value for name, value in trace.header.settings.items() if name not in ("spool", "recording")}
        callers = [call.enter.caller for call in trace.calls()]
        modules = [
            dataclasses.replace(module, path=module.name)
            for module in trace.modules
            if any(module.base <= caller < module.base + module.size for caller in callers)
        ]
        header = dataclasses.replace(trace.header, settings=settings)
        write_copy(trace, open_copy(trace, output, header, modules), trace.events())


if __name__ == "__main__":
    for name, scenarios in PROGRAMS.items():
        record(TRACES / name, scenarios)
    record_driver(TRACES / "intel-opencl.kmt")
