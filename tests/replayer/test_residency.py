"""Replays of residency, GPU addresses and the GPU's fences: changes are red, what no source defines is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.replayer.recording import ADAPTER, ALLOCATION, DEVICE, QUEUE, allocation, device, opened, replay, taken
from tracekmt.report.text import report_lines
from tracekmt.simulator.model.allocation_size import sample_data
from tracekmt.simulator.recorded_state import ASSUMED_REASON, LOST_REASON, MEMORY_REASON
from tracekmt.simulator.rules.gpu_va import CHOSEN_REASON, OLDER_REASON

MB = 1 << 20
UNIT = 0x10000
CONTEXT = ALLOCATION + 0x4000
NEW_QUEUE = {"hPagingQueue": QUEUE, "hSyncObject": QUEUE + 64, "FenceValueCPUVirtualAddress": 0x50000}
START = opened(), device(), ("CreatePagingQueue", {"hDevice": DEVICE}, NEW_QUEUE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.kmt"


def sized(handle: int, size: int) -> tuple[Any, ...]:
    inputs = {"hDevice": DEVICE, "pAllocationInfo2": [{"pPrivateDriverData": sample_data(size)}]}
    return "CreateAllocation2", inputs, {"pAllocationInfo2": [{"hAllocation": handle}]}


def make_resident(*handles: int, status: Any = 0, **outputs: Any) -> tuple[Any, ...]:
    return "MakeResident", {"hPagingQueue": QUEUE, "AllocationList": list(handles)}, outputs or None, status


def evict(*handles: int) -> tuple[Any, ...]:
    return "Evict", {"hDevice": DEVICE, "AllocationList": list(handles)}


def reserve(base: int, size: int = UNIT, status: Any = 0, chosen: int = 0) -> tuple[Any, ...]:
    inputs = {"hPagingQueue": QUEUE, "BaseAddress": base, "Size": size}
    return "ReserveGpuVirtualAddress", inputs, {"VirtualAddress": base or chosen} if not status else None, status


def free(base: int, size: int = UNIT, status: Any = 0) -> tuple[Any, ...]:
    return "FreeGpuVirtualAddress", {"hAdapter": ADAPTER, "BaseAddress": base, "Size": size}, None, status


def test_less_memory_makes_the_first_residency_that_does_not_fit_fail(path: Path) -> None:
    handles = [ALLOCATION + 64 * number for number in range(40)]
    pairs = [call for handle in handles for call in (sized(handle, MB), make_resident(handle))]
    report = replay(path, *START, *pairs, video_memory="10MB")
    first = report.findings[0]
    assert (first.index, first.call, first.cause) == (24, "D3DKMTMakeResident", None)
    assert (first.recorded, first.replayed) == ("STATUS_SUCCESS", "STATUS_NO_MEMORY")
    assert "exceed the budget of the adapter: NumBytesToTrim 1,048,576 (" in first.message
    lines = list(report_lines(report))
    assert len(lines) < 40
    assert any("repeated  29 more times" in line for line in lines)
    assert tracekmt.replay(path).same


def test_a_recorded_lack_of_memory_is_taken_and_changes_nothing(path: Path) -> None:
    failed = make_resident(ALLOCATION, status="STATUS_NO_MEMORY", NumBytesToTrim=MB, NumAllocations=0)
    calls = *START, sized(ALLOCATION, MB), failed, evict(ALLOCATION), make_resident(ALLOCATION)
    assert taken(replay(path, *calls)) == [(4, MEMORY_REASON)]
    path.unlink()
    (finding,) = replay(path, *calls, video_memory="1GB").findings
    assert (finding.index, finding.replayed) == (4, "STATUS_SUCCESS")


@pytest.mark.parametrize("status", ["STATUS_SUCCESS", "STATUS_NOT_FOUND"])
def test_a_status_that_no_source_defines_is_learned_once(path: Path, status: str) -> None:
    calls = [*START, reserve(16 * UNIT), free(64 * UNIT, status=status), free(64 * UNIT, status=status)]
    report = replay(path, *calls)
    assert taken(report) == [(4, ASSUMED_REASON)]
    assert report.calls.compared == 5
    path.unlink()
    other = "STATUS_NOT_FOUND" if status == "STATUS_SUCCESS" else "STATUS_SUCCESS"
    assert not replay(path, *calls, free(64 * UNIT, status=other)).same
    path.unlink()
    report = replay(path, *calls, assumptions={"free_unknown_range": "STATUS_INVALID_PARAMETER"})
    assert [finding.index for finding in report.findings if finding.counts] == [4, 5]


def test_a_documented_rule_without_a_status_is_judged(path: Path) -> None:
    refused = reserve(16 * UNIT + 1, status="STATUS_INVALID_ADDRESS")
    assert taken(replay(path, *START, refused)) == [(3, ASSUMED_REASON)]
    path.unlink()
    assert not replay(path, *START, reserve(16 * UNIT + 1)).same, "no source says that it succeeds"


def test_a_range_that_the_simulator_chose_may_be_elsewhere(path: Path) -> None:
    """The recorded kernel chose another address than the simulator, so the one asked for was free."""
    calls = [*START, reserve(0, chosen=512 * UNIT), reserve(1 << 32)]
    assert taken(replay(path, *calls)) == [(4, CHOSEN_REASON)]
    path.unlink()
    assert not replay(path, *START, reserve(1 << 32), reserve(1 << 32)).same


def test_an_update_of_a_range_that_is_older_than_the_trace(path: Path) -> None:
    def update(start: int) -> tuple[Any, ...]:
        operation = {"OperationType": 1, "Unmap": {"BaseAddress": start, "SizeInBytes": UNIT}}
        handles = {"hDevice": DEVICE, "hContext": CONTEXT, "hFenceObject": QUEUE + 64}
        return "UpdateGpuVirtualAddress", {**handles, "Operations": [operation]}

    context = "CreateContextVirtual", {"hDevice": DEVICE}, {"hContext": CONTEXT}
    assert taken(replay(path, *START, context, update(32 * UNIT))) == [(4, OLDER_REASON)]
    path.unlink()
    mapped = "MapGpuVirtualAddress", {"hPagingQueue": QUEUE, "BaseAddress": 32 * UNIT, "SizeInPages": 16}
    calls = *START, context, (*mapped, {"VirtualAddress": 32 * UNIT}), update(32 * UNIT)
    assert not replay(path, *calls).same


def test_a_lost_device_is_learned_from_a_submission(path: Path) -> None:
    context = "CreateContextVirtual", {"hDevice": DEVICE}, {"hContext": CONTEXT}
    submit = "SubmitCommand", {"BroadcastContextCount": 1, "BroadcastContext": [CONTEXT]}
    lost = (*submit, None, "STATUS_DEVICE_REMOVED")
    assert taken(replay(path, *START, context, submit, lost, lost)) == [(5, LOST_REASON)]
    path.unlink()
    assert not replay(path, *START, context, submit, lost, submit).same


def test_a_hung_device_is_a_what_if(path: Path) -> None:
    context = "CreateContextVirtual", {"hDevice": DEVICE}, {"hContext": CONTEXT}
    submit = "SubmitCommand", {"BroadcastContextCount": 1, "BroadcastContext": [CONTEXT]}
    active = {"ExecutionState": 1}
    state = "GetDeviceState", {"hDevice": DEVICE, "StateType": 1}, active
    calls = *START, context, submit, state, submit, allocation()
    assert replay(path, *calls).same
    findings = [each for each in tracekmt.replay(path, faults=["device@5=hung"]).findings if each.counts]
    assert [(each.index, each.path, each.cause) for each in findings] == [
        (5, "ExecutionState", None),
        (6, None, None),
        (7, None, None),
    ]
    assert findings[0].replayed == "D3DKMT_DEVICEEXECUTION_HUNG"


def test_a_range_can_be_reserved_again_after_its_mappings_were_freed_with_it(path: Path) -> None:
    """A mapping at the start of a reservation hid the reservation from the call that freed both."""
    mapped = "MapGpuVirtualAddress", {"hPagingQueue": QUEUE, "BaseAddress": 512 * UNIT, "SizeInPages": 1}
    cycle = reserve(0, chosen=512 * UNIT), (*mapped, {"VirtualAddress": 512 * UNIT}), free(512 * UNIT)
    assert replay(path, *START, *cycle, *cycle, *cycle).findings == []
