"""Replays on a library of thunks in a separate process: inputs, crashes, hangs and cleanup."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.native import compile_library
from tests.replayer.conftest import Kernel
from tests.replayer.overlap import overlap_call
from tracekmt.record.process.targets import process_exists
from tracekmt.resources import resource
from tracekmt.system import describe_system

CRASHED = "crashed: exception: access violation" if sys.platform == "win32" else "crashed: signal 11"
INTEL = Path("/usr/lib/wsl/lib/libdxcore.so")
MEMORY = 0x7F0000010000


def await_number(kernel: Kernel, event: str) -> int:
    """Wait for the number that an event of the library's log has."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        numbers = [number for name, number in kernel.log if name == event]
        if numbers:
            return numbers[-1]
        time.sleep(0.01)
    raise TimeoutError(event)


def heap(size: int) -> dict[str, Any]:
    return {
        "pStandardAllocation": {"Type": 1, "ExistingHeapData": {"Size": size}},
        "Flags": ["StandardAllocation", "ExistingSysMem", "CreateResource"],
    }


def record(path: Path, abi: str = "x64", memory: int = MEMORY) -> Path:
    """Write a trace of a program with other handles, addresses, fence values and another LUID than the library.

    The program does not destroy most of its objects."""
    adapter, device, resource, first, second, third, queue, paged, fence = (0x40000000 + 0x40 * n for n in range(9))
    with tracekmt.create(path, abi=abi) as trace:
        add = trace.add
        add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x77}}, {"hAdapter": adapter})
        version = {"DriverVersion": 77}
        query = {"hAdapter": adapter, "Type": "KMTQAITYPE_KMD_DRIVER_VERSION", "pPrivateDriverData": bytes(8)}
        add("D3DKMTQueryAdapterInfo", query, {"pPrivateDriverData": version})
        add("D3DKMTCreateDevice", {"hAdapter": adapter}, {"hDevice": device})
        infos = [{"pPrivateDriverData": b"abcd"}, {"pPrivateDriverData": b"efgh"}]
        outputs = {"hResource": resource, "pAllocationInfo2": [{"hAllocation": first}, {"hAllocation": second}]}
        inputs = {"hDevice": device, "Flags": ["CreateResource"], "pAllocationInfo2": infos}
        add("D3DKMTCreateAllocation2", inputs, outputs)
        inputs = {"hDevice": device, "pAllocationInfo2": [{"pSystemMem": memory}], **heap(0x3000)}
        outputs = {"hResource": third + 0x4000, "pAllocationInfo2": [{"hAllocation": third}]}
        add("D3DKMTCreateAllocation2", inputs, outputs)
        outputs = {"hPagingQueue": queue, "hSyncObject": paged, "FenceValueCPUVirtualAddress": 0x1230000}
        add("D3DKMTCreatePagingQueue", {"hDevice": device}, outputs)
        inputs = {"hPagingQueue": queue, "hAllocation": first, "SizeInPages": 1}
        outputs = {"VirtualAddress": 0x10000, "PagingFenceValue": 1}
        add("D3DKMTMapGpuVirtualAddress", inputs, outputs, status="STATUS_PENDING")
        waited = {"hDevice": device, "ObjectHandleArray": [paged], "FenceValueArray": [1]}
        add("D3DKMTWaitForSynchronizationObjectFromCpu", waited)
        add("D3DKMTLock2", {"hDevice": device, "hAllocation": second}, {"pData": 0x4560000})
        add("D3DKMTFreeGpuVirtualAddress", {"hAdapter": adapter, "BaseAddress": 0x10000, "Size": 4096})
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        mapped = {"FenceValueCPUVirtualAddress": 0x7890000}
        outputs = {"hSyncObject": fence, "Info": {"MonitoredFence": mapped}}
        add("D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": info}, outputs)
        later = {"hDevice": device, "ObjectHandleArray": [fence], "FenceValueArray": [7]}
        add("D3DKMTWaitForSynchronizationObjectFromCpu", later, thread=1)
        add("D3DKMTSignalSynchronizationObjectFromCpu", later)
        add("D3DKMTEscape", {"hAdapter": adapter, "hDevice": device, "pPrivateDriverData": b"1234"})
        add("D3DKMTDestroyAllocation2", {"hDevice": device, "phAllocationList": [second]})
        add("D3DKMTDestroyDevice", {"hDevice": 0x1234}, status="STATUS_INVALID_PARAMETER")
    return overlap_call(path, 11)


@pytest.fixture(params=["x64", "x86"])
def trace(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return record(tmp_path / "trace.kmt", request.param, MEMORY if request.param == "x64" else 0x7FFF0000)


def test_a_library_with_equal_outcomes_has_no_findings_and_no_leaks(
    kernel: Kernel, trace: Path, tmp_path: Path
) -> None:
    """Handles, addresses, fence values and LUIDs differ. Memory is allocated, a blocking call is sent late, and live
    objects of the trace are destroyed at the end."""
    outcome = tmp_path / "outcome.kmt"
    report = kernel.replay(trace, output=outcome)
    assert report.findings == []
    assert report.calls.compared == 15
    assert report.calls.skipped == 1
    assert "not sent: D3DKMTEscape, 1 time: it does what only the driver knows" in report.notes
    assert "adapter 0:77 of the trace is adapter 0:11 of this machine" in report.notes
    assert kernel.living == 0
    assert kernel.sent["dead"] == 1  # the trace destroys an invalid handle
    assert kernel.sent["Escape"] == 0
    with tracekmt.open(outcome) as outcome_trace:
        machine = outcome_trace.header.machine
        assert [call.name for call in outcome_trace.calls()][11] == "D3DKMTWaitForSynchronizationObjectFromCpu"
        outputs = outcome_trace[3].outputs
        assert isinstance(outputs, dict)
        assert outputs["hResource"] >> 16 == 0x8000
    assert machine["adapters"] == [{"luid": [0x11, 0]}]
    assert machine["told"] == {"0:11": {"KMTQAITYPE_KMD_DRIVER_VERSION": {"DriverVersion": "77"}}}
    assert (machine["library"], machine["system"]) == (str(kernel.library), describe_system())
    again = kernel.replay(outcome)
    assert again.findings == []
    assert [finding.kind for finding in tracekmt.diff(trace, outcome).findings] == ["missing"]


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
    ("fault", "message"),
    [("crash", CRASHED), ("hang", "timed out after 0.5 s")],
)
@pytest.mark.parametrize(("function", "index"), [("Lock2", 8), ("DestroyAllocation2", 14)])
def test_a_crash_and_a_hang_are_one_finding_and_the_rest_is_replayed(
    kernel: Kernel, tmp_path: Path, fault: str, message: str, function: str, index: int
) -> None:
    kernel.order(f"{function}:1:{fault}")
    report = kernel.replay(record(tmp_path / "trace.kmt"), keep_going=True, timeout=0.5)
    (finding,) = report.findings
    assert (finding.kind, finding.index, finding.replayed) == ("status", index, "did not return")
    assert message in finding.message
    assert report.calls.compared == 15
    assert report.stopped is None
    assert kernel.living == 0


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_lost_device_is_one_finding(kernel: Kernel, tmp_path: Path, keep_going: bool) -> None:
    """Later calls on the device would fail, too, and are not findings."""
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
    assert "--keep-going continues after it" in done.stdout
    assert "1 differs\ncompared 9 of " in done.stdout


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
def test_a_crash_in_any_function_is_one_cause(kernel: Kernel, tmp_path: Path, function: str, index: int) -> None:
    """The other calls are replayed or are consequences. Waits for events that never happen are not sent."""
    kernel.order(f"{function}:crash")
    report = kernel.replay(record(tmp_path / "trace.kmt"), keep_going=True, timeout=5)
    assert [finding.index for finding in report.findings if finding.cause is None] == [index]
    assert {finding.cause for finding in report.findings} <= {None, index}
    assert report.stopped is None
    assert kernel.living == 0


@pytest.mark.parametrize("function", ["EnumAdapters2:1", "QueryAdapterInfo:1", "CloseAdapter:1"])
def test_a_library_that_crashes_before_the_first_call_is_reported(
    kernel: Kernel, tmp_path: Path, function: str, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    kernel.order(f"{function}:crash")
    done = command("replay", record(tmp_path / "trace.kmt"), "--on", f"thunks:{kernel.library}")
    assert re.search(f"{CRASHED}.* during the query for its adapters", done.stderr)
    assert "compared 13 of 16 calls" in done.stdout


def test_queries_of_the_replay_use_another_process(kernel: Kernel, tmp_path: Path) -> None:
    """The process of the replay receives the calls of the trace only."""
    kernel.replay(record(tmp_path / "trace.kmt"))
    sent = [event for event, number in kernel.log if number == 1 and event[0].isupper()]
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
def test_a_library_with_undefined_behaviour(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The result is a finding or no difference, never an internal error."""
    (tmp_path / "wild.c").write_text(WILD)
    compile_library(tmp_path / "libwild.so", tmp_path / "wild.c")
    monkeypatch.setenv("WILD", how)
    with tracekmt.create(tmp_path / "trace.kmt") as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": 0x1000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x1000}, {"hDevice": 0x2000})
    done = command("replay", tmp_path / "trace.kmt", "--on", "thunks:./libwild.so", "--keep-going", "-o", "o.kmt")
    assert done.returncode in (0, 1)
    assert "internal error" not in done.stderr
    assert "noise" not in done.stdout
    assert command("info", "o.kmt").returncode == 0


def test_fences_keep_their_values_after_a_crash(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x11}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        outputs = {"hSyncObject": 0x40000080, "Info": {"MonitoredFence": {"FenceValueCPUVirtualAddress": 0x1230000}}}
        trace.add("D3DKMTCreateSynchronizationObject2", {"hDevice": 0x40000040, "Info": info}, outputs)
        inputs = {"hDevice": 0x40000040, "ObjectHandleArray": [0x40000080], "FenceValueArray": [5]}
        trace.add("D3DKMTSignalSynchronizationObjectFromCpu", inputs)
        trace.add("D3DKMTFreeGpuVirtualAddress", {"hAdapter": 0x40000000}, status="STATUS_INVALID_PARAMETER")
        trace.add("D3DKMTWaitForSynchronizationObjectFromCpu", {**inputs, "FenceValueArray": [4]})
    kernel.order("FreeGpuVirtualAddress:1:crash")
    report = kernel.replay(path, keep_going=True, timeout=5)
    assert [finding.index for finding in report.findings] == [4]


def test_only_the_object_of_a_crashed_call_is_missing(kernel: Kernel, tmp_path: Path) -> None:
    """The crashed call created an object in the recording. Calls that use it are consequences."""
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
    assert "warning     someone else recorded this trace" in text
    assert "2  D3DKMTCreateAllocation2" in text
    assert "1  D3DKMTEscape; not sent: it does what only the driver knows" in text


def test_allowed_functions_are_sent(kernel: Kernel, tmp_path: Path) -> None:
    report = kernel.replay(record(tmp_path / "trace.kmt"), allow=["Escape"])
    assert kernel.sent["Escape"] == 1
    assert report.calls.compared == 16
    assert report.same


def test_a_named_adapter_is_used(
    kernel: Kernel, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    trace = record(tmp_path / "trace.kmt")
    assert kernel.replay(trace, adapter="0:22").same
    assert ("luid", 0x22) in kernel.log
    assert ("luid", 0x11) not in kernel.log
    done = command("replay", trace, "--on", f"thunks:{kernel.library}", "--adapter", "0:33")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown adapter: 0:33 (expected 0:11, 0:22)" in done.stderr


def test_a_trace_of_a_different_driver_build_is_refused_or_opaque(
    kernel: Kernel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    trace = record(tmp_path / "trace.kmt")
    monkeypatch.setenv("KERNEL_BUILD", "78")
    done = command("replay", trace, "--on", f"thunks:{kernel.library}")
    assert done.returncode == 2
    assert "a different driver build (0.0.0.77, here 0.0.0.78)" in done.stderr
    assert "--foreign-driver" in done.stderr
    outcome = tmp_path / "outcome.kmt"
    assert kernel.replay(trace, foreign_driver=True, output=outcome).same
    monkeypatch.setenv("KERNEL_BUILD", "79")
    done = command("replay", outcome, "--on", f"thunks:{kernel.library}")
    assert "a different driver build (0.0.0.78, here 0.0.0.79)" in done.stderr
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
    assert report.stopped == "before call 4: it creates 1 allocation in addition to 2 (--max-allocations 2)"
    assert report.calls.compared == 4
    assert kernel.living == 0
    report = kernel.replay(trace, max_video_memory="100KB")
    assert report.stopped == "before call 4: 131,072 bytes of video memory in use (--max-video-memory)"
    done = command("replay", trace, "--on", f"thunks:{kernel.library}", "--max-allocations", "2")
    assert done.returncode == 2
    assert "stopped before call 4" in done.stderr


def test_memory_of_unknown_size_is_a_finding(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x11}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        inputs = {"hDevice": 0x40000040, "pAllocationInfo2": [{"pSystemMem": MEMORY + 0x123}]}
        trace.add("D3DKMTCreateAllocation2", inputs, {"pAllocationInfo2": [{"hAllocation": 0x40000080}]})
    report = kernel.replay(path)
    (finding,) = report.findings
    assert (finding.kind, finding.path) == ("opaque", "pAllocationInfo2[0].pSystemMem")
    assert "size unknown" in finding.message
    assert ("memory", 0x123) in kernel.log


@pytest.mark.parametrize("size", [1 << 40, (1 << 64) - 1])
def test_a_trace_cannot_request_unlimited_memory(kernel: Kernel, tmp_path: Path, size: int) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        inputs = {"hDevice": 0x1234, "pAllocationInfo2": [{"pSystemMem": MEMORY}], **heap(size)}
        trace.add("D3DKMTCreateAllocation2", inputs, status="STATUS_INVALID_PARAMETER")
    (finding,) = kernel.replay(path).findings
    assert finding.kind == "opaque"
    assert f"{size:,} bytes are too many; 1,048,576 KB" in finding.message


def test_a_replay_that_is_killed_leaves_no_process(kernel: Kernel, tmp_path: Path) -> None:
    """A hanging call does not outlive the replay."""
    kernel.order("Lock2:1:hang")
    words = [sys.executable, "-m", "tracekmt", "replay", str(record(tmp_path / "trace.kmt"))]
    process = subprocess.Popen([*words, "--on", f"thunks:{kernel.library}"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not kernel.sent["Lock2"] and time.monotonic() < until:
        time.sleep(0.01)
    worker = await_number(kernel, "process")
    assert process_exists(worker)
    process.kill()
    process.wait()
    while process_exists(worker) and time.monotonic() < until:
        time.sleep(0.01)
    assert not process_exists(worker)


def test_events_of_the_program_are_replaced(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x11}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": 0x40000040})
        info = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 0}}
        outputs = {"hSyncObject": 0x40000080, "Info": {"MonitoredFence": {"FenceValueCPUVirtualAddress": 0x1230000}}}
        trace.add("D3DKMTCreateSynchronizationObject2", {"hDevice": 0x40000040, "Info": info}, outputs)
        inputs = {"hDevice": 0x40000040, "ObjectHandleArray": [0x40000080], "FenceValueArray": [0]}
        trace.add("D3DKMTWaitForSynchronizationObjectFromCpu", {**inputs, "hAsyncEvent": 0xABC})
    assert kernel.replay(path).same
    assert ("event", 1) in kernel.log


def test_sections_of_the_program_and_shared_objects_are_live_handles(kernel: Kernel, tmp_path: Path) -> None:
    """A section of the program is replaced by another. The handle of a shared object is that of the replay."""
    path, device, fence = tmp_path / "trace.kmt", 0x40000040, 0x40000080
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x11}}, {"hAdapter": 0x40000000})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": device})
        inputs = {"hDevice": device, "Flags": ["ExistingSection"], "pAllocationInfo2": [{"hSection": 0xABC0}]}
        trace.add("D3DKMTCreateAllocation2", inputs, {"pAllocationInfo2": [{"hAllocation": 0x400000C0}]})
        info = {"Type": "D3DDDI_MONITORED_FENCE"}
        outputs = {"hSyncObject": fence, "Info": {"MonitoredFence": {"FenceValueCPUVirtualAddress": 0x1230000}}}
        trace.add("D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": info}, outputs)
        inputs = {"cObjects": 1, "hObjects": [fence], "pObjectAttributes": {}, "dwDesiredAccess": 0x10000000}
        trace.add("D3DKMTShareObjects", inputs, {"phSharedNtHandle": 0xDEF0})
        trace.add("D3DKMTOpenSyncObjectFromNtHandle", {"hNtHandle": 0xDEF0}, {"hSyncObject": 0x40000100})
        trace.add("D3DKMTDestroySynchronizationObject", {"hSyncObject": 0x40000100})
    report = kernel.replay(path)
    assert report.same
    assert report.calls.skipped == 0
    assert ("section", 1) in kernel.log
    assert ("shared", 1) in kernel.log
    assert kernel.living == 0


@pytest.mark.parametrize(("adapter", "display"), [(None, 2), ("0:22", 3)])
def test_displays_are_those_of_the_machine(kernel: Kernel, tmp_path: Path, adapter: str | None, display: int) -> None:
    path = tmp_path / "trace.kmt"
    with tracekmt.create(path) as trace:
        outputs = {"hAdapter": 0x40000000, "AdapterLuid": {"LowPart": 0x77}}
        trace.add("D3DKMTOpenAdapterFromGdiDisplayName", {"DeviceName": r"\\.\DISPLAY1"}, outputs)
        trace.add("D3DKMTCloseAdapter", {"hAdapter": 0x40000000})
    report = kernel.replay(path, adapter=adapter)
    assert report.findings == []
    assert [number for event, number in kernel.log if event == "display"][-1] == display
    assert kernel.living == 0


@pytest.mark.skipif(sys.platform == "win32", reason="requires a console of Windows, to press Ctrl-C in")
def test_ctrl_c_leaves_no_process(kernel: Kernel, tmp_path: Path) -> None:
    kernel.order("Lock2:1:hang")
    words = [sys.executable, "-m", "tracekmt", "replay", str(record(tmp_path / "trace.kmt"))]
    words += ["--on", f"thunks:{kernel.library}", "--timeout", "2s"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    until = time.monotonic() + 60
    while not kernel.sent["Lock2"] and time.monotonic() < until:
        time.sleep(0.01)
    if sys.platform != "win32":
        os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    # The process of the library ended, with the objects that the hanging call kept alive.
    left = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_ctrl_c_between_calls_destroys_live_objects(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, calls: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kernel.replay(record(tmp_path / "trace.kmt"), on_progress=interrupt)
    assert kernel.living == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--on", "thunks:nowhere.so"], "cannot load nowhere.so: "),
        (["--on", "thunks:"], "invalid target: thunks: (expected thunks:PATH)"),
        (["--on", "thunks", "--video-memory", "2GB"], "invalid setting for a replay on thunks: video_memory"),
        (["--keep-going"], "invalid setting for a replay on a simulator: keep_going"),
        (["--on", "thunks", "--allow", "Escapes"], "unknown function in --allow: Escapes"),
        (["--on", "thunks", "--timeout", "0s"], "invalid timeout: 0 s"),
        (["--on", "gdi32"], "invalid target: gdi32"),
    ],
)
def test_invalid_options_are_an_error(
    tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]], words: list[str], message: str
) -> None:
    done = command("replay", record(tmp_path / "trace.kmt"), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_consequences_of_a_missing_export_are_opaque(tmp_path: Path, native: Path) -> None:
    """The other library of the tests has no fences. Findings on fences do not count."""
    report = tracekmt.replay(record(tmp_path / "trace.kmt"), on=f"thunks:{native / 'libdxcore.so'}")
    notes = [note for note in report.notes if "does not export it" in note]
    assert any("D3DKMTCreateSynchronizationObject2" in note for note in notes)
    assert all(finding.kind == "opaque" for finding in report.findings if finding.cause == 10)


@pytest.mark.skipif(
    sys.platform == "win32" or not (INTEL.resolve().parent / "clprog").exists(),
    reason="Intel's driver and its stand-in are not set up here",
)
def test_the_intel_driver_replays_on_its_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The packaged trace is redacted, so no driver accepts its private data. This one is recorded here."""
    program = INTEL.resolve().parent / "clprog"
    trace, log = tmp_path / "intel.kmt", tmp_path / "standin.log"
    done = command("record", "-o", trace, "--", program)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("STANDIN_LOG", str(log))
    done = command("replay", trace, "--on", f"thunks:{INTEL}", "--json", "-o", tmp_path / "outcome.kmt")
    report = json.loads(done.stdout)
    assert (done.returncode, report["same"]) == (0, True)
    assert {finding["kind"] for finding in report["findings"]} <= {"opaque"}
    assert report["calls"]["compared"] == 301
    lines = log.read_text()
    assert lines.count(" D3DKMTCreateAllocation2 ") == lines.count(" D3DKMTDestroyAllocation2 ") == 75


def test_the_shipped_traces_are_replayed(kernel: Kernel) -> None:
    """The traces are from the simulator. Another driver accepts or rejects their calls, without an error here."""
    for path in sorted(resource("traces", "demo.kmt").parent.glob("*.kmt")):
        report = kernel.replay(path, keep_going=True)
        assert report.calls.compared > 0
        assert kernel.living == 0
