"""The page: its sections and facts, no text of a trace becomes markup, and a browser shows it without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

import tracekmt
from tests.overview.game import write_game
from tracekmt.overview.gather import gather
from tracekmt.overview.page import page
from tracekmt.resources import resource
from tracekmt.spec.dsl import UINT, in_, structure
from tracekmt.spec.types import CallSpec
from tracekmt.trace.builder import Builder
from tracekmt.trace.events import Header, Module
from tracekmt.trace.writer import Writer

Browse = Callable[..., str]

HOSTILE = "</style></script><img src=x onerror=\"document.title='taken'\"><b>bold</b>&amp;'\u2028\u202e\x1b[31m"
HOSTILE_NAME = "x'<b>bold<i> $(id).kmt"
VOID = {"meta"}
WIDTHS = (390, 1200)


class Elements(HTMLParser):
    """The elements of a page, each of which must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(path: Path) -> str:
    with tracekmt.open(path) as trace:
        return page(gather(trace))


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of a game."""
    return page_of(write_game(tmp_path_factory.mktemp("game") / "game.kmt", 240))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of a trace with hostile texts in its name, its header, its modules and its answers."""
    path = tmp_path_factory.mktemp("hostile") / "hostile.kmt"
    header = Header(
        "x64",
        created=HOSTILE,
        tool=HOSTILE,
        process={"name": HOSTILE, "pid": HOSTILE, "parent": HOSTILE},
        settings={"inject": [HOSTILE], HOSTILE: HOSTILE},
        trimmed=HOSTILE,
        redacted=HOSTILE,
    )
    with tracekmt.create(path.parent / "plain.kmt") as builder:
        luid = {"AdapterLuid": {"LowPart": 1}}
        builder.add("D3DKMTOpenAdapterFromLuid", luid, {"hAdapter": 0x40000000})
        registry = {"AdapterString": HOSTILE[:60], "DacType": "<i>"}
        answer = {"hAdapter": 0x40000000, "Type": "KMTQAITYPE_ADAPTERREGISTRYINFO", "pPrivateDriverData": registry}
        builder.add("D3DKMTQueryAdapterInfo", answer)
        builder.add("D3DKMTOpenAdapterFromLuid", luid, status="STATUS_NO_MEMORY")
        builder.add("D3DKMTOpenAdapterFromLuid", luid, status=None)
    with tracekmt.open(path.parent / "plain.kmt") as trace:
        writer = Writer(path, header)
        writer.module(Module(HOSTILE, HOSTILE, 0x1000, 0x1000))
        for spec_id, spec in trace.specs.items():
            writer.describe(spec_id, spec)
        for event in trace.events():
            writer.events([event], flush=False)
        writer.end(HOSTILE, HOSTILE)
        writer.close()
    with tracekmt.open(path) as trace:
        return page({**gather(trace), "trace": HOSTILE_NAME})


def test_the_page_has_every_section_and_its_facts(game: str) -> None:
    headings = re.findall(r"<h2>(.*?)</h2>", game)
    assert headings == [
        "Calls that did not return",
        "Calls over time",
        "Failures",
        "Slowest calls",
        "Memory over time",
        "Objects over time",
        "Never destroyed",
        "Threads",
        "Origin",
    ]
    text = Elements(game).text
    for fact in (
        "The call that was under way at the end: #",
        "D3DKMTSubmitCommand on thread 0.",
        "D3DKMTPresent with STATUS_GRAPHICS_PRESENT_OCCLUDED, 24 times.",
        "tracekmt dump game.kmt --calls ",
        "local memory of adapter 0:9c41, as the kernel answered",
        "The kernel asked the program to trim",
        "DriverVersion: 31.0.101.5333",
    ):
        assert fact in text, fact
    links = re.findall(r'<a href="#([\w-]+)">', game)
    assert len(links) == len(headings)
    assert all(f'<section id="{link}">' in game for link in links)


def test_the_page_needs_no_script_and_nothing_else(game: str, hostile: str) -> None:
    for text in (game, hostile):
        elements = Elements(text)
        assert not elements.names & {
            "script",
            "img",
            "link",
            "iframe",
            "object",
            "embed",
            "form",
            "base",
            "image",
            "use",
        }
        assert not {name for name in elements.attributes if name.startswith("on") or name in ("style", "src", "srcset")}
        assert "default-src 'none'; style-src 'sha256-" in text
        assert "script-src" not in text
        assert not re.search(r"url\(|@import|https?:", text)


def test_every_chart_has_a_title_and_a_text(game: str) -> None:
    charts = re.findall(r'<svg class="chart".*?</svg>', game)
    assert len(charts) >= 4
    for chart in charts:
        assert 'role="img"' in chart
        assert "<title " in chart
        assert "<desc " in chart
    ids = re.findall(r' id="([^"]+)"', game)
    assert len(ids) == len(set(ids))


def test_contents_of_a_trace_are_text(hostile: str) -> None:
    elements = Elements(hostile)
    assert "b" not in elements.names
    assert "i" not in elements.names
    assert "<img src=x onerror" in elements.text
    assert "\\u2028\\u202e\\x1b[31m" in elements.text
    assert not {"\u2028", "\u202e", "\x1b"} & set(hostile)
    # The command can be pasted into a shell.
    assert "tracekmt dump 'x'\"'\"'<b>bold<i> $(id).kmt' --calls 2 -v" in elements.text


def test_reasons_for_incomplete_numbers_come_first(hostile: str) -> None:
    warnings = re.findall(r'<p class="warning">(.*?)</p>', hostile)
    assert [warning.split(":")[0] for warning in warnings] == [
        "The trace is damaged",
        "The trace is a part of another one",
        "The trace is redacted",
    ]
    assert hostile.index(warnings[-1]) < hostile.index('<dl class="tiles">')


def test_a_trace_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = write_game(tmp_path / "game.kmt", 60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    text = page_of(path)
    assert "The trace is damaged: " in text
    assert "Threads" in text


@pytest.mark.parametrize("name", ["demo", "intel-opencl", "stand-alone-allocation", "preallocated-resource"])
def test_the_sample_traces(name: str) -> None:
    text = Elements(page_of(resource("traces", f"{name}.kmt"))).text
    assert f"{name}.kmt" in text
    assert "The trace shows neither allocations nor budgets." not in text


@pytest.mark.parametrize("abi", ["x64", "x86"])
@pytest.mark.parametrize("calls", [0, 1])
def test_a_trace_of_at_most_one_call_has_sentences_instead_of_charts(tmp_path: Path, abi: str, calls: int) -> None:
    path = tmp_path / "small.kmt"
    with tracekmt.create(path, abi=abi) as builder:
        for _ in range(calls):
            builder.add("D3DKMTCloseAdapter", {"hAdapter": 1})
    text = page_of(path)
    assert 'class="chart"' not in text
    shown = Elements(text).text
    for sentence in (
        "No call failed.",
        "The trace shows neither allocations nor budgets.",
        "No call created or destroyed an object.",
        "Every object that the trace shows was destroyed.",
    ):
        assert sentence in shown
    assert ("The trace has no calls." in shown) == (calls == 0)


def test_many_families_and_failures_share_rows(tmp_path: Path) -> None:
    argument = structure("ARGUMENT", in_("Number", UINT))
    specs = {f"F{number}": CallSpec(f"F{number}", argument) for number in range(50)}
    with Builder(tmp_path / "many.kmt", specs) as builder:
        for name in specs:
            builder.add(name, {}, status="STATUS_NO_MEMORY")
    shown = Elements(page_of(tmp_path / "many.kmt")).text
    assert "and 20 rows more; tracekmt stats has all" in shown
    assert "and 20 functions more; tracekmt stats has all" in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_photograph_of_the_page(browse: Browse, game: str, hostile: str, tmp_path: Path, scheme: str) -> None:
    """The policy of the page forbids every script, so that the browser shows the page without any."""
    dark = ("--blink-settings=preferredColorScheme=0",) if scheme == "dark" else ()
    for number, text in enumerate((game, hostile)):
        written, picture = tmp_path / f"{number}.html", tmp_path / f"{number}.png"
        written.write_text(text, "utf-8")
        browse(written, "", f"--screenshot={picture}", "--window-size=1200,900", *dark)
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture.stat().st_size > 30_000


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_never_wider_than_its_window(
    browse: Browse, game: str, hostile: str, tmp_path: Path, width: int
) -> None:
    """A script in a page around it measures the width, since the policy of the page forbids scripts in it."""
    for number, text in enumerate((game, hostile)):
        (tmp_path / f"{number}.html").write_text(text, "utf-8")
        frame = tmp_path / "frame.html"
        frame.write_text(
            f'<iframe src="{number}.html" style="width:{width}px;height:900px;border:0"></iframe><script>'
            "onload = () => { const root = document.querySelector('iframe').contentDocument.documentElement;"
            " document.title = `${root.scrollWidth} of ${root.clientWidth}`; }</script>",
            "utf-8",
        )
        shown = browse(frame, "", "--dump-dom", "--allow-file-access-from-files")
        assert f"<title>{width} of {width}</title>" in shown
