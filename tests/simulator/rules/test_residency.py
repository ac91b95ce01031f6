"""Paging queues, residency and locks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import Caller, new_caller
from tracekmt.calls import CALLS
from tracekmt.simulator.model.allocation_size import sample_data
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


@pytest.mark.parametrize(("profile", "again"), [("windows", "INVALID_PARAMETER"), ("wsl", "SUCCESS")])
def test_a_known_address_needs_no_device_in_wsl(profile: str, again: str) -> None:
    caller = new_caller(profile=profile)
    allocation = allocate(caller)
    without_device = {"hDevice": 0, "hAllocation": allocation}
    assert caller.status("Lock2", without_device) == "INVALID_PARAMETER"
    first = caller.outputs("Lock2", hDevice=caller.device, hAllocation=allocation)["pData"]
    assert caller.status("Lock2", without_device) == again
    if profile == "wsl":
        assert caller.outputs("Lock2", **without_device)["pData"] == first
    assert caller.status("Lock2", {**without_device, "hAllocation": 0x40BAD000}) == "INVALID_PARAMETER"


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


MB = 1 << 20


def sized(caller: Caller, size: int, **fields: Any) -> int:
    """Create an allocation of a size that the simulator knows."""
    element = {"pPrivateDriverData": sample_data(size), **fields}
    created = caller.outputs("CreateAllocation2", hDevice=caller.device, pAllocationInfo2=[element])
    return int(created["pAllocationInfo2"][0]["hAllocation"])


def limited(**settings: Any) -> tuple[Caller, int]:
    """Create a caller with 4 MB of video memory and a paging queue."""
    caller = new_caller(video_memory="4MB", **settings)
    return caller, int(create_queue(caller)["hPagingQueue"])


def test_residency_over_the_budget_fails_as_a_whole() -> None:
    caller, queue = limited()
    first, second, third = (sized(caller, 2 * MB) for _ in range(3))
    assert caller.status("MakeResident", hPagingQueue=queue, AllocationList=[first]) == "SUCCESS"
    refused = caller("MakeResident", hPagingQueue=queue, AllocationList=[first, second, third])
    assert refused.status.name == "STATUS_NO_MEMORY"
    assert refused.outputs["NumBytesToTrim"] == 2 * MB
    assert refused.outputs["NumAllocations"] == 0
    assert [resident_count(caller, handle) for handle in (first, second, third)] == [1, 0, 0]
    assert caller.status("MakeResident", hPagingQueue=queue, AllocationList=[first, second, second]) == "SUCCESS"


def test_a_client_evicts_as_much_as_it_is_told_and_goes_on() -> None:
    """As drivers do: evict the oldest allocations until NumBytesToTrim is reached, and try again."""
    caller, queue = limited()
    resident: list[int] = []
    evictions = 0
    for _ in range(40):
        handle = sized(caller, MB)
        while (tried := caller("MakeResident", hPagingQueue=queue, AllocationList=[handle])).status:
            assert tried.status.name == "STATUS_NO_MEMORY"
            to_trim = tried.outputs["NumBytesToTrim"]
            assert 0 < to_trim <= len(resident) * MB
            oldest, resident = resident[: to_trim // MB], resident[to_trim // MB :]
            assert caller.outputs("Evict", hDevice=caller.device, AllocationList=oldest)["NumBytesToTrim"] == 0
            evictions += len(oldest)
        resident.append(handle)
    assert (len(resident), evictions) == (4, 36)


def test_memory_that_two_allocations_share_is_resident_once() -> None:
    caller, queue = limited()
    shared = {"Flags": ["CreateResource", "CreateShared"], "hDevice": caller.device}
    element = {"pPrivateDriverData": sample_data(3 * MB)}
    created = caller.outputs("CreateAllocation2", pAllocationInfo2=[element], **shared)
    opened = caller.outputs(
        "OpenResource2",
        hDevice=caller.device,
        hGlobalShare=created["hGlobalShare"],
        NumAllocations=1,
        pOpenAllocationInfo2=[{}],
        pTotalPrivateDriverDataBuffer=bytes(64),
        TotalPrivateDriverDataBufferSize=64,
    )
    both = created["pAllocationInfo2"][0]["hAllocation"], opened["pOpenAllocationInfo2"][0]["hAllocation"]
    assert both[0] != both[1]
    assert caller.status("MakeResident", hPagingQueue=queue, AllocationList=list(both)) == "SUCCESS"
    assert caller.simulator.machine.adapters[0].resident_video_memory == 3 * MB
    for handle, used in zip(both, (3 * MB, 0), strict=True):
        caller.outputs("Evict", hDevice=caller.device, AllocationList=[handle])
        assert caller.simulator.machine.adapters[0].resident_video_memory == used


def test_an_evict_says_how_far_the_memory_is_over_a_smaller_budget() -> None:
    caller, queue = limited(faults=["video_memory@6=1MB"])
    first, second = (sized(caller, 2 * MB) for _ in range(2))  # calls 3 and 4
    caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=[first, second])
    evict = {"hDevice": caller.device, "AllocationList": [first]}
    assert caller.outputs("Evict", **evict)["NumBytesToTrim"] == MB
    assert caller.outputs("Evict", **{**evict, "AllocationList": [second]})["NumBytesToTrim"] == 0


@pytest.mark.parametrize("flag", ["MustSucceed", "CantTrimFurther"])
def test_a_last_attempt_that_fails_puts_the_device_in_error(flag: str) -> None:
    """The sources disagree about the flag, so it is a setting."""
    caller, queue = limited(device_error_flag=flag)
    context = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
    handles = [sized(caller, 2 * MB) for _ in range(3)]
    submit = {"BroadcastContextCount": 1, "BroadcastContext": [context]}
    for flags in ([], ["CantTrimFurther"], ["CantTrimFurther", "MustSucceed"]):
        lost_before = caller.status("SubmitCommand", submit)
        call = {"hPagingQueue": queue, "AllocationList": handles, "Flags": flags}
        assert caller.status("MakeResident", call) == "NO_MEMORY"
        is_lost = flag in flags or lost_before != "SUCCESS"
        assert caller.status("SubmitCommand", submit) == ("DEVICE_REMOVED" if is_lost else "SUCCESS")
    state = caller.outputs("GetDeviceState", hDevice=caller.device, StateType=1)["ExecutionState"]
    assert state.name == "D3DKMT_DEVICEEXECUTION_ERROR_OUTOFMEMORY"


def test_wsl_writes_nothing_after_a_failure() -> None:
    caller, queue = limited(profile="wsl")
    handles = [sized(caller, 2 * MB) for _ in range(3)]
    refused = caller("MakeResident", hPagingQueue=queue, AllocationList=handles)
    assert refused.status.name == "STATUS_NO_MEMORY"
    assert (refused.outputs["NumBytesToTrim"], refused.outputs["NumAllocations"]) == (0, 3)
    for name, fields in (
        ("MakeResident", {"hPagingQueue": queue}),
        ("Evict", {"hDevice": caller.device}),
        ("ReclaimAllocations2", {"hPagingQueue": queue}),
    ):
        assert caller.status(name, fields) == "INVALID_PARAMETER", "NumAllocations is 0"


def test_a_mapping_tells_the_size_of_an_allocation() -> None:
    caller, queue = limited()
    handle = allocate(caller)
    mapping = {"hPagingQueue": queue, "hAllocation": handle, "OffsetInPages": 256, "SizeInPages": 1024}
    caller.outputs("MapGpuVirtualAddress", **mapping)
    refused = caller("MakeResident", hPagingQueue=queue, AllocationList=[handle])
    assert refused.outputs["NumBytesToTrim"] == MB
    caller.outputs("DestroyAllocation2", hDevice=caller.device, phAllocationList=[handle])
    assert caller.simulator.machine.adapters[0].video_memory_used == 0


def test_evicting_below_zero_is_a_setting() -> None:
    for setting, expected in (({}, "SUCCESS"), ({"evict_below_zero": "STATUS_UNSUCCESSFUL"}, "UNSUCCESSFUL")):
        caller = new_caller(assumptions=setting)
        evict = {"hDevice": caller.device, "AllocationList": [allocate(caller)]}
        assert caller.status("Evict", evict) == expected


def test_an_offered_allocation_cannot_be_locked(caller: Caller) -> None:
    queue, handle = create_queue(caller)["hPagingQueue"], allocate(caller)
    call = {"hDevice": caller.device, "hAllocation": handle}
    on_list = {"HandleList": [handle], "NumAllocations": 1}
    assert caller.status("Lock2", call) == "SUCCESS"
    caller.outputs("OfferAllocations", hDevice=caller.device, **on_list)
    assert caller.status("Lock2", call) == "INVALID_PARAMETER"
    caller.outputs("ReclaimAllocations2", hPagingQueue=queue, **on_list)
    assert caller.status("Lock2", call) == "SUCCESS"


def test_offered_memory_is_discarded_when_others_need_the_room() -> None:
    caller, queue = limited()
    low, high, third = (sized(caller, 2 * MB) for _ in range(3))
    caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=[low, high])
    for handle, priority in ((high, 3), (low, 1)):
        offer = {"hDevice": caller.device, "HandleList": [handle], "NumAllocations": 1, "Priority": priority}
        assert caller.status("OfferAllocations", offer) == "SUCCESS"
        assert caller.status("OfferAllocations", offer) == "SUCCESS"
    assert caller.status("MakeResident", hPagingQueue=queue, AllocationList=[third]) == "SUCCESS"

    def reclaim(*handles: int) -> list[int]:
        outputs = caller.outputs(
            "ReclaimAllocations2", hPagingQueue=queue, HandleList=list(handles), pResults=[9] * len(handles)
        )
        return [int(result) for result in outputs["pResults"]]

    assert reclaim(low, high, third) == [1, 0, 0]
    assert reclaim(low) == [0]
    over = caller.outputs("Evict", hDevice=caller.device, AllocationList=[])["NumBytesToTrim"]
    assert over == 2 * MB, "what is reclaimed counts against the budget again"


def test_an_offer_without_need_discards_nothing() -> None:
    caller, queue = limited()
    handle = sized(caller, MB)
    caller.outputs("OfferAllocations", hDevice=caller.device, HandleList=[handle], NumAllocations=1)
    caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=[sized(caller, 4 * MB)])
    reclaimed = caller.outputs("ReclaimAllocations2", hPagingQueue=queue, HandleList=[handle], pResults=[9])
    assert reclaimed["pResults"] == [0], "it was not resident"
    destroyed = sized(caller, MB)
    caller.outputs("OfferAllocations", hDevice=caller.device, HandleList=[destroyed], NumAllocations=1)
    caller.outputs("DestroyAllocation2", hDevice=caller.device, phAllocationList=[destroyed])
    assert caller.simulator.machine.adapters[0].offered == []


def test_priorities_and_residency_of_a_list_or_a_resource(caller: Caller) -> None:
    queue = create_queue(caller)["hPagingQueue"]
    first, second = allocate(caller), allocate(caller)
    resource = caller.resource()["hResource"]
    both = {"hDevice": caller.device, "phAllocationList": [first, second]}
    whole = {"hDevice": caller.device, "hResource": resource}
    assert caller.outputs("GetAllocationPriority", **both, pPriorities=[0, 0])["pPriorities"] == [0x78000000] * 2
    caller.outputs("SetAllocationPriority", **both, pPriorities=[5, 6])
    caller.outputs("SetAllocationPriority", **whole, pPriorities=[7])
    assert caller.outputs("GetAllocationPriority", **both, pPriorities=[0, 0])["pPriorities"] == [5, 6]
    assert caller.outputs("GetAllocationPriority", **whole, pPriorities=[0])["pPriorities"] == [7]
    caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=[second])
    status = caller.outputs("QueryAllocationResidency", **both, pResidencyStatus=[0, 0])["pResidencyStatus"]
    assert [int(each) for each in status] == [3, 1]
    status = caller.outputs("QueryAllocationResidency", **whole, pResidencyStatus=[0])["pResidencyStatus"]
    assert [int(each) for each in status] == [3]
    for wrong in ({"hDevice": caller.device}, {**both, "hResource": resource}):
        assert caller.status("QueryAllocationResidency", {**wrong, "pResidencyStatus": [0, 0]}) == "INVALID_PARAMETER"


def test_a_lock_returns_the_caller_s_own_memory(caller: Caller) -> None:
    handle = sized(caller, MB, pSystemMem=0x50000)
    assert caller.outputs("Lock2", hDevice=caller.device, hAllocation=handle)["pData"] == 0x50000


@pytest.mark.parametrize("name", ["Lock", "Lock2", "OfferAllocations", "ReclaimAllocations", "ReclaimAllocations2"])
def test_a_lost_device_refuses(caller: Caller, name: str) -> None:
    queue, handle = create_queue(caller)["hPagingQueue"], allocate(caller)
    call = {"hDevice": caller.device, "hPagingQueue": queue, "hAllocation": handle, "HandleList": [handle]}
    call["NumAllocations"] = 1
    fields = {field.name for field in CALLS[f"D3DKMT{name}"].argument.fields()}
    call = {field: value for field, value in call.items() if field in fields}
    assert caller.status(name, call) == "SUCCESS"
    caller.simulator.stop_adapter()
    assert caller.status(name, call) == "DEVICE_REMOVED"
