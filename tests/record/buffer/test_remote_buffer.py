"""Recording without shared memory: another mount namespace, and another machine (simulated by a Frida portal)."""

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
from tests.native import skip_without
from tests.record.buffer.drained import drained
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

pytestmark = pytest.mark.usefixtures("either_core")


@contextlib.contextmanager
def in_mount_namespace(client: Client, mode: str, threads: int, calls: int) -> Iterator[int]:
    """Start the client in its own mount namespace, with another /dev/shm, and yield its process id."""
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
    with in_mount_namespace(client, "paced:1000", 4, 10**9) as pid:
        wait_for(lambda: client.journal()[3] > 10)
        recording = Recording(client.trace)
        recording.attach(pid)
        calls_before = sum(client.journal()[:4])
        recording.run(until=lambda: sum(client.journal()[:4]) > calls_before + 2000)
        progress = recording.progress
        assert progress.ended == "stopped; the process goes on"
        assert progress.lost == 0
        calls = client.calls()
        assert 2000 < len(calls) <= sum(client.journal()[:4]) - calls_before + 100
        assert sum(not call.returned for call in calls) <= 4
        after = sum(client.journal()[:4])
        wait_for(lambda: sum(client.journal()[:4]) > after + 100)


def test_memory_is_shared_if_the_process_finds_the_file(client: Client, tmp_path: Path) -> None:
    with in_mount_namespace(client, "paced:1000", 1, 10**9) as pid:
        wait_for(lambda: client.journal()[0] > 10)
        recording = Recording(client.trace, spool=tmp_path)
        recording.attach(pid)
        recording.run(until=lambda: recording.progress.calls > 100)
    with tracekmt.open(client.trace) as trace:
        assert trace.header.settings["spool"].startswith(str(tmp_path))


def test_a_process_that_ends_loses_no_calls(client: Client) -> None:
    with in_mount_namespace(client, "waiting", 4, 3000) as pid:
        wait_for(lambda: Path(f"/proc/{pid}/comm").read_text() == "client\n")
        recording = Recording(client.trace)
        recording.attach(pid)
        client.open_gate()
        progress = recording.run()
    assert sum(client.journal()[:4]) == 4 * 3004
    assert (progress.calls, progress.lost) == (4 * 3004, 0)
    assert progress.ended is not None
    assert progress.ended.endswith("its last calls may be missing")
    assert all(call.returned for call in client.calls())


def test_a_killed_process_leaves_the_fetched_calls(client: Client) -> None:
    with in_mount_namespace(client, "paced:1000", 4, 10**9) as pid:
        recording = Recording(client.trace)
        recording.attach(pid)
        threading.Timer(1, os.kill, (pid, signal.SIGKILL)).start()
        recording.run()
    assert recording.progress.ended is not None
    assert recording.progress.ended.endswith("its last calls may be missing")
    assert len(client.calls()) > 200


@pytest.fixture
def port() -> int:
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        return int(free_socket.getsockname()[1])


def test_a_process_on_another_machine(client: Client, port: int) -> None:
    """frida-server is not part of Frida's package. A portal that a process has joined answers like it."""
    clusters = frida.EndpointParameters(address="127.0.0.1", port=port + 1)
    portal = frida.PortalService(  # type: ignore[no-untyped-call]
        clusters, frida.EndpointParameters(address="127.0.0.1", port=port)
    )
    program = subprocess.Popen(client.argv("paced:1000", 2, 10**9))
    try:
        portal.start()
        wait_for(lambda: client.journal()[0] > 10)  # attaching to a process that still loads may end it
        session = frida.attach(program.pid, exceptor="off")
        session.join_portal(f"127.0.0.1:{port + 1}")
        host = f"127.0.0.1:{port}"
        wait_for(lambda: program.pid in [process.pid for process in open_device(host).enumerate_processes()])
        recording = Recording(client.trace, host=host)
        recording.attach(program.pid)
        calls_before = sum(client.journal()[:2])
        recording.run(until=lambda: sum(client.journal()[:2]) > calls_before + 1000)
        assert recording.progress.lost == 0
        assert len(client.calls()) > 1000
        with pytest.raises(UsageError, match="cannot start client"):
            Recording(client.trace, host=host, force=True).spawn(["client"])
    finally:
        portal.stop()
        program.kill()
        program.wait()


def test_a_machine_without_frida_server(client: Client, port: int) -> None:
    with pytest.raises(UsageError, match="no frida-server answers on"):
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
    """Build hooks/sender.c as a library in this process, with a megabyte of memory."""
    compiler = shutil.which("gcc")
    if compiler is None:
        skip_without("gcc")
    command = [compiler, "-O1", "-w", "-shared", "-fPIC", "-x", "c", "-", "-o", str(tmp_path / "sender.so")]
    subprocess.run(command, input=(SENDER + hook_source("sender.c")).encode(), check=True)
    library = ctypes.CDLL(str(tmp_path / "sender.so"))
    library.sender_prepare(ctypes.c_uint64(1 << 20), ctypes.c_uint64(4096))
    return library


def test_all_remaining_events_are_sent_at_the_end(sender: ctypes.CDLL) -> None:
    """The process ends in the middle of a round, with new data in blocks that the round has passed."""
    control = (ctypes.c_uint64 * (1 << 17)).in_dll(sender, "control")
    buffer = ctypes.create_string_buffer(1 << 20)

    def collect(room: int, last: int) -> bytes:
        size = sender.sender_collect(buffer, ctypes.c_uint64(room), last)
        return buffer.raw[:size]

    def append(block: int, data: bytes) -> None:
        start = control[Control.BLOCKS] + block * 4096
        control[start // 8 + Block.USED] = 1
        committed = control[start // 8 + Block.COMMITTED]
        ctypes.memmove(ctypes.addressof(control) + start + BLOCK_HEADER + committed, data, len(data))
        control[start // 8 + Block.COMMITTED] = committed + len(data)
        control[Control.SEQUENCE] += 1

    remote_buffer = RemoteBuffer(lambda: None, EventQueue())
    append(0, enter(0))
    append(1, enter(1))
    remote_buffer.receive(collect(16 + len(enter(0)), 0))
    append(0, enter(2))
    append(1, enter(3))
    rest = [collect(16 + 2 * len(enter(0)), 1)]
    while rest[-1][:8] == b"\xff" * 8:
        rest.append(collect(16 + 2 * len(enter(0)), 1))
    for data in rest:
        remote_buffer.receive(data)
    events = drained(remote_buffer, last=True)
    assert [event.sequence for event in events] == [0, 1, 2, 3]
    assert not any(isinstance(event, Lost) for event in events)
