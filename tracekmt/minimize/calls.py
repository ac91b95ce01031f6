"""Removal of calls, each with the calls that depend on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from tracekmt.edit.trim import Dependencies, find_dependencies, write_calls
from tracekmt.minimize.ddmin import ddmin
from tracekmt.trace.reader import Trace

Keep = Callable[[Path], bool]
"""Tries a candidate. If it has the goal, the candidate becomes the smallest trace so far."""


def select_calls(source: Path, candidate: Path, keep: Keep, index: int | None) -> None:
    """Find the calls that matter in a whole trace.

    The call with the goal and its dependencies are tried first. If other calls matter as well, halves of them are.

    Args:
        source: The trace.
        candidate: Path for candidates.
        keep: Tries a candidate.
        index: Index of the call that shows the goal, None if it is unknown.
    """
    with Trace(source) as trace:
        last = len(trace) and max(position for position, _ in trace.spec_ids())
        last = last if index is None else index
        dependencies = find_dependencies(trace, last)
        must = set() if index is None else {index}

        def holds(calls: list[int]) -> bool:
            write_calls(trace, dependencies.closure({*calls, *must}), candidate)
            return keep(candidate)

        if must and holds([]):
            return
        before = [position for position, _ in trace.spec_ids() if position <= last and position not in must]
        if holds(before):
            ddmin(before, holds)


def remove_calls(source: Path, candidate: Path, keep: Keep) -> bool:
    """Remove single calls of a small trace, from the last to the first. Return True if one was removed."""
    with Trace(source) as trace:
        indexes = [index for index, _ in trace.spec_ids()]
        dependents = _dependents(find_dependencies(trace, max(indexes)), indexes)
        left = set(indexes)
        for index in reversed(indexes):
            smaller = left - dependents[index] - {index}
            if index not in left or not smaller:
                continue
            write_calls(trace, smaller, candidate)
            if keep(candidate):
                left = smaller
    return len(left) < len(indexes)


def _dependents(dependencies: Dependencies, indexes: list[int]) -> dict[int, set[int]]:
    """Return the calls that depend on each call, directly or not."""
    dependents: dict[int, set[int]] = defaultdict(set)
    for index in reversed(indexes):
        for needed in dependencies.of(index):
            dependents[needed] |= {index, *dependents[index]}
    return dependents
