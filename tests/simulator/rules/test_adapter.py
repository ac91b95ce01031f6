"""Adapters: every way to open one, enumeration, queries, closing."""

from __future__ import annotations

from typing import Any

import pytest

import tracekmt
from tests.simulator.machine import SENTINEL, Caller, is_local, new_caller

TWO = [{"luid": [1, 0]}, {"luid": [7, -2], "name": r"\\.\DISPLAY2", "device_name": r"\\?\PCI#two"}]
ARRIVAL = r"\\?\PCI#VEN_8086#4#{1CA05180-A699-450A-9A0C-DE4FBE3DDD89}"
DISPLAY_ADAPTER = r"\\?\PCI#VEN_8086#4#{5b45201d-f2f2-4f3b-85bb-30ff1f953599}"


@pytest.mark.parametrize(
    ("name", "inputs", "status"),
    [
        ("OpenAdapterFromGdiDisplayName", {"DeviceName": r"\\.\DISPLAY1"}, "SUCCESS"),
        ("OpenAdapterFromGdiDisplayName", {"DeviceName": r"\\.\display1"}, "SUCCESS"),
        ("OpenAdapterFromGdiDisplayName", {"DeviceName": ""}, "UNSUCCESSFUL"),
        ("OpenAdapterFromGdiDisplayName", {"DeviceName": r"\\.\DISPLAY9"}, "UNSUCCESSFUL"),
        ("OpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, "SUCCESS"),
        ("OpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 2}}, "INVALID_PARAMETER"),
        ("OpenAdapterFromHdc", {"hDc": 0x1234}, "SUCCESS"),
        ("OpenAdapterFromHdc", {"hDc": 0}, "INVALID_PARAMETER"),
        ("OpenAdapterFromDeviceName", {"pDeviceName": ARRIVAL}, "SUCCESS"),
        ("OpenAdapterFromDeviceName", {"pDeviceName": DISPLAY_ADAPTER}, "INVALID_PARAMETER"),
        ("OpenAdapterFromDeviceName", {"pDeviceName": None}, "INVALID_PARAMETER"),
    ],
)
def test_opening(name: str, inputs: dict[str, Any], status: str) -> None:
    caller = Caller(tracekmt.Simulator(), 0, 0)
    result = caller(name, {**inputs, "hAdapter": SENTINEL})
    assert result.status.name == f"STATUS_{status}"
    if status != "SUCCESS":
        assert result.outputs["hAdapter"] == SENTINEL
        return
    assert result.outputs["hAdapter"] == 0x40000000
    assert result.outputs["AdapterLuid"] == {"LowPart": 1, "HighPart": 0}
    assert caller.status("CloseAdapter", hAdapter=0x40000000) == "SUCCESS"
    assert caller(name, inputs).outputs["hAdapter"] == 0x40000040


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("OpenAdapterFromGdiDisplayName", "UNSUCCESSFUL"),
        ("OpenAdapterFromHdc", "ACCESS_VIOLATION"),
        ("OpenAdapterFromDeviceName", "INVALID_PARAMETER"),
        ("EnumAdapters2", "INVALID_PARAMETER"),
        ("CloseAdapter", "INVALID_PARAMETER"),
        ("CreateDevice", "INVALID_PARAMETER"),
        ("DestroyDevice", "INVALID_PARAMETER"),
        ("CreateSynchronizationObject", "INVALID_PARAMETER"),
        ("CreateSynchronizationObject2", "INVALID_PARAMETER"),
        ("CreateKeyedMutex", "INVALID_PARAMETER"),
        ("CreateKeyedMutex2", "INVALID_PARAMETER"),
        ("CreateAllocation", "ACCESS_VIOLATION"),
        ("CreateAllocation2", "ACCESS_VIOLATION"),
    ],
)
def test_null(name: str, status: str) -> None:
    assert tracekmt.Simulator().call(f"D3DKMT{name}", None).status.name == f"STATUS_{status}"


def test_enumeration() -> None:
    caller = new_caller(adapters=TWO)
    assert caller.outputs("EnumAdapters2")["NumAdapters"] == 34
    assert caller.outputs("EnumAdapters3", Filter=["IncludeComputeOnly"])["NumAdapters"] == 34
    for name in ("EnumAdapters2", "EnumAdapters3"):
        assert caller.status(name, NumAdapters=1, pAdapters=[{}]) == "BUFFER_TOO_SMALL"
        listed = caller.outputs(name, NumAdapters=34, pAdapters=[{}] * 34)
        assert listed["NumAdapters"] == 2
        first, second = listed["pAdapters"][:2]
        assert second["hAdapter"] == first["hAdapter"] + 0x40
        assert second["AdapterLuid"] == {"LowPart": 7, "HighPart": -2}
        assert first["NumOfSources"] == 1
        for adapter in (first, second):
            assert caller.status("CloseAdapter", hAdapter=adapter["hAdapter"]) == "SUCCESS"
    listed = caller.outputs("EnumAdapters")
    assert [is_local(adapter["hAdapter"]) for adapter in listed["Adapters"]] == [True, True]


def test_several_adapters() -> None:
    caller = new_caller(adapters=TWO)
    by_name = caller.outputs("OpenAdapterFromGdiDisplayName", DeviceName=r"\\.\DISPLAY2")
    by_path = caller.outputs("OpenAdapterFromDeviceName", pDeviceName=r"\\?\pci#TWO")
    by_luid = caller.outputs("OpenAdapterFromLuid", AdapterLuid={"LowPart": 7, "HighPart": -2})
    for opened in (by_name, by_path, by_luid):
        assert opened["AdapterLuid"] == {"LowPart": 7, "HighPart": -2}
        device = caller.outputs("CreateDevice", hAdapter=opened["hAdapter"])["hDevice"]
        assert caller.status("DestroyDevice", hDevice=device) == "SUCCESS"


@pytest.mark.parametrize("kind", ["KMTQAITYPE_CHECKDRIVERUPDATESTATUS", "KMTQAITYPE_DRIVERVERSION"])
def test_queries(kind: str) -> None:
    caller = new_caller()

    def query(**fields: Any) -> tracekmt.simulator.CallResult:
        return caller("QueryAdapterInfo", {"hAdapter": caller.adapter, "Type": kind, **fields})

    assert query(pPrivateDriverData=None, PrivateDriverDataSize=4).status.name == "STATUS_INVALID_PARAMETER"
    assert query(pPrivateDriverData=bytes(3)).status.name == "STATUS_INVALID_PARAMETER"
    assert query(hAdapter=SENTINEL, pPrivateDriverData=bytes(4)).status.name == "STATUS_INVALID_PARAMETER"
    answered = query(pPrivateDriverData=bytes(4))
    assert answered.status == 0
    info = answered.outputs["pPrivateDriverData"]
    number = int.from_bytes(info, "little") if isinstance(info, bytes) else int(info)
    assert number == (3000 if "VERSION" in kind else 0)
