"""Checks of this machine and of real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.skips import LINUX_PART
from tracekmt.cli.doctor import command
from tracekmt.doctor import checks as checks_module
from tracekmt.doctor.checks import Check, examine_machine, examine_process
from tracekmt.errors import UsageError
from tracekmt.record.buffer import shared_buffer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=LINUX_PART)


def find_check(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_this_machine_can_be_recorded_on() -> None:
    checks = list(examine_machine())
    assert {check.name for check in checks} >= {"system", "frida", "attach", "memory", "replay"}
    assert find_check(checks, "system").ok
    assert find_check(checks, "frida").ok
    assert find_check(checks, "memory").ok


def test_the_core_in_use_is_reported(either_core: str) -> None:
    (check,) = (check for check in examine_machine() if check.name == "core")
    assert (check.ok, check.finding.split(",")[0]) == ((True, "native") if either_core == "core" else (None, "Python"))
    assert bool(check.advice) == (check.ok is None)


def test_leftover_buffers_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_module, "default_folder", lambda: tmp_path)
    (tmp_path / f"tracekmt-{os.getpid()}-abc.spool").write_bytes(bytes(9 << 20))
    assert not [check for check in examine_machine() if check.name == "left behind"]
    (tmp_path / "tracekmt-999999999-abc.spool").write_bytes(bytes(3 << 20))
    leftovers = find_check(list(examine_machine()), "left behind")
    assert leftovers.ok is None
    assert leftovers.finding == f"1 leftover buffer from killed recorders (3 MB in {tmp_path})"


def test_only_leftover_buffers_of_this_user_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shared_buffer, "default_folder", lambda: tmp_path)
    kept = [tmp_path / f"tracekmt-{os.getpid()}-abc.spool", tmp_path / "tracekmt-999999999-link.spool"]
    kept += [tmp_path / "other-999999999-abc.spool", tmp_path / "target"]
    for path in (kept[0], *kept[2:]):
        path.write_bytes(b"")
    kept[1].symlink_to(kept[3])
    if os.getuid() == 0:
        kept.append(tmp_path / "tracekmt-999999999-foreign.spool")
        kept[-1].write_bytes(b"")
        os.chown(kept[-1], 65534, -1)
    leftover = tmp_path / "tracekmt-999999999-abc.spool"
    leftover.write_bytes(bytes(3 << 20))
    assert command.main(["--clean"], standalone_mode=False) == 0
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert capfd.readouterr().out == f"removed {leftover} (3 MB)\n"
    with pytest.raises(UsageError, match="--clean takes no other option"):
        command.main(["--clean", "--json"], standalone_mode=False)


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
    assert [check.name for check in checks] == ["process", "program", "thunks"]


def test_processes_that_cannot_be_recorded() -> None:
    assert not find_check(list(examine_process(999_999_999)), "process").ok
    assert not find_check(list(examine_process(2)), "process").ok


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
    assert "another mount namespace" in find_check(checks, "container").finding
    assert find_check(checks, "thunks").ok is None


def test_the_command(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    result = command("doctor", "-p", os.getpid())
    assert result.returncode == 0
    assert "yes  frida" in result.stdout
    rows = json.loads(command("doctor", "-p", os.getpid(), "--json").stdout)
    assert {"what": "program", "ok": True, "found": "x86-64", "advice": ""} in rows
