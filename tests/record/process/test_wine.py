"""Windows programs under Wine: every call is in the trace, and the program behaves as without the recorder."""

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
from tests.native import skip_without
from tests.record.client import wait_for
from tests.windows import FOLDER, compile_windows, wine_environment
from tracekmt.codec import Unreadable
from tracekmt.errors import RecordError, UsageError
from tracekmt.record.process import proc
from tracekmt.record.process.spawn import requested_windows_program
from tracekmt.record.process.targets import await_process, find_process
from tracekmt.record.process.wine import windows_program
from tracekmt.record.session import Recording
from tracekmt.run.answerer import Answerer
from tracekmt.run.simulated_machine import SimulatedMachine
from tracekmt.simulator import Simulator
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
    """Build the client and its library for both ABIs, and return their folder."""
    folder = tmp_path_factory.mktemp("windows")
    for abi in ABIS:
        (folder / abi).mkdir()
        compile_windows(abi, folder / abi / "client.exe", FOLDER / "client.c")
        compile_windows(abi, folder / abi / "thunks.dll", FOLDER / "thunks.c")
    return folder


class Program:
    """The test client under Wine."""

    def __init__(self, built: Path, folder: Path, abi: str) -> None:
        self.folder, self.abi = folder, abi
        for name in ("client.exe", "thunks.dll"):
            shutil.copy(built / abi / name, folder / name)
        self.trace, self.journal = folder / "client.kmt", folder / "journal"

    def argv(self, mode: str, threads: int = 1, calls: int = 1) -> list[str]:
        return ["wine", str(self.folder / "client.exe"), mode, str(threads), str(calls), str(self.journal)]

    def read_journal(self) -> tuple[dict[int, list[list[str]]], int]:
        """Return function, status and handle of every call by thread, and the number of exceptions handled."""
        lines = [line.split() for line in self.journal.read_text().splitlines()]
        by_thread: dict[int, list[list[str]]] = defaultdict(list)
        for thread, *answer in (line for line in lines if line[0] != "caught"):
            by_thread[int(thread)].append(answer)
        return by_thread, sum(int(line[1]) for line in lines if line[0] == "caught")

    def calls(self) -> list[TracedCall]:
        with tracekmt.open(self.trace) as trace:
            assert trace.abi == self.abi
            assert trace.lost == 0
            calls = list(trace.calls())
            assert all(call.to_json() for call in calls)
            return calls


@pytest.fixture
def program(
    built: Path,
    tmp_path: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Program:
    """Return the client in x64, or in the ABI that the test is parametrized with."""
    abi = getattr(request, "param", "x64")
    if abi == "x86" and not NARROW_WINE.exists():
        pytest.skip("there is no 32-bit Wine")
    for name in ("WINEPREFIX", "WINEDEBUG", "DISPLAY"):
        monkeypatch.setenv(name, environment[name])
    return Program(built, tmp_path, abi)


@pytest.fixture(autouse=True)
def kill_clients(program: Program) -> Iterator[None]:
    yield
    for pid in processes(program):
        os.kill(pid, signal.SIGKILL)


def processes(program: Program) -> list[int]:
    """Return the process ids of the clients in this test's folder."""
    pids = []
    for pid in proc.process_ids():
        try:
            if windows_program(pid) == "client.exe" and str(program.folder) in Path(f"/proc/{pid}/maps").read_text():
                pids.append(pid)
        except OSError:
            continue
    return pids


def answers(calls: Sequence[TracedCall]) -> dict[int, list[list[str]]]:
    """Return the calls by thread, like `read_journal`. The private data contain the client's number of the thread."""
    numbers: dict[int, int] = {}
    by_thread: dict[int, list[list[str]]] = defaultdict(list)
    for call in calls:
        if call.name == CREATE and call.thread not in numbers:
            assert isinstance(call.inputs, dict)
            numbers[call.thread] = call.inputs["pAllocationInfo2"][0]["PrivateDriverDataSize"] - 64
    for call in calls:
        assert call.status is not None
        by_thread[numbers[call.thread]].append([call.name, call.status.code, handle_of(call)])
    return by_thread


def inputs_of(call: TracedCall) -> dict[str, Any]:
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
def test_a_spawned_program_is_recorded_from_its_start(program: Program) -> None:
    recording = Recording(program.trace, modules=MODULES)
    recording.spawn(program.argv("work", threads=4, calls=64))
    progress = recording.run()
    assert progress.ended == f"the process ended with status {EXIT_STATUS}"
    journal, caught = program.read_journal()
    calls = program.calls()
    assert answers(calls) == journal
    assert (len(journal), caught) == (4, 4 * 64 // 8)
    with tracekmt.open(program.trace) as trace:
        assert trace.header.process["complete_from_start"] is True
        assert {module.name for module in trace.modules} >= {"client.exe", "gdi32.dll", "thunks.dll", "win32u.dll"}
    opened = next(call for call in calls if call.name == "D3DKMTOpenAdapterFromGdiDisplayName")
    assert inputs_of(opened)["DeviceName"] == r"\\.\DISPLAY1"
    assert {call.caller.partition("+")[0] for call in calls if call.caller} == {"client.exe"}


def test_injected_failures(program: Program) -> None:
    """Functions of gdi32 are hooked in win32u. A function of a library may be too short, which the result says."""
    faults = [
        f"{CREATE}@3+3=STATUS_GRAPHICS_NO_VIDEO_MEMORY",
        "CreateDevice=delay=20ms",
        "DestroyDevice=0xC00002B6 after",
    ]
    recording = Recording(program.trace, modules=MODULES, faults=faults)
    recording.spawn(program.argv("work", threads=1, calls=16))
    progress = recording.run()
    assert progress.ended == f"the process ended with status {EXIT_STATUS}"
    calls = program.calls()
    journal, _ = program.read_journal()
    assert answers(calls) == journal  # the program got what the trace has
    injected = [(call.name, call.outcome_text, call.injection.kind) for call in calls if call.injection is not None]
    creates = 0 if CREATE in progress.uninjected else sum(call.name == CREATE for call in calls) // 3
    assert injected == [
        ("D3DKMTCreateDevice", "STATUS_SUCCESS", "delayed"),
        *[(CREATE, "STATUS_GRAPHICS_NO_VIDEO_MEMORY", "answered")] * creates,
        ("D3DKMTDestroyDevice", "STATUS_DEVICE_REMOVED", "replaced"),
    ]


def test_a_windows_program_on_the_simulator(program: Program) -> None:
    """The simulator answers in the layout of Windows. A function that is too short for a jump stays the library's."""
    answerer = Answerer(SimulatedMachine(Simulator()))
    recording = Recording(program.trace, modules=MODULES, answerer=answerer)
    recording.spawn(program.argv("work", threads=2, calls=8))
    progress = recording.run()
    assert progress.ended == f"the process ended with status {EXIT_STATUS}"
    assert answerer.error is None
    calls = program.calls()
    assert answers(calls) == program.read_journal()[0]  # the program got what the trace has
    assert {call.outcome_text for call in calls if call.name in DEVICES} == {"STATUS_SUCCESS"}
    outputs = [call.outputs for call in calls if call.name == "D3DKMTCreateDevice"]
    created = [output["hDevice"] for output in outputs if isinstance(output, dict)]
    assert len(created) == 2
    assert all(0x40000000 <= handle < 0x40001000 for handle in created), "handles of the simulator"
    if CREATE not in progress.uninjected:
        assert tracekmt.replay(program.trace).same


def test_two_runs_of_a_program_are_the_same(program: Program) -> None:
    """Its four threads take turns in another order, and its bad pointers and handles are others."""
    traces = [program.trace.with_name(f"{number}.kmt") for number in range(3)]
    for trace in traces:
        recording = Recording(trace, modules=MODULES)
        recording.spawn(program.argv("work", threads=4, calls=64))
        recording.run()
    for other in traces[1:]:
        report = tracekmt.diff(traces[0], other)
        assert [finding for finding in report.findings if finding.kind != "opaque"] == []
        assert report.calls.compared == report.total > 4 * 64


def test_structures_are_those_of_x64_and_bad_pointers_are_recorded(program: Program) -> None:
    recording = Recording(program.trace, modules=MODULES)
    recording.spawn(program.argv("work", threads=2, calls=16))
    recording.run()
    unreadable = 0
    for call in [call for call in program.calls() if call.name == CREATE]:
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
    assert [inputs_of(call)["dwDesiredAccess"] for call in shares] == [7] * 4, "the fourth parameter is wrong"
    for call in shares:
        assert isinstance(call.outputs, dict)
        assert call.outputs["phSharedNtHandle"] > 0x100, "the fifth parameter, on the stack, is wrong"


@BOTH
def test_a_running_program_is_recorded_and_continues(program: Program) -> None:
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
        report = tracekmt.replay(program.trace)
        assert (report.same, report.calls.compared > 50) == (True, True)
        assert running.poll() is None
        assert processes(program) == [pid]
    running.kill()
    running.wait()


@pytest.mark.parametrize("modules", [["gdi32.dll"], MODULES], ids=["gdi32", "gdi32 and thunks"])
def test_a_recording_replays_without_differences(program: Program, modules: list[str]) -> None:
    recording = Recording(program.trace, modules=modules)
    recording.spawn(program.argv("work", threads=2, calls=16))
    recording.run()
    report = tracekmt.replay(program.trace)
    assert [finding for finding in report.findings if finding.counts] == []
    assert report.calls.compared >= 8


def test_a_module_that_is_loaded_again_is_hooked_again(program: Program) -> None:
    recording = Recording(program.trace, modules=["thunks.dll"])
    recording.spawn(program.argv("twice", calls=5))
    assert recording.run().ended == f"the process ended with status {EXIT_STATUS}"
    assert [inputs_of(call)["hDevice"] for call in program.calls()] == list(range(5))


def test_the_child_of_a_windows_program_is_recorded(program: Program) -> None:
    argv = program.argv("work", threads=2, calls=8)
    words = ["wine", "cmd", "/c", "Z:" + argv[1].replace("/", "\\"), *argv[2:]]
    command = [sys.executable, "-m", "tracekmt", "record", "--children", "-o", str(program.trace)]
    modules = [word for module in MODULES for word in ("--module", module)]
    done = subprocess.run([*command, *modules, "--", *words], check=False, timeout=100, capture_output=True)
    assert done.returncode == EXIT_STATUS
    journal, _ = program.read_journal()
    recorded = []
    for path in program.folder.glob("client.*.kmt"):
        with tracekmt.open(path) as trace:
            assert trace.header.process["parent"] > 0
            assert trace.header.process["complete_from_start"] is True
            if len(trace):
                recorded.append((trace.header.process["name"], answers(list(trace.calls()))))
    assert recorded == [("client.exe", journal)]


def test_a_program_that_the_launcher_starts_is_recorded_instead_of_it(program: Program) -> None:
    """Wine's launcher, start.exe, starts the program in another process."""
    argv = program.argv("work", threads=2, calls=8)
    recording = Recording(program.trace, modules=MODULES)
    recording.spawn(["wine", "start", "/wait", "/unix", *argv[1:]])
    progress = recording.run()
    assert (progress.ended, progress.exit_status) == (f"the process ended with status {EXIT_STATUS}", EXIT_STATUS)
    journal, _ = program.read_journal()
    with tracekmt.open(program.trace) as trace:
        assert (trace.header.process["name"], trace.header.process["complete_from_start"]) == ("client.exe", True)
        assert answers(list(trace.calls())) == journal


def test_a_32_bit_program_in_a_64_bit_process(built: Path, program: Program, environment: dict[str, str]) -> None:
    """Wine's launcher starts it in another process. Its system calls have the 64-bit layout."""
    if NARROW_WINE.exists() or not (Path(environment["WINEPREFIX"]) / "drive_c/windows/syswow64/ntdll.dll").exists():
        pytest.skip("this Wine runs no 32-bit programs in 64-bit processes")
    narrow = Program(built, program.folder, "x86")
    recording = Recording(narrow.trace)
    recording.spawn(narrow.argv("work", threads=2, calls=8))
    assert recording.run().ended == f"the process ended with status {EXIT_STATUS}"
    journal, _ = narrow.read_journal()
    with tracekmt.open(narrow.trace) as trace:
        assert (trace.abi, trace.header.process["name"]) == ("x64", "client.exe")
        assert trace.header.process["complete_from_start"] is True
        calls = [call for call in trace.calls() if call.status is not None]
        recorded = [[call.name, call.status.code, handle_of(call)] for call in calls if call.status is not None]
    # The trace does not show the client's thread numbers. Opening the adapter is not a system call in Wine.
    expected = [answer for answers in journal.values() for answer in answers if answer[0] in DEVICES]
    assert sorted(answer for answer in recorded if answer[0] in DEVICES) == sorted(expected)
    assert len(expected) == 2 * len(DEVICES)


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


def test_a_process_behind_the_preloader_is_refused(tmp_path: Path, program: Program) -> None:
    sleep = shutil.which("sleep")
    if sleep is None:
        skip_without("sleep")
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


def test_a_program_that_never_starts_is_an_error(program: Program) -> None:
    with pytest.raises(UsageError, match=r"cannot start nothing\.exe"):
        Recording(program.trace).spawn(["true", str(program.folder / "nothing.exe")])
    assert not program.trace.exists()
    recording = Recording(program.trace)
    recording.spawn(["wine", str(program.folder / "nothing.exe")])  # Wine starts and reports the error
    assert recording.run().ended == "the process ended with status 53"
    assert program.calls() == []


@pytest.mark.parametrize(
    ("argv", "name"),
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
def test_the_windows_program_of_a_command_line(argv: list[str], name: str | None) -> None:
    assert requested_windows_program(argv) == name
