"""Recording where the memory cannot be shared: another mount namespace, another machine (a portal stands in for it)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import frida
import pytest

import tracekmt
from tests.native import lacking
from tests.record.buffer.test_shared_buffer import enter
from tests.record.client import Client, wait_for
from tracekmt.errors import UsageError
from tracekmt.record.agent.hooks import hook_source
from tracekmt.record.buffer.event_queue import EventQueue
from tracekmt.record.buffer.remote_buffer import RemoteBuffer
from tracekmt.record.process.targets import open_device
from tracekmt.record.session import Recording
from tracekmt.trace.buffer_format import BLOCK_HEADER, Block, Control
from tracekmt.trace.events import Lost


@contextlib.contextmanager
def elsewhere(client: Client, mode: str, threads: int, calls: int) -> Iterator[int]:
    """The client in a mount namespace of its own, where shared memory is another."""
    script = 'mount -t tmpfs none /dev/shm && touch /dev/shm/there && exec "$@"'
    arguments = ["unshare", "-m", "sh", "-c", script, "sh", *client.argv(mode, threads, calls)]
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs root, to make a mount namespace")
    program = subprocess.Popen(arguments)
    try:
        yield program.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(program.pid, signal.SIGKILL)
        program.wait()


def test_a_process_in_another_mount_namespace_is_recorded_over_the_connection(client: Client) -> None:
    with elsewhere(client, "paced:1000", 4, 10**9) as pid:
        wait_for(lambda: client.journal()[3] > 10)
        recording = Recording(client.trace)
        recording.attach(pid)
        begun = sum(client.journal()[:4])
        recording.run(until=lambda: sum(client.journal()[:4]) > begun + 2000)
        progress = recording.progress
        assert progress.ended == "stopped; the process goes on"
        assert progress.lost == 0
        calls = client.calls()
        assert 2000 < len(calls) <= sum(client.journal()[:4]) - begun + 100
        assert sum(not call.returned for call in calls) <= 4
        after = sum(client.journal()[:4])
        wait_for(lambda: sum(client.journal()[:4]) > after + 100)


def test_memory_is_shared_where_the_process_finds_it_all_the_same(client: Client, tmp_path: Path) -> None:
    with elsewhere(client, "paced:1000", 1, 10**9) as pid:
        wait_for(lambda: client.journal()[0] > 10)
        recording = Recording(client.trace, spool=tmp_path)
        recording.attach(pid)
        recording.run(until=lambda: recording.progress.calls > 100)
    with tracekmt.open(client.trace) as trace:
        assert trace.header.settings["spool"].startswith(str(tmp_path))


def test_one_that_ends_leaves_all_of_its_calls(client: Client) -> None:
    with elsewhere(client, "late", 4, 3000) as pid:
        wait_for(lambda: Path(f"/proc/{pid}/comm").read_text() == "client\n")
        recording = Recording(client.trace)
        recording.attach(pid)
        progress = recording.run()
    assert sum(client.journal()[:4]) == 4 * 3004
    assert (progress.calls, progress.lost) == (4 * 3004, 0)
    assert progress.ended is not None
    assert progress.ended.endswith("its last calls may be missing")
    assert all(call.returned for call in client.calls())


def test_one_that_is_killed_leaves_what_was_fetched(client: Client) -> None:
    with elsewhere(client, "paced:1000", 4, 10**9) as pid:
        recording = Recording(client.trace)
        recording.attach(pid)
        threading.Timer(1, os.kill, (pid, signal.SIGKILL)).start()
        recording.run()
    assert recording.progress.ended is not None
    assert recording.progress.ended.endswith("its last calls may be missing")
    assert len(client.calls()) > 200


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_process_on_another_machine(client: Client, port: int) -> None:
    """frida-server is not part of Frida's package; a portal, which a process has joined, answers as it does."""
    clusters = frida.EndpointParameters(address="127.0.0.1", port=port + 1)
    portal = frida.PortalService(  # type: ignore[no-untyped-call]
        clusters, frida.EndpointParameters(address="127.0.0.1", port=port)
    )
    program = subprocess.Popen(client.argv("paced:1000", 2, 10**9))
    try:
        portal.start()
        session = frida.attach(program.pid, exceptor="off")
        session.join_portal(f"127.0.0.1:{port + 1}")
        host = f"127.0.0.1:{port}"
        wait_for(lambda: program.pid in [each.pid for each in open_device(host).enumerate_processes()])
        recording = Recording(client.trace, host=host)
        recording.attach(program.pid)
        begun = sum(client.journal()[:2])
        recording.run(until=lambda: sum(client.journal()[:2]) > begun + 1000)
        assert recording.progress.lost == 0
        assert len(client.calls()) > 1000
        with pytest.raises(UsageError, match="cannot be started"):
            Recording(client.trace, host=host, force=True).spawn(["client"])
    finally:
        portal.stop()
        program.kill()
        program.wait()


def test_a_machine_where_nobody_answers(client: Client, port: int) -> None:
    with pytest.raises(UsageError, match="no frida-server answers there"):
        Recording(client.trace, host=f"127.0.0.1:{port}")
    with pytest.raises(UsageError, match="on this machine only"):
        Recording(client.trace, host="127.0.0.1", hand_over=client.trace)


SENDER = """
volatile unsigned long long control[(1 << 20) / 8];
unsigned sent[4096];
unsigned long long state[512];
"""


@pytest.fixture
def sender(tmp_path: Path) -> ctypes.CDLL:
    """hooks/sender.c as a library in this process, with a megabyte of memory."""
    compiler = shutil.which("gcc")
    if compiler is None:
        lacking("gcc, to build the sender with")
    command = [compiler, "-O1", "-w", "-shared", "-fPIC", "-x", "c", "-", "-o", str(tmp_path / "sender.so")]
    subprocess.run(command, input=(SENDER + hook_source("sender.c")).encode(), check=True)
    library = ctypes.CDLL(str(tmp_path / "sender.so"))
    library.sender_prepare(ctypes.c_uint64(1 << 20), ctypes.c_uint64(4096))
    return library


def test_what_is_left_at_the_end_is_sent_whole(sender: ctypes.CDLL) -> None:
    """A round of the blocks is under way, some of which have got more behind it, when the process ends."""
    control = (ctypes.c_uint64 * (1 << 17)).in_dll(sender, "control")
    buffer = ctypes.create_string_buffer(1 << 20)

    def collect(room: int, last: int) -> bytes:
        size = sender.sender_collect(buffer, ctypes.c_uint64(room), last)
        return buffer.raw[:size]

    def append(block: int, data: bytes) -> None:
        start = control[Control.BLOCKS] + block * 4096
        control[start // 8 + Block.USED] = 1
        at = control[start // 8 + Block.COMMITTED]
        ctypes.memmove(ctypes.addressof(control) + start + BLOCK_HEADER + at, data, len(data))
        control[start // 8 + Block.COMMITTED] = at + len(data)
        control[Control.SEQUENCE] += 1

    connected = RemoteBuffer(lambda: None, EventQueue())
    append(0, enter(0))
    append(1, enter(1))
    connected.arrived(collect(16 + len(enter(0)), 0))
    append(0, enter(2))
    append(1, enter(3))
    rest = [collect(16 + 2 * len(enter(0)), 1)]
    while rest[-1][:8] == b"\xff" * 8:
        rest.append(collect(16 + 2 * len(enter(0)), 1))
    for data in rest:
        connected.arrived(data)
    events = connected.drain(last=True)
    assert [event.sequence for event in events] == [0, 1, 2, 3]
    assert not any(isinstance(event, Lost) for event in events)
