"""Formats a report as JUnit XML: one suite for the trace and the target, one case for each function.

A function with calls that were not compared has a skipped case.

The schema is the one that Jenkins' xUnit plugin publishes (junit-10.xsd) and that GitLab reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from tracekmt.findings import Finding, Report
from tracekmt.plural import plural
from tracekmt.printable import printable_lines
from tracekmt.report.share import share_line
from tracekmt.report.text import finding_lines

MAX_SHOWN = 20


def junit(*reports: Report) -> str:
    """Return reports as an XML document, each as a suite."""
    return junit_of(reports)


def junit_of(reports: Iterable[Report]) -> str:
    """Return reports as an XML document, each as a suite. Only one report is in memory at a time."""
    root = ET.Element("testsuites", {"name": "tracekmt"})
    for report in reports:
        _add_suite(root, report)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_suite(root: ET.Element, report: Report) -> None:
    by_function: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        if finding.counts:
            by_function[finding.call].append(finding)
    functions = sorted({*report.functions, *by_function})
    name = _xml_text(f"{report.names[0]} against {report.names[1]}")
    errors = 0 if report.stopped is None else 1
    not_compared = [
        (f"{function} ({reason})" if function in functions else function, reason, count)
        for reason, counts in report.not_compared.items()
        for function, count in counts.most_common()
    ]
    tests = len(functions) + len(not_compared) + errors
    attributes = {"name": name, "tests": str(tests), "failures": str(len(by_function)), "errors": str(errors)}
    suite = ET.SubElement(root, "testsuite", {**attributes, "skipped": str(len(not_compared))})
    for function in functions:
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": _xml_text(function), "time": "0"})
        findings = by_function[function]
        if findings:
            _add_failure(case, findings, report, report.functions[function])
    for title, reason, count in not_compared:
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": _xml_text(title), "time": "0"})
        ET.SubElement(case, "skipped", {"message": f"{plural(count, 'call')} {reason}"})
    if report.stopped is not None:
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": "the whole trace", "time": "0"})
        ET.SubElement(case, "error", {"message": _xml_text(f"stopped {report.stopped}"), "type": "stopped"})
    notes = ET.SubElement(suite, "system-out")
    notes.text = _xml_text("\n".join([*report.notes, share_line(report)]))


def _add_failure(case: ET.Element, findings: list[Finding], report: Report, compared: int) -> None:
    causes = [finding for finding in findings if finding.cause is None]
    counts = (
        plural(sum(finding.count for finding in findings), "difference"),
        plural(compared, "call"),
        plural(len(causes), "cause"),
    )
    message = "{} in {}, {}".format(*counts)
    failure = ET.SubElement(case, "failure", {"message": message, "type": findings[0].kind})
    lines = [line for finding in [*causes, *findings][:MAX_SHOWN] for line in finding_lines(finding, report.sides)]
    failure.text = _xml_text("\n".join(dict.fromkeys(lines)))


def _xml_text(text: str) -> str:
    """Escape the characters that XML cannot contain, and those that a log would act upon."""
    return printable_lines(text)
