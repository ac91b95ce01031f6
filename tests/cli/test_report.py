"""The command `tracekmt report`: the page, the JSON, and its refusals."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from tests.overview.game import write_game
from tracekmt.resources import resource

Command = Callable[..., subprocess.CompletedProcess[str]]
DEMO = resource("traces", "demo.kmt")


def test_a_page_is_written_once(command: Command, tmp_path: Path) -> None:
    result = command("report", DEMO, "-o", "demo.html")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    text = (tmp_path / "demo.html").read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    refused = command("report", DEMO, "-o", "demo.html")
    assert refused.returncode == 2
    assert refused.stderr == "tracekmt: cannot write demo.html: the file already exists (-f overwrites it)\n"
    assert (tmp_path / "demo.html").read_text("utf-8") == text
    assert command("report", DEMO, "-o", "demo.html", "-f").returncode == 0


def test_a_page_goes_to_standard_output(command: Command, tmp_path: Path) -> None:
    result = command("report", DEMO, "-o", "-")
    assert result.returncode == 0
    command("report", DEMO, "-o", "demo.html")
    assert result.stdout == (tmp_path / "demo.html").read_text("utf-8")


def test_the_numbers_are_printed_as_json(command: Command, tmp_path: Path) -> None:
    result = command("report", DEMO, "--json")
    data = json.loads(result.stdout)
    assert (data["calls"], data["failed"], data["did_not_return"]) == (19, 5, 0)
    assert data["origin"]["process"]["name"] == "python"
    assert list(tmp_path.iterdir()) == []
    both = command("report", DEMO, "--json", "-o", "demo.html")
    assert json.loads(both.stdout) == data
    assert (tmp_path / "demo.html").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((DEMO,), "report requires a page to write (-o FILE.html), or --json"),
        ((DEMO, "-o", "-", "--json"), "cannot write a page and JSON to standard output (use -o FILE.html)"),
        ((DEMO, "-o", "missing/page.html"), "cannot write missing/page.html: No such file or directory"),
        (("missing.kmt", "-o", "page.html"), "cannot open missing.kmt: No such file or directory"),
    ],
)
def test_refusals_are_one_line(command: Command, tmp_path: Path, words: tuple[object, ...], error: str) -> None:
    result = command("report", *words)
    assert result.returncode == 2
    assert result.stderr.replace("\\", "/").partition("\n(see")[0].rstrip("\n") == f"tracekmt: {error}"
    assert list(tmp_path.iterdir()) == []


def test_the_trace_is_not_overwritten(command: Command, tmp_path: Path) -> None:
    path = write_game(tmp_path / "game.kmt", 5)
    before = path.read_bytes()
    result = command("report", path, "-o", path, "-f")
    assert result.returncode == 2
    assert "it is the input trace" in result.stderr
    assert path.read_bytes() == before


def test_a_damaged_trace_has_a_page_and_a_warning(command: Command, tmp_path: Path) -> None:
    path = write_game(tmp_path / "game.kmt", 60)
    path.write_bytes(path.read_bytes()[:-3000])
    result = command("report", path, "-o", "page.html")
    assert result.returncode == 0
    assert result.stderr.endswith("the calls before the damage are complete\n")
    assert "The trace is damaged: " in (tmp_path / "page.html").read_text("utf-8")


def test_a_page_that_cannot_be_finished_is_not_there(command: Command, tmp_path: Path) -> None:
    """The trace is refused after its first frames: the page is whole, or not there."""
    (tmp_path / "bad.kmt").write_bytes(DEMO.read_bytes()[:60])
    result = command("report", "bad.kmt", "-o", "page.html")
    assert result.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bad.kmt"]


def test_the_commands_on_a_page_can_be_run(command: Command, tmp_path: Path) -> None:
    (tmp_path / "demo.kmt").write_bytes(DEMO.read_bytes())
    page = command("report", "demo.kmt", "-o", "-").stdout
    shown = [shlex.split(unescape(text)) for text in re.findall(r"<code>(tracekmt [^<]*)</code>", page)]
    assert shown
    for words in shown:
        result = command(*words[1:])
        assert (result.returncode, result.stderr) == (0, "")
