"""The self-test records, replays and packs, and reports what does not work."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.windows import wine_environment
from tracekmt.doctor import selftest
from tracekmt.doctor import windows_probe as probe
from tracekmt.errors import RecordError


def test_every_program_is_recorded_and_replayed(
    command: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = wine_environment(tmp_path_factory.mktemp("wine"))
    for name in ("WINEPREFIX", "DISPLAY"):
        monkeypatch.setenv(name, environment[name])
    result = command("doctor", "--selftest", "-o", "result.zip")
    assert (result.returncode, result.stdout) == (0, "result.zip: all parts work\n"), result.stderr
    with zipfile.ZipFile(tmp_path / "result.zip") as packed:
        summary = json.loads(packed.read("summary.json"))
        assert [(part["name"], part["ok"]) for part in summary["parts"]] == [("native", True), ("wine", True)]
        assert summary["wine"].startswith("wine-")
        assert {"native.kmt", "native.json", "wine.kmt", "wine.json"} < set(packed.namelist())
        assert json.loads(packed.read("wine.json"))["same"] is True
        packed.extract("wine.kmt", tmp_path)
    with tracekmt.open(tmp_path / "wine.kmt") as trace:
        assert [call.name for call in trace.calls()] == list(probe.CALLS)
        assert trace.abi == "x64"
    second = command("doctor", "--selftest", "-o", "result.zip")
    assert (second.returncode, second.stderr) == (
        2,
        "tracekmt: cannot write result.zip: the file already exists (-f overwrites it)\n",
    )


def test_problems_are_in_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(trace: Path, folder: Path) -> int:
        raise RecordError("the system forbids it")

    monkeypatch.setattr(selftest, "_record_native", fail)
    monkeypatch.setattr(selftest, "_record_under_wine", fail)
    lines: list[str] = []
    assert not selftest.selftest(tmp_path / "result.zip", force=False, say=lines.append)
    assert "native: the system forbids it" in lines
    with zipfile.ZipFile(tmp_path / "result.zip") as packed:
        (part, *_) = json.loads(packed.read("summary.json"))["parts"]
    assert part == {"name": "native", "calls": 0, "same": False, "problem": "the system forbids it", "ok": False}


def test_its_options_require_each_other(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    errors = {
        ("--selftest",): "tracekmt: --selftest requires -o FILE.zip\n",
        ("-o", "x.zip"): "tracekmt: -o requires --selftest\n",
    }
    for arguments, error in errors.items():
        result = command("doctor", *arguments)
        assert (result.returncode, result.stderr) == (2, error)
