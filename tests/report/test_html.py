"""The HTML page in a browser: no text of a trace becomes markup, and filters select findings."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

import tracekmt
from tests.native import skip_without
from tracekmt.report.html import html_page

HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><b>bold</b>\u2028\x1b[31m"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=3000"),
)

Browse = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Open a page and return its final elements, or take a screenshot."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        skip_without("chromium, to open the page with")

    def run(path: Path, fragment: str = "", *more: str) -> str:
        words = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *(more or ("--dump-dom",))]
        url = path.as_uri() + (f"#{quote(fragment)}" if fragment else "")
        return subprocess.run([*words, url], check=True, capture_output=True, text=True, timeout=60).stdout

    return run


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
    with tracekmt.open(traces[0]) as one, tracekmt.open(traces[1]) as two:
        path.write_text(html_page(report, one.__getitem__, two.__getitem__), "utf-8")
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


def test_a_screenshot_of_the_page(browse: Browse, written: Path, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    browse(written, "", f"--screenshot={picture}", "--window-size=1000,900")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 10_000
