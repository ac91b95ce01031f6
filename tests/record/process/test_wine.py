"""Windows programs under Wine: every call is in the trace as the program made it, and the program does not notice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.native import lacking
from tests.record.client import wait_for
from tests.windows import FOLDER, compile_windows, wine_environment
from tracekmt.codec import Unreadable
from tracekmt.errors import RecordError, UsageError
from tracekmt.record.process.spawn import wanted_program
from tracekmt.record.process.targets import await_process, find_process
from tracekmt.record.process.wine import windows_program
from tracekmt.record.session import Recording
from tracekmt.spec.types import ABIS
from tracekmt.trace.reader import TracedCall

CREATE = "D3DKMTCreateAllocation2"
MODULES = ["gdi32.dll", "thunks.dll"]
EXIT_STATUS = 7
NARROW_WINE = Path("/usr/lib/wine/wine")
DEVICES = ("D3DKMTCreateDevice", "D3DKMTDestroyDevice", "D3DKMTCloseAdapter")
BOTH = pytest.mark.parametrize("program", ABIS, indirect=True)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return wine_environment(tmp_path_factory.mktemp("wine"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client and its library, for both ABIs."""
    folder = tmp_path_factory.mktemp("windows")
    for abi in ABIS:
        (folder / abi).mkdir()
        compile_windows(abi, folder / abi / "client.exe", FOLDER / "client.c")
        compile_windows(abi, folder / abi / "thunks.dll", FOLDER / "thunks.c")
    return folder


class Program:
    """The test client as Wine runs it."""

    def __init__(self, built: Path, folder: Path, abi: str) -> None:
        self.folder, self.abi = folder, abi
        for name in ("client.exe", "thunks.dll"):
            shutil.copy(built / abi / name, folder / name)
        self.trace, self.journal = folder / "client.kmt", folder / "journal"

    def argv(self, mode: str, threads: int = 1, calls: int = 1) -> list[str]:
        return ["wine", str(self.folder / "client.exe"), mode, str(threads), str(calls), str(self.journal)]

    def told(self) -> tuple[dict[int, list[list[str]]], int]:
        """What each thread was answered, function, status and handle of every call, and the exceptions it took."""
        lines = [line.split() for line in self.journal.read_text().splitlines()]
        by_thread: dict[int, list[list[str]]] = defaultdict(list)
        for thread, *answer in (line for line in lines if line[0] != "caught"):
            by_thread[int(thread)].append(answer)
        return by_thread, sum(int(line[1]) for line in lines if line[0] == "caught")

    def calls(self) -> list[TracedCall]:
        with tracekmt.open(self.trace) as trace:
            assert trace.abi == self.abi
            assert trace.lost == 0
            found = list(trace.calls())
            assert all(call.to_json() for call in found)
            return found


@pytest.fixture
def program(
    built: Path,
    tmp_path: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Program:
    """In x64, or in the ABI that a test is parametrized with."""
    abi = getattr(request, "param", "x64")
    if abi == "x86" and not NARROW_WINE.exists():
        pytest.skip("there is no 32-bit Wine")
    for name in ("WINEPREFIX", "WINEDEBUG", "DISPLAY"):
        monkeypatch.setenv(name, environment[name])
    return Program(built, tmp_path, abi)


@pytest.fixture(autouse=True)
def nothing_goes_on(program: Program) -> Iterator[None]:
    yield
    for pid in processes(program):
        os.kill(pid, signal.SIGKILL)


def processes(program: Program) -> list[int]:
    """The clients that run in this test's folder."""
    found = []
    for pid in (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()):
        try:
            if windows_program(pid) == "client.exe" and str(program.folder) in Path(f"/proc/{pid}/maps").read_text():
                found.append(pid)
        except OSError:
            continue
    return found


def answers(calls: Sequence[TracedCall]) -> dict[int, list[list[str]]]:
    """The same as `told`, from a trace; the client's number of a thread stands in its private data."""
    numbers: dict[int, int] = {}
    found: dict[int, list[list[str]]] = defaultdict(list)
    for call in calls:
        if call.name == CREATE and call.thread not in numbers:
            assert isinstance(call.inputs, dict)
            numbers[call.thread] = call.inputs["pAllocationInfo2"][0]["PrivateDriverDataSize"] - 64
    for call in calls:
        assert call.status is not None
        found[numbers[call.thread]].append([call.name, call.status.code, handle_of(call)])
    return found


def given(call: TracedCall) -> dict[str, Any]:
    assert isinstance(call.inputs, dict)
    return call.inputs


def handle_of(call: TracedCall) -> str:
    outputs = call.outputs
    if not isinstance(outputs, dict) or call.status != 0:
        return "0x0"
    value = {
        CREATE: lambda: outputs["pAllocationInfo2"][0]["hAllocation"],
        "D3DKMTOpenAdapterFromGdiDisplayName": lambda: outputs["hAdapter"],
        "D3DKMTCreateDevice": lambda: outputs["hDevice"],
        "D3DKMTShareObjects": lambda: outputs["phSharedNtHandle"],
    }.get(call.name, lambda: 0)()
    return f"0x{value:x}"


@BOTH
def test_a_program_that_is_started_is_recorded_from_its_start(program: Program) -> None:
    recording = Recording(program.trace, modules=MODULES)
    recording.spawn(program.argv("work", threads=4, calls=64))
    progress = recording.run()
    assert progress.ended == f"the process ended with status {EXIT_STATUS}"
    told, caught = program.told()
    calls = program.calls()
    assert answers(calls) == told
    assert (len(told), caught) == (4, 4 * 64 // 8)
    with tracekmt.open(program.trace) as trace:
        assert trace.header.process["complete_from_start"] is True
        assert {module.name for module in trace.modules} >= {"client.exe", "gdi32.dll", "thunks.dll", "win32u.dll"}
    opened = next(call for call in calls if call.name == "D3DKMTOpenAdapterFromGdiDisplayName")
    assert given(opened)["DeviceName"] == r"\\.\DISPLAY1"
    assert {call.caller.partition("+")[0] for call in calls if call.caller} == {"client.exe"}


def test_structures_are_those_of_x64_and_bad_pointers_are_told(program: Program) -> None:
    recording = Recording(program.trace, modules=MODULES)
    recording.spawn(program.argv("work", threads=2, calls=16))
    recording.run()
    unreadable = 0
    for call in (each for each in program.calls() if each.name == CREATE):
        assert isinstance(call.inputs, dict)
        elements = call.inputs["pAllocationInfo2"]
        if isinstance(elements, Unreadable):
            assert (elements.address, call.inputs["NumAllocations"]) == (0x10, 3)
            unreadable += 1
            continue
        data = elements[0]["pPrivateDriverData"]
        if isinstance(data, Unreadable):
            assert data.address == 0x1000 + 8 * 3 or data.address == 0x1000 + 8 * 11
            unreadable += 1
        else:
            thread = elements[0]["PrivateDriverDataSize"] - 64
            assert data[4:] == bytes([thread]) * (60 + thread)
    assert unreadable == 2 * 2 * 2
    shares = [call for call in program.calls() if call.name == "D3DKMTShareObjects"]
    assert [given(call)["dwDesiredAccess"] for call in shares] == [7] * 4, "the fourth parameter"
    assert all(call.outputs["phSharedNtHandle"] > 0x100 for call in shares), "on the stack"  # type: ignore[index]


@BOTH
def test_a_running_program_is_attached_to_and_goes_on(program: Program) -> None:
    running = subprocess.Popen(program.argv("forever", threads=2), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(processes(program)) == 1, 30)
    time.sleep(1)
    (pid,) = processes(program)
    for _ in range(2):
        recording = Recording(program.trace, modules=MODULES, force=True)
        recording.attach(pid)
        so_far = recording.progress
        progress = recording.run(until=lambda so_far=so_far: so_far.calls > 200)  # type: ignore[misc]
        assert progress.ended == "stopped; the process goes on"
        calls = program.calls()
        assert {call.name for call in calls} >= {CREATE, "D3DKMTDestroyAllocation2", "D3DKMTShareObjects"}
        with tracekmt.open(program.trace) as trace:
            assert trace.header.process["complete_from_start"] is False
        assert running.poll() is None
        assert processes(program) == [pid]
    running.kill()
    running.wait()


def test_a_module_that_goes_and_comes_again_is_hooked_again(program: Program) -> None:
    recording = Recording(program.trace, modules=["thunks.dll"])
    recording.spawn(program.argv("twice", calls=5))
    assert recording.run().ended == f"the process ended with status {EXIT_STATUS}"
    assert [given(call)["hDevice"] for call in program.calls()] == list(range(5))


def test_what_a_windows_program_starts_is_recorded_beside_it(program: Program) -> None:
    argv = program.argv("work", threads=2, calls=8)
    words = ["wine", "cmd", "/c", "Z:" + argv[1].replace("/", "\\"), *argv[2:]]
    command = [sys.executable, "-m", "tracekmt", "record", "--children", "-o", str(program.trace)]
    chosen = [word for module in MODULES for word in ("--module", module)]
    subprocess.run([*command, *chosen, "--", *words], check=True, timeout=100, capture_output=True)
    told, _ = program.told()
    recorded = []
    for path in program.folder.glob("client.*.kmt"):
        with tracekmt.open(path) as trace:
            assert trace.header.process["parent"] > 0
            if len(trace):
                recorded.append((trace.header.process["name"], answers(list(trace.calls()))))
    assert recorded == [("client.exe", told)]


def test_a_32_bit_program_in_a_64_bit_process(built: Path, program: Program, environment: dict[str, str]) -> None:
    """Wine's launcher starts it in a process of its own; what it asks for arrives in the layout of 64 bits."""
    if NARROW_WINE.exists() or not (Path(environment["WINEPREFIX"]) / "drive_c/windows/syswow64/ntdll.dll").exists():
        pytest.skip("this Wine runs no 32-bit programs in 64-bit processes")
    narrow = Program(built, program.folder, "x86")
    recording = Recording(narrow.trace)
    recording.spawn(narrow.argv("work", threads=2, calls=8))
    assert recording.run().ended == f"the process ended with status {EXIT_STATUS}"
    told, _ = narrow.told()
    with tracekmt.open(narrow.trace) as trace:
        assert (trace.abi, trace.header.process["name"]) == ("x64", "client.exe")
        assert trace.header.process["complete_from_start"] is True
        calls = [call for call in trace.calls() if call.status is not None]
        found = [[call.name, call.status.code, handle_of(call)] for call in calls if call.status is not None]
    # Which thread is which does not show there. The adapter's opening is no system call in Wine.
    made = [answer for answers in told.values() for answer in answers if answer[0] in DEVICES]
    assert sorted(each for each in found if each[0] in DEVICES) == sorted(made)
    assert len(made) == 2 * len(DEVICES)


def test_a_windows_program_is_found_by_its_name(program: Program) -> None:
    with pytest.raises(UsageError, match=r"there is no process client\.exe"):
        find_process(tracekmt_device(), "client.exe")
    started: list[subprocess.Popen[bytes]] = []
    later = threading.Timer(0.3, lambda: started.append(subprocess.Popen(program.argv("forever"))))
    later.start()
    pid = await_process(tracekmt_device(), "client.exe")
    later.join()
    wait_for(lambda: processes(program) == [pid], 30)
    assert find_process(tracekmt_device(), "Client.exe") == pid
    started[0].kill()
    started[0].wait()


def tracekmt_device() -> object:
    frida = pytest.importorskip("frida")
    return frida.get_local_device()


def test_behind_the_preloader_nothing_is_tried(tmp_path: Path, program: Program) -> None:
    sleep = shutil.which("sleep")
    if sleep is None:
        lacking("sleep")
    loader = tmp_path / "wine64-preloader"
    shutil.copy(sleep, loader)
    process = subprocess.Popen([str(loader), "100"])
    try:
        wait_for(lambda: os.readlink(f"/proc/{process.pid}/exe") == str(loader))
        with pytest.raises(RecordError, match=r"runs behind Wine's preloader.*WINELOADERNOEXEC=1"):
            Recording(program.trace).attach(process.pid)
        assert process.poll() is None
        assert not program.trace.exists()
    finally:
        process.kill()
        process.wait()


def test_a_program_that_never_comes_is_said(program: Program) -> None:
    with pytest.raises(UsageError, match=r"nothing\.exe was not started"):
        Recording(program.trace).spawn(["true", str(program.folder / "nothing.exe")])
    assert not program.trace.exists()
    recording = Recording(program.trace)
    recording.spawn(["wine", str(program.folder / "nothing.exe")])  # which Wine itself says no to
    assert recording.run().ended == "the process ended with status 53"
    assert program.calls() == []


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["wine", "Game.exe", "-fast"], "game.exe"),
        (["/opt/wine/bin/wine64", r"C:\Games\Game.exe"], "game.exe"),
        (["proton", "run", "/games/Game.EXE"], "game.exe"),
        (["wine", "notepad"], "notepad"),
        (["ls", "-l"], None),
        (["wine", "start", "/unix", "/games/game.exe"], "game.exe"),
        (["wineserver"], None),
    ],
)
def test_what_a_command_line_is_about(argv: list[str], wanted: str | None) -> None:
    assert wanted_program(argv) == wanted
