"""Live processes under Frida: every call is in the trace, and the process does not notice."""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import tracekmt
from tests.record.client import Client, wait_for
from tracekmt.codec import Unreadable
from tracekmt.edit.recover import recover
from tracekmt.errors import RecordError, UsageError
from tracekmt.ntstatus import Status
from tracekmt.record.buffer import shared_buffer as spools
from tracekmt.record.limits import Progress, StopConditions
from tracekmt.record.session import Recording
from tracekmt.report.summary import summarise, summary_lines
from tracekmt.trace.buffer_format import CONTROL_SIZE, Control
from tracekmt.trace.events import Lost
from tracekmt.trace.frames import FrameReader, Room
from tracekmt.trace.reader import TracedCall

CREATE = "D3DKMTCreateAllocation2"
FORKS, FORK_SECONDS = 3, 20
KILLS = 500 if "TRACEKMT_SOAK" in os.environ else 20 if "CI" in os.environ else 4
"""How often a program, and a recorder, are killed at moments that chance chooses."""


def returned_by_thread(calls: list[TracedCall]) -> dict[int, int]:
    """Calls that returned, by the client's number of the thread, which its private data tell."""
    numbers: dict[int, int] = {}
    for call in calls:
        if call.name == CREATE and isinstance(call.inputs, dict):
            numbers[call.thread] = call.inputs["pAllocationInfo2"][0]["PrivateDriverDataSize"] - 64
    counts = Counter(numbers[call.thread] for call in calls if call.returned and call.thread in numbers)
    return dict(counts)


@pytest.mark.parametrize("block_size", [4096, spools.BLOCK_SIZE])
def test_nothing_is_left_of_what_the_cost_was_measured_with(
    client: Client, monkeypatch: pytest.MonkeyPatch, block_size: int
) -> None:
    """It stood under sequence numbers that the program's own events have then."""
    monkeypatch.setattr(spools, "BLOCK_SIZE", block_size)
    program = subprocess.Popen(["sleep", "100"])
    recording = Recording(client.trace)
    try:
        before = set(Path("/dev/shm").glob(f"tracekmt-{os.getpid()}-*"))
        recording.attach(program.pid)
        (path,) = set(Path("/dev/shm").glob(f"tracekmt-{os.getpid()}-*")) - before
        with path.open("rb") as file:
            frames = FrameReader(path, file)
            *_, (_, _, room) = frames.scan()
            assert isinstance(room, Room)
            control = struct.unpack("<512Q", frames.bytes_at(room.start, CONTROL_SIZE))
            assert [control[each] for each in (Control.SEQUENCE, Control.LOST)] == [0, 0]
            assert control[Control.HEAD] == 1, "one block is taken, that of the thread that measured"
            used, committed, *_ = struct.unpack("<8Q", frames.bytes_at(room.start + control[Control.BLOCKS], 64))
            assert (used, committed) == (1, 0)
    finally:
        recording.stop()
        program.kill()
        program.wait()


@pytest.mark.parametrize("block_size", [4096, spools.BLOCK_SIZE])
def test_every_call_of_every_thread_is_recorded_whole(
    client: Client, monkeypatch: pytest.MonkeyPatch, block_size: int
) -> None:
    """Of small blocks one is full after a few calls."""
    monkeypatch.setattr(spools, "BLOCK_SIZE", block_size)
    recording = Recording(client.trace)
    recording.spawn(client.argv("work", 4, 500))
    progress = recording.run()
    with tracekmt.open(client.trace) as trace:
        overhead = trace.header.settings["overhead"]
        assert 20 < overhead["call_ns"] < 100_000
        assert 0 < overhead["kilobyte_ns"] < 100_000
    calls = client.calls()
    assert (progress.calls, progress.lost, progress.ended) == (4 * 504, 0, "the process ended with status 7")
    assert returned_by_thread(calls) == dict(enumerate(client.journal()[:4]))
    seen: Counter[int] = Counter()
    for call in calls:
        assert call.status == 0
        if call.name != CREATE:
            continue
        assert isinstance(call.inputs, dict)
        assert isinstance(call.outputs, dict)
        data = call.inputs["pAllocationInfo2"][0]["pPrivateDriverData"]
        thread = len(data) - 64
        assert data == seen[thread].to_bytes(8, "little") + bytes([thread]) * (len(data) - 8)
        assert call.outputs["pAllocationInfo2"][0]["pPrivateDriverData"] == data
        assert call.inputs["pAllocationInfo2"][0]["hAllocation"] == 0
        assert call.outputs["pAllocationInfo2"][0]["hAllocation"] >= 0x40000000
        assert call.caller is not None
        assert call.caller.startswith("client+0x")
        seen[thread] += 1
    handles = Counter(
        call.outputs["pAllocationInfo2"][0]["hAllocation"]
        for call in calls
        if call.name == CREATE and isinstance(call.outputs, dict)
    )
    assert max(handles.values()) == 1


@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_killed_program_leaves_every_call_that_had_returned(client: Client, attempt: int) -> None:
    recording = Recording(client.trace)
    pid = recording.spawn(client.argv("paced:20", 3, 10**9))
    threading.Timer(random.Random(attempt).uniform(0.1, 0.5), os.kill, (pid, signal.SIGKILL)).start()
    progress = recording.run()
    # Frida asks the system too; who comes second is not told.
    assert progress.ended in ("the process ended by SIGKILL", "the process ended")
    noted = client.journal()[:3]
    calls = client.calls()
    if progress.lost <= 3:  # at most the event that each thread was writing
        recorded = returned_by_thread(calls)
        assert all(recorded[thread] >= noted[thread] for thread in range(3))
    assert sum(noted) > 100
    assert sum(not call.returned for call in calls) <= 3
    assert progress.lost <= 3


def test_bad_pointers_are_shown_and_the_program_s_own_handler_works(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = subprocess.run(client.argv("bad"), capture_output=True, text=True, check=False)
    recording = Recording(client.trace)
    recording.spawn(client.argv("bad"))
    progress = recording.run()
    assert progress.lost == 0
    assert capfd.readouterr().out == plain.stdout
    assert plain.stdout.endswith("caught 3\n")
    calls = client.calls()
    inputs = [call.inputs for call in calls]
    assert [call.status.code[2:] for call in calls if call.status is not None] == plain.stdout.splitlines()[:-1]
    assert inputs[0] == Unreadable(0x10)
    assert isinstance(inputs[1], Unreadable)
    arrays = [each["pAllocationInfo2"] for each in inputs[2:] if isinstance(each, dict)]
    assert arrays[0] is None
    assert arrays[1] == Unreadable(0xDEAD0000)
    assert len(arrays[2]) == 2
    for array in (arrays[3], arrays[4]):
        assert len(array) == 3
        assert isinstance(array[1], dict)
        assert array[2] == Unreadable(array[2].address)
    assert isinstance(arrays[5][0]["pPrivateDriverData"], Unreadable)
    assert len(arrays[5][0]["pPrivateDriverData"].data) == 96


def test_calls_from_a_signal_handler_never_wait_for_the_code_they_interrupt(client: Client) -> None:
    """The program ends, and every call is there or counted: one that interrupts the recorder is two lost events."""
    recording = Recording(client.trace)
    recording.spawn(client.argv("signal", 1, 300))
    progress = recording.run()
    noted = client.journal()[0]
    assert noted >= 300
    assert progress.calls + progress.lost / 2 == noted
    assert progress.calls >= noted * 0.9


def test_threads_without_number(client: Client) -> None:
    """More threads than there are slots for their state, or blocks: each ends and leaves its own to the next."""
    recording = Recording(client.trace)
    recording.spawn(client.argv("churn", 40, 250))
    progress = recording.run()
    assert sum(client.journal()) == 10_000
    assert (progress.calls, progress.lost) == (10_000, 0)


def _is_past(moment: float) -> bool:
    return time.monotonic() > moment


def test_a_forked_child_is_left_alone(client: Client) -> None:
    """On a busy machine Frida's own handling of a fork breaks now and then (17.26: in three of some seventy runs the
    child stayed in it, resumed, or ended): it may need another try."""
    for _ in range(FORKS):
        recording = Recording(client.trace, force=True)
        recording.spawn(client.argv("fork", 1, 20))
        until = time.monotonic() + FORK_SECONDS
        progress = recording.run(until=partial(_is_past, until))
        subprocess.run(["pkill", "-KILL", "-f", str(client.trace.parent)], check=False)
        if client.journal()[:2] == [24, 24] and progress.calls:
            break
    assert client.journal()[:2] == [24, 24]
    assert (progress.calls, progress.lost) == (24, 0)


def test_ctrl_c_ends_the_recording_and_not_the_program(client: Client) -> None:
    program = subprocess.Popen(client.argv("paced:1000", 2, 10**9))
    try:
        wait_for(lambda: sum(client.journal()) > 100)
        words = [sys.executable, "-m", "tracekmt", "record", "-p", str(program.pid), "-o", str(client.trace)]
        recorder = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: client.trace.exists() and client.trace.stat().st_size > 50_000)
        recorder.send_signal(signal.SIGINT)
        assert recorder.stderr is not None
        told = recorder.stderr.read()
        assert recorder.wait(20) == 0
        assert "stopped; the process goes on" in told
        before = sum(client.journal())
        wait_for(lambda: sum(client.journal()) > before + 100)
        assert lives(program.pid)
    finally:
        program.kill()
        program.wait()
    with tracekmt.open(client.trace) as trace:
        assert len(trace) > 100
        assert trace.ended == "stopped; the process goes on"
        report = tracekmt.replay(client.trace)
    assert report.same
    assert report.calls.ambient_handles == 2  # the devices that were there before


def test_a_thread_that_waits_in_a_function_comes_back_after_the_hooks_are_off(client: Client) -> None:
    """Its way back leads through the recorder, which has to be there still."""
    program = subprocess.Popen(client.argv("blocked", 1, 1000))
    try:
        wait_for(lambda: client.journal()[0] > 0)
        recording = Recording(client.trace)
        recording.attach(program.pid)
        calls = client.journal()[0]
        wait_for(lambda: client.journal()[0] > calls + 1)
        time.sleep(0.3)
        recording.stop()
        calls = client.journal()[0]
        wait_for(lambda: client.journal()[0] > calls + 1)
        assert lives(program.pid)
        again = Recording(client.trace, force=True)  # and it can be recorded again
        again.attach(program.pid)
        calls = client.journal()[0]
        wait_for(lambda: client.journal()[0] > calls + 1)
        again.stop()
    finally:
        program.kill()
        program.wait()


def test_a_program_is_recorded_twice(client: Client) -> None:
    """Hooks come off whole: the next recorder finds the process as it was."""
    program = subprocess.Popen(client.argv("paced:1000", 2, 10**9))
    try:
        for _ in range(2):
            recording = Recording(client.trace, force=True)
            recording.attach(program.pid)
            until = time.monotonic() + 0.3
            progress = recording.run(until=lambda until=until: time.monotonic() > until)  # type: ignore[misc]
            assert progress.calls > 100
        assert lives(program.pid)
    finally:
        program.kill()
        program.wait()


def lives(pid: int) -> bool:
    """Whether a process runs. Popen.poll() cannot be asked: where Frida injects from the parent's own process, it may
    take a stop of the tracee for its end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def caught_signals(pid: int) -> int:
    """The signals that a process has handlers for, as a mask."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt")]
    return int(line.split()[1], 16)


def test_a_recorder_that_is_killed_leaves_the_program_as_it_was(client: Client) -> None:
    program = subprocess.Popen(client.argv("paced:1000", 2, 10**9))
    segv_and_bus = 1 << signal.SIGSEGV - 1 | 1 << signal.SIGBUS - 1
    try:
        words = [sys.executable, "-m", "tracekmt", "record", "-p", str(program.pid), "-o", str(client.trace)]
        recorder = subprocess.Popen(words)
        wait_for(lambda: client.trace.exists() and client.trace.stat().st_size > 20_000)
        assert caught_signals(program.pid) & segv_and_bus == segv_and_bus
        recorder.kill()
        recorder.wait()
        for spool in Path("/dev/shm").glob(f"tracekmt-{recorder.pid}-*"):
            spool.unlink()
        wait_for(lambda: caught_signals(program.pid) & segv_and_bus == 0)
        before = sum(client.journal())
        wait_for(lambda: sum(client.journal()) > before + 200)
        assert lives(program.pid)
    finally:
        program.kill()
        program.wait()
    with tracekmt.open(client.trace) as trace:
        assert len(trace) > 10
        assert trace.ended is None


def numbered(calls: Iterable[TracedCall]) -> dict[int, list[int]]:
    """What the client's threads count in the private data of the allocations that they have made."""
    numbers: dict[int, list[int]] = {0: [], 1: []}
    for call in calls:
        if call.name == CREATE and call.returned and isinstance(call.inputs, dict):
            data = call.inputs["pAllocationInfo2"][0]["pPrivateDriverData"]
            assert data[8:] == bytes([len(data) - 64]) * (len(data) - 8)
            numbers[len(data) - 64].append(int.from_bytes(data[:8], "little"))
    return numbers


@pytest.mark.parametrize("attempt", range(KILLS))
def test_what_a_killed_recorder_had_seen_is_recovered(client: Client, tmp_path: Path, attempt: int) -> None:
    program = subprocess.Popen(client.argv("paced:200", 2, 10**9))
    words = [sys.executable, "-m", "tracekmt", "record", "-p", str(program.pid), "-o", str(client.trace)]
    recorder = subprocess.Popen(words)
    try:
        wait_for(lambda: client.trace.exists() and client.trace.stat().st_size > 12_000)
        time.sleep(random.Random(attempt).uniform(0.0, 0.4))
        noted = client.journal()[:2]
        recorder.kill()
        recorder.wait()
        (left,) = Path("/dev/shm").glob(f"tracekmt-{recorder.pid}-*")
        # Its hooks come off when Frida has noticed; until then the program goes on writing.
        wait_for(lambda: caught_signals(program.pid) & 1 << signal.SIGSEGV - 1 == 0)
        assert lives(program.pid)
        recover(client.trace, tmp_path / "whole.kmt")
        left.unlink()
    finally:
        program.kill()
        program.wait()
    with tracekmt.open(tmp_path / "whole.kmt") as trace:
        numbers = numbered(trace.calls())
    for thread, count in enumerate(noted):
        assert numbers[thread] == list(range(numbers[thread][0], numbers[thread][-1] + 1))
        assert numbers[thread][-1] >= count - 3  # an adapter, a device, then allocations from 0 on


@pytest.mark.parametrize("redact", [False, True])
def test_what_recorder_and_program_leave_when_both_are_killed_is_recovered(
    client: Client, tmp_path: Path, redact: bool
) -> None:
    """The recorder is held, so that what the program does meanwhile is in the shared memory alone; then both die."""
    program = subprocess.Popen(client.argv("paced:500", 2, 10**9))
    words = [sys.executable, "-m", "tracekmt", "record", "-p", str(program.pid), "-o", str(client.trace)]
    recorder = subprocess.Popen(words + ["--redact"] * redact)
    try:
        wait_for(lambda: client.trace.exists() and client.trace.stat().st_size > 20_000)
        written = client.trace.stat().st_size
        wait_for(lambda: client.trace.stat().st_size > written)  # what was drained before is let go by the next time
        recorder.send_signal(signal.SIGSTOP)
        held = sum(client.journal())
        wait_for(lambda: sum(client.journal()) > held + 400)
    finally:
        program.kill()
        program.wait()
        recorder.kill()
        recorder.wait()
    (left,) = Path("/dev/shm").glob(f"tracekmt-{recorder.pid}-*")
    try:
        whole, part = tmp_path / "whole.kmt", tmp_path / "part.kmt"
        calls, wrong = recover(client.trace, whole)
        assert wrong == "the recording did not finish"
        recover(left, part)
        with tracekmt.open(client.trace) as before, tracekmt.open(whole) as after, tracekmt.open(left) as memory:
            assert len(after) == calls >= len(before) + 400
            assert after.lost == 0
            assert 400 <= len(memory) < calls  # what was drained is gone from it, but for the newest
            tail = list(memory.calls())[-1]
            assert (tail.name, tail.enter.sequence) == (after[-1].name, after[-1].enter.sequence)
            numbers = numbered(after.calls()) if not redact else {}
            assert not redact or all(
                not any(call.inputs["pAllocationInfo2"][0]["pPrivateDriverData"][16:])
                for call in after.calls()
                if isinstance(call.inputs, dict)
            )
            for thread, count in enumerate(client.journal()[:2] if not redact else ()):
                # An adapter, a device, then allocations from 0 on; not one is missing, and the last is there.
                assert numbers[thread] == list(range(numbers[thread][0], numbers[thread][-1] + 1))
                assert numbers[thread][-1] >= count - 3
    finally:
        left.unlink()


def recorded(client: Client, limits: StopConditions, *, force: bool = False) -> Progress:
    """A program that calls every millisecond for long, recorded until a limit; it goes on."""
    program = subprocess.Popen(client.argv("paced:1000", 2, 10**9))
    try:
        recording = Recording(client.trace, limits=limits, force=force)
        recording.attach(program.pid)
        progress = recording.run()
        assert lives(program.pid)
    finally:
        program.kill()
        program.wait()
    return progress


def test_a_recording_ends_by_itself(client: Client) -> None:
    started = time.monotonic()
    assert recorded(client, StopConditions(duration=0.5)).ended == "stopped, 0.5 s are over; the process goes on"
    assert time.monotonic() - started < 8
    ended = recorded(client, StopConditions(max_size=40_000), force=True).ended
    assert ended is not None
    assert ended.startswith("stopped, the trace has 4")
    limits = StopConditions(until_status=Status(0), after=0.3)
    progress = recorded(client, limits, force=True)
    assert progress.ended == "stopped, a call gave STATUS_SUCCESS; the process goes on"
    assert progress.seen is not None
    with tracekmt.open(client.trace) as trace:
        assert trace.duration > 250_000_000


def test_a_flight_recorder_keeps_the_newest(client: Client) -> None:
    recording = Recording(client.trace, limits=StopConditions(last=40_000))
    recording.spawn(client.argv("paced:100", 2, 4000))
    assert recording.run().calls == 2 * 4004
    assert list(client.trace.parent.glob("client.kmt*")) == [client.trace]
    assert client.trace.stat().st_size < 90_000
    with tracekmt.open(client.trace) as trace:
        indexes = [call.index for call in trace.calls()]
        assert 100 < len(indexes) < 8008
        assert indexes == list(range(indexes[0], 8008))
        assert all(call.returned for call in trace.calls())
        assert trace.header.trimmed == "8008 calls, of which the newest were kept"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system with little room."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs root, to make a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_memory_costs_events_and_nothing_else(client: Client, tmp_path: Path) -> None:
    """On a small file system there is little room, and a program that does not pause fills it: every event is in the
    trace or counted where it is missing, and the program's own count is right."""
    with small_disk(tmp_path / "small", "3m") as small:
        recording = Recording(client.trace, spool=small)
        recording.spawn(client.argv("work", 4, 20_000))
        progress = recording.run()
        (small / "fills").write_bytes(bytes(2 << 20))
        with pytest.raises(RecordError, match="no room for 2 MB"):
            Recording(tmp_path / "other.kmt", spool=small).attach(os.getpid())
    assert sum(client.journal()) == 4 * 20_004
    assert progress.ended == "the process ended with status 7"
    assert progress.lost > 0
    with tracekmt.open(client.trace) as trace:
        events = sum(1 for event in trace.events() if not isinstance(event, Lost))
        assert events + trace.lost == 2 * 4 * 20_004
        assert trace.lost == progress.lost


def test_a_full_disk_breaks_a_recording_off_and_loses_nothing(client: Client, tmp_path: Path) -> None:
    """The program goes on, and what could not be written is still where it was; recovered elsewhere it is whole."""
    memory = tmp_path / "memory"
    memory.mkdir()
    with small_disk(tmp_path / "small", "100k") as small:
        program = subprocess.Popen(client.argv("paced:100", 2, 10**9))
        try:
            recording = Recording(small / "t.kmt", spool=memory)
            recording.attach(program.pid)
            with pytest.raises(RecordError, match="was broken off: No space left on device; nothing is lost"):
                recording.run()
            assert lives(program.pid)
            (left,) = memory.iterdir()
            recover(small / "t.kmt", tmp_path / "whole.kmt")
        finally:
            program.kill()
            program.wait()
        with tracekmt.open(small / "t.kmt") as torn, tracekmt.open(tmp_path / "whole.kmt") as whole:
            assert 0 < len(torn) < len(whole)
            assert whole.lost == 0
            numbers = numbered(whole.calls())
        assert all(found == list(range(found[0], found[-1] + 1)) for found in numbers.values())
    left.unlink()


def test_the_memory_lies_where_it_is_asked_for(client: Client, tmp_path: Path) -> None:
    recording = Recording(client.trace, spool=tmp_path)
    recording.spawn(client.argv("work", 1, 10))
    assert len(list(tmp_path.glob("tracekmt-*.spool"))) == 1
    assert recording.run().calls == 14
    assert not list(tmp_path.glob("tracekmt-*.spool"))


def test_only_chosen_functions_are_recorded(client: Client) -> None:
    recording = Recording(client.trace, functions=["*Device"])
    recording.spawn(client.argv("work", 1, 10))
    recording.run()
    assert [call.name for call in client.calls()] == ["D3DKMTCreateDevice", "D3DKMTDestroyDevice"]


def test_what_cannot_be_recorded_is_said(client: Client, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no process 999999"):
        Recording(client.trace).attach(999999)
    with pytest.raises(UsageError, match="there is no such program"):
        Recording(client.trace).spawn(["/no/such/program"])
    with pytest.raises(UsageError, match="names no described function"):
        Recording(client.trace, functions=["Nothing*"])
    with pytest.raises(UsageError, match="there is no folder"):
        Recording(tmp_path / "no" / "such.kmt")
    client.trace.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        Recording(client.trace)
    assert client.trace.read_bytes() == b"mine"


def test_functions_of_every_shape_are_recorded(client: Client) -> None:
    recording = Recording(client.trace, modules=["libdxcore.so"])
    recording.spawn(client.argv("others"))
    recording.run()
    share, owned, opened, *unknown = client.calls()
    assert share.inputs == {
        "cObjects": 2,
        "hObjects": [0x40000000, 0x40000040],
        "pObjectAttributes": None,
        "dwDesiredAccess": 0x10000001,
        "phSharedNtHandle": 0,
    }
    assert share.outputs == {"hObjects": [0x40000000, 0x40000040], "pObjectAttributes": None, "phSharedNtHandle": 0x103}
    assert (owned.inputs, owned.outputs, owned.status, owned.result) == ({}, {}, None, 1)
    assert isinstance(opened.inputs, dict)
    assert isinstance(opened.outputs, dict)
    assert opened.inputs["pDeviceName"] == "\\\\?\\PCI\ud800"
    assert opened.outputs["hAdapter"] != 0
    assert [call.name for call in unknown] == ["D3DKMTNotYetKnown"] * 2
    for call, before, after in zip(unknown, (1, 6), (6, 12), strict=True):
        assert call.spec.raw
        assert isinstance(call.inputs, dict)
        assert isinstance(call.outputs, dict)
        assert call.inputs["argument0"][:3] == bytes([before, 2, 3])
        assert call.outputs["argument0"][:3] == bytes([after, 2, 3])
        assert call.inputs["argument1"] == Unreadable(5 if before == 1 else 6)
    with tracekmt.open(client.trace) as trace:
        summary = summarise(trace)
    assert summary["undescribed"] == [{"call": "D3DKMTNotYetKnown", "count": 2}]
    assert "D3DKMTNotYetKnown (2)" in "\n".join(summary_lines(summary))
    assert tracekmt.replay(client.trace).to_dict()["calls"]["skipped"] == 2, "those that nobody has described"


def test_a_function_that_nobody_has_described_is_chosen_by_name(client: Client) -> None:
    recording = Recording(client.trace, modules=["libdxcore.so"], functions=["D3DKMTNot*Known"])
    recording.spawn(client.argv("others"))
    recording.run()
    assert [call.name for call in client.calls()] == ["D3DKMTNotYetKnown"] * 2


def test_calls_after_exit_are_recorded(client: Client) -> None:
    """Before exit(), in a handler of it, in a destructor."""
    recording = Recording(client.trace, modules=["libdxcore.so"])
    recording.spawn(client.argv("exit", calls=77))
    recording.run()
    assert [call.name for call in client.calls()] == [CREATE] * 3
    assert client.journal()[0] == 3
