"""Numbers of one trace as plain data, gathered in one pass over its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracekmt.activity.follow import follow
from tracekmt.overview.calls import CallNumbers
from tracekmt.overview.clock import Intervals
from tracekmt.overview.memory import MemoryNumbers
from tracekmt.overview.objects import ObjectNumbers
from tracekmt.report.summary import summarise
from tracekmt.simulator.model.allocation_size import SizeRule
from tracekmt.trace.reader import Trace


def gather(
    trace: Trace,
    size_rules: Sequence[SizeRule] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return the numbers of a trace as plain data.

    Times are in nanoseconds from the first event. Values over time have one number for each of `intervals` equal
    intervals. Memory grows with the number of live objects only, and not with the number of calls.

    Args:
        trace: The trace.
        size_rules: Rules for the size of an allocation in a driver's private data.
        on_progress: Receives the number of finished calls and the number of all calls.
    """
    origin = summarise(trace)
    duration = int(origin["duration_ns"])
    intervals = Intervals.of(duration, len(trace))
    calls, objects, memory = CallNumbers(trace, intervals), ObjectNumbers(intervals), MemoryNumbers(intervals)
    memory_at_end = None
    for step in follow(trace, size_rules, on_progress):
        calls.add(step.call)
        if step.call.leave_ns is not None:
            if step.created or step.destroyed:
                objects.add(step, step.call.leave_ns)
            memory.add(step, step.call.leave_ns)
            memory_at_end = step.memory
    return {
        "trace": str(trace.path),
        "calls": len(trace),
        "duration_ns": str(duration),
        "intervals": intervals.count,
        **calls.to_data(),
        **objects.to_data(memory_at_end),
        "memory": memory.to_data(),
        "origin": origin,
    }
