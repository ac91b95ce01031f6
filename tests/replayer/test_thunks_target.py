"""Replays on a real library, in a process of its own: what it is given, what comes of crashes and hangs, what stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.native import FOLDER, lacking
from tracekmt.findings import Report
from tracekmt.resources import resource
from tracekmt.trace.events import Enter, Leave
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tests' library is built for Linux")

INTEL = Path("/usr/lib/wsl/lib/libdxcore.so")
MEMORY = 0x7F0000010000


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own kernel; see kernel.c."""
    compiler = shutil.which("gcc")
    if compiler is None:
        lacking("gcc, to build the tests' library with")
    path = tmp_path_factory.mktemp("kernel") / "libkernel.so"
    options = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", path, FOLDER / "kernel.c"], check=True)
    return path


class Kernel:
    """The library, its orders, and what it has told."""

    def __init__(self, library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.library = library
        self._log = folder / "kernel.log"
        self._environment = monkeypatch
        monkeypatch.setenv("KERNEL_LOG", str(self._log))
        monkeypatch.setenv("KERNEL_ONCE", str(folder / "once"))

    def order(self, what: str) -> None:
        """At the Nth call of a function: FUNCTION:N:WHAT."""
        self._environment.setenv("KERNEL_DO", what)

    def replay(self, trace: Path, **settings: Any) -> Report:
        return tracekmt.replay(trace, on=f"thunks:{self.library}", **settings)

    @property
    def told(self) -> list[tuple[str, int]]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    @property
    def living(self) -> int:
        """How many objects live, by its own count."""
        return [number for what, number in self.told if what == "live"][-1]

    @property
    def sent(self) -> Counter[str]:
        return Counter(what for what, _ in self.told)


@pytest.fixture
def kernel(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(library, tmp_path, monkeypatch)


def heap(size: int) -> dict[str, Any]:
    return {
        "pStandardAllocation": {"Type": 1, "ExistingHeapData": {"Size": size}},
        "Flags": ["StandardAllocation", "ExistingSysMem", "CreateResource"],
    }


def record(path: Path, abi: str = "x64", memory: int = MEMORY) -> Path:
    """A trace by hand of what a program does with the library, with handles, addresses, fence values and a LUID of its
    own; most of what it makes is never ended."""
    adapter, device, resource, first, second, third, queue, paged, fence = (0x40000000 + 0x40 * n for n in range(9))
    with tracekmt.create(path, abi=abi) as trace:
        add = trace.add
        add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x77}}, {"hAdapter": adapter})
        version = {"DriverVersion": 77}
        asked = {"hAdapter": adapter, "Type": "KMTQAITYPE_KMD_DRIVER_VERSION", "pPrivateDriverData": bytes(8)}
        add("D3DKMTQueryAdapterInfo", asked, {"pPrivateDriverData": version})
        add("D3DKMTCreateDevice", {"hAdapter": adapter}, {"hDevice": device})
        infos = [{"pPrivateDriverData": b"abcd"}, {"pPrivateDriverData": b"efgh"}]
        made = {"hResource": resource, "pAllocationInfo2": [{"hAllocation": first}, {"hAllocation": second}]}
        given = {"hDevice": device, "Flags": ["CreateResource"], "pAllocationInfo2": infos}
        add("D3DKMTCreateAllocation2", given, made)
        given = {"hDevice": device, "pAllocationInfo2": [{"pSystemMem": memory}], **heap(0x3000)}
        made = {"hResource": third + 0x4000, "pAllocationInfo2": [{"hAllocation": third}]}
        add("D3DKMTCreateAllocation2", given, made)
        made = {"hPagingQueue": queue, "hSyncObject": paged, "FenceValueCPUVirtualAddress": 0x1230000}
        add("D3DKMTCreatePagingQueue", {"hDevice": device}, made)
        given = {"hPagingQueue": queue, "hAllocation": first, "SizeInPages": 1}
        made = {"VirtualAddress": 0x10000, "PagingFenceValue": 1}
        add("D3DKMTMapGpuVirtualAddress", given, made, status="STATUS_PENDING")
        waited = {"hDevice": device, "ObjectHandleArray": [paged], "FenceValueArray": [1]}
        add("D3DKMTWaitForSynchronizationObjectFromCpu", waited)
        add("D3DKMTLock2", {"hDevice": device, "hAllocation": second}, {"pData": 0x4560000})
        add("D3DKMTFreeGpuVirtualAddress", {"hAdapter": adapter, "BaseAddress": 0x10000, "Size": 4096})
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        mapped = {"FenceValueCPUVirtualAddress": 0x7890000}
        made = {"hSyncObject": fence, "Info": {"MonitoredFence": mapped}}
        add("D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": info}, made)
        later = {"hDevice": device, "ObjectHandleArray": [fence], "FenceValueArray": [7]}
        add("D3DKMTWaitForSynchronizationObjectFromCpu", later, thread=1)
        add("D3DKMTSignalSynchronizationObjectFromCpu", later)
        add("D3DKMTEscape", {"hAdapter": adapter, "hDevice": device, "pPrivateDriverData": b"1234"})
        add("D3DKMTDestroyAllocation2", {"hDevice": device, "phAllocationList": [second]})
        add("D3DKMTDestroyDevice", {"hDevice": 0x1234}, status="STATUS_INVALID_PARAMETER")
    return overlapping(path, 11)


def overlapping(path: Path, waits: int) -> Path:
    """The same trace, with that call left behind the next one's end."""
    there = path.with_name(f"overlapping-{path.name}")
    with Trace(path) as trace:
        writer = Writer(there, trace.header)
        for number, call in trace.described.items():
            writer.describe(number, call)
        events = [event for event in trace.events() if isinstance(event, (Enter, Leave))]
        at = 2 * waits + 1
        events[at], events[at + 1], events[at + 2] = events[at + 1], events[at + 2], events[at]
        numbers = {event.sequence: place for place, event in enumerate(events)}
        for place, event in enumerate(events):
            told = replace(event, enter=numbers[event.enter]) if isinstance(event, Leave) else event
            writer.events([replace(told, sequence=place, time=1000 * place)], flush=False)
        writer.end("made by hand", None)
        writer.close()
    return there


@pytest.fixture(params=["x64", "x86"])
def trace(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return record(tmp_path / "trace.kmt", request.param, MEMORY if request.param == "x64" else 0x7FFF0000)


def test_a_library_that_answers_alike_is_the_same_and_nothing_stays(
    kernel: Kernel, trace: Path, tmp_path: Path
) -> None:
    """Its handles, addresses, fence values and LUIDs are others; memory is there, all that was said; a call that waits
    is sent when it can be; and what the trace leaves alive is ended."""
    outcome = tmp_path / "outcome.kmt"
    report = kernel.replay(trace, output=outcome)
    assert report.findings == []
    assert report.calls.compared == 15
    assert report.calls.skipped == 1
    assert "not sent: D3DKMTEscape, 1 times: it does what only the driver knows" in report.notes
    assert "adapter 0:77 of the trace is adapter 0:11 here" in report.notes
    assert kernel.living == 0
    assert kernel.sent["dead"] == 1  # what the trace itself destroys without having it
    assert kernel.sent["Escape"] == 0
    with tracekmt.open(outcome) as told:
        machine = told.header.machine
        assert [call.name for call in told.calls()][11] == "D3DKMTWaitForSynchronizationObjectFromCpu"
        made = told[3].outputs
        assert isinstance(made, dict)
        assert made["hResource"] >> 16 == 0x8000
    assert machine["adapters"] == [{"luid": [0x11, 0]}]
    assert machine["told"] == {"0:11": {"KMTQAITYPE_KMD_DRIVER_VERSION": {"DriverVersion": "77"}}}
    assert (machine["library"], machine["system"][:5]) == (str(kernel.library), "Linux")
    again = kernel.replay(outcome)
    assert again.findings == []
    assert [each.kind for each in tracekmt.diff(trace, outcome).findings] == ["missing"]


@pytest.mark.parametrize(
    ("order", "index", "followers"),
    [
        ("CreateAllocation2:1:c0000017", 3, 4),
        ("Lock2:1:c000000d", 8, 0),
        ("CreateSynchronizationObject2:1:c0000017", 10, 1),
    ],
)
def test_findings_are_the_deviations(kernel: Kernel, tmp_path: Path, order: str, index: int, followers: int) -> None:
    kernel.order(order)
    report = kernel.replay(record(tmp_path / "trace.kmt"), keep_going=True, timeout=2)
    assert [finding.index for finding in report.findings if finding.cause is None] == [index]
    assert [finding.cause for finding in report.findings if finding.cause is not None] == [index] * followers
    assert kernel.living == 0


@pytest.mark.parametrize(
    ("what", "said"),
    [("crash", f"crashed: signal {int(signal.SIGSEGV)}"), ("hang", "did not come back within 0.5 s")],
)
@pytest.mark.parametrize(("function", "index"), [("Lock2", 8), ("DestroyAllocation2", 14)])
def test_a_crash_and_a_hang_are_one_finding_and_the_rest_is_replayed(
    kernel: Kernel, tmp_path: Path, what: str, said: str, function: str, index: int
) -> None:
    kernel.order(f"{function}:1:{what}")
    report = kernel.replay(record(tmp_path / "trace.kmt"), keep_going=True, timeout=0.5)
    (finding,) = report.findings
    assert (finding.kind, finding.index, finding.replayed) == ("status", index, "did not return")
    assert said in finding.message
    assert report.calls.compared == 15
    assert report.stopped is None
    assert kernel.living == 0


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_lost_device_is_one_finding(kernel: Kernel, tmp_path: Path, keep_going: bool) -> None:
    """Whatever follows on it would only say so again."""
    kernel.order("Lock2:1:c00002b6")
    report = kernel.replay(record(tmp_path / "trace.kmt"), keep_going=keep_going)
    (finding,) = report.findings
    assert (finding.index, finding.replayed) == (8, "STATUS_DEVICE_REMOVED")
    assert report.calls.compared == (15 if keep_going else 9)
    assert (report.stopped is None) == keep_going
    assert kernel.living == 0


def test_without_keep_going_a_crash_ends_the_replay(
    kernel: Kernel, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    kernel.order("Lock2:1:crash")
    done = command("replay", record(tmp_path / "trace.kmt"), "--on", f"thunks:{kernel.library}")
    assert done.returncode == 1
    assert "stopped at call 8: " in done.stdout
    assert "--keep-going goes on behind it" in done.stdout
    assert "1 calls differ, 9 compared" in done.stdout


FUNCTIONS = {
    "OpenAdapterFromLuid:1": 0,
    "CreateDevice:1": 2,
    "CreateAllocation2:1": 3,
    "CreateAllocation2:2": 4,
    "CreatePagingQueue:1": 5,
    "MapGpuVirtualAddress:1": 6,
    "WaitForSynchronizationObjectFromCpu:1": 7,
    "FreeGpuVirtualAddress:1": 9,
    "CreateSynchronizationObject2:1": 10,
    "WaitForSynchronizationObjectFromCpu:2": 11,
    "SignalSynchronizationObjectFromCpu:1": 12,
    "DestroyDevice:1": 15,
}


@pytest.mark.parametrize(("function", "index"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_wherever_it_crashes_there_is_one_cause(kernel: Kernel, tmp_path: Path, function: str, index: int) -> None:
    """The rest is replayed, or follows from it; who waits for what cannot happen any more is not sent."""
    kernel.order(f"{function}:crash")
    report = kernel.replay(record(tmp_path / "trace.kmt"), keep_going=True, timeout=5)
    assert [finding.index for finding in report.findings if finding.cause is None] == [index]
    assert {finding.cause for finding in report.findings} <= {None, index}
    assert report.stopped is None
    assert kernel.living == 0


@pytest.mark.parametrize("function", ["EnumAdapters2:1", "QueryAdapterInfo:1", "CloseAdapter:1"])
def test_a_library_that_crashes_before_the_first_call_is_said(
    kernel: Kernel, tmp_path: Path, function: str, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    kernel.order(f"{function}:crash")
    done = command("replay", record(tmp_path / "trace.kmt"), "--on", f"thunks:{kernel.library}")
    assert "crashed: signal 11 when it was asked for its adapters" in done.stderr
    assert "compared 13 calls" in done.stdout


def test_what_we_ask_ourselves_is_asked_of_another_process(kernel: Kernel, tmp_path: Path) -> None:
    """The library that is replayed on sees the trace's calls and nothing before them."""
    kernel.replay(record(tmp_path / "trace.kmt"))
    sent = [what for what, number in kernel.told if number == 1 and what[0].isupper()]
    at = sent.index("CreateDevice")
    assert sent[at - 2 : at] == ["OpenAdapterFromLuid", "QueryAdapterInfo"]
    kernel.order("OpenAdapterFromLuid:1:c000000d")
    assert [finding.index for finding in kernel.replay(record(tmp_path / "again.kmt")).findings][:1] == [0]


WILD = """
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int32_t D3DKMTEnumAdapters2(uint32_t *a) {
  a[0] = 0xffffffff;
  if (!strcmp(getenv("WILD"), "pointers")) *(uint64_t *)(a + 2) = 0x1234;
  return 0;
}
int32_t D3DKMTQueryAdapterInfo(uint8_t *a) { *(uint64_t *)(a + 8) = 0x1234; *(uint32_t *)(a + 16) = -1; return 0; }
int32_t D3DKMTOpenAdapterFromLuid(uint32_t *a) {
  if (!strcmp(getenv("WILD"), "exit")) exit(3);
  if (!strcmp(getenv("WILD"), "close")) for (int i = 0; i < 10; i++) close(i);
  if (!strcmp(getenv("WILD"), "print")) write(1, "noise", 5);
  if (!strcmp(getenv("WILD"), "overwrite")) memset(a, 0x41, 4096);
  if (!strcmp(getenv("WILD"), "abort")) abort();
  a[2] = 0x40;
  return 0;
}
int32_t D3DKMTCreateDevice(uint8_t *a) { memset(a + 12, 0x41, 52); return 0; }
"""


@pytest.mark.parametrize("how", ["pointers", "exit", "close", "print", "overwrite", "abort"])
def test_a_library_that_does_anything_at_all(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """It is a finding, or it is nothing."""
    compiler = shutil.which("gcc")
    if compiler is None:
        lacking("gcc, to build the tests' library with")
    (tmp_path / "wild.c").write_text(WILD)
    subprocess.run([compiler, "-w", "-shared", "-fPIC", "-o", "libwild.so", "wild.c"], cwd=tmp_path, check=True)
    monkeypatch.setenv("WILD", how)
    with tracekmt.create(tmp_path / "trace.kmt") as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x1000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x1000}, {"hDevice": 0x2000})
    done = command("replay", tmp_path / "trace.kmt", "--on", "thunks:./libwild.so", "--keep-going", "-o", "o.kmt")
    assert done.returncode in (0, 1)
    assert "defect" not in done.stderr
    assert "noise" not in done.stdout
    assert command("info", "o.kmt").returncode == 0


def test_what_fences_were_signalled_to_is_so_behind_a_crash(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x11}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        made = {"hSyncObject": 0x40000080, "Info": {"MonitoredFence": {"FenceValueCPUVirtualAddress": 0x1230000}}}
        trace.add("D3DKMTCreateSynchronizationObject2", {"hDevice": 0x40000040, "Info": info}, made)
        given = {"hDevice": 0x40000040, "ObjectHandleArray": [0x40000080], "FenceValueArray": [5]}
        trace.add("D3DKMTSignalSynchronizationObjectFromCpu", given)
        trace.add("D3DKMTFreeGpuVirtualAddress", {"hAdapter": 0x40000000}, status="STATUS_INVALID_PARAMETER")
        trace.add("D3DKMTWaitForSynchronizationObjectFromCpu", {**given, "FenceValueArray": [4]})
    kernel.order("FreeGpuVirtualAddress:1:crash")
    report = kernel.replay(path, keep_going=True, timeout=5)
    assert [finding.index for finding in report.findings] == [4]


def test_what_is_made_behind_a_crash_is_missing_there_and_nothing_else(kernel: Kernel, tmp_path: Path) -> None:
    """The call that crashed made something in the recording: who uses it follows from that."""
    kernel.order("CreateSynchronizationObject2:1:crash")
    report = kernel.replay(record(tmp_path / "trace.kmt"), keep_going=True)
    assert [finding.index for finding in report.findings if finding.cause is None] == [10]
    assert {finding.cause for finding in report.findings} == {None, 10}
    assert kernel.living == 0


def test_the_plan_comes_before_the_first_call(kernel: Kernel, tmp_path: Path) -> None:
    lines: list[str] = []
    kernel.replay(record(tmp_path / "trace.kmt"), on_plan=lines.extend)
    text = "\n".join(lines)
    assert str(kernel.library) in text
    assert "adapter     0:11  DriverVersion: 0.0.0.77" in text
    assert "0:77 of the trace is 0:11" in text
    assert "a stranger  recorded this trace" in text
    assert "2  D3DKMTCreateAllocation2" in text
    assert "1  D3DKMTEscape; not sent: it does what only the driver knows" in text


def test_what_may_disturb_is_sent_where_it_is_named(kernel: Kernel, tmp_path: Path) -> None:
    report = kernel.replay(record(tmp_path / "trace.kmt"), allow=["Escape"])
    assert kernel.sent["Escape"] == 1
    assert report.calls.compared == 16
    assert report.same


def test_another_adapter_is_taken_where_it_is_named(
    kernel: Kernel, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    trace = record(tmp_path / "trace.kmt")
    assert kernel.replay(trace, adapter="0:22").same
    assert ("luid", 0x22) in kernel.told
    assert ("luid", 0x11) not in kernel.told
    done = command("replay", trace, "--on", f"thunks:{kernel.library}", "--adapter", "0:33")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no adapter 0:33; it has 0:11, 0:22" in done.stderr


def test_a_trace_of_another_build_is_refused_or_marked(
    kernel: Kernel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    trace = record(tmp_path / "trace.kmt")
    monkeypatch.setenv("KERNEL_BUILD", "78")
    done = command("replay", trace, "--on", f"thunks:{kernel.library}")
    assert done.returncode == 2
    assert "another build of the driver (0.0.0.77 against 0.0.0.78)" in done.stderr
    assert "--foreign-driver" in done.stderr
    outcome = tmp_path / "outcome.kmt"
    assert kernel.replay(trace, foreign_driver=True, output=outcome).same
    monkeypatch.setenv("KERNEL_BUILD", "79")
    done = command("replay", outcome, "--on", f"thunks:{kernel.library}")
    assert "another build of the driver (0.0.0.78 against 0.0.0.79)" in done.stderr
    kernel.order("CreateAllocation2:1:c000000d")
    report = kernel.replay(trace, foreign_driver=True)
    kinds = Counter((finding.kind, finding.index) for finding in report.findings if finding.cause is None)
    assert kinds[("opaque", 3)] == 1
    assert report.same
    assert kernel.living == 0


def test_limits_stop_a_replay(
    kernel: Kernel, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    trace = record(tmp_path / "trace.kmt")
    report = kernel.replay(trace, max_allocations=2)
    assert report.stopped == "before call 4: 2 allocations live, it makes 1 (--max-allocations)"
    assert report.calls.compared == 4
    assert kernel.living == 0
    report = kernel.replay(trace, max_video_memory="100KB")
    assert report.stopped == "before call 4: 131,072 bytes of video memory are taken (--max-video-memory)"
    done = command("replay", trace, "--on", f"thunks:{kernel.library}", "--max-allocations", "2")
    assert done.returncode == 2
    assert "stopped before call 4" in done.stderr


def test_memory_of_unknown_size_is_said(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x11}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        given = {"hDevice": 0x40000040, "pAllocationInfo2": [{"pSystemMem": MEMORY + 0x123}]}
        trace.add("D3DKMTCreateAllocation2", given, {"pAllocationInfo2": [{"hAllocation": 0x40000080}]})
    report = kernel.replay(path)
    (finding,) = report.findings
    assert (finding.kind, finding.path) == ("opaque", "pAllocationInfo2[0].pSystemMem")
    assert "size unknown" in finding.message
    assert ("memory", 0x123) in kernel.told


@pytest.mark.parametrize("size", [1 << 40, (1 << 64) - 1])
def test_a_stranger_does_not_say_how_much_memory_is_taken(kernel: Kernel, tmp_path: Path, size: int) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        given = {"hDevice": 0x1234, "pAllocationInfo2": [{"pSystemMem": MEMORY}], **heap(size)}
        trace.add("D3DKMTCreateAllocation2", given, status="STATUS_INVALID_PARAMETER")
    (finding,) = kernel.replay(path).findings
    assert finding.kind == "opaque"
    assert f"{size:,} bytes are too many; 1,048,576 KB" in finding.message


def test_a_replay_that_is_killed_leaves_no_process(kernel: Kernel, tmp_path: Path) -> None:
    """Not even one that hangs in a call."""
    kernel.order("Lock2:1:hang")
    words = [sys.executable, "-m", "tracekmt", "replay", str(record(tmp_path / "trace.kmt"))]
    process = subprocess.Popen([*words, "--on", f"thunks:{kernel.library}"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not kernel.sent["Lock2"] and time.monotonic() < until:
        time.sleep(0.01)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False).stdout
    process.kill()
    process.wait()
    assert children
    while any(Path(f"/proc/{each}").exists() for each in children.split()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{each}").exists() for each in children.split())


def test_events_are_made_for_those_of_the_program(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x11}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        made = {"hSyncObject": 0x40000080, "Info": {"MonitoredFence": {"FenceValueCPUVirtualAddress": 0x1230000}}}
        trace.add("D3DKMTCreateSynchronizationObject2", {"hDevice": 0x40000040, "Info": info}, made)
        given = {"hDevice": 0x40000040, "ObjectHandleArray": [0x40000080], "FenceValueArray": [0]}
        trace.add("D3DKMTWaitForSynchronizationObjectFromCpu", {**given, "hAsyncEvent": 0xABC})
    assert kernel.replay(path).same
    assert ("event", 1) in kernel.told


@pytest.mark.parametrize(("adapter", "display"), [(None, 2), ("0:22", 3)])
def test_displays_are_those_of_the_machine(kernel: Kernel, tmp_path: Path, adapter: str | None, display: int) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        made = {"hAdapter": 0x40000000, "AdapterLuid": {"LowPart": 0x77}}
        trace.add("D3DKMTOpenAdapterFromGdiDisplayName", {"DeviceName": r"\\.\DISPLAY1"}, made)
        trace.add("D3DKMTCloseAdapter", {"hAdapter": 0x40000000})
    report = kernel.replay(path, adapter=adapter)
    assert report.findings == []
    assert [number for what, number in kernel.told if what == "display"][-1] == display
    assert kernel.living == 0


def test_ctrl_c_leaves_nothing_behind(kernel: Kernel, tmp_path: Path) -> None:
    kernel.order("Lock2:1:hang")
    words = [sys.executable, "-m", "tracekmt", "replay", str(record(tmp_path / "trace.kmt"))]
    words += ["--on", f"thunks:{kernel.library}", "--timeout", "2s"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    until = time.monotonic() + 60
    while not kernel.sent["Lock2"] and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    # The process that held the objects is gone, and with it what the hanging call kept from being ended.
    left = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_ctrl_c_between_calls_ends_what_lives(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(done: int, calls: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kernel.replay(record(tmp_path / "trace.kmt"), on_progress=interrupt)
    assert kernel.living == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on", "thunks:nowhere.so"], "nowhere.so: cannot be loaded"),
        (["--on", "thunks:"], "thunks:: names no library"),
        (["--on", "thunks", "--video-memory", "2GB"], "video_memory: no setting of a replay on thunks"),
        (["--keep-going"], "keep_going: no setting of a replay on a simulator"),
        (["--on", "thunks", "--allow", "Escapes"], "Escapes: no function has that name"),
        (["--on", "thunks", "--timeout", "0s"], "timeout: a call needs some time"),
        (["--on", "gdi32"], "gdi32 is no target"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]], words: list[str], said: str
) -> None:
    done = command("replay", record(tmp_path / "trace.kmt"), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_a_library_without_a_function_is_not_sent_it_and_what_follows_is_opaque(tmp_path: Path, native: Path) -> None:
    """The tests' other library has no fences: what is done with one there says nothing of it."""
    report = tracekmt.replay(record(tmp_path / "trace.kmt"), on=f"thunks:{native / 'libdxcore.so'}")
    notes = [note for note in report.notes if "does not export it" in note]
    assert any("D3DKMTCreateSynchronizationObject2" in note for note in notes)
    assert all(finding.kind == "opaque" for finding in report.findings if finding.cause == 10)


@pytest.mark.skipif(
    not (INTEL.resolve().parent / "clprog").exists(), reason="Intel's driver and its stand-in are not set up here"
)
def test_the_intel_driver_replays_on_its_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Recorded whole, with its private data; the one that is shipped is redacted, which no driver understands."""
    program = INTEL.resolve().parent / "clprog"
    trace, log = tmp_path / "intel.kmt", tmp_path / "standin.log"
    done = command("record", "-o", trace, "--", program)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("STANDIN_LOG", str(log))
    done = command("replay", trace, "--on", f"thunks:{INTEL}", "--json", "-o", tmp_path / "outcome.kmt")
    told = json.loads(done.stdout)
    assert (done.returncode, told["same"]) == (0, True)
    assert {finding["kind"] for finding in told["findings"]} <= {"opaque"}
    assert told["calls"]["compared"] == 301
    lines = log.read_text()
    assert lines.count(" D3DKMTCreateAllocation2 ") == lines.count(" D3DKMTDestroyAllocation2 ") == 75


def test_the_shipped_traces_say_why_they_differ(kernel: Kernel) -> None:
    """They were made on the simulator: a driver of another kind takes them, or says no, and nothing breaks."""
    for path in sorted(resource("traces", "demo.kmt").parent.glob("*.kmt")):
        report = kernel.replay(path, keep_going=True)
        assert report.calls.compared > 0
        assert kernel.living == 0
