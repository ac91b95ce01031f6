"""Paging queues, residency, locks and GPU addresses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import Caller, new_caller
from tracekmt.simulator.model.objects import Allocation


@pytest.fixture
def caller() -> Caller:
    return new_caller()


def create_queue(caller: Caller) -> Any:
    return caller.outputs("CreatePagingQueue", hDevice=caller.device)


def allocate(caller: Caller) -> int:
    handle = caller.outputs("CreateAllocation2", hDevice=caller.device, pAllocationInfo2=[{}])["pAllocationInfo2"][0]
    return int(handle["hAllocation"])


def other_device(caller: Caller) -> int:
    return int(caller.outputs("CreateDevice", hAdapter=caller.adapter)["hDevice"])


def resident_count(caller: Caller, handle: int) -> int:
    allocation = caller.simulator.find(handle, Allocation)
    assert allocation is not None
    return allocation.resident_count


def test_a_queue_has_a_monitored_fence(caller: Caller) -> None:
    assert caller.status("CreatePagingQueue", hDevice=5) == "INVALID_PARAMETER"
    created = create_queue(caller)
    assert created["hSyncObject"] == created["hPagingQueue"] + 0x40
    assert created["FenceValueCPUVirtualAddress"]
    wait = {"hDevice": caller.device, "ObjectHandleArray": [created["hSyncObject"]], "FenceValueArray": [0]}
    assert caller.status("WaitForSynchronizationObjectFromCpu", wait) == "SUCCESS"


@pytest.mark.parametrize("owner", ["DestroyPagingQueue", "DestroyDevice"])
def test_the_fence_dies_with_the_queue_or_its_device(caller: Caller, owner: str) -> None:
    created = create_queue(caller)
    handle = {"hPagingQueue": created["hPagingQueue"]} if owner == "DestroyPagingQueue" else {"hDevice": caller.device}
    assert caller.status(owner, handle) == "SUCCESS"
    assert caller.status("DestroySynchronizationObject", hSyncObject=created["hSyncObject"]) == "INVALID_PARAMETER"
    assert caller.status("DestroyPagingQueue", hPagingQueue=created["hPagingQueue"]) == "INVALID_PARAMETER"


def test_fence_values_rise_by_queue(caller: Caller) -> None:
    queues = [create_queue(caller)["hPagingQueue"] for _ in range(2)]
    allocation = allocate(caller)

    def make_resident(queue: int) -> int:
        return int(caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=[allocation])["PagingFenceValue"])

    assert [make_resident(queues[0]), make_resident(queues[0]), make_resident(queues[1])] == [1, 2, 1]
    mapped = caller.outputs("MapGpuVirtualAddress", hPagingQueue=queues[0], hAllocation=allocation, SizeInPages=1)
    assert mapped["PagingFenceValue"] == 3


def test_residency_is_counted(caller: Caller) -> None:
    queue, allocation = create_queue(caller)["hPagingQueue"], allocate(caller)
    for _ in range(3):
        caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=[allocation])
    assert resident_count(caller, allocation) == 3
    for _ in range(4):
        caller.outputs("Evict", hDevice=caller.device, AllocationList=[allocation])
    assert resident_count(caller, allocation) == 0


def test_a_failed_call_counts_nothing(caller: Caller) -> None:
    queue, allocation = create_queue(caller)["hPagingQueue"], allocate(caller)
    lists = {"hPagingQueue": queue, "AllocationList": [allocation, 0x40BAD000]}
    assert caller.status("MakeResident", lists) == "INVALID_PARAMETER"
    assert resident_count(caller, allocation) == 0


def test_the_allocations_of_another_device_are_refused(caller: Caller) -> None:
    queue, allocation, other = create_queue(caller)["hPagingQueue"], allocate(caller), other_device(caller)
    there = caller.outputs("CreatePagingQueue", hDevice=other)["hPagingQueue"]
    assert caller.status("MakeResident", hPagingQueue=there, AllocationList=[allocation]) == "INVALID_PARAMETER"
    assert caller.status("Evict", hDevice=other, AllocationList=[allocation]) == "INVALID_PARAMETER"
    assert caller.status("MapGpuVirtualAddress", hPagingQueue=there, hAllocation=allocation) == "INVALID_PARAMETER"
    assert caller.status("Lock2", hDevice=other, hAllocation=allocation) == "INVALID_PARAMETER"
    assert caller.status("OfferAllocations", hDevice=other, HandleList=[allocation]) == "INVALID_PARAMETER"
    assert caller.status("MakeResident", hPagingQueue=queue, AllocationList=[allocation]) == "SUCCESS"


def test_must_succeed_needs_another_flag(caller: Caller) -> None:
    call = {"hPagingQueue": create_queue(caller)["hPagingQueue"], "AllocationList": [allocate(caller)]}
    assert caller.status("MakeResident", {**call, "Flags": ["MustSucceed"]}) == "INVALID_PARAMETER"
    assert caller.status("MakeResident", {**call, "Flags": ["MustSucceed", "CantTrimFurther"]}) == "SUCCESS"


def test_queued_operations_are_pending_by_a_setting() -> None:
    caller = new_caller(paging="pending")
    queue, allocation = create_queue(caller)["hPagingQueue"], allocate(caller)
    operations = (
        ("MakeResident", {"AllocationList": [allocation]}),
        ("MapGpuVirtualAddress", {"hAllocation": allocation, "SizeInPages": 1}),
        ("ReserveGpuVirtualAddress", {"Size": 0x10000}),
        ("ReclaimAllocations2", {"HandleList": [allocation]}),
    )
    for name, inputs in operations:
        assert caller.status(name, {"hPagingQueue": queue, **inputs}) == "PENDING"
    assert caller.status("Evict", hDevice=caller.device, AllocationList=[allocation]) == "SUCCESS"
    assert caller.status("MakeResident", hPagingQueue=5) == "INVALID_PARAMETER"


def test_offer_and_reclaim_take_resources_or_allocations(caller: Caller) -> None:
    queue, allocation = create_queue(caller)["hPagingQueue"], allocate(caller)
    resource = caller.resource()["hResource"]
    on_device = {"hDevice": caller.device, "NumAllocations": 1}
    assert caller.status("OfferAllocations", {**on_device, "HandleList": [allocation]}) == "SUCCESS"
    assert caller.status("OfferAllocations", {**on_device, "pResources": [resource]}) == "SUCCESS"
    both = {**on_device, "pResources": [resource], "HandleList": [allocation]}
    for refused in (both, on_device, {**on_device, "HandleList": [resource]}):
        assert caller.status("OfferAllocations", refused) == "INVALID_PARAMETER"
    reclaim = {"hPagingQueue": queue, "HandleList": [allocation], "pResults": [1]}
    results = caller.outputs("ReclaimAllocations2", **reclaim)
    assert results["pResults"] == [0]
    discarded = caller.outputs("ReclaimAllocations", hDevice=caller.device, HandleList=[allocation], pDiscarded=[1])
    assert discarded["pDiscarded"] == [0]


def test_locks_are_counted_and_return_one_address(caller: Caller) -> None:
    call = {"hDevice": caller.device, "hAllocation": allocate(caller)}
    assert caller.status("Unlock2", call) == "INVALID_PARAMETER"
    first, second = (caller.outputs("Lock2", **call)["pData"] for _ in range(2))
    assert first == second != 0
    assert [caller.status("Unlock2", call) for _ in range(3)] == ["SUCCESS", "SUCCESS", "INVALID_PARAMETER"]
    assert caller.status("Lock2", {**call, "Flags": 1}) == "INVALID_PARAMETER"


def test_locks_of_version_1(caller: Caller) -> None:
    first, second = allocate(caller), allocate(caller)
    for handle in (first, second):
        assert caller.outputs("Lock", hDevice=caller.device, hAllocation=handle)["pData"]

    def unlock(*handles: int) -> str:
        return caller.status("Unlock", hDevice=caller.device, phAllocations=list(handles))

    assert unlock(first, first) == "INVALID_PARAMETER"
    assert unlock(first, second) == "SUCCESS"
    assert unlock(first) == "INVALID_PARAMETER"


def test_a_32_bit_process_does_not_run_out_of_addresses(caller: Caller) -> None:
    addresses = [caller.simulator.reserve_addresses("cpu", 1 << 20, 4) for _ in range(5000)]
    assert max(addresses) + (1 << 20) <= 1 << 32
    assert caller.simulator.reserve_addresses("gpu", 1 << 70) < caller.simulator.reserve_addresses("gpu", 1) < 1 << 64


def test_gpu_addresses_are_chosen_or_given(caller: Caller) -> None:
    queue, allocation = create_queue(caller)["hPagingQueue"], allocate(caller)
    for handle in (queue, caller.adapter):
        reserved = caller.outputs("ReserveGpuVirtualAddress", hPagingQueue=handle, Size=0x20000)["VirtualAddress"]
        assert reserved % 0x10000 == 0
    call = {"hPagingQueue": queue, "hAllocation": allocation, "SizeInPages": 2}
    first = caller.outputs("MapGpuVirtualAddress", **call)["VirtualAddress"]
    second = caller.outputs("MapGpuVirtualAddress", **call)["VirtualAddress"]
    assert abs(first - second) >= 0x2000
    assert caller.outputs("MapGpuVirtualAddress", **call, BaseAddress=0x7000)["VirtualAddress"] == 0x7000
    free = {"hAdapter": caller.adapter, "BaseAddress": first, "Size": 0x2000}
    assert caller.status("FreeGpuVirtualAddress", free) == "SUCCESS"


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("ReserveGpuVirtualAddress", {"Size": 0x1000}),
        ("ReserveGpuVirtualAddress", {"Size": 0x10000, "BaseAddress": 0x1000}),
        ("ReserveGpuVirtualAddress", {"Size": 0x10000, "hPagingQueue": 5}),
        ("MapGpuVirtualAddress", {"BaseAddress": 0x123}),
        ("MapGpuVirtualAddress", {"hPagingQueue": 5}),
        ("MapGpuVirtualAddress", {"hAllocation": 5}),
        ("MapGpuVirtualAddress", {"Protection": ["SystemUseOnly"]}),
        ("MapGpuVirtualAddress", {"Protection": ["NoAccess"], "hAllocation": True}),
        ("MapGpuVirtualAddress", {"Protection": ["Zero"], "hAllocation": True}),
        ("FreeGpuVirtualAddress", {"BaseAddress": 0x123}),
        ("FreeGpuVirtualAddress", {"Size": 5}),
        ("FreeGpuVirtualAddress", {"hAdapter": 5}),
    ],
)
def test_invalid_gpu_addresses(caller: Caller, name: str, inputs: dict[str, Any]) -> None:
    values = {"hPagingQueue": create_queue(caller)["hPagingQueue"]} if "Free" not in name else {}
    values |= {"hAdapter": caller.adapter} if "Free" in name else {}
    if inputs.get("hAllocation") is True:
        inputs = {**inputs, "hAllocation": allocate(caller)}
    assert caller.status(name, {**values, **inputs}) == "INVALID_PARAMETER"
