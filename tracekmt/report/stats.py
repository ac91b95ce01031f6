"""Statistics of a trace: calls, times and bytes by function and status, and live objects by kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import Lifetimes
from tracekmt.report.calls import format_duration
from tracekmt.spec.types import Kind
from tracekmt.trace.parallel import number_of_jobs, results_of_calls, second_process
from tracekmt.trace.reader import Trace

STEPS = 24
"""Number of intervals of a trace. The maximum number of live objects is counted for each."""

LEAKS_SHOWN = 20
_RAMP = " .:-=+*#%@"


@dataclass
class _CallStats:
    """Statistics of the calls of one function with one outcome. Times are in nanoseconds."""

    count: int = 0
    time: int = 0
    longest: int = 0
    bytes: int = 0

    def add(self, other: _CallStats) -> None:
        """Add the statistics of other calls."""
        self.count += other.count
        self.time += other.time
        self.longest = max(self.longest, other.longest)
        self.bytes += other.bytes


@dataclass
class _KindStats:
    """Statistics of the objects of one kind."""

    created: int = 0
    destroyed: int = 0
    peak: int = 0
    peak_time: int = 0
    over_time: list[int] = field(default_factory=lambda: [0] * STEPS)


def measure(
    trace: Trace, on_progress: Callable[[int, int], None] = lambda done, total: None, jobs: int | None = None
) -> dict[str, Any]:
    """Return the statistics of a trace as plain data.

    Times are in nanoseconds. Bytes are the memory recorded before and after calls.

    Args:
        trace: The trace.
        on_progress: Receives the number of finished calls and the number of all calls.
        jobs: Number of processes. None: see `number_of_jobs`.
    """
    jobs = number_of_jobs(jobs, trace)
    call_stats: dict[tuple[str, str], _CallStats] = defaultdict(_CallStats)
    # One process follows the objects, and the others count the calls.
    with second_process(jobs, _measure_objects, trace.path if jobs > 1 else trace) as objects:
        done = 0
        for part in results_of_calls(trace, _measure_calls, jobs=max(jobs - 1, 1)):
            for key, stats in part.items():
                call_stats[key].add(stats)
                done += stats.count
            on_progress(done, len(trace))
        object_rows, leaks = objects()
    return {
        "trace": str(trace.path),
        "calls": len(trace),
        "lost": trace.lost,
        "duration_ns": str(trace.duration),
        "bytes": sum(stats.bytes for stats in call_stats.values()),
        "functions": [
            {
                "call": name,
                "status": outcome,
                "count": stats.count,
                "time_ns": str(stats.time),
                "longest_ns": str(stats.longest),
                "bytes": stats.bytes,
            }
            for (name, outcome), stats in sorted(call_stats.items())
        ],
        "objects": object_rows,
        "leaks": leaks,
    }


def _measure_calls(trace: Trace, first: int, last: int | None) -> Iterator[dict[tuple[str, str], _CallStats]]:
    """Yield the statistics of the calls of a range, a part of it at a time."""
    for part_first, part_last in trace.ranges(first, last):
        part: dict[tuple[str, str], _CallStats] = defaultdict(_CallStats)
        for call in trace.calls(part_first, part_last):
            time = 0 if call.leave_ns is None else call.leave_ns - call.enter_ns
            part[call.name, call.outcome_text].add(_CallStats(1, time, time, call.size))
        yield part


def _measure_objects(source: Trace | Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the statistics of each kind of objects, and the objects that no call destroyed."""
    if isinstance(source, Path):
        with Trace(source) as trace:
            return _measure_objects(trace)
    lifetimes, objects = Lifetimes(), _ObjectStats(source.duration)
    functions = {spec_id for spec_id, spec in source.specs.items() if spec.creates or spec.destroys}
    for call, is_leave in source.call_events(functions):
        if not is_leave:
            lifetimes.on_enter(call)
            continue
        assert call.leave_ns is not None
        objects.change(call.leave_ns, *lifetimes.on_leave(call))
    return objects.to_data(), objects.leaks(source)


class _ObjectStats:
    """Live objects by kind while the calls of a trace pass."""

    def __init__(self, duration: int) -> None:
        self._duration = duration + 1
        self._step = 0
        self._kinds: dict[str, _KindStats] = defaultdict(_KindStats)
        self._counts: Counter[str] = Counter()
        self._live: dict[Identity, None] = {}

    def change(self, time: int, created: list[Identity], destroyed: list[Identity]) -> None:
        """Handle the return of a call, with the objects that it created and destroyed."""
        if not created and not destroyed:
            return
        self._advance(time * STEPS // self._duration)
        for identity in created:
            self._live[identity] = None
            self._count(identity.kind, 1, time).created += 1
        for identity in destroyed:
            if identity in self._live:
                del self._live[identity]
                self._count(identity.kind, -1, time).destroyed += 1

    def _count(self, kind: Kind, change: int, time: int) -> _KindStats:
        self._counts[kind.name] += change
        stats, count = self._kinds[kind.name], self._counts[kind.name]
        if count > stats.peak:
            stats.peak, stats.peak_time = count, time
        stats.over_time[self._step] = max(stats.over_time[self._step], count)
        return stats

    def _advance(self, step: int) -> None:
        """Start the intervals up to a step with the current numbers of live objects."""
        while self._step < min(step, STEPS - 1):
            self._step += 1
            for name, stats in self._kinds.items():
                stats.over_time[self._step] = self._counts[name]

    def to_data(self) -> list[dict[str, Any]]:
        """Return the statistics of each kind. over_time has the maximum of live objects in each interval."""
        self._advance(STEPS)
        return [
            {
                "kind": name,
                "born": stats.created,
                "died": stats.destroyed,
                "left": self._counts[name],
                "peak": stats.peak,
                "peak_ns": str(stats.peak_time),
                "over_time": stats.over_time,
            }
            for name, stats in self._kinds.items()
        ]

    def leaks(self, trace: Trace) -> list[dict[str, Any]]:
        """Return the objects that no call destroyed, with the call that created each.

        external: other interfaces can destroy the object, in calls that are not recorded.
        """
        return [
            {
                "kind": identity.kind.name,
                "index": identity.index,
                "call": trace.spec(trace[identity.index].enter.spec_id).name,
                "path": identity.path,
                "external": identity.kind.external,
            }
            for identity in self._live
            if identity.index is not None
        ]


def function_rows(stats: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a table of functions. Several statuses of a function have a row each."""
    by_function: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in stats["functions"]:
        by_function[entry["call"]].append(entry)
    for name, entries in by_function.items():
        yield (name, *_cells(entries))
        for entry in entries:
            if len(entries) > 1 or entry["status"] != "STATUS_SUCCESS":
                yield (f"    {entry['status']}", *_cells([entry]))


def _cells(entries: list[dict[str, Any]]) -> tuple[str, ...]:
    count, time = sum(entry["count"] for entry in entries), sum(int(entry["time_ns"]) for entry in entries)
    size = sum(entry["bytes"] for entry in entries)
    return str(count), format_duration(time), format_duration(time // count), f"{size:,}"


def object_rows(stats: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a table of kinds, with a chart of the live objects from the start of the trace to its end."""
    for entry in stats["objects"]:
        maximum = max(entry["peak"], 1)
        chart = "".join(_RAMP[-(-count * (len(_RAMP) - 1) // maximum)] for count in entry["over_time"])
        peak = f"{entry['peak']} at {format_duration(int(entry['peak_ns']), decimals=0)}"
        yield entry["kind"], str(entry["born"]), str(entry["died"]), peak, f"|{chart}|"


def leak_lines(stats: dict[str, Any]) -> Iterator[str]:
    """Yield lines with the objects that no call destroyed."""
    leaks = sorted(stats["leaks"], key=lambda leak: leak["external"])
    if leaks:
        yield f"never destroyed: {len(leaks)}"
    for leak in leaks[:LEAKS_SHOWN]:
        external = " (possibly destroyed by another interface)" if leak["external"] else ""
        yield f"    {leak['kind']} of #{leak['index']} {leak['call']}  {leak['path']}{external}"
    if len(leaks) > LEAKS_SHOWN:
        yield f"    and {len(leaks) - LEAKS_SHOWN} more; --json has them all"
