"""Record, replay and compare the calls of the Windows graphics kernel thunks (D3DKMT).

This module is the public Python interface. Its functions import their dependencies when they are called.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from tracekmt.errors import DescriptionError, Error, RecordError, TraceError, UsageError
from tracekmt.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracekmt.codec import Unreadable as Unreadable
    from tracekmt.findings import Finding, Report
    from tracekmt.record.limits import Progress
    from tracekmt.simulator import Simulator as Simulator
    from tracekmt.trace.builder import Builder
    from tracekmt.trace.reader import Trace

__version__ = VERSION
__all__ = [
    "DescriptionError",
    "Error",
    "RecordError",
    "Simulator",
    "TraceError",
    "Unreadable",
    "UsageError",
    "__version__",
    "check",
    "create",
    "diff",
    "open",
    "recording",
    "replay",
]


def open(path: str | os.PathLike[str]) -> Trace:  # noqa: A001 (named like the builtin on purpose)
    """Open a trace for reading. `calls()` of the trace iterates over its calls, and `trace[17]` is one of them.

    Args:
        path: The trace.

    Returns:
        The trace, which is a context manager. Calls are decoded on demand.

    Raises:
        TraceError: The file is not a readable trace.
    """
    from pathlib import Path

    from tracekmt.trace.reader import Trace

    return Trace(Path(path))


def create(
    path: str | os.PathLike[str],
    abi: str = "x64",
    *,
    force: bool = False,
    machine: Mapping[str, Any] | None = None,
) -> Builder:
    """Create a trace by hand. `add()` of the builder appends a call.

    Args:
        path: The file to create.
        abi: ABI of the process, x64 or x86.
        force: Overwrite an existing file.
        machine: Machine of a replay on the simulator. Its key "adapters" has the value of `Simulator(adapters=...)`.

    Returns:
        The builder, which is a context manager.

    Raises:
        UsageError: An argument is invalid, or the file exists or cannot be created.
    """
    from pathlib import Path

    from tracekmt.calls import BY_NAME
    from tracekmt.trace.builder import Builder

    return Builder(Path(path), BY_NAME, abi=abi, force=force, machine=machine)


@contextlib.contextmanager
def recording(
    path: str | os.PathLike[str],
    *,
    module: str | Sequence[str] = (),
    functions: str | Sequence[str] = (),
    thunks: str | os.PathLike[str] | None = None,
    force: bool = False,
    redact: bool = False,
    spool: str | os.PathLike[str] | None = None,
    inject: Sequence[str] = (),
    simulator: Simulator | None = None,
) -> Iterator[Progress]:
    """Record the calls of this process while a with statement runs. Its exit ends the recording, too.

    Every thread of the process is recorded. Calls of a forked child are not.

    Args:
        path: The trace to write.
        module: Libraries whose exports are hooked, whenever they are loaded. Empty: the system's thunks.
        functions: Patterns of the functions to hook. Empty: all.
        thunks: File in which the program offers the addresses of its functions, instead of exporting them.
        force: Overwrite an existing file.
        redact: Keep names, paths and private data out of the trace.
        spool: Folder of the buffer, None for the default.
        inject: Failures to inject, such as "CreateAllocation2@10=STATUS_NO_MEMORY".
        simulator: A simulator that answers the calls instead of the hooked functions.

    Yields:
        Counters that are updated while the program runs.

    Raises:
        UsageError: An argument is invalid, the file exists, or this process is recorded already.
        RecordError: The hooks cannot be placed, or the trace cannot be written.
    """
    from tracekmt import record
    from tracekmt.record import own_process

    answerer = None
    if simulator is not None:
        from tracekmt.run.own_process import OwnProcessAnswerer

        answerer = OwnProcessAnswerer(simulator)
    progress = record.start(
        path,
        module=module,
        functions=functions,
        thunks=thunks,
        force=force,
        redact=redact,
        spool=spool,
        inject=inject,
        answerer=answerer,
    )
    try:
        yield progress
    finally:
        own_process.stop_if_running(progress)


def replay(trace: str | os.PathLike[str], on: Any = "simulator", **options: Any) -> Report:
    """Replay a trace on a target and compare the outcomes.

    Args:
        trace: The trace.
        on: The target: "simulator", a `Simulator`, "thunks" (the thunks of this system) or "thunks:PATH" (a library
            that exports thunks).
        options: Options of the replay and settings of the target. Every target accepts `output` (file for a trace of
            the calls that were sent and their outcomes) and `force` (overwrite `output`). "simulator" also accepts
            `profile`, `video_memory`, `system_memory` and `faults`.

    Returns:
        The report, with a finding for each difference.

    Raises:
        UsageError: The target or an option is invalid.
        TraceError: The trace cannot be read.
    """
    from tracekmt.replayer.engine import replay as replay_trace

    return replay_trace(trace, on, **options)


def check(path: str | os.PathLike[str]) -> list[Finding]:
    """Find misuse of the interface that a trace shows by itself.

    Args:
        path: The trace.

    Returns:
        The findings in the order of the calls. Each has a `rule`, a `message`, and the `object` if there is one.

    Raises:
        TraceError: The trace cannot be read.
    """
    from pathlib import Path

    from tracekmt.checker.check import check_trace

    return check_trace(Path(path)).findings


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    again: Sequence[str | os.PathLike[str]] = (),
    outcomes_only: bool = False,
) -> Report:
    """Compare two traces, call by call.

    Args:
        a: The first trace, called A in the report.
        b: The second trace, called B in the report.
        again: Other runs of the two sides, in any order. What varies between the runs of a side does not count.
        outcomes_only: Compare what the calls returned, and not what the program asked for.

    Returns:
        The report, with a finding for each difference.

    Raises:
        TraceError: A trace cannot be read.
    """
    from pathlib import Path

    from tracekmt.differ.diff import diff_traces

    return diff_traces(Path(a), Path(b), again=list(map(Path, again)), outcomes_only=outcomes_only)


def __getattr__(name: str) -> Any:
    if name == "record":
        import importlib

        return importlib.import_module("tracekmt.record")
    if name == "Simulator":
        from tracekmt.simulator import Simulator

        return Simulator
    if name == "Unreadable":
        from tracekmt.codec import Unreadable

        return Unreadable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
