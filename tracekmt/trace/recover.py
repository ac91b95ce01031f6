"""A sealed trace of what a damaged or unfinished one still holds."""

from __future__ import annotations

from pathlib import Path

from tracekmt.errors import TraceError
from tracekmt.trace.copy import UNFINISHED, open_copy
from tracekmt.trace.events import Enter
from tracekmt.trace.reader import Trace


def recover(source: Path, to: Path, *, force: bool = False) -> tuple[int, str | None]:
    """Write every whole frame's calls to another trace, with a new index; how many calls those are, and what was wrong,
    None where nothing was. The new trace says so too.

    What stands behind a damaged frame is not read. UsageError where the two are one file or the other one exists,
    TraceError where nothing can be read.
    """
    with Trace(source, rebuild=True) as trace:
        wrong = trace.torn or (None if trace.ended is not None else UNFINISHED)
        writer = open_copy(trace, to, force=force)
        try:
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
