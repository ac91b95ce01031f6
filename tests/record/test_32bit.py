"""Processes of 32 bits, with the structures of x86 Windows, recorded by a 64-bit recorder."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import tracekmt
from tests.native import FOLDER, skip_without
from tests.record.client import Client, kill, wait_for
from tracekmt.codec import Unreadable
from tracekmt.record.session import Recording

CREATE = "D3DKMTCreateAllocation2"


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the 32-bit test library and its client, and return their folder."""
    compiler = shutil.which("gcc")
    if compiler is None or not list(Path("/usr").glob("lib*/**/32/crtbegin.o")):
        skip_without("gcc-multilib")
    folder = tmp_path_factory.mktemp("narrow")
    # Windows aligns 64-bit fields to 8 bytes also in 32-bit processes.
    command: list[str | Path] = [compiler, "-m32", "-malign-double", "-O1", "-Wall", "-Wextra"]
    subprocess.run([*command, "-shared", "-fPIC", "-o", folder / "libdxcore.so", FOLDER / "narrow.c"], check=True)
    library: list[str | Path] = ["-DCLIENT", "-o", folder / "client", FOLDER / "narrow.c", "-ldl", "-lpthread"]
    subprocess.run([*command, *library], check=True)
    return folder


@pytest.fixture
def client(narrow: Path, tmp_path: Path) -> Client:
    return Client(narrow, tmp_path)


def test_every_call_is_recorded_in_the_layout_of_x86(client: Client) -> None:
    recording = Recording(client.trace)
    recording.spawn(client.argv("work", 4, 200))
    assert recording.run().ended == "the process ended with status 7"
    calls = client.calls()
    assert len(calls) == sum(client.journal()[:4]) == 4 * 204
    with tracekmt.open(client.trace) as trace:
        assert (trace.abi, trace.lost) == ("x86", 0)
    data: dict[int, list[bytes]] = {}
    for call in [call for call in calls if call.name == CREATE]:
        assert isinstance(call.inputs, dict)
        assert isinstance(call.outputs, dict)
        (element,) = call.inputs["pAllocationInfo2"]
        data.setdefault(element["PrivateDriverDataSize"] - 64, []).append(element["pPrivateDriverData"])
        assert element["GpuVirtualAddress"] == 0x1234567890
        assert call.outputs["pAllocationInfo2"][0]["hAllocation"] >= 0x40000000
    for thread, contents in data.items():
        assert contents == [n.to_bytes(4, "little") + bytes([thread]) * (60 + thread) for n in range(200)]
    assert tracekmt.replay(client.trace).same


def test_bad_pointers_with_a_handler_of_the_program(client: Client) -> None:
    recording = Recording(client.trace)
    recording.spawn(client.argv("bad"))
    assert recording.run().ended == "the process ended with status 7"
    calls = client.calls()
    assert len(calls) == client.journal()[0] == 3
    argument, elements, data_end = calls
    assert argument.inputs == Unreadable(0x10)
    assert isinstance(elements.inputs, dict)
    assert elements.inputs["pAllocationInfo2"] == Unreadable(0xDEAD0000)
    assert isinstance(data_end.inputs, dict)
    data = data_end.inputs["pAllocationInfo2"][0]["pPrivateDriverData"]
    assert isinstance(data, Unreadable)
    assert len(data.data) == 96


def test_a_running_process_is_recorded_and_continues(client: Client) -> None:
    program = subprocess.Popen(client.argv("forever", 2))
    try:
        wait_for(lambda: client.journal()[0] > 10)
        recording = Recording(client.trace)
        recording.attach(program.pid)
        recording.run(until=lambda: recording.progress.calls > 500)
        assert program.poll() is None
        before = client.journal()[0]
        wait_for(lambda: client.journal()[0] > before + 10)
        assert {call.name for call in client.calls()} == {CREATE}
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == -signal.SIGTERM
    finally:
        kill(program)


def test_an_injected_failure(client: Client) -> None:
    """The recorder answers calls in 32-bit programs, too, and the function is not called."""
    fault = f"{CREATE}@3+3=STATUS_GRAPHICS_NO_VIDEO_MEMORY if in.NumAllocations == 1"
    recording = Recording(client.trace, faults=[fault, "CreateDevice@1=delay=20ms"])
    recording.spawn(client.argv("work", 1, 9))
    assert recording.run().ended == "the process ended with status 7"
    creates = [call for call in client.calls() if call.name == CREATE]
    assert [number for number, call in enumerate(creates, 1) if call.injection is not None] == [3, 6, 9]
    assert [number for number, call in enumerate(creates, 1) if not call.succeeded] == [3, 6, 9]
    assert all(call.unchanged for call in creates if not call.succeeded)
    (device,) = (call for call in client.calls() if call.name == "D3DKMTCreateDevice")
    assert device.succeeded
    assert (device.leave_ns or 0) - device.enter_ns >= 20_000_000
    assert tracekmt.replay(client.trace).same
