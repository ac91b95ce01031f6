"""Two traces side by side: which call of one is which of the other, and where their outcomes differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tracekmt.codec import leaves
from tracekmt.differ.compare import Comparison, Entered, Outcome, finding_at
from tracekmt.lifetimes import handles_in
from tracekmt.report.findings import Finding, Report
from tracekmt.spec.types import Kind
from tracekmt.trace.reader import Trace, TracedCall

LOOK_AHEAD = 64
"""Calls of a thread within which two traces are brought together again."""

Pairs = dict[int, int | None]


def compare_traces(a: Path, b: Path) -> Report:
    """Compare the outcomes of two traces."""
    report = Report(names=(str(a), str(b)))
    with Trace(a) as mine, Trace(b) as theirs:
        report.calls.lost = mine.lost + theirs.lost
        for trace in (mine, theirs):
            report.notes += [trace.warning] if trace.warning else []
        pairs = align(mine, theirs)
        _compare(mine, theirs, pairs, report)
        taken = set(pairs.values())
        for call in theirs.calls():
            if call.index not in taken:
                report.findings.append(_unpaired("extra", call))
    return report


def align(mine: Trace, theirs: Trace) -> Pairs:
    """For every call of one trace its counterpart in the other, None where it has none. Threads go by their number;
    within a thread calls follow each other in the same order."""
    pairs: Pairs = {}
    threads = zip_longest(*(_by_thread(trace) for trace in (mine, theirs)), fillvalue=[])
    for left, right in threads:
        pairs.update(_align_thread(left, right))
    return pairs


def _by_thread(trace: Trace) -> list[list[tuple[int, str]]]:
    threads: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for call in trace.calls():
        threads[call.thread].append((call.index, call.name))
    return [threads[number] for number in sorted(threads)]


def _align_thread(left: list[tuple[int, str]], right: list[tuple[int, str]]) -> Iterator[tuple[int, int | None]]:
    i = j = 0
    while i < len(left):
        step = _resynchronise(left, right, i, j)
        if step is None:
            yield left[i][0], None
            i += 1
            continue
        for _ in range(step[0]):
            yield left[i][0], None
            i += 1
        j += step[1]
        yield left[i][0], right[j][0]
        i, j = i + 1, j + 1


def _resynchronise(left: list[tuple[int, str]], right: list[tuple[int, str]], i: int, j: int) -> tuple[int, int] | None:
    """How many calls to pass over on either side until the same function is called: as few as possible."""
    for distance in range(LOOK_AHEAD):
        for skip in range(distance + 1):
            a, b = i + skip, j + distance - skip
            if a < len(left) and b < len(right) and left[a][1] == right[b][1]:
                return skip, distance - skip
    return None


def _compare(mine: Trace, theirs: Trace, pairs: Pairs, report: Report) -> None:
    comparison = Comparison(report)
    under_way: dict[int, Entered] = {}
    for index, left in mine.timeline():
        partner = pairs[index]
        if not left:
            call = mine[index]
            other = theirs[partner] if partner is not None else None
            under_way[index] = comparison.enter(call, _Counterpart(other).adopt)
            if other is not None:
                report.findings += _compare_handles(comparison, under_way[index], other)
            continue
        entered = under_way.pop(index)
        if partner is None:
            report.findings.append(_unpaired("missing", entered.call))
            continue
        other = theirs[partner]
        comparison.leave(entered, _outcome(other))
    report.calls.in_flight = len(under_way)


def _outcome(call: TracedCall) -> Outcome:
    return Outcome(
        call.status, call.call.argument, call.outputs, call.index, result=call.result, returned=call.returned
    )


class _Counterpart:
    """Handles that are older than both traces are taken to be the ones in the same place."""

    def __init__(self, call: TracedCall | None) -> None:
        self._call = call

    def adopt(self, kind: Kind, given: dict[Kind, int]) -> int | None:
        if self._call is None:
            return None
        for leaf, other in handles_in(leaves(self._call.call.argument, self._call.inputs)):
            if other == kind:
                return int(leaf.value)
        return None


def _compare_handles(comparison: Comparison, entered: Entered, other: TracedCall) -> Iterator[Finding]:
    """Whether a call is made with the same objects on both sides. What the first side lacks was found before."""
    call = entered.call
    theirs = {leaf.path: leaf.value for leaf in leaves(other.call.argument, other.inputs)}
    for leaf, kind in handles_in(leaves(call.call.argument, call.inputs)):
        if leaf.field.direction == "out" or leaf.path not in theirs:
            continue
        mine = comparison.bindings.find(kind, leaf.value)
        value = theirs[leaf.path]
        if mine is None or mine.live is None or mine.live == value:
            continue
        found = comparison.bindings.handles.find_live(kind, value)
        said = str(found) if found else "live" if value else "null"
        finding = finding_at(call, other.index, "handle", leaf, (str(mine), said), f"{leaf.path} is another object")
        yield replace(finding, cause=entered.cause)


def _unpaired(sort: Any, call: TracedCall) -> Finding:
    where = "is missing in the second" if sort == "missing" else "is only in the second"
    return Finding(
        kind=sort,
        call=call.name,
        index=call.index if sort == "missing" else None,
        other_index=call.index if sort == "extra" else None,
        thread=call.thread,
        recorded=call.status.name if sort == "missing" and call.status is not None else None,
        replayed=call.status.name if sort == "extra" and call.status is not None else None,
        message=f"the call {where} trace",
    )
