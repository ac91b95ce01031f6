"""Programs that the follower starts, and processes that it parks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.record.client import wait_for
from tests.skips import LINUX_PART
from tracekmt.errors import UsageError

if sys.platform != "linux":
    pytest.skip(LINUX_PART, allow_module_level=True)

from tracekmt.record.process import parking, proc
from tracekmt.record.process.follower import ProcessFollower


@pytest.fixture
def follower() -> Iterator[ProcessFollower]:
    follower = ProcessFollower()
    yield follower
    follower.close()


def start(follower: ProcessFollower, *argv: str) -> int:
    program = shutil.which(argv[0])
    assert program is not None
    return follower.spawn(program, argv, os.environ)


def exit_of(follower: ProcessFollower, pid: int) -> tuple[int | None, int]:
    """The exit status and the signal that ended a program."""
    wait_for(lambda: not proc.is_running(pid))
    status = follower.exit_of(pid)
    assert status is not None
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), status & 0x7F


def test_a_program_is_suspended_before_it_runs(follower: ProcessFollower, tmp_path: Path) -> None:
    path = tmp_path / "written"
    pid = start(follower, "sh", "-c", f"echo > {path}; exit 3")
    time.sleep(0.2)
    assert proc.is_running(pid)
    assert proc.tracer_pid(pid) == 0
    assert not path.exists()
    follower.resume(pid)
    assert exit_of(follower, pid) == (3, 0)
    assert path.exists()


def test_a_signal_that_ends_a_program_is_reported(follower: ProcessFollower) -> None:
    pid = start(follower, "sleep", "100")
    follower.resume(pid)
    os.kill(pid, signal.SIGTERM)
    assert exit_of(follower, pid) == (None, signal.SIGTERM)


def test_signals_and_arguments_are_those_of_a_shell(follower: ProcessFollower, tmp_path: Path) -> None:
    """Python ignores SIGPIPE, and a program started from it would, too."""
    path = tmp_path / "written"
    pid = start(follower, "sh", "-c", f'echo "$0" $(grep SigIgn /proc/self/status) > {path}', "a name")
    follower.resume(pid)
    assert exit_of(follower, pid) == (0, 0)
    *name, ignored = path.read_text().split()
    assert name == ["a", "name", "SigIgn:"]
    assert not int(ignored, 16) & 1 << signal.SIGPIPE - 1


def test_a_program_inherits_the_descriptors_of_a_child(follower: ProcessFollower, tmp_path: Path) -> None:
    path = tmp_path / "written"
    command = ["sh", "-c", f"ls /proc/$$/fd > {path}; true"]
    subprocess.run(command, check=True, close_fds=False)
    alone = path.read_text().split()
    pid = start(follower, *command)
    follower.resume(pid)
    assert exit_of(follower, pid) == (0, 0)
    assert set(path.read_text().split()) <= set(alone)


def test_a_requested_program_is_found_behind_others(follower: ProcessFollower, tmp_path: Path) -> None:
    """The first process execs and starts others on its way."""
    path = tmp_path / "written"
    script = f"/bin/true; (exec sleep 0.01); sh -c 'echo > {path}; exec env sleep 0' & wait"
    shell = shutil.which("sh")
    assert shell is not None

    def is_sleep_0(pid: int) -> bool:
        return proc.command_line(pid)[:2] == [b"sleep", b"0"]

    pid = follower.spawn(shell, ["sh", "-c", script], os.environ, is_sleep_0)
    assert path.exists()
    assert is_sleep_0(pid)
    follower.resume(pid)
    wait_for(lambda: not proc.is_running(pid))


def test_what_cannot_be_started_is_named(follower: ProcessFollower, tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_text("no program")
    path.chmod(0o755)
    with pytest.raises(UsageError, match=r"cannot start .*: Exec format error"):
        follower.spawn(str(path), [str(path)], os.environ)


def test_a_parked_program_continues_without_the_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "PARKED_SECONDS", 1)
    follower = ProcessFollower()
    pid = start(follower, "true")
    assert exit_of(follower, pid) == (0, 0)
    follower.close()


def test_a_closed_follower_lets_programs_continue() -> None:
    follower = ProcessFollower()
    pid = start(follower, "sleep", "0.1")
    follower.close()
    wait_for(lambda: not proc.is_running(pid))
