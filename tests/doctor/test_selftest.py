"""The self-test records, replays and packs, and says so where something does not work."""

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


def test_everything_that_can_run_here_is_recorded_and_replayed(
    command: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = wine_environment(tmp_path_factory.mktemp("wine"))
    for name in ("WINEPREFIX", "DISPLAY"):
        monkeypatch.setenv(name, environment[name])
    done = command("doctor", "--selftest", "-o", "result.zip")
    assert (done.returncode, done.stdout) == (0, "result.zip: everything works\n"), done.stderr
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
    again = command("doctor", "--selftest", "-o", "result.zip")
    assert (again.returncode, again.stderr) == (2, "tracekmt: result.zip: exists already; -f overwrites it\n")


def test_what_does_not_work_is_in_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(trace: Path, folder: Path) -> int:
        raise RecordError("the system forbids it")

    monkeypatch.setattr(selftest, "_native", broken)
    monkeypatch.setattr(selftest, "_under_wine", broken)
    said: list[str] = []
    assert not selftest.selftest(tmp_path / "result.zip", force=False, say=said.append)
    assert "native: the system forbids it" in said
    with zipfile.ZipFile(tmp_path / "result.zip") as packed:
        (part, *_) = json.loads(packed.read("summary.json"))["parts"]
    assert part == {"name": "native", "calls": 0, "same": False, "problem": "the system forbids it", "ok": False}


def test_its_options_go_together(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    for arguments in (["--selftest"], ["-o", "x.zip"]):
        done = command("doctor", *arguments)
        assert (done.returncode, done.stderr) == (2, "tracekmt: --selftest goes with -o FILE.zip\n")
