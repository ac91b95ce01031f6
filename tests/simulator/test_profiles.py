"""Profiles of other systems, machine files, and sizes of allocations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.simulator.machine import HEAP, SENTINEL, Caller, new_caller
from tracekmt.errors import UsageError
from tracekmt.resources import resource
from tracekmt.simulator.model.allocation_size import SizeRule, allocation_size

STANDARD = {
    "pStandardAllocation": HEAP,
    "pAllocationInfo2": [{"pSystemMem": 0x10000}],
    "Flags": ["StandardAllocation", "ExistingSysMem"],
}


def create(caller: Caller, **fields: Any) -> str:
    return caller.status("CreateAllocation2", {"hDevice": caller.device, **fields})


def test_wine_opens_no_adapter_by_a_device_context() -> None:
    assert new_caller(profile="wine").status("OpenAdapterFromHdc", hDc=1) == "NO_MEMORY"
    assert new_caller().status("OpenAdapterFromHdc", hDc=1) == "SUCCESS"


@pytest.mark.parametrize(
    ("fields", "windows", "wsl"),
    [
        ({"pAllocationInfo2": [{}]}, "SUCCESS", "SUCCESS"),
        (STANDARD, "SUCCESS", "SUCCESS"),
        ({"hResource": SENTINEL, "pAllocationInfo2": [{}]}, "INVALID_HANDLE", "INVALID_PARAMETER"),
        ({"Flags": ["CreateResource", "CreateShared"], "pAllocationInfo2": [{}]}, "SUCCESS", "INVALID_PARAMETER"),
        (
            {**STANDARD, "pAllocationInfo2": [{"pSystemMem": 0x10000, "pPrivateDriverData": b"x"}]},
            "SUCCESS",
            "INVALID_PARAMETER",
        ),
        ({"pAllocationInfo2": [{"pSystemMem": 0x10000}, {}]}, "SUCCESS", "INVALID_PARAMETER"),
        ({"pAllocationInfo2": [{}] * 1025}, "SUCCESS", "INVALID_PARAMETER"),
        ({"pAllocationInfo2": [{"pPrivateDriverData": bytes(130 << 10)}]}, "SUCCESS", "BUFFER_TOO_SMALL"),
    ],
)
def test_wsl_refuses_more(fields: dict[str, Any], windows: str, wsl: str) -> None:
    assert create(new_caller(), **fields) == windows
    assert create(new_caller(profile="wsl"), **fields) == wsl


@pytest.mark.parametrize(
    ("more", "windows", "wsl"),
    [(0, "SUCCESS", "SUCCESS"), (1, "INVALID_PARAMETER", "SUCCESS"), (-1, "INVALID_PARAMETER", "INVALID_PARAMETER")],
)
def test_wsl_takes_larger_buffers(more: int, windows: str, wsl: str) -> None:
    shared = ["CreateResource", "CreateShared", "NtSecuritySharing"]
    for profile, expected in (("windows", windows), ("wsl", wsl)):
        caller = new_caller(profile=profile)
        created = caller.outputs(
            "CreateAllocation2", hDevice=caller.device, Flags=shared, pPrivateRuntimeData=b"four", pAllocationInfo2=[{}]
        )
        opened = caller.status(
            "OpenResourceFromNtHandle",
            hDevice=caller.device,
            hNtHandle=caller.nt_handle(created["hResource"]),
            pOpenAllocationInfo2=[{}],
            pPrivateRuntimeData=bytes(4 + more),
            pTotalPrivateDriverDataBuffer=bytes(64),
        )
        assert opened == expected


def test_wsl_limits_the_list_of_make_resident() -> None:
    caller = new_caller(profile="wsl")
    rule = caller("MakeResident", {"AllocationList": [SENTINEL] * 10241}).rule
    assert rule is not None
    assert rule.reason == "NumAllocations is 0 or above 10240"


def test_wsl_lacks_functions() -> None:
    caller = new_caller(profile="wsl")
    assert caller.status("CreateKeyedMutex", {}) == "NOT_SUPPORTED"
    assert caller.status("Lock", hDevice=caller.device) == "NOT_SUPPORTED"
    assert caller.status("OpenNtHandleFromName", {}) == "NOT_SUPPORTED"
    assert caller.status("CreateAllocation", hDevice=caller.device) == "PROCEDURE_NOT_FOUND"
    assert caller.status("DestroyAllocation2", hDevice=caller.device) == "INVALID_PARAMETER"
    assert new_caller().status("DestroyAllocation2", hDevice=caller.device) == "SUCCESS"


@pytest.mark.parametrize(
    ("fields", "windows", "wine"),
    [
        (STANDARD, "SUCCESS", "SUCCESS"),
        ({"pAllocationInfo2": [{}]}, "SUCCESS", "NOT_SUPPORTED"),
        # A real program's way to pass data along: no size, and an address on the stack.
        (
            {
                **STANDARD,
                "pStandardAllocation": {"Type": 1, "ExistingHeapData": {"Size": 0}},
                "pAllocationInfo2": [{"pSystemMem": 0x7FFE0123}],
            },
            "INVALID_PARAMETER",
            "SUCCESS",
        ),
        ({**STANDARD, "pAllocationInfo2": [{}]}, "INVALID_PARAMETER", "INVALID_PARAMETER"),
        ({"hDevice": 0}, "INVALID_PARAMETER", "INVALID_PARAMETER"),
        ({"Flags": ["ExistingSysMem"], "pAllocationInfo2": [{}]}, "INVALID_PARAMETER", "INVALID_PARAMETER"),
    ],
)
def test_wine_takes_one_standard_allocation(fields: dict[str, Any], windows: str, wine: str) -> None:
    assert create(new_caller(), **fields) == windows
    assert create(new_caller(profile="wine"), **fields) == wine


MACHINE = """
profile = "wsl"
system_memory = "1GB"

[[adapters]]
luid = [5, 0]
video_memory = "1MB"
wddm = 2700

[[drivers]]
name = "counts pages"
magic = "abcd"
offset = 2
width = 2
unit = 4096
alignment = 65536
"""


def test_a_machine_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(MACHINE)
    simulator = tracekmt.Simulator(profile=str(path))
    assert [adapter.luid for adapter in simulator.machine.adapters] == [(5, 0)]
    adapter = simulator.call("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 5}}).outputs["hAdapter"]
    device = simulator.call("D3DKMTCreateDevice", {"hAdapter": adapter}).outputs["hDevice"]
    caller = Caller(simulator, adapter, device)

    def pages(number: int) -> list[dict[str, bytes]]:
        return [{"pPrivateDriverData": b"\xab\xcd" + number.to_bytes(2, "little")}]

    assert create(caller, pAllocationInfo2=pages(1)) == "SUCCESS"
    assert simulator.machine.adapters[0].video_memory_used == 65536
    assert create(caller, pAllocationInfo2=pages(240)) == "SUCCESS"
    assert create(caller, pAllocationInfo2=pages(256)) == "SUCCESS", "since WDDM 2, allocations may exceed the budget"
    assert create(caller, pAllocationInfo2=pages(257)) == "GRAPHICS_NO_VIDEO_MEMORY", "none fits that is larger"
    assert create(caller, hResource=SENTINEL, pAllocationInfo2=[{}]) == "INVALID_PARAMETER", "as WSL answers"


def test_options_override_a_file(tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text('video_memory = "1MB"\n')
    assert tracekmt.Simulator(profile=str(path)).machine.adapters[0].video_memory == 1 << 20
    assert tracekmt.Simulator(profile=str(path), video_memory="2MB").machine.adapters[0].video_memory == 2 << 20
    demo = resource("traces", "demo.kmt")
    assert tracekmt.replay(demo).same
    path.write_text('system_memory = "64KB"\n')
    assert not tracekmt.replay(demo, profile=str(path)).same
    assert tracekmt.replay(demo, profile=str(path), system_memory="64GB").findings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profile =", "invalid TOML"),
        ("colour = 1", "unknown machine setting: colour"),
        ('profile = "amiga"', "invalid profile: 'amiga'"),
        ("adapters = 5", "invalid adapters: 5"),
        ("uniques = 0", "invalid uniques: 0 .expected a number from 1 to 3"),
        ("[[drivers]]\nmagic = 'zz'\noffset = 0\nwidth = 4", "expected a table of offset, width"),
        ("[[drivers]]\noffset = 0\nwidth = 9", "width from 1 to 8"),
        ("[[drivers]]\nmagic = 'ab'", "expected a table of offset, width"),
        ('system_memory = "much"', "much"),
    ],
)
def test_an_invalid_machine_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        tracekmt.Simulator(profile=str(path))


def test_a_missing_machine_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        tracekmt.Simulator(profile=str(tmp_path / "machine.toml"))


def test_sizes_of_allocations() -> None:
    rules = [SizeRule("a", b"a", 1, 2, unit=256), SizeRule("any", b"", 0, 4)]
    assert allocation_size(b"a\2\0xx", rules) == 512
    assert allocation_size(b"\x10\0\0\0", rules) == 16
    assert allocation_size(b"a", rules) is None
