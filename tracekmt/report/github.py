"""Formats a report for GitHub: annotations, and a step summary.

GitHub shows ten errors of a step and accepts a summary of one megabyte, according to its documentation of workflow
commands and job summaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tracekmt.findings import Finding, Report
from tracekmt.printable import printable
from tracekmt.report.text import finding_lines, report_lines, sort_findings

MAX_ANNOTATIONS = 10
MAX_SUMMARY = 1 << 20


def annotation_lines(report: Report) -> Iterator[str]:
    """Yield workflow commands, one for each group of causes. The last one has the number of omitted groups."""
    groups: dict[str, list[Finding]] = {}
    for finding in sort_findings(report):
        if finding.counts and finding.cause is None:
            groups.setdefault(finding.group, []).append(finding)
    group_list = list(groups.values())
    capacity = MAX_ANNOTATIONS
    if report.stopped is not None:
        yield _command("tracekmt", f"stopped {report.stopped}")
        capacity -= 1
    shown = len(group_list) if len(group_list) <= capacity else capacity - 1
    for findings in group_list[:shown]:
        first = findings[0]
        count = sum(finding.count for finding in findings)
        repetitions = f" ({count} times)" if count > 1 else ""
        yield _command(f"{first.call} differs{repetitions}", "\n".join(finding_lines(first, report.sides)))
    if shown < len(group_list):
        omitted = Counter(findings[0].call for findings in group_list[shown:])
        yield _command("tracekmt", f"{len(group_list) - shown} more kinds of difference: {', '.join(omitted)}")


def summary(report: Report) -> str:
    """Return the text report as Markdown, in a code fence that its contents cannot close."""
    text = "\n".join(report_lines(report)).replace("\x00", "")
    fence = "`" * max(3, *(length + 1 for length in _backtick_runs(text)))
    heading = f"### tracekmt: {report.verdict}\n\n{fence}text\n"
    capacity = MAX_SUMMARY - len(heading.encode()) - len(fence) - 2
    body = text.encode("utf-8", "backslashreplace")[:capacity].decode("utf-8", "ignore")
    return f"{heading}{body}\n{fence}\n"


def write_summary(report: Report, path: Path) -> None:
    """Append the summary to a file. GitHub names it in GITHUB_STEP_SUMMARY."""
    with path.open("a", encoding="utf-8") as file:
        file.write(summary(report))


def _backtick_runs(text: str) -> Iterator[int]:
    """Yield the number of consecutive backticks up to each character."""
    length = 0
    for character in text:
        length = length + 1 if character == "`" else 0
        yield length


def _command(title: str, message: str) -> str:
    return f"::error title={_escape(title, ',:')}::{_escape(message)}"


def _escape(text: str, separators: str = "") -> str:
    text = "\n".join(map(printable, text.split("\n")))
    for character in "%\n" + separators:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
