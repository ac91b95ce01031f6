"""The command `top`: lines of JSON and the view, of programs that go on without it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.minimize.workload import Workload
from tests.record.client import Client, kill, wait_for
from tests.skips import LINUX_PART
from tracekmt.activity.current import CurrentActivity
from tracekmt.trace.reader import Trace

if sys.platform != "linux":
    pytest.skip(LINUX_PART, allow_module_level=True)

from textual.widgets import DataTable, Static

from tracekmt.top.view import TopView

CREATE = "D3DKMTCreateAllocation2"


@pytest.fixture
def client(native: Path, tmp_path: Path) -> Client:
    return Client(native, tmp_path)


@pytest.fixture
def running(client: Client) -> Iterator[subprocess.Popen[bytes]]:
    """Start a client that makes calls for a long time."""
    program = subprocess.Popen(client.argv("work:2000", 2, 1_000_000))
    yield program
    kill(program)


def goes_on(client: Client) -> bool:
    """Return True if the client makes further calls."""
    before = sum(client.journal()[:2])
    wait_for(lambda: sum(client.journal()[:2]) > before + 10)
    return True


def test_the_lines_of_a_program_add_up(client: Client, command: Callable[..., Any]) -> None:
    done = command("top", "--json", "--interval", "200ms", "--", *client.argv("work:1000", 2, 300))
    *lines, last = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (7, "")
    assert last["ended"] == "the process ended with status 7"
    assert last["functions"][CREATE]["calls"] == 600
    assert last["calls"] == 608
    assert [line["calls"] for line in lines] == sorted(line["calls"] for line in lines)
    assert {line["ended"] for line in lines} == {None}
    assert max(line["objects"].get("allocation", 0) for line in lines) > 0
    assert (last["objects"], last["memory"]["unsized"], last["last_failed"]) == ({}, 0, None)


def test_failures(client: Client, command: Callable[..., Any]) -> None:
    done = command("top", "--functions", "Create*", "--", *client.argv("bad"))
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["failing"] == {CREATE: {"STATUS_INVALID_PARAMETER": last["functions"][CREATE]["failed"]}}
    assert (last["last_failed"]["call"], last["last_failed"]["status"]) == (CREATE, "STATUS_INVALID_PARAMETER")
    assert last["last_failed"]["in"]["NumAllocations"] == 1


def test_ctrl_c_leaves_the_process_running(client: Client, running: subprocess.Popen[bytes]) -> None:
    words = [sys.executable, "-m", "tracekmt", "top", "-p", str(running.pid), "--interval", "100ms"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as top:
        assert top.stdout is not None
        while not json.loads(top.stdout.readline())["calls"]:
            pass
        top.send_signal(signal.SIGINT)
        *_, last = map(json.loads, top.stdout)
    assert top.returncode == 0
    assert last["ended"] == "stopped; the process goes on"
    assert goes_on(client)


def test_a_reader_that_goes_away_ends_the_view(client: Client, running: subprocess.Popen[bytes]) -> None:
    words = [sys.executable, "-m", "tracekmt", "top", "-p", str(running.pid), "--interval", "100ms"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as top:
        assert top.stdout is not None
        assert top.stderr is not None
        top.stdout.readline()
        top.stdout.close()
        assert "Traceback" not in top.stderr.read()
    assert goes_on(client)


def test_targets_and_intervals_are_checked(command: Callable[..., Any]) -> None:
    for arguments, message in (
        ((), "top requires either a program (-- PROGRAM ARG...) or a process (-p PID, -n NAME)"),
        (("-p", "1", "--", "true"), "top requires either a program (-- PROGRAM ARG...) or a process (-p PID, -n NAME)"),
        (("-p", "1", "--interval", "0s"), "invalid --interval: 0s (expected more than 0)"),
    ):
        done = command("top", *arguments)
        assert (done.returncode, done.stderr) == (2, f"tracekmt: {message}\n")


def test_the_view_on_a_terminal(client: Client, running: subprocess.Popen[bytes]) -> None:
    import pty

    master, terminal = pty.openpty()
    words = [sys.executable, "-m", "tracekmt", "top", "-p", str(running.pid), "--interval", "200ms"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as top:
        os.close(terminal)
        output = b""
        deadline = time.monotonic() + 60
        has_left = False
        while time.monotonic() < deadline and top.poll() is None:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    output += os.read(master, 65536)
                except OSError:
                    break
            if CREATE.encode() in output and not has_left:
                os.write(master, b"q")
                has_left = True
    os.close(master)
    assert has_left
    assert top.returncode == 0
    assert b"allocations of unknown size" in output
    assert goes_on(client)


def test_the_widgets_show_a_snapshot(tmp_path: Path) -> None:
    """The texts of the program cannot be markup or control the terminal."""
    with tracekmt.create(tmp_path / "work.kmt", abi="x64") as builder:
        work = Workload(builder, random.Random(5))
        work.run(50)
        work.call("OpenAdapterFromGdiDisplayName", "STATUS_NO_MEMORY", DeviceName="[bold]\x1b[31m")
    activity = CurrentActivity()
    with Trace(tmp_path / "work.kmt") as trace:
        activity.on_events(trace.specs, trace.abi, list(trace.events()))

    def record() -> None:
        view.publish(activity.snapshot(2.0, 4, None))
        while not view.is_stopping():
            time.sleep(0.01)

    view = TopView("[red]game", record)

    def text(name: str) -> str:
        return str(view.query_one(f"#{name}", Static).render())

    async def look() -> None:
        async with view.run_test(size=(100, 30)) as pilot:
            for _ in range(500):
                await pilot.pause(0.01)
                if "calls/s" in text("summary"):
                    break
            table = view.query_one("#functions", DataTable)
            rows = {str(table.get_row_at(row)[0]): table.get_row_at(row) for row in range(table.row_count)}
            assert str(rows["D3DKMTOpenAdapterFromGdiDisplayName"][3]) == "1"
            (created,) = (found.calls for found in activity.snapshot(3, 0, None).functions if found.name == CREATE)
            assert str(rows[CREATE][2]) == str(created)
            assert text("summary").startswith("[red]game: ")
            assert "4 lost events" in text("summary")
            assert "device" in text("memory")
            assert "STATUS_NO_MEMORY" in text("failing")
            assert "DeviceName=[bold]\\x1b[31m" in text("last")
            await pilot.press("q")
            for _ in range(500):
                await pilot.pause(0.01)
                if not view.is_running:
                    break

    asyncio.run(look())
    view.finish()
    assert view.error is None


def test_a_missing_library_is_named(client: Client, running: subprocess.Popen[bytes]) -> None:
    program = (
        "import sys; sys.modules['textual'] = None\n"
        "sys.stdout.isatty = lambda: True\n"
        "from tracekmt.cli import main\n"
        "main()\n"
    )
    words = [sys.executable, "-c", program, "top", "-p", str(running.pid)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tracekmt: the view requires Textual: pip install 'tracekmt[top]' (or use --json)\n"
    assert goes_on(client)
