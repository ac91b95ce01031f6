"""Acquiring and releasing keyed mutexes, with the answers of Windows in Wine's conformance test."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import HEAP, MUTEX_DATA, SENTINEL, Caller, new_caller

VERSIONS = pytest.mark.parametrize("version", ["", "2"])
SECOND = -10_000_000
"""A timeout of a second, in the relative form of NT."""


@pytest.fixture
def caller() -> Caller:
    return new_caller()


def create(caller: Caller, initial: int = 0) -> tuple[int, int]:
    """Create a mutex. Return its local and its global handle."""
    created = caller.outputs("CreateKeyedMutex", InitialValue=initial)
    return created["hKeyedMutex"], created["hSharedHandle"]


def acquire(caller: Caller, mutex: int, key: int, timeout: Any = SECOND, version: str = "") -> tuple[str, int]:
    """Acquire a mutex. Return the status without STATUS_, and FenceValue."""
    inputs = {"hKeyedMutex": mutex, "Key": key, "pTimeout": timeout, "FenceValue": SENTINEL}
    result = caller(f"AcquireKeyedMutex{version}", inputs)
    return result.status.name.removeprefix("STATUS_"), result.outputs["FenceValue"]


def release(caller: Caller, mutex: int, key: int, fence_value: int = 0, version: str = "") -> str:
    return caller.status(f"ReleaseKeyedMutex{version}", hKeyedMutex=mutex, Key=key, FenceValue=fence_value)


@VERSIONS
@pytest.mark.parametrize("timeout", [0, SECOND])
def test_another_key_times_out(caller: Caller, version: str, timeout: int) -> None:
    mutex, _ = create(caller, initial=3)
    assert acquire(caller, mutex, 4, timeout, version) == ("TIMEOUT", 0)
    assert acquire(caller, mutex, 3, timeout, version) == ("SUCCESS", 0)


@VERSIONS
def test_a_held_mutex_times_out_until_its_release(caller: Caller, version: str) -> None:
    mutex, share = create(caller)
    other = caller.outputs("OpenKeyedMutex", hSharedHandle=share)["hKeyedMutex"]
    assert acquire(caller, mutex, 0, version=version) == ("SUCCESS", 0)
    assert acquire(caller, mutex, 0, version=version) == ("TIMEOUT", 0)
    assert acquire(caller, other, 0, version=version) == ("TIMEOUT", 0)
    assert release(caller, mutex, 7, 55, version) == "SUCCESS"
    assert acquire(caller, other, 0, version=version) == ("TIMEOUT", 0)
    assert acquire(caller, other, 7, version=version) == ("SUCCESS", 55)


@VERSIONS
def test_a_release_needs_a_held_mutex(caller: Caller, version: str) -> None:
    mutex, _ = create(caller)
    assert release(caller, mutex, 0, version=version) == "INVALID_PARAMETER"
    acquire(caller, mutex, 0)
    assert release(caller, mutex, 1, version=version) == "SUCCESS"
    assert release(caller, mutex, 1, version=version) == "INVALID_PARAMETER"


@VERSIONS
def test_the_destruction_of_the_holder_abandons_the_mutex(caller: Caller, version: str) -> None:
    mutex, share = create(caller)
    other = caller.another_process()
    opened = other.outputs("OpenKeyedMutex", hSharedHandle=share)["hKeyedMutex"]
    acquire(caller, mutex, 0)
    release(caller, mutex, 0, 9)
    acquire(caller, mutex, 0)
    caller.outputs("DestroyKeyedMutex", hKeyedMutex=mutex)
    for key in (0, 5, 0):
        assert acquire(other, opened, key, version=version) == ("ABANDONED", 0)
    assert release(other, opened, 0) == "INVALID_PARAMETER"


def test_the_destruction_of_another_handle_abandons_nothing(caller: Caller) -> None:
    mutex, share = create(caller)
    opened = caller.outputs("OpenKeyedMutex", hSharedHandle=share)["hKeyedMutex"]
    acquire(caller, mutex, 0)
    caller.outputs("DestroyKeyedMutex", hKeyedMutex=opened)
    assert release(caller, mutex, 0) == "SUCCESS"
    assert acquire(caller, mutex, 0) == ("SUCCESS", 0)


def test_the_end_of_a_process_abandons_what_it_holds(caller: Caller) -> None:
    mutex, share = create(caller)
    other = caller.another_process()
    opened = other.outputs("OpenKeyedMutex", hSharedHandle=share)["hKeyedMutex"]
    acquire(other, opened, 0)
    other.simulator.exit()
    assert acquire(caller, mutex, 0) == ("ABANDONED", 0)


def test_the_nt_handle_of_a_resource_opens_no_mutex(caller: Caller) -> None:
    flags = ["StandardAllocation", "ExistingSysMem", "CreateResource", "CreateShared", "NtSecuritySharing"]
    resource = caller.outputs(
        "CreateAllocation2",
        hDevice=caller.device,
        pStandardAllocation=HEAP,
        pAllocationInfo2=[{"pSystemMem": 0x10000}],
        Flags=flags,
    )["hResource"]
    mutex = caller.outputs("CreateKeyedMutex2", Flags=["NtSecuritySharing"], pPrivateRuntimeData=MUTEX_DATA)
    sync = caller.sync(5, "Shared", "NtSecuritySharing")["hSyncObject"]
    for handle in (caller.nt_handle(resource), caller.nt_handle(resource, mutex["hKeyedMutex"], sync)):
        assert caller.status("OpenKeyedMutexFromNtHandle", hNtHandle=handle) == "OBJECT_TYPE_MISMATCH"
