"""Findings as JUnit XML, in the schema that Jenkins' xUnit plugin publishes (junit-10.xsd) and GitLab reads: one suite
for a trace and a target, one case for every function."""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree import ElementTree as ET

from tracekmt.findings import Finding, Report
from tracekmt.report.text import finding_lines

MAX_SHOWN = 20

# What XML 1.0 has no place for, not even written as a number.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """The whole report as a document."""
    by_function: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        if finding.counts:
            by_function[finding.call].append(finding)
    functions = sorted({*report.functions, *by_function})
    name = _plain(f"{report.names[0]} against {report.names[1]}")
    errors = 0 if report.stopped is None else 1
    tests = len(functions) + errors
    told = {"name": name, "tests": str(tests), "failures": str(len(by_function)), "errors": str(errors)}
    root = ET.Element("testsuites", told)
    suite = ET.SubElement(root, "testsuite", told)
    for function in functions:
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": _plain(function), "time": "0"})
        findings = by_function[function]
        if findings:
            causes = [each for each in findings if each.cause is None]
            message = f"{len(findings)} differences in {report.functions[function]} calls, {len(causes)} of them causes"
            failure = ET.SubElement(case, "failure", {"message": message, "type": findings[0].kind})
            lines = [line for each in [*causes, *findings][:MAX_SHOWN] for line in finding_lines(each)]
            failure.text = _plain("\n".join(dict.fromkeys(lines)))
    if report.stopped is not None:
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": "the whole trace", "time": "0"})
        ET.SubElement(case, "error", {"message": _plain(f"stopped {report.stopped}"), "type": "stopped"})
    notes = ET.SubElement(suite, "system-out")
    notes.text = _plain("\n".join(report.notes))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """Text as XML can hold it."""
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
