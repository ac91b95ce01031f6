"""What the doctor says of this machine and of real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tracekmt.doctor import checks as doctor
from tracekmt.doctor.checks import Check, examine_machine, examine_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are recorded on Linux only, so far")


def found(checks: list[Check], what: str) -> Check:
    return next(check for check in checks if check.what == what)


def test_this_machine_can_be_recorded_on() -> None:
    checks = list(examine_machine())
    assert {check.what for check in checks} >= {"system", "frida", "attach", "memory", "replay"}
    assert found(checks, "system").ok
    assert found(checks, "frida").ok
    assert found(checks, "memory").ok


def test_what_was_left_behind_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "default_folder", lambda: tmp_path)
    (tmp_path / f"tracekmt-{os.getpid()}-abc.spool").write_bytes(bytes(9 << 20))
    assert not [check for check in examine_machine() if check.what == "left behind"]
    (tmp_path / "tracekmt-999999999-abc.spool").write_bytes(bytes(3 << 20))
    left = found(list(examine_machine()), "left behind")
    assert left.ok is None
    assert left.found == f"1 files of recorders that were killed, 3 MB in {tmp_path}"


def test_a_process_that_can_be_recorded(native: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(bytes(4096))
    files = [str(native / "client"), str(native / "libdxcore.so"), str(tmp_path / "journal")]
    program = subprocess.Popen([*files, "paced:1000", "1", "100000"])
    try:
        while "libdxcore" not in Path(f"/proc/{program.pid}/maps").read_text():
            pass
        checks = list(examine_process(program.pid))
    finally:
        program.kill()
        program.wait()
    assert all(check.ok for check in checks)
    assert [check.what for check in checks] == ["process", "program", "thunks"]


def test_processes_that_cannot() -> None:
    assert not found(list(examine_process(999_999_999)), "process").ok
    assert not found(list(examine_process(2)), "process").ok


def test_a_process_in_a_container() -> None:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("needs unshare, and root, to make another mount namespace")
    program = subprocess.Popen([unshare, "--mount", "sleep", "60"])
    try:
        while Path(f"/proc/{program.pid}/comm").read_text() != "sleep\n":
            pass
        checks = list(examine_process(program.pid))
    finally:
        program.kill()
        program.wait()
    assert "another mount namespace" in found(checks, "container").found
    assert found(checks, "thunks").ok is None


def test_the_command(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    told = command("doctor", "-p", os.getpid())
    assert told.returncode == 0
    assert "yes  frida" in told.stdout
    rows = json.loads(command("doctor", "-p", os.getpid(), "--json").stdout)
    assert {"what": "program", "ok": True, "found": "x86-64", "advice": ""} in rows
