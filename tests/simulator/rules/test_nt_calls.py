"""NT handles, processes, questions about memory; and calls of which only the description is known."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import SENTINEL, Played, is_local, play
from tracekmt.calls import CALLS
from tracekmt.simulator import BEHAVIOURS

SELF = (1 << 64) - 1


@pytest.fixture
def played() -> Played:
    return play()


def test_handles_are_made_and_closed(played: Played) -> None:
    event = played.made("NtCreateEvent", EventType=0, DesiredAccess=0x1F0003)["EventHandle"]
    section = played.made("NtCreateSection", MaximumSize=4096, DesiredAccess=0xF001F)["SectionHandle"]
    assert (event, section) == (4, 8)
    copied = played.made(
        "NtDuplicateObject", SourceProcessHandle=SELF, SourceHandle=event, TargetProcessHandle=SELF, Options=2
    )["TargetHandle"]
    assert copied == 12
    for handle in (event, section, copied):
        assert played.status("NtClose", Handle=handle) == "SUCCESS"
        assert played.status("NtClose", Handle=handle) == "INVALID_HANDLE"
    assert played.status("NtClose", Handle=0) == "INVALID_HANDLE"
    assert played.status("NtClose", Handle=0xDEADBEEF) == "INVALID_HANDLE"
    assert played.status("NtClose", Handle=0x5F4) == "SUCCESS", "one from elsewhere"


def test_a_handle_goes_to_another_process(played: Played) -> None:
    other = played.another()
    process = played.made("NtOpenProcess", ClientId={"UniqueProcess": other.simulator.id}, DesiredAccess=0x40)
    fence = played.sync(5, "Shared", "NtSecuritySharing")["hSyncObject"]
    sent = played.made(
        "NtDuplicateObject",
        SourceProcessHandle=SELF,
        SourceHandle=played.shared(fence),
        TargetProcessHandle=process["ProcessHandle"],
        Options=3,
    )["TargetHandle"]
    assert played.status("NtClose", Handle=sent) in ("INVALID_HANDLE", "SUCCESS")
    opened = other.made("OpenSyncObjectFromNtHandle2", hNtHandle=sent, hDevice=other.device)["hSyncObject"]
    assert is_local(opened)


def test_video_memory(played: Played) -> None:
    def ask(**fields: Any) -> str:
        return played.status("QueryVideoMemoryInfo", {"hAdapter": played.adapter, **fields})

    for group in (0, 1):
        told = played.made("QueryVideoMemoryInfo", hAdapter=played.adapter, MemorySegmentGroup=group)
        assert told["Budget"] >= told["AvailableForReservation"] > 0
        assert told["CurrentUsage"] == told["CurrentReservation"] == 0
    assert ask(hProcess=SELF) == "SUCCESS"
    whoever = {"UniqueProcess": played.simulator.id}
    blind = played.made("NtOpenProcess", ClientId=whoever, DesiredAccess=0x200)["ProcessHandle"]
    assert ask(hProcess=blind) == "ACCESS_DENIED"
    seeing = played.made("NtOpenProcess", ClientId=whoever, DesiredAccess=0x400)["ProcessHandle"]
    assert ask(hProcess=seeing) == "SUCCESS"
    assert ask(hProcess=0xDEADBEEF) == "INVALID_HANDLE"
    assert ask(hAdapter=0xDEADBEEF) == "INVALID_PARAMETER"
    assert ask(PhysicalAdapterIndex=99) == "INVALID_PARAMETER"
    assert ask(MemorySegmentGroup=2) == "INVALID_PARAMETER"


def test_usage_follows_allocations() -> None:
    played = play(adapters=[{"video_memory": "1GB", "shared_memory": "2GB"}])

    def used(group: int) -> tuple[int, int]:
        told = played.made("QueryVideoMemoryInfo", hAdapter=played.adapter, MemorySegmentGroup=group)
        return told["CurrentUsage"], told["Budget"]

    resource = played.resource()
    assert used(1) == (0x10000, 2 << 30)
    played.made("CreateAllocation2", hDevice=played.device, pAllocationInfo2=[{}])
    assert used(0) == (64 << 10, 1 << 30)
    assert played.another().made("QueryVideoMemoryInfo", hAdapter=0x40000000)["CurrentUsage"] == 0
    played.made("DestroyAllocation", hDevice=played.device, hResource=resource["hResource"])
    assert used(1) == (0, 2 << 30)


def test_version_1_makes_what_version_2_ends(played: Played) -> None:
    made = played.made("CreateAllocation", hDevice=played.device, pAllocationInfo=[{}, {}])
    first, second = (each["hAllocation"] for each in made["pAllocationInfo"])
    assert second == first + 0x40
    for name, handle in (("DestroyAllocation2", first), ("DestroyAllocation", second)):
        inputs = {"hDevice": played.device, "phAllocationList": [handle]}
        assert played.status(name, inputs) == "SUCCESS"
        assert played.status(name, inputs) == "INVALID_PARAMETER"


def test_what_is_only_described_looks_after_handles(played: Played) -> None:
    outcome = played("CreateContextVirtual", {"hDevice": played.device, "hContext": SENTINEL})
    assert (outcome.status, outcome.modelled) == (0, False)
    context = outcome.outputs["hContext"]
    assert context == played.device + 0x40
    assert played.status("CreateContextVirtual", hDevice=SENTINEL) == "INVALID_PARAMETER"
    queue = played.made("CreatePagingQueue", hDevice=played.device)
    assert queue["hPagingQueue"] == context + 0x40
    assert is_local(queue["hSyncObject"])
    assert queue["FenceValueCPUVirtualAddress"]
    signal = {"hDevice": played.device, "ObjectHandleArray": [queue["hSyncObject"]], "FenceValueArray": [1]}
    assert played.status("SignalSynchronizationObjectFromCpu", signal) == "SUCCESS"
    allocation = played.made("CreateAllocation2", hDevice=played.device, pAllocationInfo2=[{}])
    handle = allocation["pAllocationInfo2"][0]["hAllocation"]
    mapped = played.made("MapGpuVirtualAddress", hPagingQueue=queue["hPagingQueue"], hAllocation=handle, SizeInPages=16)
    assert mapped["VirtualAddress"]
    assert played.status("MapGpuVirtualAddress", hPagingQueue=handle) == "INVALID_PARAMETER"
    assert played.status("DestroyPagingQueue", hPagingQueue=queue["hPagingQueue"]) == "SUCCESS"
    assert played.status("SignalSynchronizationObjectFromCpu", signal) == "INVALID_PARAMETER"
    assert played.status("DestroyContext", hContext=context) == "SUCCESS"
    assert played.status("DestroyContext", hContext=context) == "INVALID_PARAMETER"


@pytest.mark.parametrize("name", CALLS)
def test_every_described_call_is_answered(name: str) -> None:
    """Whatever it is given, there is an answer, and nothing that should not be is left behind."""
    played = play()
    for inputs in ({}, {"hDevice": played.device}, {"hAdapter": played.adapter}, {"hDevice": SENTINEL}):
        fields = {field.name for field in CALLS[name].argument.fields()}
        if set(inputs) <= fields:
            outcome = played.simulator.call(name, inputs)
            assert outcome.modelled == BEHAVIOURS[name].modelled
            assert outcome.rule is None or outcome.rule.source
