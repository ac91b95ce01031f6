"""NT handles, processes, queries of video memory, and functions without rules."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import SENTINEL, Caller, is_local, new_caller
from tracekmt.calls import CALLS
from tracekmt.simulator import BEHAVIOURS

SELF = (1 << 64) - 1


@pytest.fixture
def caller() -> Caller:
    return new_caller()


def test_handles_are_created_and_closed(caller: Caller) -> None:
    event = caller.outputs("NtCreateEvent", EventType=0, DesiredAccess=0x1F0003)["EventHandle"]
    section = caller.outputs("NtCreateSection", MaximumSize=4096, DesiredAccess=0xF001F)["SectionHandle"]
    assert (event, section) == (4, 8)
    copied = caller.outputs(
        "NtDuplicateObject", SourceProcessHandle=SELF, SourceHandle=event, TargetProcessHandle=SELF, Options=2
    )["TargetHandle"]
    assert copied == 12
    for handle in (event, section, copied):
        assert caller.status("NtClose", Handle=handle) == "SUCCESS"
        assert caller.status("NtClose", Handle=handle) == "INVALID_HANDLE"
    assert caller.status("NtClose", Handle=0) == "INVALID_HANDLE"
    assert caller.status("NtClose", Handle=0xDEADBEEF) == "INVALID_HANDLE"
    assert caller.status("NtClose", Handle=0x5F4) == "SUCCESS", "an external handle"


def test_a_handle_goes_to_another_process(caller: Caller) -> None:
    other = caller.another_process()
    process = caller.outputs("NtOpenProcess", ClientId={"UniqueProcess": other.simulator.id}, DesiredAccess=0x40)
    fence = caller.sync(5, "Shared", "NtSecuritySharing")["hSyncObject"]
    sent = caller.outputs(
        "NtDuplicateObject",
        SourceProcessHandle=SELF,
        SourceHandle=caller.nt_handle(fence),
        TargetProcessHandle=process["ProcessHandle"],
        Options=3,
    )["TargetHandle"]
    assert caller.status("NtClose", Handle=sent) in ("INVALID_HANDLE", "SUCCESS")
    opened = other.outputs("OpenSyncObjectFromNtHandle2", hNtHandle=sent, hDevice=other.device)["hSyncObject"]
    assert is_local(opened)


def test_video_memory(caller: Caller) -> None:
    def query(**fields: Any) -> str:
        return caller.status("QueryVideoMemoryInfo", {"hAdapter": caller.adapter, **fields})

    for group in (0, 1):
        info = caller.outputs("QueryVideoMemoryInfo", hAdapter=caller.adapter, MemorySegmentGroup=group)
        assert info["Budget"] >= info["AvailableForReservation"] > 0
        assert info["CurrentUsage"] == info["CurrentReservation"] == 0
    assert query(hProcess=SELF) == "SUCCESS"
    client_id = {"UniqueProcess": caller.simulator.id}
    no_query_access = caller.outputs("NtOpenProcess", ClientId=client_id, DesiredAccess=0x200)["ProcessHandle"]
    assert query(hProcess=no_query_access) == "ACCESS_DENIED"
    query_access = caller.outputs("NtOpenProcess", ClientId=client_id, DesiredAccess=0x400)["ProcessHandle"]
    assert query(hProcess=query_access) == "SUCCESS"
    assert query(hProcess=0xDEADBEEF) == "INVALID_HANDLE"
    assert query(hAdapter=0xDEADBEEF) == "INVALID_PARAMETER"
    assert query(PhysicalAdapterIndex=99) == "INVALID_PARAMETER"
    assert query(MemorySegmentGroup=2) == "INVALID_PARAMETER"


@pytest.mark.parametrize("profile", ["windows", "wddm1"])
def test_usage_follows_allocations(profile: str) -> None:
    """Since WDDM 2, memory of the adapter is in use while it is resident."""
    caller = new_caller(profile=profile, adapters=[{"video_memory": "1GB", "shared_memory": "2GB"}])

    def used(group: int) -> tuple[int, int]:
        info = caller.outputs("QueryVideoMemoryInfo", hAdapter=caller.adapter, MemorySegmentGroup=group)
        return info["CurrentUsage"], info["Budget"]

    resource = caller.resource()
    assert used(1) == (0x10000, 2 << 30)
    created = caller.outputs("CreateAllocation2", hDevice=caller.device, pAllocationInfo2=[{}])
    allocation = created["pAllocationInfo2"][0]["hAllocation"]
    assert used(0) == (0 if profile == "windows" else 64 << 10, 1 << 30)
    queue = caller.outputs("CreatePagingQueue", hDevice=caller.device)["hPagingQueue"]
    for _ in range(2):
        caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=[allocation])
        assert used(0) == (64 << 10, 1 << 30)
    assert caller.another_process().outputs("QueryVideoMemoryInfo", hAdapter=0x40000000)["CurrentUsage"] == 0
    caller.outputs("DestroyAllocation", hDevice=caller.device, hResource=resource["hResource"])
    assert used(1) == (0, 2 << 30)
    for _ in range(2):
        assert used(0) == (64 << 10, 1 << 30)
        caller.outputs("Evict", hDevice=caller.device, AllocationList=[allocation])
    assert used(0) == (0 if profile == "windows" else 64 << 10, 1 << 30)
    caller.outputs("MakeResident", hPagingQueue=queue, AllocationList=[allocation])
    caller.outputs("DestroyAllocation", hDevice=caller.device, phAllocationList=[allocation])
    assert used(0) == (0, 1 << 30)


def test_version_2_destroys_allocations_of_version_1(caller: Caller) -> None:
    created = caller.outputs("CreateAllocation", hDevice=caller.device, pAllocationInfo=[{}, {}])
    first, second = (element["hAllocation"] for element in created["pAllocationInfo"])
    assert second == first + 0x40
    for name, handle in (("DestroyAllocation2", first), ("DestroyAllocation", second)):
        inputs = {"hDevice": caller.device, "phAllocationList": [handle]}
        assert caller.status(name, inputs) == "SUCCESS"
        assert caller.status(name, inputs) == "INVALID_PARAMETER"


def test_functions_create_and_destroy_handles_by_their_descriptions(caller: Caller) -> None:
    result = caller("CreateContextVirtual", {"hDevice": caller.device, "hContext": SENTINEL})
    assert result.status == 0
    context = result.outputs["hContext"]
    assert context == caller.device + 0x40
    assert caller.status("CreateContextVirtual", hDevice=SENTINEL) == "INVALID_PARAMETER"
    queue = caller.outputs("CreatePagingQueue", hDevice=caller.device)
    assert queue["hPagingQueue"] == context + 0x40
    assert is_local(queue["hSyncObject"])
    assert queue["FenceValueCPUVirtualAddress"]
    signal = {"hDevice": caller.device, "ObjectHandleArray": [queue["hSyncObject"]], "FenceValueArray": [1]}
    assert caller.status("SignalSynchronizationObjectFromCpu", signal) == "SUCCESS"
    allocation = caller.outputs("CreateAllocation2", hDevice=caller.device, pAllocationInfo2=[{}])
    handle = allocation["pAllocationInfo2"][0]["hAllocation"]
    mapped = caller.outputs(
        "MapGpuVirtualAddress", hPagingQueue=queue["hPagingQueue"], hAllocation=handle, SizeInPages=16
    )
    assert mapped["VirtualAddress"]
    assert caller.status("MapGpuVirtualAddress", hPagingQueue=handle) == "INVALID_PARAMETER"
    assert caller.status("DestroyPagingQueue", hPagingQueue=queue["hPagingQueue"]) == "SUCCESS"
    assert caller.status("SignalSynchronizationObjectFromCpu", signal) == "INVALID_PARAMETER"
    assert caller.status("DestroyContext", hContext=context) == "SUCCESS"
    assert caller.status("DestroyContext", hContext=context) == "INVALID_PARAMETER"


@pytest.mark.parametrize("name", CALLS)
def test_every_described_call_is_answered(name: str) -> None:
    """Every function has an answer to empty inputs, and to live and dead handles."""
    caller = new_caller()
    for inputs in ({}, {"hDevice": caller.device}, {"hAdapter": caller.adapter}, {"hDevice": SENTINEL}):
        fields = {field.name for field in CALLS[name].argument.fields()}
        if set(inputs) <= fields:
            result = caller.simulator.call(name, inputs)
            assert result.modelled == BEHAVIOURS[name].modelled
            assert result.rule is None or result.rule.source
