"""Numbers of the calls of a trace: by family, function, failure and thread, and the slowest calls."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tracekmt.calls import CALLS, family_of
from tracekmt.overview.clock import Intervals
from tracekmt.trace.reader import Trace, TracedCall

UNDESCRIBED = "undescribed"
"""Family of the functions that have no description."""

SLOWEST_CALLS, LONGEST_WAITS = 20, 10
UNDER_WAY_CALLS = 20
THREADS_OVER_TIME = 64
"""Number of threads whose calls are counted over time: the first ones of a trace."""


@dataclass
class _Counts:
    """Calls with something in common. Times are in nanoseconds."""

    calls: int = 0
    failed: int = 0
    time: int = 0
    longest: int = 0
    over_time: list[int] = field(default_factory=list)

    def add(self, time: int, interval: int, *, is_failure: bool) -> None:
        self.calls += 1
        self.failed += is_failure
        self.time += time
        self.longest = max(self.longest, time)
        if self.over_time:
            self.over_time[interval] += 1

    def merge(self, other: _Counts) -> None:
        self.calls += other.calls
        self.failed += other.failed
        self.time += other.time
        self.longest = max(self.longest, other.longest)

    def to_data(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "failed": self.failed,
            "time_ns": str(self.time),
            "longest_ns": str(self.longest),
            **({"over_time": self.over_time} if self.over_time else {}),
        }


@dataclass
class _Failure:
    """Failed calls of one function with one status."""

    first: int
    first_time: int
    calls: int = 0
    injected: int = 0
    last: int = 0


class _Longest:
    """The calls that took the longest, at most a number of them.

    Attributes:
        least: Nanoseconds that another call must exceed.
    """

    def __init__(self, count: int) -> None:
        self.least = 0
        self._count = count
        self._heap: list[tuple[int, int, dict[str, Any]]] = []

    def add(self, call: TracedCall, time: int) -> None:
        if time > self.least:
            push = heapq.heappush if len(self._heap) < self._count else heapq.heappushpop
            push(self._heap, (time, -call.index, {**_located(call), "status": call.outcome_text, "time_ns": str(time)}))
            self.least = self._heap[0][0] if len(self._heap) == self._count else 0

    def entries(self) -> list[dict[str, Any]]:
        return [entry for _, _, entry in sorted(self._heap, reverse=True, key=lambda item: item[:2])]


def _located(call: TracedCall) -> dict[str, Any]:
    return {"index": call.index, "call": call.name, "thread": call.thread, "enter_ns": str(call.enter_ns)}


class CallNumbers:
    """Numbers of calls, in memory that does not grow with the number of calls."""

    def __init__(self, trace: Trace, intervals: Intervals) -> None:
        self._intervals = intervals
        self._system_ids = {number: system_id for system_id, number in trace.threads.items()}
        self._families: dict[str, _Counts] = defaultdict(self._counts_over_time)
        self._functions: dict[str, tuple[_Counts, str, list[int]]] = {}
        self._threads: dict[int, _Counts] = {}
        self._failures: dict[tuple[str, str], _Failure] = {}
        self._failed_over_time = [0] * intervals.count
        self._slowest, self._waits = _Longest(SLOWEST_CALLS), _Longest(LONGEST_WAITS)
        self._last_calls: dict[int, int] = {}
        self._under_way: list[dict[str, Any]] = []
        self._under_way_count = 0

    def _counts_over_time(self) -> _Counts:
        return _Counts(over_time=[0] * self._intervals.count)

    def add(self, call: TracedCall) -> None:
        """Count a call. Calls that did not return come last."""
        interval = self._intervals.at(call.enter_ns)
        time = 0 if call.leave_ns is None else max(call.leave_ns - call.enter_ns, 0)
        is_failure = call.status is not None and not call.status.succeeded
        if call.name not in self._functions:
            family = family_of(call.name) if call.name in CALLS else UNDESCRIBED
            self._functions[call.name] = _Counts(), family, self._families[family].over_time
        if call.thread not in self._threads:
            has_chart = call.thread < THREADS_OVER_TIME
            self._threads[call.thread] = self._counts_over_time() if has_chart else _Counts()
        function, _, family_over_time = self._functions[call.name]
        function.add(time, interval, is_failure=is_failure)
        family_over_time[interval] += 1
        self._threads[call.thread].add(time, interval, is_failure=is_failure)
        if call.index > self._last_calls.get(call.thread, -1):
            self._last_calls[call.thread] = call.index
        if call.leave_ns is None:
            self._under_way_count += 1
            self._under_way.append(_located(call))
            del self._under_way[:-UNDER_WAY_CALLS]
        elif is_failure:
            self._add_failure(call, interval)
        if time > self._slowest.least or time > self._waits.least:
            conditions = call.spec.may_block_when
            is_wait = conditions is not None and call.satisfies(conditions)
            (self._waits if is_wait else self._slowest).add(call, time)

    def _add_failure(self, call: TracedCall, interval: int) -> None:
        key = call.name, call.outcome_text
        if key not in self._failures:
            self._failures[key] = _Failure(call.index, call.enter_ns)
        failure = self._failures[key]
        failure.calls += 1
        failure.injected += call.injection is not None
        if call.index < failure.first:
            failure.first, failure.first_time = call.index, call.enter_ns
        failure.last = max(failure.last, call.index)
        self._failed_over_time[interval] += 1

    def to_data(self) -> dict[str, Any]:
        """Return the numbers as plain data. Rows are in order of their calls, or of their times."""
        for counts, family, _ in self._functions.values():
            self._families[family].merge(counts)
        families = sorted(self._families.items(), key=lambda item: (-item[1].calls, item[0]))
        functions = sorted(self._functions.items(), key=lambda item: (-item[1][0].time, -item[1][0].calls, item[0]))
        failures = sorted(self._failures.items(), key=lambda item: (-item[1].calls, item[0]))
        # A thread whose later calls are in the trace has left the call by a jump or an exception.
        under_way = [
            {**entry, "abandoned": entry["index"] != self._last_calls[entry["thread"]]} for entry in self._under_way
        ]
        return {
            "failed": sum(failure.calls for failure in self._failures.values()),
            "failed_over_time": self._failed_over_time,
            "did_not_return": self._under_way_count,
            "under_way": under_way,
            "families": [{"family": family, **counts.to_data()} for family, counts in families],
            "functions": [
                {"call": name, "family": family, **counts.to_data()} for name, (counts, family, _) in functions
            ],
            "failures": [
                {
                    "call": name,
                    "status": status,
                    "calls": failure.calls,
                    "injected": failure.injected,
                    "first": failure.first,
                    "first_ns": str(failure.first_time),
                    "last": failure.last,
                }
                for (name, status), failure in failures
            ],
            "slowest": self._slowest.entries(),
            "longest_waits": self._waits.entries(),
            "threads": [
                {"thread": number, "system_id": self._system_ids.get(number), **counts.to_data()}
                for number, counts in sorted(self._threads.items())
            ],
        }
