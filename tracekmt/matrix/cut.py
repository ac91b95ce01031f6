"""Cuts long traces where a device ends, into parts that do not depend on each other.

A part may need earlier calls that open adapters or query them. It makes these calls again. Dependencies are those of
`tracekmt.edit.trim`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from tracekmt.calls.kinds import ADAPTER, DEVICE
from tracekmt.edit.trim import Dependencies, find_dependencies
from tracekmt.findings import Counts, Report
from tracekmt.replayer.engine import Replay, new_report
from tracekmt.replayer.select import select_target
from tracekmt.trace.reader import Trace

LONG_CALLS = 50_000
"""Number of calls from which on a trace is cut."""

PART_CALLS = 10_000
"""Number of calls that a part has at least."""


class Part(NamedTuple):
    """A part of a trace.

    Attributes:
        first: Index of its first call.
        end: Index after its last call.
        needed: Indexes of earlier calls that it makes again.
    """

    first: int
    end: int
    needed: list[int]


def find_parts(trace: Trace, least: int) -> list[Part]:
    """Return the parts of a trace, one if it cannot be cut, for example because it uses an object older than itself.

    Args:
        trace: The trace.
        least: Number of calls that a part has at least.
    """
    total = len(trace)
    dependencies = find_dependencies(trace, total - 1)
    if any(not kind.external for kind in dependencies.ambient):
        return [Part(0, total, [])]
    spec_ids = array("q", (spec_id for _, spec_id in trace.spec_ids()))
    created = {spec_id: {creates.kind for creates in spec.creates} for spec_id, spec in trace.specs.items()}
    ends = {
        destroyer + 1
        for creator, destroyer in zip(dependencies.creators, dependencies.destroyers, strict=True)
        if DEVICE in created[spec_ids[creator]]
    }
    candidates = sorted(ends & _idle_moments(trace))
    shared = _shared_calls(dependencies, [created[spec_id] <= {ADAPTER} for spec_id in spec_ids])
    allowed = _allowed(candidates, _spans(dependencies, shared, total))
    cuts = [0]
    for cut in allowed:
        if cut - cuts[-1] >= least and total - cut >= least:
            cuts.append(cut)
    needed = _needed(dependencies, cuts)
    return [Part(first, end, needed[first]) for first, end in zip(cuts, [*cuts[1:], total], strict=True)]


def _idle_moments(trace: Trace) -> set[int]:
    """Return the indexes of the calls before which no other call is in flight."""
    moments = set()
    in_flight = 0
    for index, is_leave in trace.timeline():
        if not is_leave and not in_flight:
            moments.add(index)
        in_flight += -1 if is_leave else 1
    return moments


def _shared_calls(dependencies: Dependencies, candidates: list[bool]) -> list[bool]:
    """Return for each call if parts may make it again: it creates adapters at most, and needs such calls at most."""
    shared = candidates
    for call, needed in zip(dependencies.calls, dependencies.depends_on, strict=True):
        if not shared[needed]:
            shared[call] = False
    return shared


def _spans(dependencies: Dependencies, shared: Sequence[bool], total: int) -> Iterator[tuple[int, int]]:
    """Yield pairs of calls between which the trace cannot be cut: a use of an object, and its life."""
    for call, needed in zip(dependencies.calls, dependencies.depends_on, strict=True):
        if not shared[needed]:
            yield needed, call
    destroyed = Counter(dependencies.creators)
    for creator, destroyer in zip(dependencies.creators, dependencies.destroyers, strict=True):
        if not shared[creator]:
            yield creator, destroyer
    for creator, count in Counter(dependencies.created).items():
        if not shared[creator] and destroyed[creator] < count:
            yield creator, total


def _allowed(candidates: Sequence[int], spans: Iterator[tuple[int, int]]) -> Iterator[int]:
    """Yield the candidates that no span crosses."""
    crossing = [0] * (len(candidates) + 1)
    for first, last in spans:
        crossing[bisect_right(candidates, first)] += 1
        crossing[bisect_right(candidates, last)] -= 1
    return (cut for cut, count in zip(candidates, accumulate(crossing), strict=False) if not count)


def _needed(dependencies: Dependencies, cuts: Sequence[int]) -> dict[int, list[int]]:
    """Return the earlier calls that each part needs, by its first call."""
    needed: dict[int, set[int]] = {cut: set() for cut in cuts}
    for call, dependency in zip(dependencies.calls, dependencies.depends_on, strict=True):
        first = cuts[bisect_right(cuts, call) - 1]
        if dependency < first:
            needed[first].add(dependency)
    for calls in needed.values():
        queue = list(calls)
        while queue:
            more = set(dependencies.of(queue.pop())) - calls
            calls.update(more)
            queue += more
    return {first: sorted(calls) for first, calls in needed.items()}


def replay_part(path: Path, part: Part, settings: dict[str, Any]) -> Report:
    """Replay a part of a trace on the simulator. Findings and numbers are those of its calls only.

    Args:
        path: The whole trace.
        part: The part.
        settings: Settings of the simulator.
    """
    needed = set(part.needed)
    with Trace(path) as trace:
        target, options = select_target("simulator", trace, settings, lambda lines: None)
        with closing(target):
            report = new_report(trace, target)
            replay = Replay(trace, target, options, report)
            replay.begin()
            for index, is_leave in trace.timeline():
                if index >= part.end:
                    break
                if index < part.first and index not in needed:
                    continue
                if index == part.first and not is_leave:
                    _forget_calls(report)
                replay.on_leave(index) if is_leave else replay.on_enter(trace[index])
            replay.finish()
    return report


def _forget_calls(report: Report) -> None:
    """Remove what a report has about the calls so far."""
    report.findings.clear()
    report.functions.clear()
    report.not_compared.clear()
    report.calls = Counts(lost=report.calls.lost)


def join_parts(reports: Sequence[Report]) -> Report:
    """Return the report of a trace from those of its parts, in their order."""
    first = reports[0]
    functions: Counter[str] = Counter()
    not_compared: dict[Any, Counter[str]] = defaultdict(Counter)
    for report in reports:
        functions.update(report.functions)
        for reason, counts in report.not_compared.items():
            not_compared[reason].update(counts)
    calls = {name: sum(vars(report.calls)[name] for report in reports) for name in vars(first.calls)}
    return Report(
        first.names,
        calls=Counts(**{**calls, "lost": first.calls.lost}),
        total=first.total,
        findings=[finding for report in reports for finding in report.findings],
        notes=list(dict.fromkeys(note for report in reports for note in report.notes)),
        functions=functions,
        not_compared=not_compared,
    )
