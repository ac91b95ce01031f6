"""Formats of a report: JUnit, GitHub and HTML. Contents of a trace stay data in each."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from junitparser import JUnitXml

from tracekmt.findings import Finding, Report
from tracekmt.report.github import MAX_ANNOTATIONS, MAX_SUMMARY, annotation_lines, summary, write_summary
from tracekmt.report.html import html_page
from tracekmt.report.junit import junit
from tracekmt.report.text import report_lines

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\x00\ud800]]>`````%0A::error::\r\n,:"


def finding(index: int, call: str = "D3DKMTCreateDevice", cause: int | None = None, **more: str) -> Finding:
    texts = {"recorded": "STATUS_SUCCESS", "replayed": "STATUS_NO_MEMORY", "message": "reason", **more}
    return Finding("status", call, index, index, 0, texts["recorded"], texts["replayed"], texts["message"], cause=cause)


def report(*findings: Finding, name: str = "a.kmt") -> Report:
    new_report = Report((name, "simulator"))
    new_report.findings += findings
    new_report.functions.update({"D3DKMTCreateDevice": 20, "D3DKMTEscape": 3})
    return new_report


def test_junit_has_a_suite_and_a_case_for_each_function(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(junit(report(finding(3), finding(5), finding(9, cause=3))), "utf-8")
    (suite,) = JUnitXml.fromfile(str(path))
    assert (suite.name, suite.tests, suite.failures) == ("a.kmt against simulator", 2, 1)
    failed, fine = suite
    assert (failed.name, fine.name, fine.result) == ("D3DKMTCreateDevice", "D3DKMTEscape", [])
    assert failed.result[0].message == "3 differences in 20 calls, 2 causes"
    assert "STATUS_NO_MEMORY" in failed.result[0].text


def test_junit_has_a_skipped_case_for_each_function_and_reason(tmp_path: Path) -> None:
    partly = report()
    partly.not_compared["taken"].update({"D3DKMTCreateDevice": 2})
    partly.not_compared["unmodelled"].update({"D3DKMTPresent": 1})
    path = tmp_path / "junit.xml"
    path.write_text(junit(partly), "utf-8")
    (suite,) = JUnitXml.fromfile(str(path))
    assert (suite.tests, suite.failures, suite.skipped) == (4, 0, 2)
    skipped = {case.name: case.result[0].message for case in suite if case.result}
    assert skipped == {
        "D3DKMTCreateDevice (taken)": "2 calls taken",
        "D3DKMTPresent": "1 call unmodelled",
    }


def test_the_last_line_says_what_was_compared() -> None:
    partly = report()
    partly.total, partly.calls.compared = 2000, 1990
    counts = {"D3DKMTPresent": 2, "D3DKMTRender": 3, "D3DKMTEscape": 1, "D3DKMTLock2": 1, "NtClose": 1, "\x1b[31m": 1}
    partly.not_compared["unmodelled"].update(counts)
    partly.not_compared["not sent"].update({"D3DKMTEscape": 1})
    *_, last = report_lines(partly)
    assert last == (
        "compared 1990 of 2000 calls (99.5%); unmodelled 9 (0.4%): D3DKMTRender 3, D3DKMTPresent 2, D3DKMTEscape 1, "
        "D3DKMTLock2 1, NtClose 1, and 1 more; not sent 1 (0%): D3DKMTEscape 1"
    )


def test_accepted_differences_are_no_equality() -> None:
    accepted = report(replace(finding(3), accepted="known"))
    assert (accepted.verdict, accepted.same) == ("no new differences (1 accepted)", True)


def test_junit_without_differences_has_no_failures(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(junit(report()), "utf-8")
    assert [suite.failures for suite in JUnitXml.fromfile(str(path))] == [0]


def test_a_stopped_replay_fails_in_every_format(tmp_path: Path) -> None:
    """No call differed, but some were not replayed. A CI job must fail."""
    stopped = report()
    stopped.stopped = "before call 7: no more"
    path = tmp_path / "junit.xml"
    path.write_text(junit(stopped), "utf-8")
    (suite,) = JUnitXml.fromfile(str(path))
    assert (suite.tests, suite.failures, suite.errors) == (len(list(suite)), 0, 1)
    assert list(annotation_lines(stopped)) == ["::error title=tracekmt::stopped before call 7: no more"]
    assert "no differences before it stopped" in summary(stopped)
    stopped.findings += [finding(index=n, call=f"D3DKMT{n}") for n in range(30)]
    assert len(list(annotation_lines(stopped))) == MAX_ANNOTATIONS


def test_names_in_a_trace_are_data_in_junit(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(junit(report(finding(1, call=HOSTILE, message=HOSTILE), name=HOSTILE)), "utf-8")
    (suite,) = JUnitXml.fromfile(str(path))
    assert {case.name for case in suite} >= {"D3DKMTEscape"}
    assert "onerror" in suite.name


def test_the_number_of_annotations_is_limited() -> None:
    many = [finding(n, call=f"D3DKMTFunction{n}") for n in range(30)]
    lines = list(annotation_lines(report(*many)))
    assert len(lines) == MAX_ANNOTATIONS
    assert all(re.match(r"::error title=[^\n\r:,]*::[^\n\r]*$", line) for line in lines)
    assert "21 more kinds of difference" in lines[-1]
    assert len(list(annotation_lines(report(*many[:10])))) == 10
    assert list(annotation_lines(report())) == []


def test_annotations_name_causes_once() -> None:
    lines = list(annotation_lines(report(finding(1), finding(2), finding(3, cause=1))))
    assert len(lines) == 1
    assert lines[0].startswith("::error title=D3DKMTCreateDevice differs (2 times)::#1 ")


def test_names_in_a_trace_are_no_workflow_commands() -> None:
    for line in annotation_lines(report(finding(1, call=HOSTILE, message=HOSTILE))):
        assert "\n" not in line
        assert "\r" not in line
        assert line.count("::error") == 1 or "%0A" in line or "%250A" in line
        assert line.startswith("::error title=")


def test_no_text_closes_the_fence_of_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.md"
    write_summary(report(finding(1, message=HOSTILE)), path)
    write_summary(report(), path)
    text = path.read_text("utf-8")
    assert text.startswith("### tracekmt: 1 call differs\n\n``````text\n")
    assert text.count("``````") == 2
    assert "### tracekmt: no differences" in text
    assert len(summary(report(finding(1, message="x" * 2 * MAX_SUMMARY))).encode()) <= MAX_SUMMARY


def test_control_codes_are_escaped() -> None:
    text = "\n".join(report_lines(report(finding(1, call=HOSTILE, message=HOSTILE))))
    assert "\x1b" not in text
    assert "\\x1b[31m" in text


class Elements(HTMLParser):
    """The elements of a page, and its data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = ("id", "data") in attrs

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def test_the_page_is_self_contained_and_shows_texts_of_a_trace_as_text() -> None:
    text = html_page(report(finding(1, call=HOSTILE, message=HOSTILE), name=HOSTILE))
    tags = set(Elements(text).tags)
    known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "span", "ul", "li", "p", "main"}
    assert tags <= known | {"article", "div", "code", "script"}
    assert HOSTILE not in text
    assert text.count("<script>") == 1
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")
