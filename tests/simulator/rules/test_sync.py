"""Synchronization objects and keyed mutexes, with the answers of Windows in Wine's conformance test."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import SENTINEL, Caller, is_global, is_local, new_caller


@pytest.fixture
def caller() -> Caller:
    return new_caller()


@pytest.mark.parametrize(
    ("version", "kind", "status"),
    [
        ("", 0, "INVALID_PARAMETER"),
        ("", 1, "SUCCESS"),
        ("", 2, "SUCCESS"),
        ("", 3, "INVALID_PARAMETER"),
        ("", 5, "INVALID_PARAMETER"),
        ("2", 0, "INVALID_PARAMETER"),
        ("2", 1, "SUCCESS"),
        ("2", 2, "SUCCESS"),
        ("2", 3, "SUCCESS"),
        ("2", 4, "INVALID_HANDLE"),
        ("2", 5, "SUCCESS"),
        ("2", 7, "INVALID_PARAMETER"),
    ],
)
def test_types(caller: Caller, version: str, kind: int, status: str) -> None:
    name = f"CreateSynchronizationObject{version}"
    inputs: dict[str, Any] = {"hDevice": caller.device, "Info": {"Type": kind}, "hSyncObject": SENTINEL}
    assert caller.status(name, {**inputs, "hDevice": 0}) == "INVALID_PARAMETER"
    result = caller(name, inputs)
    assert result.status.name == f"STATUS_{status}"
    if status != "SUCCESS":
        assert result.outputs["hSyncObject"] == SENTINEL
        return
    assert result.outputs["hSyncObject"] == caller.device + 0x40
    again = caller(name, inputs).outputs["hSyncObject"]
    assert again == caller.device + 0x80
    destroy = {"hSyncObject": result.outputs["hSyncObject"]}
    assert caller.status("DestroySynchronizationObject", destroy) == "SUCCESS"
    assert caller.status("DestroySynchronizationObject", destroy) == "INVALID_PARAMETER"


def test_a_notification_needs_an_event(caller: Caller) -> None:
    event = caller.outputs("NtCreateEvent", EventType="SynchronizationEvent")["EventHandle"]
    created = caller.sync(4, CPUNotification={"Event": event})
    assert is_local(created["hSyncObject"])
    caller.outputs("NtClose", Handle=event)
    refused = caller(
        "CreateSynchronizationObject2",
        {"hDevice": caller.device, "Info": {"Type": 4, "CPUNotification": {"Event": event}}},
    )
    assert refused.status.name == "STATUS_INVALID_HANDLE"


def test_a_monitored_fence_has_addresses(caller: Caller) -> None:
    fence = caller.sync(5, MonitoredFence={"InitialFenceValue": 7})["Info"]["MonitoredFence"]
    assert fence["FenceValueCPUVirtualAddress"]
    assert fence["FenceValueGPUVirtualAddress"]


def test_global_handles(caller: Caller) -> None:
    plain = caller.sync(1)
    assert plain["Info"]["SharedHandle"] == SENTINEL
    created = caller.sync(1, "Shared")
    share = created["Info"]["SharedHandle"]
    assert is_global(share)
    assert caller.status("DestroySynchronizationObject", hSyncObject=share) == "INVALID_PARAMETER"
    for wrong in (SENTINEL, 0, created["hSyncObject"]):
        assert caller.status("OpenSynchronizationObject", hSharedHandle=wrong) == "INVALID_PARAMETER"
    opened = caller.outputs("OpenSynchronizationObject", hSharedHandle=share, hSyncObject=SENTINEL)["hSyncObject"]
    assert opened == created["hSyncObject"] + 0x40
    assert caller.status("DestroySynchronizationObject", hSyncObject=opened) == "SUCCESS"
    other = caller.another_process()
    theirs = other.outputs("OpenSynchronizationObject", hSharedHandle=share)["hSyncObject"]
    assert theirs == other.device + 0x40
    assert caller.status("DestroySynchronizationObject", hSyncObject=created["hSyncObject"]) == "SUCCESS"
    assert caller.status("OpenSynchronizationObject", hSharedHandle=share) == "SUCCESS", "another process has it"


def test_a_process_ends_with_its_last_reference(caller: Caller) -> None:
    created = caller.sync(1, "Shared")
    share = created["Info"]["SharedHandle"]
    caller.another_process().outputs("OpenSynchronizationObject", hSharedHandle=share)
    assert caller.status("DestroySynchronizationObject", hSyncObject=created["hSyncObject"]) == "SUCCESS"
    assert caller.status("OpenSynchronizationObject", hSharedHandle=share) == "INVALID_PARAMETER"


def test_nt_handles(caller: Caller) -> None:
    info = {"Type": 1, "Flags": ["NtSecuritySharing"]}
    assert caller.status("CreateSynchronizationObject2", hDevice=caller.device, Info=info) == "INVALID_PARAMETER"
    created = caller.sync(1, "Shared", "NtSecuritySharing")
    assert created["Info"]["SharedHandle"] == 0
    handle = caller.nt_handle(created["hSyncObject"])
    assert caller.status("DestroySynchronizationObject", hSyncObject=handle) == "INVALID_PARAMETER"
    assert caller.status("DestroySynchronizationObject", hSyncObject=created["hSyncObject"]) == "SUCCESS"
    assert caller.share_objects(created["hSyncObject"]).status.name == "STATUS_INVALID_PARAMETER"
    assert caller.status("OpenSyncObjectFromNtHandle", {}) == "INVALID_HANDLE"
    assert is_local(caller.outputs("OpenSyncObjectFromNtHandle", hNtHandle=handle)["hSyncObject"])
    assert caller.status("OpenSyncObjectFromNtHandle2", {}) == "INVALID_PARAMETER"
    assert caller.status("OpenSyncObjectFromNtHandle2", hNtHandle=handle) == "INVALID_PARAMETER"
    assert caller.status("OpenSyncObjectFromNtHandle2", hDevice=caller.device) == "INVALID_HANDLE"
    opened = caller.outputs("OpenSyncObjectFromNtHandle2", hNtHandle=handle, hDevice=caller.device)["hSyncObject"]
    caller.outputs("NtClose", Handle=caller.nt_handle(opened))
    caller.outputs("NtClose", Handle=handle)
    assert caller.status("OpenSyncObjectFromNtHandle", hNtHandle=handle) == "INVALID_HANDLE"
    assert caller.status("NtClose", Handle=handle) == "INVALID_HANDLE"


def test_signalling_and_waiting_from_the_cpu(caller: Caller) -> None:
    fence = caller.sync(5)["hSyncObject"]
    for name in ("SignalSynchronizationObjectFromCpu", "WaitForSynchronizationObjectFromCpu"):
        inputs = {"hDevice": caller.device, "ObjectHandleArray": [fence], "FenceValueArray": [3]}
        assert caller.status(name, inputs) == "SUCCESS"
        assert caller.status(name, {**inputs, "hDevice": 0}) == "INVALID_PARAMETER"
        assert caller.status(name, {**inputs, "ObjectHandleArray": [SENTINEL]}) == "INVALID_PARAMETER"
        assert caller.status(name, hDevice=caller.device) == "INVALID_PARAMETER"
    assert caller.status("DestroyDevice", hDevice=caller.device) == "SUCCESS"
    assert caller.status("DestroySynchronizationObject", hSyncObject=fence) == "INVALID_PARAMETER"


def test_keyed_mutexes(caller: Caller) -> None:
    created = caller.outputs("CreateKeyedMutex", hKeyedMutex=SENTINEL, hSharedHandle=SENTINEL)
    assert created["hKeyedMutex"] == caller.device + 0x40
    assert is_global(created["hSharedHandle"])
    for wrong in (0, created["hKeyedMutex"]):
        assert caller.status("OpenKeyedMutex", hSharedHandle=wrong) == "INVALID_PARAMETER"
    opened = caller.outputs("OpenKeyedMutex", hSharedHandle=created["hSharedHandle"])["hKeyedMutex"]
    assert opened == created["hKeyedMutex"] + 0x40
    for wrong in (0, created["hSharedHandle"]):
        assert caller.status("DestroyKeyedMutex", hKeyedMutex=wrong) == "INVALID_PARAMETER"
    assert caller.status("DestroyKeyedMutex", hKeyedMutex=opened) == "SUCCESS"
    assert caller.status("DestroyKeyedMutex", hKeyedMutex=opened) == "INVALID_PARAMETER"
    assert caller.status("DestroyKeyedMutex", hKeyedMutex=created["hKeyedMutex"]) == "SUCCESS"
    assert caller.status("OpenKeyedMutex", hSharedHandle=created["hSharedHandle"]) == "INVALID_PARAMETER"
    hidden = caller.outputs("CreateKeyedMutex2", Flags=["NtSecuritySharing"], hSharedHandle=SENTINEL)
    assert hidden["hSharedHandle"] == 0


@pytest.mark.parametrize(
    ("stored", "fields", "status"),
    [
        (b"", {}, "SUCCESS"),
        (b"", {"PrivateRuntimeDataSize": 64, "pPrivateRuntimeData": None}, "INVALID_PARAMETER"),
        (b"", {"pPrivateRuntimeData": b"\xcd" * 64}, "SUCCESS"),
        (b"123456", {}, "SUCCESS"),
        (b"123456", {"PrivateRuntimeDataSize": 64, "pPrivateRuntimeData": None}, "INVALID_PARAMETER"),
        (b"123456", {"pPrivateRuntimeData": b"\xcd" * 5}, "INVALID_PARAMETER"),
        (b"123456", {"pPrivateRuntimeData": b"\xcd" * 6}, "SUCCESS"),
    ],
)
def test_runtime_data_of_keyed_mutexes(caller: Caller, stored: bytes, fields: dict[str, Any], status: str) -> None:
    share = caller.outputs("CreateKeyedMutex2", pPrivateRuntimeData=stored)["hSharedHandle"]
    result = caller("OpenKeyedMutex2", {"hSharedHandle": share, **fields})
    assert result.status.name == f"STATUS_{status}"
    assert not result.outputs["pPrivateRuntimeData"] or set(result.outputs["pPrivateRuntimeData"]) == {0xCD}


MONITORED, PERIODIC = 5, 6


def from_cpu(caller: Caller, what: str, *objects: int, values: Any = None, **fields: Any) -> str:
    """Signal objects from the CPU, or wait for them. Return the status without STATUS_."""
    inputs = {"hDevice": caller.device, "ObjectHandleArray": list(objects), "FenceValueArray": values}
    return caller.status(f"{what}SynchronizationObjectFromCpu", {**inputs, **fields})


@pytest.mark.parametrize("what", ["Signal", "WaitFor"])
@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_the_cpu_uses_monitored_fences_only(caller: Caller, what: str, kind: int) -> None:
    event = caller.outputs("NtCreateEvent")["EventHandle"]
    other = caller.sync(kind, **({"CPUNotification": {"Event": event}} if kind == 4 else {}))["hSyncObject"]
    fence = caller.sync(MONITORED)["hSyncObject"]
    assert from_cpu(caller, what, other, values=[0]) == "INVALID_PARAMETER"
    assert from_cpu(caller, what, fence, other, values=[0, 0]) == "INVALID_PARAMETER"
    assert from_cpu(caller, what, fence, values=[0]) == "SUCCESS"


@pytest.mark.parametrize("what", ["Signal", "WaitFor"])
def test_the_cpu_uses_periodic_fences(caller: Caller, what: str) -> None:
    fence = caller.sync(PERIODIC)["hSyncObject"]
    assert from_cpu(caller, what, fence, values=[0]) == "SUCCESS"


def test_a_fence_goes_backwards_only_with_a_flag(caller: Caller) -> None:
    fence = caller.sync(MONITORED, MonitoredFence={"InitialFenceValue": 5})["hSyncObject"]
    assert from_cpu(caller, "Signal", fence, values=[4]) == "INVALID_PARAMETER"
    assert from_cpu(caller, "Signal", fence, values=[5]) == "SUCCESS"
    assert from_cpu(caller, "Signal", fence, values=[9]) == "SUCCESS"
    assert from_cpu(caller, "Signal", fence, values=[8]) == "INVALID_PARAMETER"
    assert from_cpu(caller, "Signal", fence, values=[8], Flags=["AllowFenceRewind"]) == "SUCCESS"
    assert from_cpu(caller, "Signal", fence, values=[8]) == "SUCCESS"


def test_a_wait_with_an_event_succeeds_at_once(caller: Caller) -> None:
    fence = caller.sync(MONITORED)["hSyncObject"]
    event = caller.outputs("NtCreateEvent")["EventHandle"]
    assert from_cpu(caller, "WaitFor", fence, values=[99], hAsyncEvent=event) == "SUCCESS"
    assert from_cpu(caller, "WaitFor", fence, values=[0]) == "SUCCESS"


def test_a_call_from_the_cpu_has_at_most_32_objects(caller: Caller) -> None:
    fence = caller.sync(5)["hSyncObject"]
    for name in ("SignalSynchronizationObjectFromCpu", "WaitForSynchronizationObjectFromCpu"):
        for count, expected in ((32, "SUCCESS"), (33, "INVALID_PARAMETER")):
            objects = {"ObjectHandleArray": [fence] * count, "FenceValueArray": [1] * count}
            assert caller.status(name, {"hDevice": caller.device, **objects}) == expected


def test_a_cpu_event_is_enqueued_instead_of_signals(caller: Caller) -> None:
    context = caller.outputs("CreateContextVirtual", hDevice=caller.device)["hContext"]
    event = caller.outputs("NtCreateEvent", EventType="SynchronizationEvent")["EventHandle"]
    objects = {"ObjectCount": 1, "ObjectHandleArray": [caller.sync(3)["hSyncObject"]]}
    for inputs, expected in (
        ({"CpuEventHandle": event}, "SUCCESS"),
        ({"CpuEventHandle": 0}, "INVALID_PARAMETER"),
        ({"CpuEventHandle": event, **objects}, "INVALID_PARAMETER"),
    ):
        call = {"hContext": context, "Flags": ["EnqueueCpuEvent"], **inputs}
        assert caller.status("SignalSynchronizationObject2", call) == expected
