"""The HTML page in a browser: no text of a trace becomes markup, and filters select findings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tracekmt.report.comparison import compare_numbers
from tracekmt.report.html import html_page

HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><b>bold</b>\u2028\x1b[31m"
Browse = Callable[..., str]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Write the page of two traces with hostile names, strings and bytes."""
    traces = []
    for side in ("a", "b"):
        folder = tmp_path / side
        folder.mkdir()
        traces.append(folder / "x<b>bold<i>.kmt")
        with tracekmt.create(traces[-1]) as trace:
            name = {"DeviceName": HOSTILE[:31]}
            trace.add("D3DKMTOpenAdapterFromGdiDisplayName", name, {"hAdapter": 0x40000000})
            data = {"hAdapter": 0x40000000, "pPrivateDriverData": HOSTILE.encode()}
            status = 0 if side == "a" else "STATUS_NO_MEMORY"
            trace.add("D3DKMTEscape", data, status=status)
            trace.add("D3DKMTOpenAdapterFromGdiDisplayName", name, status=status)
    report = tracekmt.diff(*traces)
    assert not report.same
    path = tmp_path / "page.html"
    comparison = compare_numbers(traces[0], traces[1], lambda done, total: None)
    with tracekmt.open(traces[0]) as one, tracekmt.open(traces[1]) as two:
        path.write_text(html_page(report, one.__getitem__, two.__getitem__, comparison), "utf-8")
    return path


def test_contents_of_a_trace_are_text_on_the_page(browse: Browse, written: Path) -> None:
    shown = browse(written)
    assert "<title>x&lt;b&gt;bold&lt;i&gt;.kmt against x&lt;b&gt;bold&lt;i&gt;.kmt: 2 calls differ</title>" in shown
    body = shown[shown.index("<h1>") :]
    assert "<img" not in body
    assert "<b>" not in body
    assert "x&lt;b&gt;bold&lt;i&gt;.kmt" in body
    assert "D3DKMTEscape" in body
    assert "&lt;/script&gt;&lt;img" in body


def test_a_filter_selects_findings(browse: Browse, written: Path) -> None:
    everything = browse(written)
    assert everything.count("<article") == 2
    filtered = browse(written, "escape")
    assert filtered.count("<article") == 1
    assert "#1 D3DKMTEscape" in filtered
    assert browse(written, "nothing of that name").count("<article") == 0


def test_the_page_shows_everything_without_its_script(browse: Browse, written: Path, tmp_path: Path) -> None:
    """A page whose policy forbids its script shows the same text."""
    silent = tmp_path / "silent.html"
    text = written.read_text("utf-8")
    policy = text[text.index("script-src") : text.index('">', text.index("script-src"))]
    silent.write_text(text.replace(policy, "script-src 'none'"), "utf-8")
    shown = browse(silent)
    assert shown.count("<article") == 2
    assert "#1 D3DKMTEscape" in shown
    assert "whole call" in shown
    assert 'type="search"' not in shown
    assert 'type="search"' in browse(written)


def test_a_call_is_shown_on_both_sides_with_its_differences(browse: Browse, written: Path) -> None:
    shown = browse(written, "escape")
    row = shown[shown.index('<tr class="differs">') :]
    assert row.startswith('<tr class="differs"><td>outcome</td><td>STATUS_SUCCESS</td><td>STATUS_NO_MEMORY</td></tr>')
    assert (
        '<tr class="here"><td>#1 D3DKMTEscape: STATUS_SUCCESS</td><td>#1 D3DKMTEscape: STATUS_NO_MEMORY</td>' in shown
    )
    assert "<td>#0 D3DKMTOpenAdapterFromGdiDisplayName: STATUS_SUCCESS</td>" in shown


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_photograph_of_the_page(browse: Browse, written: Path, tmp_path: Path, width: int, scheme: str) -> None:
    picture = tmp_path / "page.png"
    dark = ("--blink-settings=preferredColorScheme=0",) if scheme == "dark" else ()
    browse(written, "", f"--screenshot={picture}", f"--window-size={width},900", *dark)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(picture.read_bytes()[16:20], "big") == width
    assert picture.stat().st_size > 10_000
