"""The page and the summary: contents of traces stay text, and equal findings are one entry."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.matrix.conftest import Matrix
from tests.report.test_html import HOSTILE, Browse
from tests.skips import LINUX_PART
from tracekmt.findings import Counts, Finding, Report
from tracekmt.matrix import store
from tracekmt.matrix.outcomes import Summary, read_rows
from tracekmt.matrix.page import MAX_GROUPS, page
from tracekmt.matrix.plan import Pair
from tracekmt.matrix.work import report_data

OK, BAD, NAME = "STATUS_SUCCESS", "STATUS_NO_MEMORY", "x<b>bold<i>&'\".kmt"


def finding(number: int = 0) -> Finding:
    return Finding("status", f"D3DKMTCall{number}", number, number, 0, OK, BAD, "because")


def summary_of(folder: Path, order: list[str], results: dict[tuple[str, str], Any]) -> Summary:
    """Return the summary of results: a list of findings, or an answer, by trace and target."""
    store.prepare(folder)
    pairs = []
    for number, ((trace, target), found) in enumerate(results.items()):
        answer = found
        pairs.append(Pair(f"{number:064x}", 1, trace, target, f"tracekmt replay {trace} --on {target}", f"of {target}"))
        if isinstance(found, list):
            report = Report((trace, target), calls=Counts(compared=9), total=9, findings=found)
            answer = {"report": report_data(report), "recorded_driver": f"of {trace}"}
        if answer is not None:
            store.write_result(folder, pairs[-1], {**answer, "tries": 1, "started": 0.0, "seconds": 0.5})
    summary = Summary(order)
    for row in read_rows(folder, pairs, None):
        summary.add(row)
    return summary


def test_equal_findings_are_one_entry_with_the_first_target(tmp_path: Path) -> None:
    results = {("a", "old"): [], ("a", "new"): [finding()], ("b", "old"): [finding()], ("b", "new"): [finding(1)]}
    summary = summary_of(tmp_path / "out", ["old", "new"], results)
    first, second = summary.groups.values()
    assert (first.first.trace, first.first.target, first.pairs) == ("b", "old", 2)
    assert first.traces == {"new": ["a"], "old": ["b"]}
    assert (second.first.trace, second.first.target) == ("b", "new")
    html = page(summary)
    assert html.count("<article") == 2
    assert "first seen on <b>old</b> (driver of old), with b, recorded on driver of b" in html
    assert '<code class="command">tracekmt replay b --on old</code>' in html
    assert "2 calls in 2 pairs, on 2 targets" in html


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([[]], 0),
        ([[finding()], []], 1),
        ([[finding()], {"error": "unreadable"}], 2),
        ([[], {"set_aside": "killed"}], 2),
        ([[], None], 2),
        ([], 0),
    ],
)
def test_the_exit_status(tmp_path: Path, results: list[Any], status: int) -> None:
    rows = {(str(number), "target"): result for number, result in enumerate(results)}
    assert summary_of(tmp_path / "out", ["target"], rows).exit_status == status


def test_a_page_has_the_most_frequent_findings(tmp_path: Path) -> None:
    many = [finding(number) for number in range(MAX_GROUPS + 1)]
    html = page(summary_of(tmp_path / "out", ["t"], {("a", "t"): many, ("b", "t"): many[3:]}))
    assert html.count("<article") == MAX_GROUPS
    assert "1 more kind in the tables" in html
    assert html.index("Call5<") < html.index("Call0<")


def test_reasons_have_text_and_a_command(tmp_path: Path) -> None:
    results = {(NAME, "a"): {"error": HOSTILE}, (NAME, "b"): {"error": HOSTILE}, ("x", "a"): {"set_aside": "killed"}}
    html = page(summary_of(tmp_path / "out", ["a", "b"], results))
    assert "<b>x&lt;b&gt;bold&lt;i&gt;&amp;&#x27;&quot;.kmt</b> on a, b: &lt;/script&gt;" in html
    assert "Set aside: 1 pair" in html
    assert html.count("</script>") == 1


@pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)
def test_names_of_traces_stay_text(command: Matrix, folder: Path, browse: Browse) -> None:
    with tracekmt.create(folder / NAME) as trace:
        name = {"DeviceName": HOSTILE[:31]}
        trace.add("D3DKMTOpenAdapterFromGdiDisplayName", name, {"hAdapter": 0x40000000})
        luid = {"AdapterLuid": {"LowPart": 1}}
        trace.add("D3DKMTOpenAdapterFromLuid", luid, {"hAdapter": 0x40000040})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000040}, status="STATUS_NO_SUCH_DEVICE")
    (folder / "matrix.toml").write_text(
        f"traces = ['''{NAME}''']\n[[targets]]\nname = '</td><script>1</script>'\nvideo_memory = '1MB'\n"
        '[[targets]]\nname = "\\u202e\\u001b[31m"\n'
    )
    result = command("matrix", "matrix.toml", "-o", "out")
    assert result.returncode == 1
    assert "\x1b" not in result.stdout
    for file in ("report.html", "junit.xml"):
        text = (folder / "out" / file).read_text("utf-8")
        assert not re.search("<b>bold|<script>1|\x1b|\u202e|\u2028", text)
        assert "x&lt;b&gt;bold&lt;i&gt;" in text
    path = folder / "out" / "report.html"
    shown = browse(path)
    body = shown[shown.index("<h1>") :]
    assert "<img" not in body
    assert "x&lt;b&gt;bold&lt;i&gt;" in body
    assert body.count("<article") == path.read_text("utf-8").count("<article") > 0
    assert "<title>matrix: 2 pairs: 2 different</title>" in shown
