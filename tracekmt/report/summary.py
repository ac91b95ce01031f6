"""What a trace is: where it comes from, how complete it is, which calls it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.calls.kinds import ADAPTER
from tracekmt.codec.luid import Luid
from tracekmt.objects.adapters import find_adapters, told_lines
from tracekmt.report.calls import printable
from tracekmt.spec.types import CallSpec
from tracekmt.trace.call import DID_NOT_RETURN, outcome_text
from tracekmt.trace.reader import Trace

_INTERNAL = ("recording", "spool", "overhead")


def summarise(trace: Trace) -> dict[str, Any]:
    """A trace in plain data, one pass over its calls."""
    statuses: Counter[tuple[str, str]] = Counter()
    for (number, result), count in trace.tally().items():
        statuses[trace.description(number).name, outcome_text(trace.description(number), result)] += count
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
        "in_flight": sum(count for (_, answer), count in statuses.items() if answer == DID_NOT_RETURN),
        "lost": trace.lost,
        "duration_ns": str(trace.duration),
        "threads": {str(number): system for system, number in trace.threads.items()},
        "modules": [{**vars(module), "base": f"0x{module.base:x}"} for module in trace.modules],
        "clock": _clock(trace),
        "adapters": find_adapters(trace, ADAPTER, IDENTITY),
        "complete": trace.ended is not None and trace.torn is None,
        "ended": trace.ended,
        "torn": trace.torn,
        "undescribed": [{"call": call.name, "count": count} for call, count in _raw_counts(trace).items()],
        "functions": [
            {"call": name, "status": status, "count": count} for (name, status), count in sorted(statuses.items())
        ],
    }


def _raw_counts(trace: Trace) -> dict[CallSpec, int]:
    """The functions that nobody had described when the trace was recorded, with their calls."""
    counts: Counter[int] = Counter()
    for (number, _), count in trace.tally().items():
        counts[number] += count
    return {call: counts[number] for number, call in trace.described.items() if call.raw and counts[number]}


def _clock(trace: Trace) -> dict[str, str] | None:
    """The first event on the clocks of the recorded machine: nanoseconds since 1970, the raw performance counter and
    its frequency in Hz, and the clock that events have, in nanoseconds. None where the recording does not say."""
    anchor = trace.header.clock
    if not all(type(anchor.get(name)) is int for name in ("time", "wall", "counter", "frequency")):
        return None
    since = trace.start_time - anchor["time"]
    return {
        "time": str(trace.start_time),
        "wall": str(anchor["wall"] + since),
        "counter": str(anchor["counter"] + since * anchor["frequency"] // 10**9),
        "frequency": str(anchor["frequency"]),
    }


def summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """The same for people, without the table of functions."""
    return map(printable, _lines(summary))


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    process = summary["process"]
    yield f"trace      {summary['trace']} (format {summary['format']}, {summary['abi']})"
    yield f"recorded   {summary['created'] or 'unknown'} by {summary['tool'] or 'unknown'}"
    if process:
        # Traces from before that was told say how the process was come by.
        whole = process.get("complete_from_start", process.get("spawned"))
        how = "from its start" if whole else "attached while it ran"
        how += f", started by {process['parent']}" if "parent" in process else ""
        yield f"process    {process.get('name')} ({process.get('pid')}), {how}"
    if summary["settings"]:
        told = (f"{name} {_setting(value)}" for name, value in summary["settings"].items() if name not in _INTERNAL)
        yield f"settings   {', '.join(told)}"
    overhead = summary["settings"].get("overhead")
    if isinstance(overhead, dict):
        yield f"overhead   {overhead.get('call_ns')} ns a call, {overhead.get('kilobyte_ns')} ns a kilobyte copied"
    if summary["clock"]:
        wall, rest = divmod(int(summary["clock"]["wall"]), 10**9)
        moment = datetime.fromtimestamp(wall, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        yield f"start      {moment}.{rest:09d} UTC, counter {summary['clock']['counter']} of {_hertz(summary)}"
    yield from _adapter_lines(summary)
    if summary["modules"]:
        yield f"modules    {len(summary['modules'])}; --modules lists them"
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


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "all"
    return str(value)


def _hertz(summary: dict[str, Any]) -> str:
    return f"{int(summary['clock']['frequency']):,} a second"


def _adapter_lines(summary: dict[str, Any]) -> Iterator[str]:
    for adapter in summary["adapters"]:
        luid = adapter["luid"]
        name = f"LUID {Luid(luid['LowPart'], luid['HighPart'])}" if luid else "of unknown LUID"
        yield f"adapter    {name}, opened {adapter['opened']} times"
        yield from (f"           {line}" for line in told_lines(adapter["told"]))
