"""Record, replay and compare the calls of the Windows graphics kernel thunks.

The calls here are the public Python interface; they import what they need when they are made.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tracekmt.errors import DescriptionError, Error, RecordError, TraceError, UsageError
from tracekmt.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracekmt.codec import Unreadable as Unreadable
    from tracekmt.findings import Report
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
    "create",
    "diff",
    "open",
    "replay",
]


def open(path: str | os.PathLike[str]) -> Trace:  # noqa: A001 (the name is the field's)
    """Open a trace for reading: iterate over `.calls()`, or take one by index. TraceError says what is wrong."""
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
    """Make a trace by hand: `.add(name, inputs=..., outputs=..., status=..., thread=...)` for each call.

    machine: the adapters that a replay on the simulator shall have, as `Simulator(adapters=...)` takes them under
    the key "adapters". An existing file is refused unless `force`.
    """
    from pathlib import Path

    from tracekmt.calls import CALLS
    from tracekmt.trace.builder import Builder

    return Builder(Path(path), CALLS, abi=abi, force=force, machine=machine)


def replay(trace: str | os.PathLike[str], on: Any = "simulator", **options: Any) -> Report:
    """Replay a trace on a target, a `Simulator` or "simulator", and report where its outcomes differ."""
    from tracekmt.replayer.engine import replay as replay_trace

    return replay_trace(trace, on, **options)


def diff(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> Report:
    """Compare the outcomes of two traces, call by call."""
    from pathlib import Path

    from tracekmt.differ.diff import diff_traces

    return diff_traces(Path(a), Path(b))


def __getattr__(name: str) -> Any:
    if name == "Simulator":
        from tracekmt.simulator import Simulator

        return Simulator
    if name == "Unreadable":
        from tracekmt.codec import Unreadable

        return Unreadable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
