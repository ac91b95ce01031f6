"""Reduces a trace step by step, and keeps the smallest one so far in a file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tracekmt.edit.copy import refuse_output, replace_on_success
from tracekmt.minimize.calls import remove_calls, select_calls
from tracekmt.minimize.goal import Goal
from tracekmt.minimize.values import simplify_values
from tracekmt.trace.reader import Trace

ROUNDS = 5
"""Limit of rounds. Smaller values may make further calls unnecessary."""

Progress = Callable[[int, int, int], None]
"""Receives the number of tries, and the calls and the bytes of the smallest trace so far."""


@dataclass
class Result:
    """Outcome of a reduction.

    Attributes:
        calls_before: Number of calls in the original trace.
        calls: Number of calls that are left.
        size_before: Size of the original file in bytes.
        size: Size of the new file.
        tries: Number of candidates that were tried.
        interrupted: True if the user ended the reduction.
        keeps_values: True if no value could be simplified: the trace loses the goal when it is written from values.
    """

    calls_before: int
    calls: int
    size_before: int
    size: int
    tries: int = 0
    interrupted: bool = False
    keeps_values: bool = False


class _Smallest:
    """The smallest trace so far, and a place for candidates."""

    def __init__(self, folder: Path, source: Path, goal: Goal, on_progress: Progress) -> None:
        self.path, self.candidate = folder / "smallest.kmt", folder / "candidate.kmt"
        self._goal, self._on_progress = goal, on_progress
        self.tries = 0
        shutil.copyfile(source, self.path)
        self.calls = _count_calls(self.path)

    def keep(self, candidate: Path) -> bool:
        """Try a candidate. One with the goal becomes the smallest trace."""
        self.tries += 1
        holds = self._goal.holds(candidate)
        if holds:
            shutil.copyfile(candidate, self.path)
            self.calls = _count_calls(self.path)
        self._on_progress(self.tries, self.calls, self.path.stat().st_size)
        return holds


def minimize(
    source: Path,
    to: Path,
    goal: Goal,
    *,
    force: bool = False,
    on_progress: Progress = lambda tries, calls, size: None,
) -> Result:
    """Write the smallest trace that still has a goal. Ctrl-C writes the smallest one so far.

    Calls are removed first, halves of them before single ones, each with the calls that depend on it. Then their values
    become simpler. Each step is tried, and only a trace with the goal is kept.

    Args:
        source: The trace. It has the goal.
        to: The new trace.
        goal: What the trace must still show.
        force: Overwrite an existing file.
        on_progress: Called after each try.

    Raises:
        UsageError: `to` is the source, or it exists and `force` is false.
        TraceError: The trace cannot be read.
    """
    refuse_output(source, to, force=force)
    result = Result(_count_calls(source), 0, source.stat().st_size, 0)
    with TemporaryDirectory(prefix="tracekmt-") as folder:
        smallest = _Smallest(Path(folder), source, goal, on_progress)
        try:
            _reduce(source, smallest, goal, result)
        except KeyboardInterrupt:
            result.interrupted = True
        with replace_on_success(to) as part:
            shutil.copyfile(smallest.path, part)
        result.tries, result.calls, result.size = smallest.tries, smallest.calls, to.stat().st_size
    return result


def _reduce(source: Path, smallest: _Smallest, goal: Goal, result: Result) -> None:
    current = smallest.path.with_name("current.kmt")
    select_calls(source, smallest.candidate, smallest.keep, goal.index)
    for _ in range(ROUNDS):
        before = smallest.path.read_bytes()
        while True:
            shutil.copyfile(smallest.path, current)
            if not remove_calls(current, smallest.candidate, smallest.keep):
                break
        shutil.copyfile(smallest.path, current)
        result.keeps_values = not simplify_values(current, smallest.candidate, smallest.keep)
        if smallest.path.read_bytes() == before or result.keeps_values:
            break


def _count_calls(path: Path) -> int:
    with Trace(path) as trace:
        return len(trace)
