"""Paths and names that a system may refuse or mangle: spaces, scripts, long paths, and the look-up of programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tracekmt.resources import resource

Command = Callable[..., subprocess.CompletedProcess[str]]

NAMES = {
    "spaces": "a folder with spaces & 'quotes'",
    "scripts": "Übung 録画 запись",
    "long": "/".join(f"{number}" * 90 for number in range(3)),
}


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder whose path has more than 260 characters, or other traps."""
    folder = tmp_path / NAMES[request.param]
    folder.mkdir(parents=True)
    return folder


def test_traces_in_a_folder_with_any_name(command: Command, folder: Path) -> None:
    trace, part, outcome, lines = (folder / name for name in ("t.kmt", "part.kmt", "outcome.kmt", "lines.jsonl"))
    shutil.copy(resource("traces", "demo.kmt"), trace)
    assert command("replay", trace, "-o", outcome).returncode == 0
    assert command("diff", trace, outcome).returncode == 0
    assert command("trim", trace, "--calls", "0-4", "-o", part).returncode == 0
    assert command("convert", part, "-o", lines).returncode == 0
    assert command("convert", lines, "-o", folder / "again.kmt").returncode == 0
    assert json.loads(command("info", folder / "again.kmt", "--json").stdout)["calls"] == 5
    refused = command("trim", trace, "--calls", "0-4", "-o", part)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_recording_in_a_folder_with_any_name(folder: Path) -> None:
    with tracekmt.recording(folder / "own.kmt", spool=folder) as progress:
        pass
    assert progress.lost == 0
    with tracekmt.open(folder / "own.kmt") as trace:
        assert len(trace) == 0
    assert [path.name for path in folder.iterdir()] == ["own.kmt"]


def test_output_that_the_code_page_lacks(command: Command, tmp_path: Path) -> None:
    """It is printed as an escape, in tables too, and JSON keeps it."""
    name = "録画.kmt"
    with tracekmt.create(tmp_path / name) as trace:
        trace.add("D3DKMTCloseAdapter", {"hAdapter": 1})
    for encoding, shown in (("cp1252", r"\u9332\u753b.kmt"), ("utf-8", name)):
        done = command("info", name, env={"PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stderr) == (0, "")
        assert shown in done.stdout
        stats = command("stats", name, env={"PYTHONIOENCODING": encoding})
        assert (stats.returncode, stats.stderr) == (0, "")
        assert next(line for line in stats.stdout.splitlines() if "D3DKMTCloseAdapter" in line).split()[1] == "1"


@pytest.mark.skipif(sys.platform != "win32", reason="Linux has no PATHEXT")
def test_a_program_is_found_by_the_endings_of_windows(command: Command) -> None:
    found, missing = command("record", "--", "notepad"), command("record", "--", "no-such-program")
    assert "there is no such program" in missing.stderr
    assert "there is no such program" not in found.stderr


def test_an_output_that_is_open_elsewhere(command: Command, tmp_path: Path) -> None:
    """It is replaced on Linux. Windows refuses that, and the old file stays whole."""
    part = tmp_path / "part.kmt"
    shutil.copy(resource("traces", "demo.kmt"), part)
    before = part.read_bytes()
    with part.open("rb"):
        done = command("trim", resource("traces", "demo.kmt"), "--calls", "0-4", "-f", "-o", part)
    if sys.platform == "win32":
        assert (done.returncode, done.stderr) == (2, f"tracekmt: cannot write {part}: a program has it open\n")
        assert part.read_bytes() == before
    else:
        assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["part.kmt"]
