"""What a trace is: where it comes from, how complete it is, which calls it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tracekmt.report.calls import printable
from tracekmt.spec.types import Call
from tracekmt.trace.reader import Trace


def summarise(trace: Trace) -> dict[str, Any]:
    """A trace in plain data, one pass over its calls."""
    statuses: Counter[tuple[str, str]] = Counter()
    in_flight = 0
    for call in trace.calls():
        statuses[call.name, call.answer] += 1
        in_flight += not call.returned
    header = trace.header
    return {
        "trace": str(trace.path),
        "format": trace.version,
        "abi": header.abi,
        "created": header.created,
        "tool": header.tool,
        "process": header.process,
        "settings": header.settings,
        "machine": header.machine,
        "trimmed": header.trimmed,
        "redacted": header.redacted,
        "calls": len(trace),
        "in_flight": in_flight,
        "lost": trace.lost,
        "duration_ns": str(trace.duration),
        "threads": {str(number): system for system, number in trace.threads.items()},
        "modules": len(trace.modules),
        "complete": trace.ended is not None and trace.torn is None,
        "ended": trace.ended,
        "torn": trace.torn,
        "undescribed": [{"call": call.name, "count": count} for call, count in _raw_counts(trace).items()],
        "functions": [
            {"call": name, "status": status, "count": count} for (name, status), count in sorted(statuses.items())
        ],
    }


def _raw_counts(trace: Trace) -> dict[Call, int]:
    """The functions that nobody had described when the trace was recorded, with their calls."""
    counts = Counter(number for _, number in trace.functions())
    return {call: counts[number] for number, call in trace.described.items() if call.raw and counts[number]}


def summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """The same for people, without the table of functions."""
    return map(printable, _lines(summary))


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    process = summary["process"]
    yield f"trace      {summary['trace']} (format {summary['format']}, {summary['abi']})"
    yield f"recorded   {summary['created'] or 'unknown'} by {summary['tool'] or 'unknown'}"
    if process:
        how = "from its start" if process.get("spawned") else "attached while it ran"
        yield f"process    {process.get('name')} ({process.get('pid')}), {how}"
    yield f"calls      {summary['calls']} in {len(summary['threads'])} threads, {summary['in_flight']} never returned"
    yield f"lost       {summary['lost']} events"
    if summary["redacted"]:
        yield f"redacted   {summary['redacted']} are replaced by hashes"
    if summary["trimmed"]:
        yield f"part of    {summary['trimmed']}"
    if summary["undescribed"]:
        names = ", ".join(f"{each['call']} ({each['count']})" for each in summary["undescribed"])
        yield f"raw        not described, kept as they are: {names}"
    yield f"end        {summary['ended'] or 'not written: the recording did not finish'}"
    if summary["torn"]:
        yield f"torn       {summary['torn']}; what stands before it is whole"
