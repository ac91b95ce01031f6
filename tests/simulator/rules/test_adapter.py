"""Adapters: every way to open one, listing, asking, closing."""

from __future__ import annotations

from typing import Any

import pytest

import tracekmt
from tests.simulator.machine import SENTINEL, Played, is_local, play

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
    played = Played(tracekmt.Simulator(), 0, 0)
    outcome = played(name, {**inputs, "hAdapter": SENTINEL})
    assert outcome.status.name == f"STATUS_{status}"
    if status != "SUCCESS":
        assert outcome.outputs["hAdapter"] == SENTINEL
        return
    assert outcome.outputs["hAdapter"] == 0x40000000
    assert outcome.outputs["AdapterLuid"] == {"LowPart": 1, "HighPart": 0}
    assert played.status("CloseAdapter", hAdapter=0x40000000) == "SUCCESS"
    assert played(name, inputs).outputs["hAdapter"] == 0x40000040


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


def test_listing() -> None:
    played = play(adapters=TWO)
    assert played.made("EnumAdapters2")["NumAdapters"] == 34
    assert played.made("EnumAdapters3", Filter=["IncludeComputeOnly"])["NumAdapters"] == 34
    for name in ("EnumAdapters2", "EnumAdapters3"):
        assert played.status(name, NumAdapters=1, pAdapters=[{}]) == "BUFFER_TOO_SMALL"
        listed = played.made(name, NumAdapters=34, pAdapters=[{}] * 34)
        assert listed["NumAdapters"] == 2
        first, second = listed["pAdapters"][:2]
        assert second["hAdapter"] == first["hAdapter"] + 0x40
        assert second["AdapterLuid"] == {"LowPart": 7, "HighPart": -2}
        assert first["NumOfSources"] == 1
        for each in (first, second):
            assert played.status("CloseAdapter", hAdapter=each["hAdapter"]) == "SUCCESS"
    listed = played.made("EnumAdapters")
    assert [is_local(each["hAdapter"]) for each in listed["Adapters"]] == [True, True]


def test_several_adapters() -> None:
    played = play(adapters=TWO)
    by_name = played.made("OpenAdapterFromGdiDisplayName", DeviceName=r"\\.\DISPLAY2")
    by_path = played.made("OpenAdapterFromDeviceName", pDeviceName=r"\\?\pci#TWO")
    by_luid = played.made("OpenAdapterFromLuid", AdapterLuid={"LowPart": 7, "HighPart": -2})
    for opened in (by_name, by_path, by_luid):
        assert opened["AdapterLuid"] == {"LowPart": 7, "HighPart": -2}
        device = played.made("CreateDevice", hAdapter=opened["hAdapter"])["hDevice"]
        assert played.status("DestroyDevice", hDevice=device) == "SUCCESS"


@pytest.mark.parametrize("kind", ["KMTQAITYPE_CHECKDRIVERUPDATESTATUS", "KMTQAITYPE_DRIVERVERSION"])
def test_asking(kind: str) -> None:
    played = play()

    def ask(**fields: Any) -> tracekmt.simulator.CallResult:
        return played("QueryAdapterInfo", {"hAdapter": played.adapter, "Type": kind, **fields})

    assert ask(pPrivateDriverData=None, PrivateDriverDataSize=4).status.name == "STATUS_INVALID_PARAMETER"
    assert ask(pPrivateDriverData=bytes(3)).status.name == "STATUS_INVALID_PARAMETER"
    assert ask(hAdapter=SENTINEL, pPrivateDriverData=bytes(4)).status.name == "STATUS_INVALID_PARAMETER"
    done = ask(pPrivateDriverData=bytes(4))
    assert done.status == 0
    assert not done.modelled
    told = done.outputs["pPrivateDriverData"]
    number = int.from_bytes(told, "little") if isinstance(told, bytes) else int(told)
    assert number == (3000 if "VERSION" in kind else 0)
