"""The self-test records, replays and packs, and reports what does not work."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tests.windows import wine_environment
from tracekmt.doctor import selftest
from tracekmt.doctor import windows_probe as probe
from tracekmt.errors import RecordError
from tracekmt.system import wine_version


def test_every_program_is_recorded_and_replayed(
    command: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last part makes the calls of the probe: in this process on a Windows Python, under Wine elsewhere."""
    if sys.platform == "win32":
        names, probed = ["own", "gdi32"], "gdi32"
        if wine_version() is None:
            names += ["native", "windows"]
    else:
        names, probed = ["own", "native", "wine"], "wine"
        environment = wine_environment(tmp_path_factory.mktemp("wine"))
        for name in ("WINEPREFIX", "DISPLAY"):
            monkeypatch.setenv(name, environment[name])
    result = command("doctor", "--selftest", "-o", "result.zip")
    assert (result.returncode, result.stdout) == (0, "result.zip: all parts work\n"), result.stderr
    with zipfile.ZipFile(tmp_path / "result.zip") as packed:
        summary = json.loads(packed.read("summary.json"))
        assert [(part["name"], part["ok"]) for part in summary["parts"]] == [(name, True) for name in names]
        assert summary["wine"] is not None or wine_version() is None
        assert {f"{name}.{ending}" for name in names for ending in ("kmt", "json")} < set(packed.namelist())
        assert json.loads(packed.read(f"{probed}.json"))["same"] is True
        packed.extract(f"{probed}.kmt", tmp_path)
    with tracekmt.open(tmp_path / f"{probed}.kmt") as trace:
        assert [call.name for call in trace.calls()] == list(probe.CALLS)
        assert trace.abi == "x64"
    second = command("doctor", "--selftest", "-o", "result.zip")
    assert (second.returncode, second.stderr) == (
        2,
        "tracekmt: cannot write result.zip: the file already exists (-f overwrites it)\n",
    )


def test_problems_are_in_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise RecordError("the system forbids it")

    for name in ("own", "gdi32", "native", "under_wine"):
        monkeypatch.setattr(selftest, f"_record_{name}", fail)
    lines: list[str] = []
    assert not selftest.selftest(tmp_path / "result.zip", force=False, say=lines.append)
    assert "own: the system forbids it" in lines
    with zipfile.ZipFile(tmp_path / "result.zip") as packed:
        (part, *_) = json.loads(packed.read("summary.json"))["parts"]
    assert part == {"name": "own", "calls": 0, "same": False, "problem": "the system forbids it", "ok": False}


def test_its_options_require_each_other(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    errors = {
        ("--selftest",): "tracekmt: --selftest requires -o FILE.zip\n",
        ("-o", "x.zip"): "tracekmt: -o requires --selftest\n",
    }
    for arguments, error in errors.items():
        result = command("doctor", *arguments)
        assert (result.returncode, result.stderr) == (2, error)
