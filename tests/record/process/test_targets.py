"""Processes are found by name, now or when they start. A wrong choice is an error."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.record.client import Client, wait_for
from tracekmt.errors import RecordError, UsageError
from tracekmt.record.process import proc
from tracekmt.record.process.targets import await_process, find_process, open_device, owner_uid, shares_filesystem
from tracekmt.record.session import Recording


@pytest.fixture
def named(client: Client, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a unique program name and the command that starts a program of this name."""
    name = f"game{time.monotonic_ns() % 10**9}"
    path = tmp_path / name
    shutil.copy(client.native / "client", path)
    argv = [str(path), *client.argv("paced:1000", 1, 10**9)[1:]]
    yield name, argv
    subprocess.run(["pkill", "-KILL", "-x", name], check=False)


@contextmanager
def record(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tracekmt", "record", *map(str, arguments)]
    recorder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield recorder
    finally:
        recorder.kill()
        recorder.communicate()


def test_a_running_program_is_recorded_by_its_name(client: Client, named: tuple[str, list[str]]) -> None:
    name, argv = named
    programs = [subprocess.Popen(argv)]
    wait_for(lambda: client.journal()[0] > 10)
    assert find_process(open_device(), name) == programs[0].pid
    with record("-n", name, "-o", client.trace, "--duration", "2") as recorder:
        assert recorder.wait(30) == 0
    assert len(client.calls()) > 50
    programs.append(subprocess.Popen(argv))
    wait_for(lambda: len([process for process in open_device().enumerate_processes() if process.name == name]) == 2)
    with pytest.raises(UsageError, match=f"there are 2 processes {name}: choose one with -p [0-9]+, -p [0-9]+"):
        find_process(open_device(), name)
    for program in programs:
        program.kill()
        program.wait()
    with pytest.raises(UsageError, match=f"there is no process {name}; -w {name} waits for one"):
        find_process(open_device(), name)


def test_a_program_is_awaited(client: Client, named: tuple[str, list[str]]) -> None:
    name, argv = named
    with record("-w", name, "-o", client.trace) as recorder:
        assert recorder.stderr is not None
        assert recorder.stderr.readline() == f"waiting for a process {name} (Ctrl-C to cancel)\n"
        time.sleep(1)  # the recorder lists the running processes after the message
        program = subprocess.Popen([*argv[:-1], "3000"])
        assert program.wait(30) == 7
        assert recorder.wait(30) == 0
        output = recorder.stderr.read()
    calls = client.calls()
    assert f"{len(calls)} calls" in output
    assert 1500 < len(calls) <= 3004


def test_a_program_that_runs_already_is_not_awaited(named: tuple[str, list[str]]) -> None:
    name, argv = named
    first = subprocess.Popen(argv)
    device = open_device()
    wait_for(lambda: find_process(device, name) == first.pid)
    pids: list[int] = []
    waiter = threading.Thread(target=lambda: pids.append(await_process(device, name)))
    waiter.start()
    time.sleep(0.3)
    assert not pids
    second = subprocess.Popen(argv)
    waiter.join(10)
    assert pids == [second.pid]
    for program in (first, second):
        program.kill()
        program.wait()


def test_a_traced_process_is_refused(client: Client) -> None:
    program = subprocess.Popen(["sleep", "100"])
    tracer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import ctypes, time; ctypes.CDLL(None).ptrace(0x4206, {program.pid}, None, None); time.sleep(100)",
        ]
    )
    try:
        wait_for(lambda: proc.tracer_pid(program.pid) == tracer.pid)
        with pytest.raises(RecordError, match=f"process {tracer.pid} traces it"):
            Recording(client.trace).attach(program.pid)
        assert program.poll() is None
    finally:
        for process in (tracer, program):
            process.kill()
            process.wait()


def test_one_choice_is_required(client: Client) -> None:
    for choices in ([], ["-p", "1", "-w", "game"], ["-w", "game", "--", "program"]):
        with record("-o", client.trace, *choices) as recorder:
            assert recorder.stderr is not None
            assert "record requires either a program" in recorder.stderr.read()
            assert recorder.wait() == 2


def test_missing_processes() -> None:
    if sys.platform != "win32":
        assert not shares_filesystem(2**22 + 1, Path("/dev/shm"))
    with pytest.raises(RecordError, match="there is no process"):
        owner_uid(2**22 + 1)
