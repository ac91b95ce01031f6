"""Findings for GitHub's own pages: annotations, and a summary of the step. GitHub shows ten errors of a step and takes
a summary of one megabyte (its documentation of workflow commands and job summaries)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tracekmt.findings import Finding, Report
from tracekmt.report.text import finding_lines, in_order, report_lines

MAX_ANNOTATIONS = 10
MAX_SUMMARY = 1 << 20


def annotation_lines(report: Report) -> Iterator[str]:
    """Workflow commands, one for each kind of cause; the last says how many more there are."""
    groups: dict[str, list[Finding]] = {}
    for finding in in_order(report):
        if finding.counts and finding.cause is None:
            groups.setdefault(finding.group, []).append(finding)
    shown = list(groups.values())
    room = MAX_ANNOTATIONS
    if report.stopped is not None:
        yield _command("tracekmt", f"stopped {report.stopped}")
        room -= 1
    most = len(shown) if len(shown) <= room else room - 1
    for findings in shown[:most]:
        first = findings[0]
        again = f" ({len(findings)} times)" if len(findings) > 1 else ""
        yield _command(f"{first.call} differs{again}", "\n".join(finding_lines(first)))
    if most < len(shown):
        rest = Counter(findings[0].call for findings in shown[most:])
        yield _command("tracekmt", f"{len(shown) - most} more kinds of difference: {', '.join(rest)}")


def summary(report: Report) -> str:
    """Markdown: the report as text, in a fence that nothing in it can close."""
    text = "\n".join(report_lines(report)).replace("\x00", "")
    fence = "`" * max(3, *(len(each) + 1 for each in _runs(text)))
    head = f"### tracekmt: {report.verdict}\n\n{fence}text\n"
    room = MAX_SUMMARY - len(head.encode()) - len(fence) - 2
    return head + text.encode("utf-8", "backslashreplace")[:room].decode("utf-8", "ignore") + f"\n{fence}\n"


def write_summary(report: Report, path: Path) -> None:
    """Append the summary to the file that GitHub names in GITHUB_STEP_SUMMARY."""
    with path.open("a", encoding="utf-8") as file:
        file.write(summary(report))


def _runs(text: str) -> Iterator[str]:
    """Stretches of the character that fences are made of."""
    run = ""
    for letter in text:
        run = run + letter if letter == "`" else ""
        yield run


def _command(title: str, message: str) -> str:
    return f"::error title={_escaped(title, ',:')}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for letter in "%\r\n" + more:
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text.encode("utf-8", "backslashreplace").decode()
