"""Summary of a trace: its origin, its completeness, and its calls by function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.calls.kinds import ADAPTER
from tracekmt.codec.luid import Luid
from tracekmt.objects.adapters import answer_lines, find_adapters
from tracekmt.plural import plural
from tracekmt.printable import printable
from tracekmt.spec.types import CallSpec
from tracekmt.trace.call import DID_NOT_RETURN, injected_fault, outcome_text
from tracekmt.trace.events import Header
from tracekmt.trace.reader import Trace

_INTERNAL_SETTINGS = ("recording", "spool", "overhead", "layouts", "build", "inject")


def summarise(trace: Trace) -> dict[str, Any]:
    """Return the summary of a trace as plain data."""
    outcomes: Counter[tuple[str, str]] = Counter()
    tally = trace.tally()
    for (spec_id, raw_result), count in tally.items():
        spec = trace.spec(spec_id)
        outcomes[spec.name, outcome_text(spec, raw_result)] += count
    header = trace.header
    return {
        "trace": str(trace.path),
        "format": trace.version,
        "abi": header.base_abi,
        "created": header.created,
        "tool": header.tool,
        "process": header.process,
        "settings": header.settings,
        "layouts": _layouts(header),
        "machine": header.machine,
        "trimmed": header.trimmed,
        "redacted": header.redacted,
        "calls": len(trace),
        "in_flight": sum(count for (_, outcome), count in outcomes.items() if outcome == DID_NOT_RETURN),
        "abandoned": len(trace.abandoned_calls()),
        "lost": trace.lost,
        "duration_ns": str(trace.duration),
        "threads": {str(number): system_id for system_id, number in trace.threads.items()},
        "modules": [{**vars(module), "base": f"0x{module.base:x}"} for module in trace.modules],
        "clock": _clock(trace),
        "adapters": find_adapters(trace, ADAPTER, IDENTITY),
        "complete": trace.ended is not None and trace.damage is None,
        "ended": trace.ended,
        "torn": trace.damage,
        "injected": injected_counts(trace),
        "undescribed": [
            {"call": spec.name, "count": count} for spec, count in _undescribed_counts(trace, tally).items()
        ],
        "functions": [
            {"call": name, "status": outcome, "count": count} for (name, outcome), count in sorted(outcomes.items())
        ],
    }


def _undescribed_counts(trace: Trace, tally: Mapping[tuple[int, int | None], int]) -> dict[CallSpec, int]:
    """Return the number of calls of each function that had no description when the trace was recorded."""
    counts: Counter[int] = Counter()
    for (spec_id, _), count in tally.items():
        counts[spec_id] += count
    return {spec: counts[spec_id] for spec_id, spec in trace.specs.items() if spec.raw and counts[spec_id]}


def injected_counts(trace: Trace) -> list[dict[str, Any]]:
    """Return the faults that the recorder was to inject, with the number of calls that got each."""
    counts: Counter[int] = Counter()
    for (_, raw_result), count in trace.tally().items() if trace.faults else ():
        fault = injected_fault(raw_result)
        if fault is not None:
            counts[fault[0]] += count
    return [{"fault": text, "calls": counts[number]} for number, text in enumerate(trace.faults)]


def injected_lines(counts: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each injected fault."""
    return (printable(f"{entry['fault']}: {plural(entry['calls'], 'call')}") for entry in counts)


def _clock(trace: Trace) -> dict[str, str] | None:
    """Return the time of the first event on the clocks of the recorded machine, None if the trace lacks them.

    Returns:
        time: The clock of the events, in nanoseconds.
        wall: Nanoseconds since 1970.
        counter: Raw performance counter.
        frequency: Frequency of the performance counter, in Hz.
    """
    anchor = trace.header.clock_anchor
    if anchor is None:
        return None
    elapsed = trace.start_time - anchor["time"]
    return {
        "time": str(trace.start_time),
        "wall": str(anchor["wall"] + elapsed),
        "counter": str(anchor["counter"] + elapsed * anchor["frequency"] // 10**9),
        "frequency": str(anchor["frequency"]),
    }


def summary_lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a summary without the table of functions."""
    return (printable(f"{label:<14}{text}") for label, text in labelled_lines(summary))


def labelled_lines(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the lines of a summary with their labels. A line without a label belongs to the line before it."""
    yield "trace", f"{summary['trace']} (format {summary['format']}, {summary['abi']})"
    yield "recorded", f"{summary['created'] or 'unknown'} by {summary['tool'] or 'unknown'}"
    yield from _origin_lines(summary)
    yield from _adapter_lines(summary)
    if summary["modules"]:
        yield "modules", f"{len(summary['modules'])} (--modules lists them)"
    threads = plural(len(summary["threads"]), "thread")
    yield "calls", f"{summary['calls']} in {threads}, {summary['in_flight']} in flight"
    if summary["abandoned"]:
        yield (
            "abandoned",
            f"{plural(summary['abandoned'], 'call')} left by a jump or an exception (counted as in flight)",
        )
    yield from (("injected", line) for line in injected_lines(summary["injected"]))
    yield "lost", plural(summary["lost"], "event")
    if summary["redacted"]:
        yield "redacted", f"{summary['redacted']} (replaced by hashes)"
    if summary["trimmed"]:
        yield "trimmed from", summary["trimmed"]
    if summary["undescribed"]:
        yield "undescribed", ", ".join(f"{entry['call']} ({entry['count']})" for entry in summary["undescribed"])
    yield "end", summary["ended"] or "missing (the recording did not finish)"
    if summary["torn"]:
        yield "damaged", f"{summary['torn']}; the calls before the damage are complete"


def _layouts(header: Header) -> dict[str, Any] | None:
    """Return which layouts of Microsoft's structures a recording has. None if the trace does not say.

    Returns:
        first_build: First build of Windows with these layouts.
        build: Build that the process ran on, None if it is unknown.
        is_wsl: True for the layouts of WSL's headers.
    """
    first_build, build = (header.settings.get(name) for name in ("layouts", "build"))
    if type(first_build) is not int:
        return None
    return {"first_build": first_build, "build": build if type(build) is int else None, "is_wsl": header.abi == "wsl"}


def _layouts_text(first_build: int, build: int | None, is_wsl: bool) -> str:
    layouts = f"those since build {first_build} of Windows" if first_build else "the oldest"
    if is_wsl:
        return f"{layouts} (WSL's headers)"
    return f"{layouts} (the process ran on build {build})" if build else f"{layouts} (unknown build)"


def _origin_lines(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    process, settings, clock = summary["process"], summary["settings"], summary["clock"]
    if process:
        # Older traces have "spawned" in place of "complete_from_start".
        is_whole = process.get("complete_from_start", process.get("spawned"))
        parent = f", started by {process['parent']}" if "parent" in process else ""
        extent = "from its start" if is_whole else "from attaching to it"
        yield "process", f"{process.get('name')} ({process.get('pid')}), {extent}{parent}"
    if settings:
        shown = {name: value for name, value in settings.items() if name not in _INTERNAL_SETTINGS}
        yield "settings", ", ".join(f"{name} {_setting_text(value)}" for name, value in shown.items())
    if summary["layouts"] is not None:
        yield "layouts", _layouts_text(**summary["layouts"])
    overhead = settings.get("overhead")
    if isinstance(overhead, dict):
        yield "overhead", f"{overhead.get('call_ns')} ns a call, {overhead.get('kilobyte_ns')} ns a kilobyte copied"
    if clock:
        seconds, nanoseconds = divmod(int(clock["wall"]), 10**9)
        moment = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
        counter = f"counter {clock['counter']} at {int(clock['frequency']):,} Hz"
        yield "start", f"{moment}.{nanoseconds:09d} UTC, {counter}"


def _setting_text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "all"
    return str(value)


def _adapter_lines(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for adapter in summary["adapters"]:
        luid = adapter["luid"]
        name = f"LUID {Luid(luid['LowPart'], luid['HighPart'])}" if luid else "unknown LUID"
        yield "adapter", f"{name}, opened {plural(adapter['opened'], 'time')}"
        yield from (("", line) for line in answer_lines(adapter["told"]))
