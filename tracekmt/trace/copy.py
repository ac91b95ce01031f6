"""Writing a trace again: with a new index, without some of its calls, or with something taken out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tracekmt.errors import UsageError
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

UNFINISHED = "the recording did not finish"


def refuse_output(source: Path, to: Path, *, force: bool) -> None:
    """UsageError where a file is the source itself, or exists; for before long work, too."""
    if to.exists() and source.exists() and to.samefile(source):
        raise UsageError(f"{to}: is the trace itself; give another name")
    if to.exists() and not force:
        raise UsageError(f"{to} exists already; choose another name or overwrite it with -f")


def open_copy(
    trace: Trace,
    to: Path,
    header: Header | None = None,
    modules: Iterable[Module] | None = None,
    *,
    force: bool = False,
) -> Writer:
    """A trace that begins as another does: its header and modules (or those given), descriptions and threads.
    UsageError where it cannot be written."""
    refuse_output(trace.path, to, force=force)
    writer = Writer(to, header or trace.header, force=force)
    for number, call in trace.described.items():
        writer.describe(number, call)
    for module in trace.modules if modules is None else modules:
        writer.module(module)
    writer.threads(trace.threads)
    return writer


def write_copy(trace: Trace, writer: Writer, events: Iterable[Enter | Leave | Lost]) -> None:
    """Append events, end as the trace ended, and close."""
    try:
        for event in events:
            writer.events([event], flush=False)
        if trace.ended is None:
            writer.end(UNFINISHED, trace.torn or UNFINISHED)
        else:
            writer.end(trace.ended, trace.torn)
    finally:
        writer.close()
