"""The recorder in a Windows process, hard: faults, exceptions, jumps, and libraries that come and go.

The process is the Windows Python that runs the tests, because Frida's injection needs Microsoft's ntdll.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.record.own import CLOSE, CREATE, Library, close_adapter, run_script
from tests.windows import compile_exports
from tests.windows.host import run_on_host, runs_under_wine
from tracekmt.codec import Unreadable
from tracekmt.doctor import windows_probe
from tracekmt.edit.recover import recover
from tracekmt.record.limits import Progress
from tracekmt.trace.events import Enter, Leave

if sys.platform != "win32":
    pytest.skip("the recorder for Windows runs on Windows", allow_module_level=True)

DESTROY = "D3DKMTDestroyDevice"
INVALID_PARAMETER = 0xC000000D
THREADS, CALLS = 8, 100_000 if "TRACEKMT_SOAK" in os.environ else 25_000
PAUSES = (10, 40, 160)
"""Pauses of the program in milliseconds after 50 calls of a thread."""

ROUNDS = 100
PLAIN, FAULTS = 0, 4


class Own:
    """The library of hard calls in this process, and its recording."""

    def __init__(self, library: Library, trace: Path) -> None:
        self.library = library.load()
        self.trace = trace

    def record(self, function: str, *arguments: Any) -> tuple[int, Progress]:
        """Record a function of the library. Return its result and the counters of the recording."""
        with tracekmt.recording(self.trace, module="hard.dll", force=True) as progress:
            result = int(getattr(self.library, function)(*arguments))
        assert progress.lost == 0
        return result, progress

    def tally(self) -> Counter[tuple[str, bool]]:
        """Return the number of recorded calls by function, and whether they returned."""
        with tracekmt.open(self.trace) as trace:
            return Counter((call.name, call.returned) for call in trace.calls())


@pytest.fixture(autouse=True)
def no_dumps() -> Iterator[None]:
    """Python's own fault handler would dump all threads at each fault of a test."""
    faulthandler.disable()
    yield
    faulthandler.enable(sys.__stderr__)


@pytest.fixture
def own(thunks_library: Library, tmp_path: Path) -> Own:
    return Own(thunks_library, tmp_path / "own.kmt")


def test_calls_of_eight_threads_have_the_programs_own_sums(own: Own) -> None:
    """The sums cover every byte of data and every returned handle, in the order of each thread."""
    for pause in PAUSES:
        sums = (ctypes.c_uint64 * (2 * THREADS))()
        with tracekmt.recording(own.trace, module="hard.dll", force=True) as progress:
            own.library.run_checked(THREADS, CALLS, pause, sums)
        with tracekmt.open(own.trace) as trace:
            tally = trace.tally()
        returned = sum(count for (_, result), count in tally.items() if result is not None)
        assert tally.total() + returned + progress.lost == 2 * THREADS * CALLS
        if not progress.lost:
            break
    assert progress.lost == 0, "every run lost events"
    data_sums, handle_sums, calls, in_flight = [0] * THREADS, [0] * THREADS, [0] * THREADS, {}
    weights = range(1, 161)
    with tracekmt.open(own.trace) as trace:
        for event in trace.events():
            if isinstance(event, Enter):
                _, _, (_, size, data) = event.regions
                assert len(data) == size
                thread, number = int.from_bytes(data[:4], "little"), int.from_bytes(data[8:12], "little")
                assert number == calls[thread], "the calls of a thread are in order"
                calls[thread] += 1
                data_sums[thread] += sum(map(int.__mul__, data, weights))
                in_flight[event.sequence] = thread
            else:
                assert isinstance(event, Leave)
                handle_sums[in_flight.pop(event.enter)] += int.from_bytes(event.regions[1][2][:4], "little")
    assert [data_sums, handle_sums] == [list(sums[::2]), list(sums[1::2])]


def test_bad_pointers_of_every_kind(own: Own) -> None:
    """Each call is answered as without the recorder, its readable part is recorded, and guard pages stay guarded."""
    statuses, count = (ctypes.c_uint32 * 16)(), 10
    assert own.library.run_bad(statuses) == count
    alone = list(statuses)
    assert own.record("run_bad", statuses)[0] == count
    assert list(statuses) == alone
    assert set(alone[:count]) == {INVALID_PARAMETER}
    with tracekmt.open(own.trace) as trace:
        inputs = [call.inputs for call in trace.calls()]
    assert isinstance(inputs[0], Unreadable)  # null page
    assert isinstance(inputs[1], Unreadable)  # the structure crosses into reserved memory
    sizes = []
    for values in inputs[2:]:
        assert isinstance(values, dict)
        infos = values["pAllocationInfo2"]
        data = infos if isinstance(infos, Unreadable) else infos[0]["pPrivateDriverData"]
        assert isinstance(data, Unreadable)
        sizes.append(len(data.data))
    assert sizes[3:] == [96, 0, 100, 100, 100], "the bytes before the end of the page"


def test_memory_that_another_thread_frees(own: Own) -> None:
    failed, progress = own.record("run_freed", 20_000)
    assert progress.calls == 20_000
    with tracekmt.open(own.trace) as trace:
        assert sum(call.status != 0 for call in trace.calls()) == failed


@pytest.mark.parametrize("function", ["run_exceptions", "run_jumps", "run_raw_jumps"])
def test_calls_that_are_left_by_an_exception_or_a_jump(own: Own, function: str) -> None:
    """The handler is found through the hook. Each later call is recorded, however deep in the stack it is."""
    assert own.record(function, ROUNDS)[0] == ROUNDS
    assert own.tally() == {(DESTROY, False): ROUNDS, (DESTROY, True): ROUNDS}


def test_a_structured_exception_of_a_hooked_function(own: Own) -> None:
    """Ctypes catches it with a handler of its caller."""
    with tracekmt.recording(own.trace, module="hard.dll"):
        for _ in range(ROUNDS):
            with pytest.raises(OSError, match=r"access violation writing 0x0*10"):
                own.library.D3DKMTDestroyDevice(ctypes.byref(ctypes.c_uint32(FAULTS)))
            own.library.D3DKMTDestroyDevice(ctypes.byref(ctypes.c_uint32(PLAIN)))
    assert own.tally() == {(DESTROY, False): ROUNDS, (DESTROY, True): ROUNDS}


def test_the_programs_own_vectored_handlers(own: Own) -> None:
    """They see the program's faults and no fault of the recorder, first or last in the list, added while it records."""
    assert own.record("run_faults", ROUNDS)[0] == 2 * ROUNDS
    assert own.tally() == {(CREATE, True): 2 * ROUNDS, (DESTROY, True): ROUNDS}


def test_a_call_within_a_call_belongs_to_it(own: Own) -> None:
    assert own.record("run_nested", ROUNDS)[0] == 0
    assert own.tally() == {(DESTROY, True): ROUNDS}


def test_a_call_with_more_pointers_than_a_thread_has_room_for(own: Own) -> None:
    """The recorder maps memory for them."""
    count = 1000
    data = [ctypes.create_string_buffer(number.to_bytes(4, "little") * 4) for number in range(count)]
    infos, argument = (ctypes.c_uint64 * (12 * count))(), (ctypes.c_uint64 * 9)()
    for number, content in enumerate(data):
        infos[12 * number + 2], infos[12 * number + 3] = ctypes.addressof(content), len(content)
    argument[0], argument[5], argument[6] = 1, count << 32, ctypes.addressof(infos)
    with tracekmt.recording(own.trace, module="hard.dll"):
        for _ in range(3):
            assert own.library.D3DKMTCreateAllocation2(ctypes.byref(argument)) == 0
    with tracekmt.open(own.trace) as trace:
        for call in trace.calls():
            assert isinstance(call.inputs, dict)
            recorded = [info["pPrivateDriverData"] for info in call.inputs["pAllocationInfo2"]]
            assert recorded == [content.raw for content in data]


def test_functions_that_are_short_or_undescribed(own: Own) -> None:
    with tracekmt.recording(own.trace, module="hard.dll") as progress:
        assert own.library.D3DKMTTooShort() == 0
        assert own.library.D3DKMTNotYetKnown(None) == 0x103
    assert progress.missed == ["D3DKMTTooShort"]
    assert own.tally() == {("D3DKMTNotYetKnown", True): 1}


def unload(library: ctypes.CDLL) -> None:
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.FreeLibrary.argtypes = [ctypes.c_void_p]
    assert kernel32.FreeLibrary(library._handle)


def test_a_library_that_is_loaded_and_unloaded(thunks_library: Library, tmp_path: Path) -> None:
    """It comes back, mostly at the same address. Other threads call other functions meanwhile."""
    coming = Library(tmp_path / "coming.dll")
    shutil.copy(thunks_library.path, coming.path)
    staying, trace = thunks_library.load(), tmp_path / "own.kmt"
    stopping, others = threading.Event(), Counter[int]()

    def work(number: int) -> None:
        while not stopping.is_set():
            close_adapter(staying, number)
            others[number] += 1

    # The case of a file name does not matter.
    with tracekmt.recording(trace, module=["HARD.dll", "Coming.DLL"]) as progress:
        threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            library = coming.load()
            assert library.D3DKMTDestroyDevice(ctypes.byref(ctypes.c_uint32(PLAIN))) == 0
            unload(library)
        stopping.set()
        for thread in threads:
            thread.join()
    assert progress.lost == 0
    with tracekmt.open(trace) as opened:
        assert Counter(call.name for call in opened.calls()) == {DESTROY: 20, CLOSE: others.total()}


def test_forwarders_by_name_by_ordinal_and_to_an_api_set(thunks_library: Library, tmp_path: Path) -> None:
    """The function at the end of each forwarder is hooked, also in libraries of the system."""
    library = thunks_library.load()
    compile_exports(
        tmp_path / "forwards.dll",
        [],
        [
            f"{CREATE}=hard.{CREATE}",
            f"{DESTROY}=hard.#3",
            f"{CLOSE}=gdi32.{CLOSE}",
            "D3DKMTApiSet=api-ms-win-core-processthreads-l1-1-0.GetCurrentThreadId",
        ],
    )
    trace = tmp_path / "own.kmt"
    with tracekmt.recording(trace, module="forwards.dll") as progress:
        forwards = Library(tmp_path / "forwards.dll").load()
        assert forwards.D3DKMTDestroyDevice(ctypes.byref(ctypes.c_uint32(PLAIN))) == 0
        assert library.D3DKMTDestroyDevice(ctypes.byref(ctypes.c_uint32(PLAIN))) == 0
        assert ctypes.WinDLL("gdi32").D3DKMTCloseAdapter(ctypes.byref(ctypes.c_uint32(0))) != 0
        thread = forwards.D3DKMTApiSet()
    assert set(progress.hooked) == {CLOSE, CREATE, DESTROY, "D3DKMTApiSet"}
    assert thread == threading.get_native_id()
    with tracekmt.open(trace) as opened:
        names = Counter(call.name for call in opened.calls())
    assert (names[DESTROY], names[CLOSE]) == (2, 1)
    assert names["D3DKMTApiSet"] >= 1


def test_the_real_gdi32_is_recorded_and_replayed_on_itself(tmp_path: Path) -> None:
    """gdi32 forwards to win32u. The recorded calls are sent to it again, with the handles that it returns then."""
    trace, outcome = tmp_path / "gdi32.kmt", tmp_path / "outcome.kmt"
    with tracekmt.recording(trace) as progress:
        windows_probe.call_gdi32()
    assert progress.calls == len(windows_probe.CALLS)
    report = tracekmt.replay(trace, on="thunks", output=outcome)
    assert report.same
    assert report.calls.compared == progress.calls
    assert tracekmt.diff(trace, outcome).same
    assert tracekmt.replay(trace).same, "on the simulator"


@pytest.mark.parametrize("ending", ["exit", "terminate", "fault"])
def test_an_end_in_the_middle(thunks_library: Library, tmp_path: Path, ending: str) -> None:
    """`recover` returns every call that returned, and the call that ended the process."""
    start = "tracekmt.record.start('own.kmt', module='hard.dll')\n"
    run = f"library = ctypes.CDLL(PATH)\n{start}library.run_to_end(5000, b'{ending}')\n"
    assert run_script(run, tmp_path, thunks_library).status != 0
    recover(tmp_path / "own.kmt", tmp_path / "recovered.kmt")
    with tracekmt.open(tmp_path / "recovered.kmt") as trace:
        tally = Counter((call.name, call.returned) for call in trace.calls())
        Path(trace.header.settings["spool"]).unlink()
    assert tally[CREATE, True] == 5000
    assert tally[DESTROY, False] == (ending == "fault")


def test_a_full_disk_loses_nothing(thunks_library: Library, tmp_path: Path) -> None:
    """The hooks are removed at the error. Every call until then can be recovered."""
    if not runs_under_wine():
        pytest.skip("requires wine, whose host can make a small disk")
    library, small = thunks_library.load(), tmp_path / "small"
    small.mkdir()
    try:
        run_on_host(["mount", "-t", "tmpfs", "-o", "size=100k", "none", small], tmp_path)
    except subprocess.CalledProcessError:
        pytest.skip("requires root, to make a small disk")
    try:
        tracekmt.record.start(small / "own.kmt", module="hard.dll")
        data = [os.urandom(2000) for _ in range(500)]
        for content in data:
            create(library, content)
        with pytest.raises(tracekmt.RecordError, match="no event is lost") as caught:
            tracekmt.record.stop()
        recover(small / "own.kmt", tmp_path / "recovered.kmt")
    finally:
        run_on_host(["umount", small], tmp_path)
    Path(str(caught.value).rsplit("delete ", 1)[1]).unlink()
    with tracekmt.open(tmp_path / "recovered.kmt") as trace:
        recovered = [event.regions[2][2] for event in trace.events() if isinstance(event, Enter)]
    assert len(recovered) > 100 * 1024 // 2000, "more than the disk has room for"
    assert recovered == data[: len(recovered)]


def create(library: ctypes.CDLL, data: bytes) -> None:
    """Create an allocation with private data."""
    info, argument = (ctypes.c_uint64 * 12)(), (ctypes.c_uint64 * 9)()
    info[2], info[3] = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0, len(data)
    argument[0], argument[5], argument[6] = 1, 1 << 32, ctypes.addressof(info)
    assert library.D3DKMTCreateAllocation2(ctypes.byref(argument)) == 0
