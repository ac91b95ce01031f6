"""The objects and the memory that a trace shows, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt.activity.follow import follow
from tracekmt.activity.memory import bytes_to_trim, video_memory
from tracekmt.simulator.model.allocation_size import sample_data

MadeCall = tuple[str, dict[str, Any], dict[str, Any]]

DEVICE, QUEUE, FIRST, SECOND, RESOURCE = 0x40000080, 0x400000C0, 0x40000100, 0x40000140, 0x40000180


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Return a function that writes a trace of (function, inputs, outputs) and returns its steps as plain data."""

    def steps(*calls: MadeCall, status: int = 0) -> list[dict[str, Any]]:
        path = tmp_path / "made.kmt"
        with tracekmt.create(path, abi="x64") as trace:
            for name, inputs, outputs in calls:
                trace.add(name, inputs=inputs, outputs={**inputs, **outputs}, status=status)
        with tracekmt.open(path) as trace:
            return [
                {
                    "created": [str(identity) for identity in step.created],
                    "destroyed": [str(identity) for identity in step.destroyed],
                    "changes": [(change.action, str(change.allocation), change.size) for change in step.changes],
                    "memory": (step.memory.requested, step.memory.resident, step.memory.offered, step.memory.unsized),
                    "to_trim": bytes_to_trim(step.call),
                    "video": video_memory(step.call),
                }
                for step in follow(trace)
            ]

    return steps


def create(handle: int, data: bytes) -> MadeCall:
    element = {"pPrivateDriverData": data}
    return (
        "D3DKMTCreateAllocation2",
        {"hDevice": DEVICE, "pAllocationInfo2": [element]},
        {"pAllocationInfo2": [{**element, "hAllocation": handle}]},
    )


CREATE_DEVICE: MadeCall = ("D3DKMTCreateDevice", {"hAdapter": 0x40000000}, {"hDevice": DEVICE})


def test_a_driver_rule_gives_the_size_and_residency_counts_requests(made: Any) -> None:
    resident: MadeCall = (
        "D3DKMTMakeResident",
        {"hPagingQueue": QUEUE, "AllocationList": [FIRST]},
        {"NumBytesToTrim": 4096},
    )
    evict: MadeCall = ("D3DKMTEvict", {"hDevice": DEVICE, "AllocationList": [FIRST]}, {})
    destroy: MadeCall = ("D3DKMTDestroyAllocation2", {"hDevice": DEVICE, "phAllocationList": [FIRST]}, {})
    steps = made(
        CREATE_DEVICE, create(FIRST, sample_data(1 << 20)), resident, resident, evict, evict, resident, destroy
    )
    name = "#1.pAllocationInfo2[0].hAllocation"
    assert [step["memory"][:2] for step in steps] == [
        *[(0, 0), (1 << 20, 0), (1 << 20, 1 << 20), (1 << 20, 1 << 20), (1 << 20, 1 << 20)],
        *[(1 << 20, 0), (1 << 20, 1 << 20), (0, 0)],
    ]
    assert [step["changes"] for step in steps] == [
        *[[], [("sized", name, 1 << 20)], [("resident", name, 1 << 20)], [], []],
        *[[("evicted", name, 1 << 20)], [("resident", name, 1 << 20)], [("evicted", name, 1 << 20)]],
    ]
    assert steps[1]["created"] == steps[7]["destroyed"] == [name]
    assert [step["to_trim"] for step in steps] == [0, 0, 4096, 4096, 0, 0, 4096, 0]


def test_the_gpu_addresses_of_an_allocation_give_its_size(made: Any) -> None:
    mapped: MadeCall = (
        "D3DKMTMapGpuVirtualAddress",
        {"hPagingQueue": QUEUE, "hAllocation": FIRST, "SizeInPages": 4},
        {},
    )
    behind = (mapped[0], {**mapped[1], "OffsetInPages": 4, "SizeInPages": 2}, {"VirtualAddress": 0x10000})
    resident: MadeCall = ("D3DKMTMakeResident", {"hPagingQueue": QUEUE, "AllocationList": [FIRST]}, {})
    steps = made(CREATE_DEVICE, create(FIRST, b"?"), mapped, resident, behind, mapped)
    pages = 4096
    assert [step["memory"] for step in steps] == [
        *[(0, 0, 0, 0), (0, 0, 0, 1), (4 * pages, 0, 0, 0), (4 * pages, 4 * pages, 0, 0)],
        *[(6 * pages, 6 * pages, 0, 0), (6 * pages, 6 * pages, 0, 0)],
    ]


def test_offered_memory_is_reclaimed_or_lost(made: Any) -> None:
    offer: MadeCall = ("D3DKMTOfferAllocations", {"hDevice": DEVICE, "HandleList": [FIRST, SECOND]}, {})
    reclaim = (
        "D3DKMTReclaimAllocations",
        {"hDevice": DEVICE, "HandleList": [FIRST, SECOND], "pDiscarded": [0, 0]},
        {"pDiscarded": [0, 1]},
    )
    steps = made(CREATE_DEVICE, create(FIRST, sample_data(100)), create(SECOND, sample_data(10)), offer, offer, reclaim)
    assert [step["memory"][2] for step in steps] == [0, 0, 0, 110, 110, 0]
    assert [change[0] for change in steps[5]["changes"]] == ["reclaimed", "discarded"]
    assert steps[4]["changes"] == []


def test_a_resource_is_offered_with_its_allocations_and_ends_with_its_device(made: Any) -> None:
    flags = {"CreateResource": 1}
    name, inputs, outputs = create(FIRST, sample_data(100))
    offer: MadeCall = ("D3DKMTOfferAllocations", {"hDevice": DEVICE, "pResources": [RESOURCE]}, {})
    end: MadeCall = ("D3DKMTDestroyDevice", {"hDevice": DEVICE}, {})
    steps = made(CREATE_DEVICE, (name, {**inputs, "Flags": flags}, {**outputs, "hResource": RESOURCE}), offer, end)
    assert [step["memory"][2] for step in steps] == [0, 0, 100, 0]
    assert steps[3]["memory"] == (0, 0, 0, 0)
    assert len(steps[3]["destroyed"]) == 3


def test_calls_that_change_nothing_can_be_left_out(made: Any, tmp_path: Path) -> None:
    escape: MadeCall = ("D3DKMTEscape", {"hAdapter": 0x40000000}, {})
    budget: MadeCall = ("D3DKMTQueryVideoMemoryInfo", {"hAdapter": 0x40000000}, {"Budget": 1000})
    made(escape, CREATE_DEVICE, escape, create(FIRST, sample_data(100)), budget, escape)
    with tracekmt.open(tmp_path / "made.kmt") as trace:
        steps = [(step.call.index, len(step.created), len(step.changes)) for step in follow(trace)]
        fewer = [(step.call.index, len(step.created), len(step.changes)) for step in follow(trace, all_calls=False)]
    assert len(steps) == 6
    assert fewer == [steps[index] for index in (1, 3, 4)]


def test_a_failed_call_changes_nothing(made: Any) -> None:
    steps = made(CREATE_DEVICE, create(FIRST, sample_data(100)), status=0xC000000D)
    assert [step["memory"] for step in steps] == [(0, 0, 0, 0)] * 2


def test_the_budget_is_that_of_the_program_itself(made: Any) -> None:
    query = {"hAdapter": 0x40000000, "MemorySegmentGroup": 1}
    answer = {"Budget": 1000, "CurrentUsage": 10}
    name = "D3DKMTQueryVideoMemoryInfo"
    own, other, device = (
        step["video"] for step in made((name, query, answer), (name, {**query, "hProcess": 8}, answer), CREATE_DEVICE)
    )
    assert (own.group, own.budget, own.usage) == ("non-local", 1000, 10)
    assert other is None
    assert device is None
