"""Synchronization objects and keyed mutexes, step by step as Wine's conformance test saw Windows answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import SENTINEL, Played, is_global, is_local, play


@pytest.fixture
def played() -> Played:
    return play()


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
def test_types(played: Played, version: str, kind: int, status: str) -> None:
    name = f"CreateSynchronizationObject{version}"
    inputs: dict[str, Any] = {"hDevice": played.device, "Info": {"Type": kind}, "hSyncObject": SENTINEL}
    assert played.status(name, {**inputs, "hDevice": 0}) == "INVALID_PARAMETER"
    outcome = played(name, inputs)
    assert outcome.status.name == f"STATUS_{status}"
    if status != "SUCCESS":
        assert outcome.outputs["hSyncObject"] == SENTINEL
        return
    assert outcome.outputs["hSyncObject"] == played.device + 0x40
    again = played(name, inputs).outputs["hSyncObject"]
    assert again == played.device + 0x80
    destroy = {"hSyncObject": outcome.outputs["hSyncObject"]}
    assert played.status("DestroySynchronizationObject", destroy) == "SUCCESS"
    assert played.status("DestroySynchronizationObject", destroy) == "INVALID_PARAMETER"


def test_a_notification_needs_an_event(played: Played) -> None:
    event = played.made("NtCreateEvent", EventType="SynchronizationEvent")["EventHandle"]
    made = played.sync(4, CPUNotification={"Event": event})
    assert is_local(made["hSyncObject"])
    played.made("NtClose", Handle=event)
    refused = played(
        "CreateSynchronizationObject2",
        {"hDevice": played.device, "Info": {"Type": 4, "CPUNotification": {"Event": event}}},
    )
    assert refused.status.name == "STATUS_INVALID_HANDLE"


def test_a_monitored_fence_can_be_looked_at(played: Played) -> None:
    fence = played.sync(5, MonitoredFence={"InitialFenceValue": 7})["Info"]["MonitoredFence"]
    assert fence["FenceValueCPUVirtualAddress"]
    assert fence["FenceValueGPUVirtualAddress"]


def test_global_handles(played: Played) -> None:
    plain = played.sync(1)
    assert plain["Info"]["SharedHandle"] == SENTINEL
    made = played.sync(1, "Shared")
    share = made["Info"]["SharedHandle"]
    assert is_global(share)
    assert played.status("DestroySynchronizationObject", hSyncObject=share) == "INVALID_PARAMETER"
    for wrong in (SENTINEL, 0, made["hSyncObject"]):
        assert played.status("OpenSynchronizationObject", hSharedHandle=wrong) == "INVALID_PARAMETER"
    opened = played.made("OpenSynchronizationObject", hSharedHandle=share, hSyncObject=SENTINEL)["hSyncObject"]
    assert opened == made["hSyncObject"] + 0x40
    assert played.status("DestroySynchronizationObject", hSyncObject=opened) == "SUCCESS"
    other = played.another()
    theirs = other.made("OpenSynchronizationObject", hSharedHandle=share)["hSyncObject"]
    assert theirs == other.device + 0x40
    assert played.status("DestroySynchronizationObject", hSyncObject=made["hSyncObject"]) == "SUCCESS"
    assert played.status("OpenSynchronizationObject", hSharedHandle=share) == "SUCCESS", "another process has it"


def test_a_process_that_nobody_has_any_more_has_ended(played: Played) -> None:
    made = played.sync(1, "Shared")
    share = made["Info"]["SharedHandle"]
    played.another().made("OpenSynchronizationObject", hSharedHandle=share)
    assert played.status("DestroySynchronizationObject", hSyncObject=made["hSyncObject"]) == "SUCCESS"
    assert played.status("OpenSynchronizationObject", hSharedHandle=share) == "INVALID_PARAMETER"


def test_nt_handles(played: Played) -> None:
    info = {"Type": 1, "Flags": ["NtSecuritySharing"]}
    assert played.status("CreateSynchronizationObject2", hDevice=played.device, Info=info) == "INVALID_PARAMETER"
    made = played.sync(1, "Shared", "NtSecuritySharing")
    assert made["Info"]["SharedHandle"] == 0
    handle = played.shared(made["hSyncObject"])
    assert played.status("DestroySynchronizationObject", hSyncObject=handle) == "INVALID_PARAMETER"
    assert played.status("DestroySynchronizationObject", hSyncObject=made["hSyncObject"]) == "SUCCESS"
    assert played.share(made["hSyncObject"]).status.name == "STATUS_INVALID_PARAMETER"
    assert played.status("OpenSyncObjectFromNtHandle", {}) == "INVALID_HANDLE"
    assert is_local(played.made("OpenSyncObjectFromNtHandle", hNtHandle=handle)["hSyncObject"])
    assert played.status("OpenSyncObjectFromNtHandle2", {}) == "INVALID_PARAMETER"
    assert played.status("OpenSyncObjectFromNtHandle2", hNtHandle=handle) == "INVALID_PARAMETER"
    assert played.status("OpenSyncObjectFromNtHandle2", hDevice=played.device) == "INVALID_HANDLE"
    opened = played.made("OpenSyncObjectFromNtHandle2", hNtHandle=handle, hDevice=played.device)["hSyncObject"]
    played.made("NtClose", Handle=played.shared(opened))
    played.made("NtClose", Handle=handle)
    assert played.status("OpenSyncObjectFromNtHandle", hNtHandle=handle) == "INVALID_HANDLE"
    assert played.status("NtClose", Handle=handle) == "INVALID_HANDLE"


def test_signalling_and_waiting_from_the_cpu(played: Played) -> None:
    fence = played.sync(5)["hSyncObject"]
    for name in ("SignalSynchronizationObjectFromCpu", "WaitForSynchronizationObjectFromCpu"):
        inputs = {"hDevice": played.device, "ObjectHandleArray": [fence], "FenceValueArray": [3]}
        assert played.status(name, inputs) == "SUCCESS"
        assert played.status(name, {**inputs, "hDevice": 0}) == "INVALID_PARAMETER"
        assert played.status(name, {**inputs, "ObjectHandleArray": [SENTINEL]}) == "INVALID_PARAMETER"
        assert played.status(name, hDevice=played.device) == "INVALID_PARAMETER"
    assert played.status("DestroyDevice", hDevice=played.device) == "SUCCESS"
    assert played.status("DestroySynchronizationObject", hSyncObject=fence) == "INVALID_PARAMETER"


def test_keyed_mutexes(played: Played) -> None:
    made = played.made("CreateKeyedMutex", hKeyedMutex=SENTINEL, hSharedHandle=SENTINEL)
    assert made["hKeyedMutex"] == played.device + 0x40
    assert is_global(made["hSharedHandle"])
    for wrong in (0, made["hKeyedMutex"]):
        assert played.status("OpenKeyedMutex", hSharedHandle=wrong) == "INVALID_PARAMETER"
    opened = played.made("OpenKeyedMutex", hSharedHandle=made["hSharedHandle"])["hKeyedMutex"]
    assert opened == made["hKeyedMutex"] + 0x40
    for wrong in (0, made["hSharedHandle"]):
        assert played.status("DestroyKeyedMutex", hKeyedMutex=wrong) == "INVALID_PARAMETER"
    assert played.status("DestroyKeyedMutex", hKeyedMutex=opened) == "SUCCESS"
    assert played.status("DestroyKeyedMutex", hKeyedMutex=opened) == "INVALID_PARAMETER"
    assert played.status("DestroyKeyedMutex", hKeyedMutex=made["hKeyedMutex"]) == "SUCCESS"
    assert played.status("OpenKeyedMutex", hSharedHandle=made["hSharedHandle"]) == "INVALID_PARAMETER"
    hidden = played.made("CreateKeyedMutex2", Flags=["NtSecuritySharing"], hSharedHandle=SENTINEL)
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
def test_runtime_data_of_keyed_mutexes(played: Played, stored: bytes, fields: dict[str, Any], status: str) -> None:
    share = played.made("CreateKeyedMutex2", pPrivateRuntimeData=stored)["hSharedHandle"]
    outcome = played("OpenKeyedMutex2", {"hSharedHandle": share, **fields})
    assert outcome.status.name == f"STATUS_{status}"
    assert not outcome.outputs["pPrivateRuntimeData"] or set(outcome.outputs["pPrivateRuntimeData"]) == {0xCD}


def test_a_keyed_mutex_is_one_s_at_a_time(played: Played) -> None:
    share = played.made("CreateKeyedMutex", InitialValue=0)["hSharedHandle"]
    one = played.made("OpenKeyedMutex", hSharedHandle=share)["hKeyedMutex"]
    two = played.made("OpenKeyedMutex", hSharedHandle=share)["hKeyedMutex"]

    def acquire(mutex: int, key: int) -> str:
        return played.status("AcquireKeyedMutex", hKeyedMutex=mutex, Key=key, pTimeout=0)

    assert acquire(one, 1) == "TIMEOUT"
    assert acquire(one, 0) == "SUCCESS"
    assert acquire(two, 0) == "TIMEOUT"
    assert played.status("ReleaseKeyedMutex", hKeyedMutex=one, Key=1) == "SUCCESS"
    assert acquire(two, 0) == "TIMEOUT"
    assert acquire(two, 1) == "SUCCESS"
    assert acquire(SENTINEL, 1) == "INVALID_PARAMETER"
