"""Formats a report as text for a terminal: causes first, with their consequences and repetitions folded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tracekmt.findings import Finding, Report, Side
from tracekmt.ntstatus import status
from tracekmt.plural import plural
from tracekmt.printable import printable
from tracekmt.report.share import share_line

MAX_GROUPS = 8
MAX_NAMED = 6
MAX_FUNCTIONS = 2
RANKS = {
    "misuse": 0,
    "missing": 0,
    "extra": 0,
    "moved": 0,
    "status": 1,
    "handle": 2,
    "input": 3,
    "field": 4,
    "data": 5,
    "opaque": 6,
}


def sort_findings(report: Report) -> list[Finding]:
    """Return the findings in the order for users.

    Findings that count come first, then the order is by kind: calls of one side, status, handle, data. Equal findings
    keep the order of the calls.
    """
    return sorted(report.findings, key=lambda finding: (not finding.counts, RANKS[finding.kind]))


def group_findings(report: Report) -> list[tuple[list[Finding], list[Finding]]]:
    """Return the findings in the order for users: those of one group, and what these caused."""
    consequences: dict[tuple[Side, int], list[Finding]] = defaultdict(list)
    groups: dict[str, list[Finding]] = defaultdict(list)
    for finding in sort_findings(report):
        if finding.cause_key is not None and finding.counts:
            consequences[finding.cause_key].append(finding)
        else:
            groups[finding.group].append(finding)
    return [
        (group, [finding for cause in group for finding in consequences.pop(cause.call_key, [])])
        for group in groups.values()
    ]


def report_lines(report: Report) -> Iterator[str]:
    """Yield the lines of a report."""
    first, second = report.names
    yield printable(f"{first} against {second}: {report.verdict}")
    groups = group_findings(report)
    for number, (group, caused) in enumerate(groups):
        if number == MAX_GROUPS:
            yield ""
            yield f"and {plural(len(groups) - number, 'more kind', 'more kinds')} of finding; --json has them all"
            break
        yield ""
        yield from _group_lines(group, caused, report.sides)
    yield ""
    yield from (printable(f"note: {note}") for note in report.notes)
    if report.stopped is not None:
        yield printable(f"stopped {report.stopped}")
    counts_line = _counts_line(report)
    if counts_line:
        yield counts_line
    yield share_line(report)


def finding_lines(finding: Finding, sides: tuple[str, str]) -> Iterator[str]:
    """Yield the lines of one finding. Its texts may contain control codes from a trace, which are escaped.

    Args:
        finding: The finding.
        sides: What the sides of the comparison are called.
    """
    for line in _finding_lines(finding, sides):
        yield printable(line)


def _finding_lines(finding: Finding, sides: tuple[str, str]) -> Iterator[str]:
    path = f"  {finding.path}" if finding.path else ""
    yield f"#{_index(finding)}  thread {finding.thread}  {finding.call}{path}"
    if finding.rule is not None:
        yield _labelled("rule", finding.rule)
    if finding.object is not None:
        yield _labelled("object", finding.object)
    if finding.recorded is not None:
        yield _labelled(sides[0], _with_code(finding, finding.recorded))
    if finding.replayed is not None:
        yield _labelled(sides[1], _with_code(finding, finding.replayed))
    if finding.message:
        yield _labelled("reason" if finding.path is None else "field", finding.message)
    if finding.accepted is not None:
        yield _labelled("accepted", f"{finding.accepted} (not counted as a difference)")
    elif finding.required is not None:
        yield _labelled("required", finding.required)
    elif finding.kind == "opaque":
        yield _labelled("opaque", "not comparable (not counted as a difference)")


def _labelled(label: str, text: str) -> str:
    return f"    {label:<10}{text}"


def _group_lines(group: list[Finding], caused: list[Finding], sides: tuple[str, str]) -> Iterator[str]:
    first = group[0]
    yield from finding_lines(first, sides)
    if len(group) > 1:
        repeats = sum(finding.count for finding in group) - 1
        yield _labelled("repeated", f"{plural(repeats, 'more time')}: {_list_findings(group[1:])}")
    elif first.repeats:
        indexes = ", ".join(f"#{index}" for index in first.repeats[:MAX_NAMED])
        more = ", ..." if len(first.repeats) > MAX_NAMED else ""
        yield _labelled("repeated", f"{plural(len(first.repeats), 'more time')}: {indexes}{more}")
    if caused:
        yield _labelled("caused", f"{plural(len(caused), 'more finding')}: {_list_findings(caused)}")


def _index(finding: Finding) -> int | None:
    return finding.index if finding.index is not None else finding.other_index


def _with_code(finding: Finding, text: str) -> str:
    """Add the code to the name of a status."""
    return f"{text} ({status(text).code})" if finding.kind == "status" and text.startswith("STATUS_") else text


def _list_findings(findings: list[Finding]) -> str:
    """Return the indexes of calls with findings, and their functions if these differ.

    Many findings of several functions are counted by function instead.
    """
    counts = Counter(finding.call for finding in findings)
    if len(findings) > MAX_NAMED and len(counts) > 1:
        parts = [f"{count} {name}" for name, count in counts.most_common(MAX_FUNCTIONS)]
        return ", ".join(parts) + (", ..." if len(counts) > MAX_FUNCTIONS else "") + f"; first #{_index(findings[0])}"
    without_names = len(counts) == 1 and len(findings) > 1
    shown = [
        f"#{_index(finding)}" if without_names else f"#{_index(finding)} {finding.call}"
        for finding in findings[:MAX_NAMED]
    ]
    return ", ".join(shown) + (", ..." if len(findings) > MAX_NAMED else "")


def _differing(report: Report) -> str:
    verb = "with misuse" if report.is_check else "differs" if report.differing == 1 else "differ"
    return f"{report.differing} {verb}"


def _counts_line(report: Report) -> str:
    counts = report.calls
    parts = [
        (report.differing, _differing(report)),
        (report.opaque, f"{report.opaque} opaque"),
        (counts.in_flight, f"{counts.in_flight} in flight"),
        (counts.lost, plural(counts.lost, "lost event")),
        (counts.ambient_handles, plural(counts.ambient_handles, "ambient handle")),
        (counts.injected, plural(counts.injected, "injected failure")),
        (report.accepted, plural(report.accepted, "accepted finding")),
        (counts.ignored, plural(counts.ignored, "ignored finding")),
    ]
    return ", ".join(text for count, text in parts if count)
