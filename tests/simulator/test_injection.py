"""Faults happen exactly where they are asked for, and whoever replays is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.simulator.machine import Played, play
from tracekmt.errors import UsageError
from tracekmt.resources import resource

NO_MEMORY = "STATUS_NO_MEMORY"
CREATE = "D3DKMTCreateAllocation2"
DEMO = resource("traces", "demo.kmt")


def statuses(played: Played, number: int = 10) -> str:
    """Ten allocations: x where one fails as it was told to."""
    inputs = {"hDevice": played.device, "pAllocationInfo2": [{}]}
    found = [played("CreateAllocation2", inputs).status.name for _ in range(number)]
    assert set(found) <= {"STATUS_SUCCESS", NO_MEMORY}
    return "".join("x" if name == NO_MEMORY else "." for name in found)


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
def test_where(fault: str, expected: str) -> None:
    assert statuses(play(faults=[fault])) == expected


def test_a_call_that_fails_on_purpose_does_nothing() -> None:
    played = play(faults=[f"{CREATE}@1={NO_MEMORY}"])
    before = len(played.simulator.handles)
    outcome = played("CreateAllocation2", {"hDevice": played.device, "pAllocationInfo2": [{"hAllocation": 7}]})
    assert outcome.outputs["pAllocationInfo2"][0]["hAllocation"] == 7
    assert outcome.rule is not None
    assert outcome.rule.what == f"injected: {CREATE}@1={NO_MEMORY}"
    assert len(played.simulator.handles) == before


def test_the_machine_changes() -> None:
    """Two calls open the adapter and make the device; calls are counted from 0."""
    played = play(faults=["adapter@4=stopped"])
    allocation = {"hDevice": played.device, "pAllocationInfo2": [{}]}
    found = [played.status("CreateAllocation2", allocation) for _ in range(3)]
    assert found == ["SUCCESS", "SUCCESS", "DEVICE_REMOVED"]
    played = play(faults=["video_memory@3=100KB", "system_memory@5=1000"])
    allocation["hDevice"] = played.device
    found = [played.status("CreateAllocation2", allocation) for _ in range(3)]
    assert found == ["SUCCESS", "GRAPHICS_NO_VIDEO_MEMORY", "GRAPHICS_NO_VIDEO_MEMORY"]
    assert played.status("CreateAllocation2", allocation) == "NO_MEMORY"


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("D3DKMTCreateDevice@1=STATUS_NO_MEMORY", "faults is a list"),
        (["D3DKMTCreateDevice"], "is no fault; write FUNCTION@N=STATUS"),
        (["Nothing@1=STATUS_NO_MEMORY"], "Nothing names no described function"),
        (["D3DKMTCreateDevice@0=STATUS_NO_MEMORY"], "counted from 1"),
        (["D3DKMTCreateDevice@1=STATUS_NONSENSE"], "STATUS_NONSENSE"),
        (["D3DKMTCreateDevice@1=STATUS_NO_MEMORY if in.Nothing"], "Nothing"),
        (["adapter=stopped"], "say before which call"),
        (["adapter@3=gone"], "adapters can be stopped"),
        ([5], "is no fault"),
    ],
)
def test_what_is_no_fault(faults: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tracekmt.Simulator(faults=faults)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_replay_names_what_was_injected(number: int, tmp_path: Path) -> None:
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


def test_a_fault_that_nothing_met_is_said() -> None:
    report = tracekmt.replay(DEMO, faults=[f"{CREATE}@999={NO_MEMORY}", "adapter@999=stopped"])
    assert report.same
    assert report.calls.injected == 0
    assert [note for note in report.notes if "never" in note] == [
        f"never injected: {CREATE}@999={NO_MEMORY}",
        "never injected: adapter@999=stopped",
    ]
