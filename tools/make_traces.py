"""Record the sample traces: python tools/make_traces.py (Linux, x86-64).

They are live recordings. Only the paths of modules are removed, because they name the machine.
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
SUBSTITUTE = Path("/usr/lib/wsl/lib/libdxcore.so")
PROGRAMS = {
    "demo.kmt": ["renderer", "sharer"],
    "stand-alone-allocation.kmt": ["stand-alone"],
    "preallocated-resource.kmt": ["preallocated"],
}


def record(output: Path, scenarios: list[str]) -> None:
    """Record the demo program from its start to its exit."""
    with tempfile.TemporaryDirectory() as scratch:
        functions, raw = Path(scratch) / "thunks.json", Path(scratch) / "raw.kmt"
        recording = Recording(raw, hand_over=functions)
        recording.spawn([sys.executable, "-m", "tracekmt.demo.program", str(functions), *scenarios])
        print(output.name, recording.run())
        without_paths(raw, output)


def record_driver(output: Path) -> None:
    """Record a program of a shipping driver, redacted, if a substitute for the driver's kernel is installed."""
    program = SUBSTITUTE.resolve().parent / "clprog"
    if not SUBSTITUTE.is_symlink() or not program.exists():
        print(f"{output.name}: not recorded (no substitute for the driver's kernel is installed)")
        return
    with tempfile.TemporaryDirectory() as scratch:
        recording = Recording(Path(scratch) / "raw.kmt", redact=True)
        recording.spawn([str(program)])
        print(output.name, recording.run())
        without_paths(Path(scratch) / "raw.kmt", output)


def without_paths(raw: Path, output: Path) -> None:
    """Copy a trace without the paths of its modules, and without the modules that have no caller."""
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
