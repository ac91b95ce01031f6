"""Native fences, doorbells and features, by the documentation and the WSL kernel. Windows was not observed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import Caller, new_caller
from tracekmt import codec
from tracekmt.calls import calls_of_build
from tracekmt.codec.memory import Arena, Recorded


@pytest.fixture
def caller() -> Caller:
    return new_caller()


def test_a_native_fence_is_signalled_waited_for_and_destroyed_like_others(caller: Caller) -> None:
    info = {"InitialFenceValue": 3}
    created = caller.outputs("CreateNativeFence", hDevice=caller.device, Info=info)
    mapping = created["Info"]["NativeFenceMapping"]
    assert all(mapping[name] for name in ("CurrentValueCpuVa", "CurrentValueGpuVa", "MonitoredValueGpuVa"))
    fence = {"hDevice": caller.device, "ObjectHandleArray": [created["hSyncObject"]]}
    assert caller.status("SignalSynchronizationObjectFromCpu", {**fence, "FenceValueArray": [2]}) == "INVALID_PARAMETER"
    assert caller.status("SignalSynchronizationObjectFromCpu", {**fence, "FenceValueArray": [5]}) == "SUCCESS"
    assert caller.status("WaitForSynchronizationObjectFromCpu", {**fence, "FenceValueArray": [5]}) == "SUCCESS"
    destroy = {"hSyncObject": created["hSyncObject"]}
    assert caller.status("DestroySynchronizationObject", destroy) == "SUCCESS"
    assert caller.status("DestroySynchronizationObject", destroy) == "INVALID_PARAMETER"


def test_a_fence_of_local_memory_has_no_cpu_address(caller: Caller) -> None:
    info = {"Type": "D3DDDI_NATIVEFENCE_TYPE_INTRA_GPU"}
    mapping = caller.outputs("CreateNativeFence", hDevice=caller.device, Info=info)["Info"]["NativeFenceMapping"]
    assert not mapping["CurrentValueCpuVa"]
    assert mapping["CurrentValueGpuVa"]


def test_refused_native_fences(caller: Caller) -> None:
    for inputs in (
        {"hDevice": 0},
        {"hDevice": caller.device, "Info": {"Flags": ["NtSecuritySharing"]}},
        {"hDevice": caller.device, "Info": {"Flags": ["CrossAdapter"], "Type": "D3DDDI_NATIVEFENCE_TYPE_INTRA_GPU"}},
    ):
        assert caller.status("CreateNativeFence", inputs) == "INVALID_PARAMETER"


def test_a_native_fence_is_opened_in_another_process(caller: Caller) -> None:
    info = {"InitialFenceValue": 9, "Flags": ["Shared", "NtSecuritySharing"]}
    created = caller.outputs("CreateNativeFence", hDevice=caller.device, Info=info)
    handle = caller.nt_handle(created["hSyncObject"])
    opened = caller.outputs("OpenNativeFenceFromNtHandle", hDevice=caller.device, hNtHandle=handle)
    assert opened["NativeFenceMapping"]["CurrentValueCpuVa"]
    fence = {"hDevice": caller.device, "ObjectHandleArray": [opened["hSyncObject"]], "FenceValueArray": [8]}
    assert caller.status("SignalSynchronizationObjectFromCpu", fence) == "INVALID_PARAMETER", "below the shared value"
    other = caller.nt_handle(caller.resource("CreateShared", "NtSecuritySharing")["hResource"])
    wrong = {"hDevice": caller.device, "hNtHandle": other}
    assert caller.status("OpenNativeFenceFromNtHandle", wrong) == "OBJECT_TYPE_MISMATCH"


def test_the_form_of_an_earlier_build_creates_the_same_fence(caller: Caller) -> None:
    spec, arena = calls_of_build(22000)["D3DKMTCreateNativeFence"], Arena("x64", 1)
    arguments = codec.encode(spec, "x64", arena, {"hDevice": caller.device, "Info": {"InitialFenceValue": 3}})
    before = Recorded(arena.regions())
    assert caller.simulator.invoke(spec, "x64", arena, arguments).rule is None
    outputs: Any = codec.decode(spec, "x64", arena, arguments, before)
    info = outputs["Info"]
    assert info["hSyncObject"]
    assert info["NativeFenceMapping"]["CurrentValueCpuVa"]


def test_doorbells(caller: Caller) -> None:
    hw_context = caller.outputs("CreateHwContext", hDevice=caller.device)["hHwContext"]
    queue = caller.outputs("CreateHwQueue", hHwContext=hw_context, Flags=["UserModeSubmission"])["hHwQueue"]
    ring = caller.resource()["pAllocationInfo2"][0]["hAllocation"]
    create = {"hHwQueue": queue, "hRingBuffer": ring, "PrivateDriverData": b"ring"}
    created = caller.outputs("CreateDoorbell", **create)
    doorbell = created["hDoorbell"]
    assert all(created[f"Doorbell{name}CPUVirtualAddress"] for name in ("", "Secondary", "Status"))
    assert caller.status("CreateDoorbell", {**create, "PrivateDriverData": bytes(17)}) == "INVALID_PARAMETER"
    assert caller.status("CreateDoorbell", {**create, "hHwQueue": ring}) == "INVALID_PARAMETER"
    for name in ("ConnectDoorbell", "ConnectDoorbell", "NotifyWorkSubmission", "DestroyDoorbell"):
        assert caller.status(name, {"hDoorbell": doorbell}) == "SUCCESS"
    assert caller.status("DestroyDoorbell", {"hDoorbell": doorbell}) == "INVALID_PARAMETER"
    last = caller.outputs("CreateDoorbell", **create)["hDoorbell"]
    caller.outputs("DestroyHwQueue", hHwQueue=queue)
    assert caller.status("ConnectDoorbell", {"hDoorbell": last}) == "INVALID_PARAMETER", "destroyed with its queue"


def test_a_feature_is_known_if_its_id_is_declared(caller: Caller) -> None:
    feature = "DXGK_FEATURE_NATIVE_FENCE"
    known = caller.outputs("IsFeatureEnabled", hAdapter=caller.adapter, FeatureId=feature)
    assert [bit.name for bit in known["Result"]["Value"]] == ["KnownFeature"]
    unknown = caller.outputs("IsFeatureEnabled", hAdapter=caller.adapter, FeatureId=0x0FFFFFFF)
    assert not unknown["Result"]["Value"]
    assert caller.status("IsFeatureEnabled", {"hAdapter": 0, "FeatureId": feature}) == "SUCCESS", "a global feature"
    assert caller.status("IsFeatureEnabled", {"hAdapter": 0x40, "FeatureId": feature}) == "INVALID_PARAMETER"
    wsl = new_caller(profile="wsl")
    assert wsl.status("IsFeatureEnabled", {"hAdapter": 0, "FeatureId": feature}) == "INVALID_PARAMETER"
