"""The demonstration, with and without a live program."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import tracekmt
from tests.processes import run_captured
from tracekmt.system import wine_version

Command = Callable[..., subprocess.CompletedProcess[str]]


def check_result(folder: Path, output: str) -> None:
    with tracekmt.open(folder / "demo.kmt") as trace:
        assert len(trace) == 19
        assert len(trace.threads) == 2
    assert tracekmt.replay(folder / "demo.kmt").same
    assert "no differences" in output
    assert "replayed  STATUS_GRAPHICS_NO_VIDEO_MEMORY" in output
    assert "The files are in " in output
    assert {path.name for path in folder.iterdir()} == {"demo.kmt", "outcome.kmt", "less-memory.kmt"}


def test_live(command: Command, tmp_path: Path) -> None:
    started = time.monotonic()
    result = command("demo")
    assert result.returncode == 0
    assert result.stderr == ""
    assert "Recorded 19 calls, 0 events lost." in result.stdout
    assert ("Recording the same program in this process:" in result.stdout) == (wine_version() is not None)
    assert "sharer       after the adapter was unplugged: STATUS_DEVICE_REMOVED" in result.stdout
    check_result(tmp_path / "tracekmt-demo", result.stdout)
    assert command("demo").returncode == 0  # its own files may be overwritten
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "demo.kmt").write_text("precious")
    refused = command("demo", "--no-live", "-o", "other")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "already exists" in refused.stderr
    assert (tmp_path / "other" / "demo.kmt").read_text() == "precious"
    assert command("demo", "--no-live", "-o", "other", "-f").returncode == 0
    assert time.monotonic() - started < 60


def test_without_a_live_program(command: Command, tmp_path: Path) -> None:
    result = command("demo", "--no-live", "-o", "here")
    assert (result.returncode, result.stderr) == (0, "")
    assert "comes with tracekmt" in result.stdout
    check_result(tmp_path / "here", result.stdout)


def test_attaching_is_forbidden(tmp_path: Path) -> None:
    """Frida's attach is replaced by a refusal, as by Yama or a container."""
    program = (
        "import frida, sys, click\n"
        "def refuse(*_, **__): raise frida.PermissionDeniedError('unable to access process')\n"
        "frida.core.Device.attach = refuse\n"
        "from pathlib import Path\n"
        "from tracekmt.demo.tour import run_tour\n"
        f"sys.exit(run_tour(Path({str(tmp_path / 'demo')!r}), live=True, say=print))\n"
    )
    result = run_captured([sys.executable, "-c", program])
    assert (result.returncode, result.stderr) == (0, "")
    assert "Recording failed: cannot record process" in result.stdout
    assert "forbids attaching" in result.stdout
    check_result(tmp_path / "demo", result.stdout)
