"""Two traces side by side: which call of one is which of the other, and where their outcomes differ."""

from __future__ import annotations

import typing
from array import array
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tracekmt.differ.compare import Comparison, Entered, Outcome, finding_at
from tracekmt.differ.fast_path import same_spec, unchanged_except_bound_values
from tracekmt.findings import Finding, Report
from tracekmt.objects.lifetimes import iter_handles
from tracekmt.spec.types import Kind
from tracekmt.trace.reader import Trace, TracedCall

LOOK_AHEAD = 64
"""Calls of a thread within which two traces are brought together again."""

BEGINNING = 64
"""Calls by which a thread is known again in another trace."""

SPARSE, SPARSE_LEAST = 16, 1 << 20
"""An index this many times the number of calls, and more, is one of few calls with gaps between them."""

Pairs = typing.Union["array[int]", "defaultdict[int, int]"]
NONE = -1
"""In place of the index of a call's counterpart: it has none."""


def diff_traces(a: Path, b: Path) -> Report:
    """Compare the outcomes of two traces."""
    report = Report(names=(str(a), str(b)))
    with Trace(a) as mine, Trace(b) as theirs:
        report.calls.lost = mine.lost + theirs.lost
        for trace in (mine, theirs):
            report.notes += [trace.warning] if trace.warning else []
        pairs, extra = align(mine, theirs)
        _compare(mine, theirs, pairs, report)
        report.findings += [_unpaired("extra", theirs[index]) for index in sorted(extra)]
    return report


def align(mine: Trace, theirs: Trace) -> tuple[Pairs, list[int]]:
    """For every call of one trace, by its index, that of its counterpart in the other, and the calls of the other that
    are none's. Some bytes a call are all that a comparison keeps of those that it is not at. Within a thread calls
    follow each other in the same order; see `_pair_threads` for which thread is which."""
    numbers: dict[str, int] = {}
    left, right = (_by_thread(trace, numbers) for trace in (mine, theirs))
    pairs = _room(max((thread.calls[-1] for thread in left), default=0), sum(len(thread.calls) for thread in left))
    extra: list[int] = []
    for one, other in _pair_threads(left, right):
        taken = bytearray(len(other.calls))
        for index, place in _align_thread(one, other):
            if place is not None:
                pairs[index] = other.calls[place]
                taken[place] = 1
        extra += [call for call, used in zip(other.calls, taken, strict=True) if not used]
    return pairs, extra


def _room(last: int, count: int) -> Pairs:
    """Room for so many calls, the last with that index: a part of a trace has gaps, and a damaged one any number."""
    if last > SPARSE * count + SPARSE_LEAST:
        return defaultdict(lambda: NONE)
    return array("q", [NONE]) * (last + 1)


class _Thread(NamedTuple):
    """The calls of a thread: their indexes, and numbers of their functions that both traces share."""

    calls: array[int]
    functions: array[int]

    @property
    def beginning(self) -> bytes:
        """How it begins."""
        return self.functions[:BEGINNING].tobytes()


NOBODY = _Thread(array("Q"), array("I"))


def _by_thread(trace: Trace, numbers: dict[str, int]) -> list[_Thread]:
    shared = {number: numbers.setdefault(call.name, len(numbers)) for number, call in trace.described.items()}
    return [
        _Thread(calls, array("I", map(shared.__getitem__, functions)))
        for _, (calls, functions) in sorted(trace.by_thread().items())
    ]


def _pair_threads(left: list[_Thread], right: list[_Thread]) -> Iterator[tuple[_Thread, _Thread]]:
    """Threads that begin alike are each other's, in the order of their first calls; the rest go by that order."""
    same_spec: dict[bytes, deque[int]] = defaultdict(deque)
    for number, thread in enumerate(right):
        same_spec[thread.beginning].append(number)
    found: dict[int, int] = {}
    for number, thread in enumerate(left):
        if same_spec[thread.beginning]:
            found[number] = same_spec[thread.beginning].popleft()
    others = iter([number for number in range(len(right)) if number not in set(found.values())])
    for number, thread in enumerate(left):
        partner = found[number] if number in found else next(others, None)
        yield thread, NOBODY if partner is None else right[partner]
    yield from ((NOBODY, right[number]) for number in others)


def _align_thread(left: _Thread, right: _Thread) -> Iterator[tuple[int, int | None]]:
    """Every call's index on the left, with its counterpart's place on the right."""
    i = j = 0
    while i < len(left.calls):
        if j < len(right.calls) and left.functions[i] == right.functions[j]:
            step: tuple[int, int] | None = (0, 0)
        else:
            step = _resynchronise(left.functions, right.functions, i, j)
        if step is None:
            yield left.calls[i], None
            i += 1
            continue
        for _ in range(step[0]):
            yield left.calls[i], None
            i += 1
        j += step[1]
        yield left.calls[i], j
        i, j = i + 1, j + 1


def _resynchronise(left: array[int], right: array[int], i: int, j: int) -> tuple[int, int] | None:
    """How many calls to pass over on either side until the same function is called: as few as possible."""
    for distance in range(LOOK_AHEAD):
        for skip in range(distance + 1):
            a, b = i + skip, j + distance - skip
            if a < len(left) and b < len(right) and left[a] == right[b]:
                return skip, distance - skip
    return None


def _compare(mine: Trace, theirs: Trace, pairs: Pairs, report: Report) -> None:
    comparison = Comparison(report)
    under_way: dict[int, tuple[Entered, TracedCall | None]] = {}
    for index, left in mine.timeline():
        if not left:
            partner = pairs[index]
            other = theirs[partner] if partner != NONE else None
            entered = comparison.on_enter(mine[index], _Counterpart(other).adopt)
            if other is not None:
                report.findings += _compare_handles(comparison, entered, other)
            under_way[index] = entered, other
            continue
        entered, other = under_way.pop(index)
        if other is None:
            report.findings.append(_unpaired("missing", entered.call))
        else:
            comparison.on_leave(entered, _outcome(entered.call, other))
    report.calls.in_flight = len(under_way)


def _outcome(mine: TracedCall, other: TracedCall) -> Outcome:
    """What another trace has of a call. It is decoded only where its bytes differ."""
    bound = None
    if mine.abi == other.abi and other.leave is not None and same_spec(mine.spec, other.spec):
        bound = unchanged_except_bound_values(mine, other.abi, sorted(other.leave.regions))
    return Outcome(
        other.status,
        other.spec.argument,
        other.outputs if bound is None else None,
        other.index,
        result=other.result,
        returned=other.returned,
        same=bound is not None,
        bound=bound or {},
    )


class _Counterpart:
    """Handles that are older than both traces are taken to be the ones in the same place."""

    def __init__(self, call: TracedCall | None) -> None:
        self._call = call

    def adopt(self, kind: Kind, given: dict[Kind, int]) -> int | None:
        if self._call is None:
            return None
        for leaf, other in iter_handles(self._call.bound_inputs):
            if other == kind:
                return int(leaf.value)
        return None


def _compare_handles(comparison: Comparison, entered: Entered, other: TracedCall) -> Iterator[Finding]:
    """Whether a call is made with the same objects on both sides. What the first side lacks was found before."""
    call = entered.call
    theirs = {leaf.path: leaf.value for leaf in other.bound_inputs}
    for leaf, kind in iter_handles(call.bound_inputs):
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
