"""Queries of shared resources that take no device."""

from __future__ import annotations

import pytest

import tracekmt
from tests.simulator.machine import RUNTIME, Caller


@pytest.fixture
def caller() -> Caller:
    """Create a process on the second of two adapters."""
    process = tracekmt.Simulator(adapters=[{}, {"luid": [7, -1]}])
    luid = {"AdapterLuid": {"LowPart": 7, "HighPart": -1}}
    adapter = process.call("D3DKMTOpenAdapterFromLuid", luid).outputs["hAdapter"]
    return Caller(process, adapter, process.call("D3DKMTCreateDevice", {"hAdapter": adapter}).outputs["hDevice"])


def test_the_adapter_of_a_resource(caller: Caller) -> None:
    shared = caller.resource("CreateShared")
    nt = caller.resource("CreateShared", "NtSecuritySharing")
    for handle in ({"hGlobalShare": shared["hGlobalShare"]}, {"hNtHandle": caller.nt_handle(nt["hResource"])}):
        found = caller.outputs("GetSharedResourceAdapterLuid", **handle)["AdapterLuid"]
        assert (found["LowPart"], found["HighPart"]) == (7, -1)
    sync = caller.sync(5, "Shared", "NtSecuritySharing")["hSyncObject"]
    for handle in ({}, {"hGlobalShare": 0x40BAD002}, {"hNtHandle": caller.nt_handle(sync)}):
        assert caller.status("GetSharedResourceAdapterLuid", handle) == "INVALID_PARAMETER"


def test_the_runtime_data_of_a_resource(caller: Caller) -> None:
    call = {"hAdapter": caller.adapter, "hGlobalShare": caller.resource("CreateShared")["hGlobalShare"]}
    read = caller.outputs("GetRuntimeData", **call, pRuntimeData=bytes(8))["pRuntimeData"]
    assert read == RUNTIME + bytes(4)
    assert caller.status("GetRuntimeData", {**call, "pRuntimeData": bytes(3)}) == "INVALID_PARAMETER"
    assert caller.status("GetRuntimeData", {**call, "RuntimeDataSize": 8}) == "INVALID_PARAMETER"
    assert caller.status("GetRuntimeData", {**call, "hAdapter": 5, "pRuntimeData": bytes(8)}) == "INVALID_PARAMETER"
    assert caller.status("GetRuntimeData", {**call, "hGlobalShare": 5}) == "INVALID_PARAMETER"


def test_the_access_to_a_resource(caller: Caller) -> None:
    resource = caller.resource("CreateShared")["hResource"]
    assert caller.status("CheckSharedResourceAccess", hResource=resource, ClientPid=8) == "SUCCESS"
    assert caller.status("CheckSharedResourceAccess", hResource=caller.device, ClientPid=8) == "INVALID_PARAMETER"
