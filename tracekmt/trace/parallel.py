"""Work on the calls of a long trace in several processes. The results come in the order of the calls."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tracekmt.budgets import BUDGETS, Budgets, set_budgets
from tracekmt.errors import Error, TraceError
from tracekmt.trace.reader import Trace

SMALL_FILE, FEW_CALLS = 1 << 20, 10_000
"""Size in bytes and number of calls below which one process is used by default. Several take half a second to start."""

MakeLines = Callable[..., Iterable[str]]
"""Makes the lines of a range of calls. Arguments: the trace, the first and the last index, and others that can be
pickled. It is a function of a module."""

_open_traces: dict[Path, Trace] = {}
"""The trace of a worker process."""


def lines_of_calls(
    trace: Trace,
    make_lines: MakeLines,
    *arguments: Any,
    first: int = 0,
    last: int | None = None,
    jobs: int | None = None,
) -> Iterator[str]:
    """Yield lines about calls, in the order of the calls.

    Args:
        trace: The trace. Worker processes open its file again.
        make_lines: Makes the lines of a range of calls.
        arguments: Its further arguments.
        first: Lowest index.
        last: Highest index, None for all later calls.
        jobs: Number of processes. None: one for a small file and on Windows, otherwise one for each processor.

    Raises:
        TraceError: The trace is damaged, or a worker process was killed. The lines before that were yielded.
    """
    ranges = list(trace.ranges(first, last)) if trace.path.is_file() else []
    if jobs is None:
        # Python's process pools hang in a Windows Python under Wine 8, and were not tried on Microsoft's Windows.
        is_small = trace.file_size < SMALL_FILE or len(trace) < FEW_CALLS
        jobs = 1 if is_small or sys.platform == "win32" else os.cpu_count() or 1
    if min(jobs, len(ranges)) <= 1:
        yield from make_lines(trace, first, last, *arguments)
        return
    pool = ProcessPoolExecutor(min(jobs, len(ranges)), initializer=_begin, initargs=(BUDGETS,))
    waiting: deque[Future[tuple[list[str], Error | None]]] = deque()
    try:
        for first_call, last_call in ranges:
            waiting.append(pool.submit(_make, trace.path, make_lines, first_call, last_call, arguments))
            if len(waiting) > 2 * jobs:
                yield from _lines(waiting.popleft())
        while waiting:
            yield from _lines(waiting.popleft())
    except BrokenProcessPool:
        raise TraceError(f"cannot read {trace.path}: a process of tracekmt was killed (try --jobs 1)") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(budgets: Budgets) -> None:
    """Prepare a worker process. Ctrl-C ends the main process, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_budgets(budgets)


def _make(
    path: Path, make_lines: MakeLines, first: int, last: int, arguments: tuple[Any, ...]
) -> tuple[list[str], Error | None]:
    """Return the lines of a range of calls up to an error, and the error."""
    lines: list[str] = []
    try:
        if path not in _open_traces:
            _open_traces[path] = Trace(path)
        lines.extend(make_lines(_open_traces[path], first, last, *arguments))
    except Error as error:
        return lines, error
    return lines, None


def _lines(result: Future[tuple[list[str], Error | None]]) -> Iterator[str]:
    lines, error = result.result()
    yield from lines
    if error is not None:
        raise error
