"""Recording of exec and child processes, and of several processes at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import tracekmt
from tests.record.client import Client, wait_for
from tracekmt.errors import RecordError
from tracekmt.record.attachment import Attacher, Attachment
from tracekmt.record.session import Recording

CREATE = "D3DKMTCreateAllocation2"
PER_RUN = 20 + 4
"""Calls of one thread of the client in mode `work` with 20 allocations."""


def calls_in(path: Path) -> Counter[str]:
    with tracekmt.open(path) as trace:
        assert trace.lost == 0
        assert all(call.returned for call in trace.calls())
        return Counter(call.name for call in trace.calls())


def script(folder: Path, *lines: str) -> str:
    path = folder / "start.sh"
    path.write_text("\n".join(["#!/bin/sh -e", *lines, ""]))
    path.chmod(0o755)
    return str(path)


def test_a_program_that_executes_itself_continues_in_its_trace(client: Client) -> None:
    recording = Recording(client.trace)
    recording.spawn(client.argv("exec", 2, 20))
    assert recording.run().ended == "the process ended with status 7"
    assert calls_in(client.trace).total() == sum(client.journal()[:2]) == 2 * 2 * PER_RUN
    calls = client.calls()
    assert [call.index for call in calls] == list(range(len(calls)))
    assert len({call.thread for call in calls}) == 4
    assert tracekmt.replay(client.trace).calls.compared == len(calls)


def test_the_program_that_a_script_executes_is_recorded(client: Client, tmp_path: Path) -> None:
    words = " ".join(f"'{word}'" for word in client.argv("work", 1, 20))
    recording = Recording(client.trace)
    recording.spawn([script(tmp_path, "echo begun", f"exec {words}")])
    assert recording.run().ended == "the process ended with status 7"
    assert calls_in(client.trace)[CREATE] == 20
    with tracekmt.open(client.trace) as trace:
        assert trace.header.process["name"] == "client"
        assert trace.header.process["complete_from_start"] is True


def test_a_request_wakes_the_follower(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program executes another one when the follower expects nothing, and the next look would come too late."""
    from tracekmt.record.process import follower, request_watch  # they need Linux, and other tests here do not

    monkeypatch.setattr(request_watch, "LOOK_SECONDS", 1000)
    words = " ".join(f"'{word}'" for word in client.argv("work", 1, 20))
    recording = Recording(client.trace)
    recording.spawn([script(tmp_path, f"sleep {follower.ACTIVE_SECONDS + 1}", f"exec {words}")])
    assert recording.run().ended == "the process ended with status 7"
    assert calls_in(client.trace)[CREATE] == 20
    # A watch that was left would read unmapped memory.
    assert not any(thread.name == "tracekmt-requests" for thread in threading.enumerate())


def test_an_exec_that_cannot_be_followed_is_an_error(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The executed program runs on, and no buffer is left."""

    def refuse(attacher: Attacher, pid: int, *, spawned: bool) -> Attachment:
        raise RecordError("refused")

    words = " ".join(f"'{word}'" for word in client.argv("work", 1, 20))
    recording = Recording(client.trace)
    recording.spawn([script(tmp_path, f"exec {words}")])
    monkeypatch.setattr(Attacher, "attach", refuse)
    with pytest.raises(RecordError, match="cannot continue the recording: refused; the trace is readable so far"):
        recording.run()
    wait_for(lambda: client.journal()[0] == PER_RUN)
    assert client.calls() == []


def record(client: Client, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tracekmt", "record", "-o", str(client.trace), *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def test_each_child_has_its_own_trace(client: Client, tmp_path: Path) -> None:
    """A launcher starts two recorded programs and others, and ends before one of them."""
    words = " ".join(f"'{word}'" for word in client.argv("work", 1, 20))
    late = " ".join(f"'{word}'" for word in client.argv("late", 1, 20))
    launcher = script(tmp_path, f"{words} || true", "/bin/true", f"{late} &", "exit 3")
    process = record(client, "--children", "--", launcher)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 3, output
    traces = sorted(tmp_path.glob("client*.kmt"))
    assert len(traces) == 3, output
    assert client.trace in traces
    children = [path for path in traces if path != client.trace]
    for path in children:
        assert calls_in(path)[CREATE] == 20
        with tracekmt.open(path) as trace:
            process_header = trace.header.process
            assert path.name == f"client.{process_header['pid']}.kmt"
            assert process_header["complete_from_start"] is True
            assert process_header["parent"]
    assert "the process ended with status 3" in output
    assert output.count("24 calls; the process ended with status 7") == 2


def test_a_forked_child_is_recorded(client: Client, tmp_path: Path) -> None:
    process = record(client, "--children", "--", *client.argv("fork", 1, 20))
    _, output = process.communicate(timeout=60)
    assert process.returncode == 7, output
    (child,) = [path for path in tmp_path.glob("client*.kmt") if path != client.trace]
    assert calls_in(client.trace).total() == PER_RUN
    assert calls_in(child).total() == PER_RUN


def test_several_processes_at_once(client: Client, tmp_path: Path) -> None:
    running = [subprocess.Popen(client.argv("paced:2000", 1, 3000)) for _ in range(2)]  # six seconds at least
    wait_for(lambda: client.journal()[0] > 10)
    process = record(client, *(word for program in running for word in ("-p", program.pid)))
    assert [program.wait(60) for program in running] == [7, 7]
    _, output = process.communicate(timeout=60)
    assert process.returncode == 0, output
    for program in running:
        with tracekmt.open(tmp_path / f"client.{program.pid}.kmt") as trace:
            assert [call.name for call in trace.calls()][-3:] == [CREATE, "D3DKMTDestroyDevice", "D3DKMTCloseAdapter"]
            assert (trace.ended or "").startswith("the process ended")
    assert not client.trace.exists()


def test_ctrl_c_ends_the_recording_of_all(client: Client, tmp_path: Path) -> None:
    running = [subprocess.Popen(client.argv("paced:1000", 1, 100000)) for _ in range(2)]
    try:
        process = record(client, *(word for program in running for word in ("-p", program.pid)))
        wait_for(lambda: len(list(tmp_path.glob("client.*.kmt"))) == 2, 30)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, output = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert output.count("stopped; the process goes on") == 2
        assert [program.poll() for program in running] == [None, None]
        for program in running:
            assert calls_in(tmp_path / f"client.{program.pid}.kmt")[CREATE] > 100
    finally:
        for program in running:
            program.kill()
            program.wait()
