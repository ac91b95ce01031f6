"""Writing a trace again: with a new index, without some of its calls, or with something taken out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracekmt.errors import UsageError
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer, refuse_existing

UNFINISHED = "the recording did not finish"


@contextmanager
def replacing(to: Path) -> Iterator[Path]:
    """A file to write in place of another, which it takes the place of when it is whole; on an error it is gone, and
    the other one as it was."""
    if to.exists() and not to.is_file():
        yield to
        return
    part = to.with_name(f"{to.name}.part")
    try:
        yield part
        os.replace(part, to)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def refuse_output(source: Path, to: Path, *, force: bool) -> None:
    """UsageError where a file is the source itself, or exists; for before long work, too."""
    if to.exists() and source.exists() and to.samefile(source):
        raise UsageError(f"{to}: is the trace itself; give another name")
    refuse_existing(to, force=force)


def open_copy(
    trace: Trace,
    to: Path,
    header: Header | None = None,
    modules: Iterable[Module] | None = None,
) -> Writer:
    """A trace that begins as another does: its header and modules (or those given), descriptions and threads.
    UsageError where it cannot be written."""
    writer = Writer(to, header or trace.header, force=True)
    for number, call in trace.described.items():
        writer.describe(number, call)
    for module in trace.modules if modules is None else modules:
        writer.module(module)
    writer.threads(trace.threads)
    return writer


def write_copy(
    trace: Trace,
    writer: Writer,
    events: Iterable[Enter | Leave | Lost],
    said: Callable[[str], str] = lambda text: text,
) -> None:
    """Append events, end as the trace ended, and close. said: what becomes of the words about its end."""
    try:
        for event in events:
            writer.events([event], flush=False)
        torn = None if trace.torn is None else said(trace.torn)
        if trace.ended is None:
            writer.end(UNFINISHED, torn or UNFINISHED)
        else:
            writer.end(said(trace.ended), torn)
    finally:
        writer.close()
