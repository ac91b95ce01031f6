"""A sealed trace of what a damaged or unfinished one still holds."""

from __future__ import annotations

from pathlib import Path

from tracekmt.errors import TraceError, UsageError
from tracekmt.trace.events import Enter
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

UNFINISHED = "the recording did not finish"


def recover(source: Path, to: Path, *, force: bool = False) -> tuple[int, str | None]:
    """Write every whole frame's calls to another trace, with a new index; how many calls those are, and what was wrong,
    None where nothing was. The new trace says so too.

    What stands behind a damaged frame is not read. UsageError where the two are one file or the other one exists,
    TraceError where nothing can be read.
    """
    with Trace(source, rebuild=True) as trace:
        if to.exists() and to.samefile(source):
            raise UsageError(f"{to}: is the trace itself; give another name")
        wrong = trace.torn or (None if trace.ended is not None else UNFINISHED)
        writer = Writer(to, trace.header, force=force)
        try:
            for number, call in trace.described.items():
                writer.describe(number, call)
            for module in trace.modules:
                writer.module(module)
            writer.threads(trace.threads)
            calls = 0
            try:
                for event in trace.events():
                    writer.events([event], flush=False)
                    calls += isinstance(event, Enter)
            except TraceError as error:
                wrong = str(error)
            writer.end(trace.ended or "recovered", wrong)
        finally:
            writer.close()
        return calls, wrong
