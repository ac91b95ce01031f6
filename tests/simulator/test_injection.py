"""Injected failures happen at exactly the requested calls, and a replay reports them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.simulator.machine import Caller, new_caller
from tracekmt.errors import UsageError
from tracekmt.resources import resource

NO_MEMORY = "STATUS_NO_MEMORY"
CREATE = "D3DKMTCreateAllocation2"
DEMO = resource("traces", "demo.kmt")


def outcomes(caller: Caller, number: int = 10) -> str:
    """Create ten allocations, and return an x for each that failed and a dot for each other."""
    inputs = {"hDevice": caller.device, "pAllocationInfo2": [{}]}
    names = [caller("CreateAllocation2", inputs).status.name for _ in range(number)]
    assert set(names) <= {"STATUS_SUCCESS", NO_MEMORY}
    return "".join("x" if name == NO_MEMORY else "." for name in names)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (f"{CREATE}@1={NO_MEMORY}", "x........."),
        (f"{CREATE}@4={NO_MEMORY}", "...x......"),
        (f"{CREATE}@4+3={NO_MEMORY}", "...x..x..x"),
        (f"{CREATE}={NO_MEMORY}", "xxxxxxxxxx"),
        (f"D3DKMTCreate*@2={NO_MEMORY}", "x........."),  # CreateDevice was the first
        (f"{CREATE}@11={NO_MEMORY}", ".........."),
        (f"{CREATE}@2={NO_MEMORY} if in.NumAllocations > 1", ".........."),
        (f"{CREATE}@2={NO_MEMORY} if in.NumAllocations == 1", ".x........"),
        (f"D3DKMTDestroyAllocation2@1={NO_MEMORY}", ".........."),
    ],
)
def test_the_requested_calls_fail(fault: str, expected: str) -> None:
    assert outcomes(new_caller(faults=[fault])) == expected


def test_a_rejected_call_changes_nothing() -> None:
    caller = new_caller(faults=[f"{CREATE}@1={NO_MEMORY}"])
    before = len(caller.simulator.handles)
    result = caller("CreateAllocation2", {"hDevice": caller.device, "pAllocationInfo2": [{"hAllocation": 7}]})
    assert result.outputs["pAllocationInfo2"][0]["hAllocation"] == 7
    assert result.rule is not None
    assert result.rule.reason == f"injected: {CREATE}@1={NO_MEMORY}"
    assert len(caller.simulator.handles) == before


def test_the_machine_changes() -> None:
    """Two calls open the adapter and create the device. Calls are counted from 0."""
    caller = new_caller(faults=["adapter@4=stopped"])
    allocation = {"hDevice": caller.device, "pAllocationInfo2": [{}]}
    statuses = [caller.status("CreateAllocation2", allocation) for _ in range(3)]
    assert statuses == ["SUCCESS", "SUCCESS", "DEVICE_REMOVED"]
    caller = new_caller(profile="wddm1", faults=["video_memory@3=100KB", "system_memory@5=1000"])
    allocation["hDevice"] = caller.device
    statuses = [caller.status("CreateAllocation2", allocation) for _ in range(3)]
    assert statuses == ["SUCCESS", "GRAPHICS_NO_VIDEO_MEMORY", "GRAPHICS_NO_VIDEO_MEMORY"]
    assert caller.status("CreateAllocation2", allocation) == "NO_MEMORY"


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("D3DKMTCreateDevice@1=STATUS_NO_MEMORY", "expected a list of texts"),
        (["D3DKMTCreateDevice"], "invalid fault: D3DKMTCreateDevice .expected FUNCTION@N=STATUS"),
        (["Nothing@1=STATUS_NO_MEMORY"], "unknown function in fault Nothing@1=STATUS_NO_MEMORY: Nothing"),
        (["D3DKMTCreateDevice@0=STATUS_NO_MEMORY"], "counted from 1"),
        (["D3DKMTCreateDevice@1=STATUS_NONSENSE"], "STATUS_NONSENSE"),
        (["D3DKMTCreateDevice@1=STATUS_NO_MEMORY if in.Nothing"], "Nothing"),
        (["adapter=stopped"], "expected the index of a call"),
        (["adapter@3=gone"], "expected adapter@3=stopped"),
        (["adapter@3=back:0:1"], "expected adapter@3=stopped, or adapter:LUID@3=back:LUID"),
        (["adapter:0:1@3=stopped:0:2"], "expected adapter@3=stopped, or adapter:LUID@3=back:LUID"),
        (["adapter:0:1@3=back:xyz"], "invalid LUID: xyz"),
        (["adapter:0:1@3=back:"], "expected adapter@3=stopped, or adapter:LUID@3=back:LUID"),
        (["adapter:0:1@3=back:fffffffff:1"], "invalid LUID: fffffffff:1"),
        (["adapter:beef:2@3=stopped"], "no adapter has the LUID beef:2"),
        ([5], "invalid fault: 5"),
    ],
)
def test_an_invalid_fault_is_refused(faults: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tracekmt.Simulator(faults=faults)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_replay_reports_an_injected_fault(number: int, tmp_path: Path) -> None:
    with tracekmt.open(DEMO) as trace:
        index = [call.index for call in trace.calls() if call.name == CREATE][number - 1]
    fault = f"{CREATE}@{number}=STATUS_GRAPHICS_ALLOCATION_BUSY"
    report = tracekmt.replay(DEMO, faults=[fault])
    assert not report.same
    assert report.calls.injected == 1
    assert f"injected at call {index}: {fault}" in report.notes
    first, *followed = report.findings
    assert (first.index, first.replayed) == (index, "STATUS_GRAPHICS_ALLOCATION_BUSY")
    assert first.message.startswith(f"injected: {fault}")
    assert all(finding.cause == index for finding in followed)


def test_one_adapter_stops_and_is_back_under_another_luid() -> None:
    adapters = [{"luid": [1, 0]}, {"luid": [2, 0]}]
    caller = new_caller(adapters=adapters, faults=["adapter:0:1@3=stopped", "adapter:0:1@5=back:0:9"])
    allocation = {"hDevice": caller.device, "pAllocationInfo2": [{}]}

    def opened(low_part: int) -> str:
        return caller.status("OpenAdapterFromLuid", AdapterLuid={"LowPart": low_part})

    assert caller.status("CreateAllocation2", allocation) == "SUCCESS"  # call 2
    assert caller.status("CreateAllocation2", allocation) == "DEVICE_REMOVED"
    assert opened(2) == "SUCCESS"
    assert caller.status("CreateAllocation2", allocation) == "DEVICE_REMOVED"  # a device lost stays lost
    assert [opened(luid) for luid in (1, 9)] == ["INVALID_PARAMETER", "SUCCESS"]
    assert caller.status("CreateDevice", hAdapter=caller.adapter) == "SUCCESS"


def test_a_function_without_the_prefix_of_the_interface() -> None:
    assert outcomes(new_caller(faults=[f"CreateAllocation2@3={NO_MEMORY}"])) == "..x......."
    assert outcomes(new_caller(faults=[f"Create*tion2@3={NO_MEMORY}"])) == "..x......."


def test_all_adapters_are_back() -> None:
    caller = new_caller(faults=["adapter@2=stopped", "adapter@3=back"])
    assert caller.status("CreateDevice", hAdapter=caller.adapter) == "DEVICE_REMOVED"
    assert caller.status("CreateDevice", hAdapter=caller.adapter) == "SUCCESS"


def test_a_replay_reports_a_fault_that_never_happened() -> None:
    report = tracekmt.replay(DEMO, faults=[f"{CREATE}@999={NO_MEMORY}", "adapter@999=stopped"])
    assert report.same
    assert report.calls.injected == 0
    assert [note for note in report.notes if "never" in note] == [
        f"never injected: {CREATE}@999={NO_MEMORY}",
        "never injected: adapter@999=stopped",
    ]
