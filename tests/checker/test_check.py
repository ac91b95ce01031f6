"""Misuse that a trace shows by itself: each rule finds its fault, and nothing in a correct program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt.checker.storms import STORM
from tracekmt.resources import resource

ADAPTER, DEVICE, ALLOCATION, OTHER, FENCE, QUEUE, CONTEXT = (0x40000000 + 0x40 * n for n in range(7))
VA = 0x100000000
OPEN = (
    ("OpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": ADAPTER}),
    ("CreateDevice", {"hAdapter": ADAPTER}, {"hDevice": DEVICE}),
)
CLOSE = (("DestroyDevice", {"hDevice": DEVICE}), ("CloseAdapter", {"hAdapter": ADAPTER}))
Call = tuple[Any, ...]


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., list[tuple[str, int | None]]]:
    """Return a function that checks a trace of calls between the creation and the destruction of a device."""

    def check(*calls: Call, close: bool = True) -> list[tuple[str, int | None]]:
        path = tmp_path / "t.kmt"
        path.unlink(missing_ok=True)
        with tracekmt.create(path) as trace:
            for name, *rest in (*OPEN, *calls, *(CLOSE if close else ())):
                trace.add(f"D3DKMT{name}", *rest)
        return [(finding.rule or "", finding.index) for finding in tracekmt.check(path)]

    return check


Found = Callable[..., list[tuple[str, int | None]]]


def create(handle: int = ALLOCATION) -> Call:
    inputs = {"hDevice": DEVICE, "pAllocationInfo2": [{"pPrivateDriverData": b"data"}]}
    return "CreateAllocation2", inputs, {"pAllocationInfo2": [{"hAllocation": handle}]}


def destroy(*handles: int, status: Any = 0) -> Call:
    return "DestroyAllocation2", {"hDevice": DEVICE, "phAllocationList": list(handles)}, None, status


def lock(handle: int = ALLOCATION) -> Call:
    return "Lock2", {"hDevice": DEVICE, "hAllocation": handle}, {"pData": 0x7F0000000000}


def unlock(handle: int = ALLOCATION) -> Call:
    return "Unlock2", {"hDevice": DEVICE, "hAllocation": handle}


def map_(start: int, pages: int, base: int = 0, handle: int = ALLOCATION) -> Call:
    inputs = {"hPagingQueue": QUEUE, "BaseAddress": base, "SizeInPages": pages, "hAllocation": handle}
    return "MapGpuVirtualAddress", inputs, {"VirtualAddress": start}


def reserve(start: int, size: int) -> Call:
    return "ReserveGpuVirtualAddress", {"hAdapter": ADAPTER, "Size": size}, {"VirtualAddress": start}


def free(start: int, size: int, status: Any = 0) -> Call:
    return "FreeGpuVirtualAddress", {"hAdapter": ADAPTER, "BaseAddress": start, "Size": size}, None, status


def fence(initial: int = 0, *flags: str) -> Call:
    info = {"Type": 5, "Flags": list(flags), "MonitoredFence": {"InitialFenceValue": initial}}
    return "CreateSynchronizationObject2", {"hDevice": DEVICE, "Info": info}, {"hSyncObject": FENCE}


def signal(value: int, *flags: str) -> Call:
    inputs = {"hDevice": DEVICE, "ObjectHandleArray": [FENCE], "FenceValueArray": [value], "Flags": list(flags)}
    return "SignalSynchronizationObjectFromCpu", inputs


def wait(value: int, status: Any = 0) -> Call:
    inputs = {"hDevice": DEVICE, "ObjectHandleArray": [FENCE], "FenceValueArray": [value]}
    return "WaitForSynchronizationObjectFromCpu", inputs, None, status


def test_a_correct_program_has_no_misuse(found: Found) -> None:
    calls = (
        *(create(), lock(), lock(), unlock(), unlock(), reserve(VA, 0x40000), map_(VA, 4, VA), map_(VA, 2, VA)),
        *(free(VA, 0x40000), reserve(VA, 0x10000), free(VA, 0x10000), destroy(ALLOCATION)),
        *(create(), destroy(ALLOCATION)),  # the same handle again
        *(fence(3), signal(3), signal(9), wait(9), signal(4, "AllowFenceRewind"), signal(5)),
    )
    assert found(*calls) == []


def test_double_free(found: Found) -> None:
    failed = "STATUS_INVALID_PARAMETER"
    assert found(create(), destroy(ALLOCATION), destroy(ALLOCATION, status=failed)) == [("double free", 4)]
    assert found(create(), destroy(ALLOCATION), destroy(ALLOCATION)) == [("double free", 4)]
    assert found(create(), destroy(ALLOCATION, ALLOCATION, status=failed), destroy(ALLOCATION)) == [("double free", 3)]


def test_use_after_destroy(found: Found) -> None:
    assert found(create(), destroy(ALLOCATION), lock()) == [("use after destroy", 4)]


def test_the_objects_of_a_destroyed_device_are_destroyed(found: Found) -> None:
    calls = (create(), ("DestroyDevice", {"hDevice": DEVICE}), lock(), ("CloseAdapter", {"hAdapter": ADAPTER}))
    assert found(*calls, close=False) == [("use after destroy", 4), ("use after destroy", 4)]


def test_unlock_without_lock(found: Found) -> None:
    assert found(create(), unlock(), destroy(ALLOCATION)) == [("unlock without lock", 3)]
    assert found(create(), lock(), unlock(), unlock(), destroy(ALLOCATION)) == [("unlock without lock", 5)]
    assert found(unlock(), close=True) == []  # the allocation is older than the trace


def test_a_range_freed_twice(found: Found) -> None:
    calls = (reserve(VA, 0x10000), free(VA, 0x10000), free(VA, 0x10000, "STATUS_INVALID_PARAMETER"))
    assert found(*calls) == [("GPU range freed twice", 4)]


def test_ranges_that_overlap(found: Found) -> None:
    assert found(create(), map_(VA, 4), map_(VA + 0x1000, 4), destroy(ALLOCATION)) == [("GPU ranges overlap", 4)]
    assert found(reserve(VA, 0x20000), reserve(VA + 0x10000, 0x20000)) == [("GPU ranges overlap", 3)]
    crossing = map_(VA + 0xF000, 2, VA + 0xF000)
    assert found(create(), reserve(VA, 0x10000), crossing, destroy(ALLOCATION)) == [("GPU ranges overlap", 4)]


def test_a_mapping_dies_with_its_allocation(found: Found) -> None:
    again = (create(OTHER), map_(VA, 4, handle=OTHER), destroy(OTHER))
    assert found(create(), map_(VA, 4), destroy(ALLOCATION), *again) == []


def test_a_fence_that_goes_backwards(found: Found) -> None:
    backwards = ("fence goes backwards", 4)
    assert found(fence(), signal(9), signal(8)) == [backwards]
    assert found(fence(10), signal(11), signal(9)) == [backwards]
    assert found(fence(10), signal(9)) == [("fence goes backwards", 3)]


def test_a_wait_that_cannot_end(found: Found) -> None:
    assert found(fence(), signal(4), wait(5, status=None)) == [("wait cannot end", 4)]
    assert found(fence(), wait(5, status=None), signal(5)) == []
    assert found(fence(0, "Shared"), wait(5, status=None)) == []  # another process may signal it
    on_gpu = {"hContext": CONTEXT, "ObjectCount": 1, "ObjectHandleArray": [FENCE], "MonitoredFenceValueArray": [5]}
    assert found(fence(), ("WaitForSynchronizationObjectFromGpu", on_gpu)) == [("wait cannot end", 3)]


def test_a_storm_of_failures(found: Found) -> None:
    failure = (create()[0], create()[1], None, "STATUS_NO_MEMORY")
    assert found(*[failure] * STORM) == [("storm of failures", 2)]
    interrupted = [*[failure] * (STORM - 1), create(), destroy(ALLOCATION)] * 2
    assert found(*interrupted) == []


def test_objects_that_are_never_destroyed(found: Found, tmp_path: Path) -> None:
    assert found(create(), close=False) == [("never destroyed", 0), ("never destroyed", 1)]
    findings = tracekmt.check(tmp_path / "t.kmt")
    assert [finding.object for finding in findings] == ["adapter #0.hAdapter", "device #1.hDevice"]
    assert findings[1].message == "no call destroys the device, with 1 object within it"


def test_an_answer_that_a_rule_refuses(found: Found, tmp_path: Path) -> None:
    heap = {"Type": 1, "ExistingHeapData": {"Size": 0x1100}}  # not a multiple of a page
    inputs = {"hDevice": DEVICE, "pStandardAllocation": heap, "Flags": ["StandardAllocation", "ExistingSysMem"]}
    outputs = {"pAllocationInfo2": [{"hAllocation": ALLOCATION}]}
    calls = ("CreateAllocation2", {**inputs, "pAllocationInfo2": [{"pSystemMem": 0x10000}]}, outputs)
    assert found(calls, destroy(ALLOCATION)) == [("refused by a rule", 2)]
    (finding,) = tracekmt.check(tmp_path / "t.kmt")
    assert "multiple of a page" in finding.message


FAILED = "STATUS_INVALID_PARAMETER"


def test_failed_calls_have_no_effect(found: Found) -> None:
    unlocks = (*unlock(), None, FAILED), unlock()
    signals = (*signal(9), None, FAILED), signal(5)
    frees = free(VA, 0x10000, FAILED), free(VA, 0x10000)
    calls = create(), lock(), *unlocks, fence(), *signals, reserve(VA, 0x10000), *frees, destroy(ALLOCATION)
    assert found(*calls) == []
    on_gpu = {"hContext": CONTEXT, "ObjectCount": 1, "ObjectHandleArray": [FENCE], "MonitoredFenceValueArray": [5]}
    assert found(fence(), ("WaitForSynchronizationObjectFromGpu", on_gpu, None, FAILED)) == []
    assert found(create(), destroy(ALLOCATION, status=FAILED), destroy(ALLOCATION)) == []


def test_each_adapter_has_other_addresses(found: Found) -> None:
    other = ("OpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 2}}, {"hAdapter": OTHER})
    there = {"hAdapter": OTHER, "BaseAddress": VA, "Size": 0x10000}
    close = ("CloseAdapter", {"hAdapter": OTHER})
    twice = (
        other,
        reserve(VA, 0x10000),
        (reserve(VA, 0)[0], {"hAdapter": OTHER, "Size": 0x10000}, {"VirtualAddress": VA}),
    )
    assert found(*twice, free(VA, 0x10000), ("FreeGpuVirtualAddress", there), close) == []


def test_a_mapping_at_a_chosen_address_of_a_reservation_may_replace_others(found: Found) -> None:
    small = map_(VA, 4, VA), map_(VA + 0x4000, 4, VA + 0x4000)
    large, partly = map_(VA, 8, VA), map_(VA + 0x2000, 4, VA + 0x2000)
    assert found(create(), reserve(VA, 0x10000), *small, large, partly, free(VA, 0x10000), destroy(ALLOCATION)) == []


def test_signals_of_the_gpu_and_of_the_cpu_have_no_order(found: Found) -> None:
    def on_gpu(value: int, context: int = CONTEXT) -> Call:
        inputs = {
            "hContext": context,
            "ObjectCount": 1,
            "ObjectHandleArray": [FENCE],
            "MonitoredFenceValueArray": [value],
        }
        return "SignalSynchronizationObjectFromGpu", inputs

    assert found(fence(), on_gpu(9), signal(3)) == []
    assert found(fence(), on_gpu(9), on_gpu(8, context=CONTEXT + 0x40)) == []
    assert found(fence(), on_gpu(9), on_gpu(8)) == [("fence goes backwards", 4)]


def test_work_of_the_gpu_may_signal_a_fence(found: Found) -> None:
    submit = ("SubmitCommand", {"BroadcastContextCount": 1, "BroadcastContext": [CONTEXT]})
    assert found(fence(), submit, wait(5, status=None)) == []


@pytest.mark.parametrize("name", ["demo.kmt", "stand-alone-allocation.kmt", "preallocated-resource.kmt"])
def test_the_shipped_traces_have_no_misuse(name: str) -> None:
    assert tracekmt.check(resource("traces", name)) == []


def test_the_command_reports_in_every_form(found: Found, tmp_path: Path) -> None:
    found(create(), destroy(ALLOCATION), lock())
    command = [sys.executable, "-m", "tracekmt", "check", str(tmp_path / "t.kmt")]
    files = ["--junit", str(tmp_path / "junit.xml"), "--html", str(tmp_path / "page.html")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    path = tmp_path / "t.kmt"
    assert done.stdout == (
        f"{path} against rules of the interface: 1 call with misuse\n\n"
        "#4  thread 0  D3DKMTLock2  hAllocation\n"
        "    rule      use after destroy\n"
        "    object    allocation #2.pAllocationInfo2[0].hAllocation\n"
        "    recorded  STATUS_SUCCESS\n"
        "    field     call 3 destroyed the allocation of hAllocation\n\n"
        "1 with misuse\n"
        "checked 7 calls\n"
    )
    assert "use after destroy" in (tmp_path / "junit.xml").read_text()
    assert "use after destroy" in (tmp_path / "page.html").read_text()
    data = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=False).stdout)
    (finding,) = data["findings"]
    assert (finding["kind"], finding["rule"], finding["index"]) == ("misuse", "use after destroy", 4)
    assert finding["object"] == "allocation #2.pAllocationInfo2[0].hAllocation"
    found()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    missing = subprocess.run([*command[:-1], "missing.kmt"], capture_output=True, text=True, check=False)
    assert missing.returncode == 2
