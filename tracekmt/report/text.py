"""Findings as text that fits a terminal: causes first, what follows from them and repeats of them folded under them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tracekmt.findings import Finding, Report
from tracekmt.ntstatus import status
from tracekmt.report.calls import printable

MAX_GROUPS = 8
MAX_NAMED = 6
MAX_FUNCTIONS = 2
RANKS = {"status": 0, "handle": 1, "missing": 2, "extra": 2, "field": 3, "data": 4, "opaque": 5}


def in_order(report: Report) -> list[Finding]:
    """The findings as people read them: what counts first, then statuses, handles, data; each in the order of calls."""
    return sorted(report.findings, key=lambda each: (not each.counts, RANKS[each.kind]))


def report_lines(report: Report) -> Iterator[str]:
    """The whole report, a line at a time."""
    counts = report.calls
    first, second = report.names
    compared = "" if report.same else f", {counts.compared} compared"
    yield f"{first} against {second}: {report.verdict}{compared}"
    followers = defaultdict(list)
    groups: dict[str, list[Finding]] = defaultdict(list)
    for finding in in_order(report):
        if finding.cause is not None:
            followers[finding.cause].append(finding)
        else:
            groups[finding.group].append(finding)
    for number, group in enumerate(groups.values()):
        if number == MAX_GROUPS:
            yield ""
            yield f"and {len(groups) - number} more kinds of difference; --json has them all"
            break
        yield ""
        yield from _group_lines(group, [each for finding in group for each in followers.pop(finding.index or 0, [])])
    yield ""
    yield from (f"note: {note}" for note in report.notes)
    if report.stopped is not None:
        yield printable(f"stopped {report.stopped}")
    yield _summary(report)


def finding_lines(finding: Finding) -> Iterator[str]:
    """One finding by itself. What controls a terminal is shown and not sent: it comes from a trace."""
    for line in _finding_lines(finding):
        yield printable(line)


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield f"{_where(finding)} {finding.call}" + (f"  {finding.path}" if finding.path else "")
    if finding.recorded is not None:
        yield f"    recorded  {_said(finding, finding.recorded)}"
    if finding.replayed is not None:
        yield f"    replayed  {_said(finding, finding.replayed)}"
    if finding.message:
        yield f"    {'why' if finding.kind == 'status' else 'what'}       "[:14] + finding.message
    if finding.accepted is not None:
        yield f"    accepted  {finding.accepted}; it is not counted as a difference"
    elif finding.demanded is not None:
        yield f"    demanded  {finding.demanded}"
    elif finding.kind == "opaque":
        yield "    opaque    only the driver can answer here; it is not counted as a difference"


def _group_lines(group: list[Finding], followers: list[Finding]) -> Iterator[str]:
    yield from finding_lines(group[0])
    if len(group) > 1:
        yield f"    again     {len(group) - 1} more likewise: {_named(group[1:])}"
    if followers:
        yield f"    then      {len(followers)} more followed from it: {_named(followers)}"


def _where(finding: Finding) -> str:
    return f"#{_index(finding)}  thread {finding.thread} "


def _index(finding: Finding) -> int | None:
    return finding.index if finding.index is not None else finding.other_index


def _said(finding: Finding, text: str) -> str:
    return f"{text} ({status(text).code})" if finding.kind == "status" and text.startswith("STATUS_") else text


def _named(findings: list[Finding]) -> str:
    """Their indexes; with the function where they are not all of one; of very many how many there are of which."""
    counts = Counter(finding.call for finding in findings)
    if len(findings) > MAX_NAMED and len(counts) > 1:
        told = [f"{count} {name}" for name, count in counts.most_common(MAX_FUNCTIONS)]
        return ", ".join(told) + (", ..." if len(counts) > MAX_FUNCTIONS else "") + f"; first #{_index(findings[0])}"
    alike = len({finding.call for finding in findings}) == 1
    shown = [f"#{_index(f)}" if alike and len(findings) > 1 else f"#{_index(f)} {f.call}" for f in findings[:MAX_NAMED]]
    return ", ".join(shown) + (", ..." if len(findings) > MAX_NAMED else "")


def _summary(report: Report) -> str:
    counts = report.calls
    parts = [f"compared {counts.compared} calls"]
    for number, what in (
        (report.differing, "differ"),
        (report.opaque, "partly opaque"),
        (counts.unmodelled, "not modelled by the simulator"),
        (counts.skipped, "skipped"),
        (counts.in_flight, "never returned"),
        (counts.lost, "events lost in the recording"),
        (counts.ambient_handles, "handles older than the trace"),
        (counts.injected, "faults injected"),
        (sum(1 for each in report.findings if each.accepted is not None), "findings accepted"),
        (counts.ignored, "findings ignored by rules"),
    ):
        if number:
            parts.append(f"{number} {what}")
    return ", ".join(parts)
