"""A process that records itself: every call of its own threads, and a process that is as before afterwards."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

import tracekmt
from tests.record.own import CLOSE, CREATE, Library, close_adapter, run_script
from tests.skips import LINUX_PART
from tracekmt.edit.recover import recover
from tracekmt.errors import UsageError
from tracekmt.record import own_process
from tracekmt.record.handover import HandOver
from tracekmt.simulator import Simulator
from tracekmt.simulator.native import Thunks

THREADS, CALLS = 4, 500
LOAD = "library = ctypes.CDLL(PATH)\ndef close(n): library.D3DKMTCloseAdapter(ctypes.byref(ctypes.c_uint32(n)))\n"
START = "tracekmt.record.start('own.kmt', module=os.path.basename(PATH))\n"


def code_of(library: ctypes.CDLL, name: str) -> bytes:
    """Return the first bytes of a function."""
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert address is not None
    return ctypes.string_at(address, 16)


def call_from_threads(library: ctypes.CDLL) -> set[int]:
    """Make CALLS calls on each of THREADS threads. Return the ids of the threads."""
    ids: set[int] = set()

    def work(number: int) -> None:
        ids.add(threading.get_native_id())
        for call in range(CALLS):
            assert close_adapter(library, CALLS * number + call) == 0

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ids


def test_every_call_of_the_block_and_no_other(thunks_library: Library, tmp_path: Path) -> None:
    library, trace = thunks_library.load(), tmp_path / "own.kmt"
    code = code_of(library, CLOSE)
    close_adapter(library, 1)
    with tracekmt.recording(trace, module=thunks_library.module) as progress:
        assert code_of(library, CLOSE) != code
        ids = call_from_threads(library)
    assert code_of(library, CLOSE) == code, "the hooks are gone"
    close_adapter(library, 2)
    assert (progress.calls, progress.lost, progress.ended) == (THREADS * CALLS, 0, "stopped; the process goes on")
    assert CLOSE in progress.hooked
    with tracekmt.open(trace) as opened:
        calls = list(opened.calls())
        values = {call.outputs["hAdapter"] if isinstance(call.outputs, dict) else None for call in calls}
        assert len(values) == THREADS * CALLS
        assert opened.header.process["pid"] == os.getpid()
        assert set(opened.threads) == ids, "no thread of the recorder is recorded"
    assert {call.name for call in calls} == {CLOSE}
    assert own_process.THREAD_NAME not in [thread.name for thread in threading.enumerate()]


def test_a_simulator_answers(thunks_library: Library, tmp_path: Path) -> None:
    """The calls of this process reach a simulator instead of the library, and are recorded, on Windows too."""
    library, trace, simulator = thunks_library.load(), tmp_path / "own.kmt", Simulator()
    luid = {"AdapterLuid": {"LowPart": 1}}
    adapter = simulator.call("D3DKMTOpenAdapterFromLuid", luid).outputs["hAdapter"]
    with tracekmt.recording(trace, module=thunks_library.module, simulator=simulator) as progress:
        answers = [close_adapter(library, handle) & 0xFFFFFFFF for handle in (adapter, adapter, 0)]
    assert answers == [0, 0xC000000D, 0xC000000D]
    assert close_adapter(library, 7) == 0, "the library's own function is back"
    assert (progress.calls, progress.lost, progress.uninjected) == (3, 0, [])
    with tracekmt.open(trace) as opened:
        assert [int(call.status or 0) for call in opened.calls()] == answers
        assert opened.header.settings["answered_by"] == "simulator"
        assert opened.header.machine["adapters"][0]["luid"] == [1, 0]


def test_injected_failures(thunks_library: Library, tmp_path: Path) -> None:
    """The recorder answers and delays calls of its own process, on Windows too."""
    library, trace = thunks_library.load(), tmp_path / "own.kmt"
    faults = [
        "CloseAdapter@3+3=STATUS_NO_MEMORY if in.hAdapter >= 100",
        "CloseAdapter@1=delay=30ms if in.hAdapter == 7",
    ]
    with tracekmt.recording(trace, module=thunks_library.module, inject=faults) as progress:
        statuses = [close_adapter(library, number) & 0xFFFFFFFF for number in (1, 100, 101, 102, 103, 104, 105, 106, 7)]
    assert (progress.calls, progress.lost, progress.uninjected) == (9, 0, [])
    assert statuses == [0, 0, 0, 0xC0000017, 0, 0, 0xC0000017, 0, 0]
    with tracekmt.open(trace) as opened:
        calls = list(opened.calls())
        injected = [(call.index, call.injection.kind) for call in calls if call.injection is not None]
        assert injected == [(3, "answered"), (6, "answered"), (8, "delayed")]
        assert (calls[8].leave_ns or 0) - calls[8].enter_ns >= 29_000_000
        assert calls[3].outcome_text == "STATUS_NO_MEMORY"
    assert tracekmt.replay(trace).calls.injected == 2


def test_a_library_that_is_loaded_within_the_block(thunks_library: Library, tmp_path: Path) -> None:
    script = (
        "with tracekmt.recording('own.kmt', module=os.path.basename(PATH)):\n"
        " library = ctypes.CDLL(PATH)\n"
        " library.D3DKMTCloseAdapter(ctypes.byref(ctypes.c_uint32(7)))\n"
    )
    assert run_script(script, tmp_path, thunks_library).status == 0
    with tracekmt.open(tmp_path / "own.kmt") as trace:
        assert [call.name for call in trace.calls()] == [CLOSE]


@pytest.mark.skipif(sys.platform == "win32", reason=LINUX_PART)
def test_a_process_whose_free_memory_is_far_from_its_libraries(thunks_library: Library, tmp_path: Path) -> None:
    """The recorder's code is out of reach for a jump in libc."""
    script = (
        "import mmap\n"
        "taken = [mmap.mmap(-1, 1 << size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, 0)\n"
        "    for size in (32, *([24] * 40), *([20] * 40), *([16] * 40))]\n"
        "with tracekmt.recording('own.kmt', module=os.path.basename(PATH)):\n"
        " library = ctypes.CDLL(PATH)\n"
        " library.D3DKMTCloseAdapter(ctypes.byref(ctypes.c_uint32(7)))\n"
    )
    outcome = run_script(script, tmp_path, thunks_library)
    assert outcome.status == 0, outcome.output
    with tracekmt.open(tmp_path / "own.kmt") as trace:
        assert [call.name for call in trace.calls()] == [CLOSE]


def test_recording_again_and_again(thunks_library: Library, tmp_path: Path) -> None:
    library, trace = thunks_library.load(), tmp_path / "own.kmt"
    for round_ in range(5):
        tracekmt.record.start(trace, module=[thunks_library.module], force=True)
        for _ in range(round_):
            close_adapter(library, 1)
        assert tracekmt.record.stop().calls == round_


def test_an_error_in_the_block_is_the_programs(thunks_library: Library, tmp_path: Path) -> None:
    library, trace = thunks_library.load(), tmp_path / "own.kmt"

    def fail() -> None:
        with tracekmt.recording(trace, module=thunks_library.module):
            close_adapter(library, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with tracekmt.open(trace) as opened:
        assert len(opened) == 1
        assert opened.ended == "stopped; the process goes on"


def test_stop_within_the_block(thunks_library: Library, tmp_path: Path) -> None:
    library = thunks_library.load()
    with tracekmt.recording(tmp_path / "own.kmt", module=thunks_library.module):
        close_adapter(library, 1)
        assert tracekmt.record.stop().calls == 1
        close_adapter(library, 2)
    with tracekmt.open(tmp_path / "own.kmt") as opened:
        assert len(opened) == 1


def test_invalid_requests(thunks_library: Library, tmp_path: Path) -> None:
    trace = tmp_path / "own.kmt"
    with pytest.raises(UsageError, match=r"this process is not recorded: call tracekmt\.record\.start first"):
        tracekmt.record.stop()
    with tracekmt.recording(trace, module=thunks_library.module), pytest.raises(UsageError) as caught:
        tracekmt.record.start(tmp_path / "other.kmt")
    assert str(caught.value) == f"cannot record this process twice: it is recorded into {trace}"
    with pytest.raises(UsageError, match="exists"), tracekmt.recording(trace):
        pass
    with pytest.raises(UsageError, match="there is no folder"), tracekmt.recording(tmp_path / "no" / "own.kmt"):
        pass
    with pytest.raises(UsageError, match="unknown function"), tracekmt.recording(tmp_path / "x.kmt", functions="Zz*"):
        pass
    tracekmt.record.start(trace, module=thunks_library.module, force=True)
    tracekmt.record.stop()


@pytest.mark.parametrize(
    ("ending", "status"), [("", 0), ("sys.exit(3)", 3), ("raise ValueError('end')", 1)], ids=["end", "exit", "error"]
)
def test_an_exit_finishes_the_trace(thunks_library: Library, tmp_path: Path, ending: str, status: int) -> None:
    """The interpreter waits for other threads first, whose calls are recorded."""
    work = "threading.Thread(target=lambda: [close(n) for n in range(100)]).start()\n"
    outcome = run_script(f"{LOAD}{START}{work}{ending}", tmp_path, thunks_library)
    assert outcome.status == status
    with tracekmt.open(tmp_path / "own.kmt") as trace:
        assert len(trace) == 100
        assert trace.ended == "stopped; the process exits"


@pytest.mark.parametrize("ending", ["os._exit(3)", "os.abort()", "os.kill(os.getpid(), 9)"])
def test_a_sudden_end_loses_no_call(thunks_library: Library, tmp_path: Path, ending: str) -> None:
    """`recover` returns every call, also those that the thread of the recorder had not drained."""
    outcome = run_script(f"{LOAD}{START}for n in range(5000): close(n)\n{ending}", tmp_path, thunks_library)
    assert outcome.status != 0
    recover(tmp_path / "own.kmt", tmp_path / "recovered.kmt")
    with tracekmt.open(tmp_path / "recovered.kmt") as trace:
        assert sum(call.returned for call in trace.calls()) == 5000
        spool = Path(trace.header.settings["spool"])
    spool.unlink()


def test_a_full_trace_is_an_error_that_loses_nothing(
    thunks_library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error arrives where the recording ends. Here a write fails; `test_session` has a disk that is full."""
    library, trace = thunks_library.load(), tmp_path / "own.kmt"
    tracekmt.record.start(trace, module=thunks_library.module)

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tracekmt.trace.writer.Writer.events", fail)
    close_adapter(library, 1)
    with pytest.raises(tracekmt.RecordError, match="No space left on device; no event is lost") as caught:
        tracekmt.record.stop()
    monkeypatch.undo()
    recover(trace, tmp_path / "recovered.kmt")
    with tracekmt.open(tmp_path / "recovered.kmt") as opened:
        assert [call.name for call in opened.calls()] == [CLOSE]
    Path(str(caught.value).rsplit("delete ", 1)[1]).unlink()
    assert close_adapter(library, 2) == 0, "the process goes on without hooks"


def test_bad_pointers_are_unreadable_and_the_process_lives(thunks_library: Library, tmp_path: Path) -> None:
    library = thunks_library.load()
    with tracekmt.recording(tmp_path / "own.kmt", module=thunks_library.module):
        statuses = [library.D3DKMTCreateAllocation2(ctypes.c_void_p(address)) for address in (0x10, 0x7FFFFFFF0000)]
    assert all(status == -0x3FFFFFF3 for status in statuses)
    with tracekmt.open(tmp_path / "own.kmt") as trace:
        assert Counter(call.name for call in trace.calls()) == {CREATE: 2}
        assert all(isinstance(call.inputs, tracekmt.Unreadable) for call in trace.calls())


def test_functions_that_the_program_offers_by_address(tmp_path: Path) -> None:
    """The trace has the settings of the simulator behind the functions, and replays on it."""
    thunks = Thunks(Simulator())
    table = HandOver(tmp_path / "thunks.json")
    table.offer(thunks.addresses, thunks.simulator.machine.settings())
    with tracekmt.recording(tmp_path / "own.kmt", thunks=table.path) as progress:
        argument = (ctypes.c_uint32 * 3)(1, 0, 0)
        assert thunks.function("D3DKMTOpenAdapterFromLuid")(ctypes.addressof(argument)) == 0
    assert table.hooked.exists()
    assert progress.calls == 1
    report = tracekmt.replay(tmp_path / "own.kmt")
    assert report.same
    assert report.calls.compared == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no process forks on Windows")
def test_a_forked_child_is_not_recorded_and_ends_nothing(thunks_library: Library, tmp_path: Path) -> None:
    script = (
        f"{LOAD}{START}close(1)\nchild = os.fork()\nif child == 0:\n"
        " close(2)\n"
        " try: tracekmt.record.stop()\n"
        " except tracekmt.UsageError: pass\n"
        " try: tracekmt.record.start('child.kmt')\n"
        " except tracekmt.UsageError as error: print(error)\n"
        " sys.exit(5)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5\nclose(3)\n"
    )
    outcome = run_script(script, tmp_path, thunks_library)
    assert (outcome.status, outcome.output) == (
        0,
        "cannot record a forked child of a recorded process: start a new process instead\n",
    )
    with tracekmt.open(tmp_path / "own.kmt") as trace:
        assert [call.inputs["hAdapter"] for call in trace.calls() if isinstance(call.inputs, dict)] == [1, 3]


def test_programs_that_the_process_starts(thunks_library: Library, tmp_path: Path) -> None:
    library = thunks_library.load()
    with tracekmt.recording(tmp_path / "own.kmt", module=thunks_library.module) as progress:
        for _ in range(3):
            subprocess.run([sys.executable, "-c", "pass"], check=True, stdin=subprocess.DEVNULL)
            close_adapter(library, 1)
    assert progress.calls == 3


def test_ctrl_c_is_the_programs(thunks_library: Library, tmp_path: Path) -> None:
    """The recording does not take the signal. The block ends as by any other exception."""

    def interrupt() -> None:
        with tracekmt.recording(tmp_path / "own.kmt", module=thunks_library.module):
            close_adapter(thunks_library.load(), 1)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    with tracekmt.open(tmp_path / "own.kmt") as trace:
        assert len(trace) == 1


@pytest.mark.skipif(sys.platform == "win32", reason=LINUX_PART)
def test_the_programs_own_fault_handler(thunks_library: Library, tmp_path: Path) -> None:
    """Python's own one reports a fault of the program, and none of the recorder, during the recording and after it."""
    block = (
        "import faulthandler\nfaulthandler.enable()\n"
        "with tracekmt.recording('own.kmt', module=os.path.basename(PATH)):\n"
        " library = ctypes.CDLL(PATH)\n"
        " for _ in range(100): library.D3DKMTCreateAllocation2(ctypes.c_void_p(0x10))\n"
    )
    alone = run_script(block, tmp_path, thunks_library)
    assert (alone.status, alone.output) == (0, "")
    with tracekmt.open(tmp_path / "own.kmt") as trace:
        assert len(trace) == 100
    for fault in (" ctypes.string_at(8)\n", "ctypes.string_at(8)\n"):
        (tmp_path / "own.kmt").unlink()
        outcome = run_script(f"{block}{fault}", tmp_path, thunks_library)
        assert outcome.status in (-signal.SIGSEGV, -signal.SIGABRT)  # Frida aborts where the default action follows
        assert outcome.output.startswith("Fatal Python error: Segmentation fault")
        with tracekmt.open(tmp_path / "own.kmt") as trace:
            Path(trace.header.settings["spool"]).unlink(missing_ok=True)  # it is left if the recording had not ended
