"""Work on a long trace in several processes. The results do not depend on their number."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar, cast

from tracekmt.budgets import BUDGETS, Budgets, set_budgets
from tracekmt.errors import Error, TraceError
from tracekmt.trace.reader import Trace

_T = TypeVar("_T")

SMALL_FILE, FEW_CALLS = 1 << 20, 10_000
"""Size in bytes and number of calls below which one process is used by default. Several take half a second to start."""

Make = Callable[..., Iterable[_T]]
"""Makes the results of a range of calls. Arguments: the trace, the first and the last index, and others that can be
pickled. It is a function of a module. The results, such as lines, can be pickled."""

_open_traces: dict[Path, Trace] = {}
"""The trace of a worker process."""


def results_of_calls(
    trace: Trace,
    make: Make[_T],
    *arguments: Any,
    first: int = 0,
    last: int | None = None,
    jobs: int | None = None,
) -> Iterator[_T]:
    """Yield results about calls, in the order of the calls.

    Args:
        trace: The trace. Worker processes open its file again.
        make: Makes the results of a range of calls.
        arguments: Its further arguments.
        first: Lowest index.
        last: Highest index, None for all later calls.
        jobs: Number of processes. None: one for a small file and on Windows, otherwise one for each processor.

    Raises:
        TraceError: The trace is damaged, or a worker process was killed. The results before that were yielded.
    """
    ranges = list(trace.ranges(first, last)) if trace.path.is_file() else []
    jobs = number_of_jobs(jobs, trace)
    if min(jobs, len(ranges)) <= 1:
        yield from make(trace, first, last, *arguments)
        return
    pool = ProcessPoolExecutor(min(jobs, len(ranges)), initializer=_begin, initargs=(BUDGETS,))
    waiting: deque[Future[tuple[list[_T], Error | None]]] = deque()
    try:
        for first_call, last_call in ranges:
            waiting.append(pool.submit(_make, trace.path, make, first_call, last_call, arguments))
            if len(waiting) > 2 * jobs:
                yield from _results(waiting.popleft())
        while waiting:
            yield from _results(waiting.popleft())
    except BrokenProcessPool:
        raise TraceError(f"cannot read {trace.path}: a process of tracekmt was killed (try --jobs 1)") from None
    finally:
        pool.shutdown(cancel_futures=True)


def number_of_jobs(jobs: int | None, *traces: Trace) -> int:
    """Return the number of processes for work on traces.

    Args:
        jobs: The number that the user wants. None: one for small files and on Windows, else one for each processor.
        traces: The traces. One that is not a regular file cannot be read again.
    """
    if not all(trace.path.is_file() for trace in traces):
        return 1
    if jobs is not None:
        return jobs
    # Python's process pools hang in a Windows Python under Wine 8, and were not tried on Microsoft's Windows.
    is_small = all(trace.file_size < SMALL_FILE or len(trace) < FEW_CALLS for trace in traces)
    return 1 if is_small or sys.platform == "win32" else os.cpu_count() or 1


@contextmanager
def second_process(jobs: int, work: Callable[..., _T], *arguments: Any) -> Iterator[Callable[[], _T]]:
    """Call a function in a second process, while this one goes on.

    The second process is a copy of this one, so that hashes are equal in both. It ends with the context.

    Args:
        jobs: Number of processes. With one, the function is called here, when its result is asked for.
        work: The function. Its result must be picklable.
        arguments: Its arguments.

    Yields:
        A function that waits for the result. It raises the error of `work`, and a TraceError if the process was killed.
    """
    if sys.platform == "win32" or jobs <= 1:  # Windows has no copies of processes
        yield lambda: work(*arguments)
        return
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, work, arguments), daemon=True)
    process.start()
    sender.close()

    def result() -> _T:
        try:
            value, error = receiver.recv()
        except (EOFError, OSError):  # before its result, or in the middle of it
            raise TraceError("cannot finish: a process of tracekmt was killed (try --jobs 1)") from None
        if error is not None:
            raise error
        return cast("_T", value)

    try:
        yield result
    finally:
        receiver.close()
        process.kill()
        process.join()


def _send(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Send the result of a function, or its error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sender.send((work(*arguments), None))
    except Error as error:
        sender.send((None, error))


def _begin(budgets: Budgets) -> None:
    """Prepare a worker process. Ctrl-C ends the main process, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_budgets(budgets)


def _make(
    path: Path, make: Make[_T], first: int, last: int, arguments: tuple[Any, ...]
) -> tuple[list[_T], Error | None]:
    """Return the results of a range of calls up to an error, and the error."""
    results: list[_T] = []
    try:
        if path not in _open_traces:
            _open_traces[path] = Trace(path)
        results.extend(make(_open_traces[path], first, last, *arguments))
    except Error as error:
        return results, error
    return results, None


def _results(future: Future[tuple[list[_T], Error | None]]) -> Iterator[_T]:
    results, error = future.result()
    yield from results
    if error is not None:
        raise error
