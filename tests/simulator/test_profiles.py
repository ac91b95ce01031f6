"""Other systems, machines from files, and drivers that say how large their allocations are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.simulator.machine import HEAP, SENTINEL, Played, play
from tracekmt.errors import UsageError
from tracekmt.resources import resource
from tracekmt.simulator.model.allocation_size import SizeRule, allocation_size

STANDARD = {
    "pStandardAllocation": HEAP,
    "pAllocationInfo2": [{"pSystemMem": 0x10000}],
    "Flags": ["StandardAllocation", "ExistingSysMem"],
}


def create(played: Played, **fields: Any) -> str:
    return played.status("CreateAllocation2", {"hDevice": played.device, **fields})


def test_wine_opens_no_adapter_by_a_device_context() -> None:
    assert play(profile="wine").status("OpenAdapterFromHdc", hDc=1) == "NO_MEMORY"
    assert play().status("OpenAdapterFromHdc", hDc=1) == "SUCCESS"


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
    assert create(play(), **fields) == windows
    assert create(play(profile="wsl"), **fields) == wsl


@pytest.mark.parametrize(
    ("more", "windows", "wsl"),
    [(0, "SUCCESS", "SUCCESS"), (1, "INVALID_PARAMETER", "SUCCESS"), (-1, "INVALID_PARAMETER", "INVALID_PARAMETER")],
)
def test_wsl_takes_larger_buffers(more: int, windows: str, wsl: str) -> None:
    shared = ["CreateResource", "CreateShared", "NtSecuritySharing"]
    for profile, expected in (("windows", windows), ("wsl", wsl)):
        played = play(profile=profile)
        made = played.made(
            "CreateAllocation2", hDevice=played.device, Flags=shared, pPrivateRuntimeData=b"four", pAllocationInfo2=[{}]
        )
        opened = played.status(
            "OpenResourceFromNtHandle",
            hDevice=played.device,
            hNtHandle=played.shared(made["hResource"]),
            pOpenAllocationInfo2=[{}],
            pPrivateRuntimeData=bytes(4 + more),
            pTotalPrivateDriverDataBuffer=bytes(64),
        )
        assert opened == expected


def test_wsl_makes_so_many_resident() -> None:
    played = play(profile="wsl")
    rule = played("MakeResident", {"AllocationList": [SENTINEL] * 10241}).rule
    assert rule is not None
    assert rule.what == "NumAllocations is above 10240"


def test_wsl_lacks_functions() -> None:
    played = play(profile="wsl")
    assert played.status("CreateKeyedMutex", {}) == "NOT_SUPPORTED"
    assert played.status("Lock", hDevice=played.device) == "NOT_SUPPORTED"
    assert played.status("OpenNtHandleFromName", {}) == "NOT_SUPPORTED"
    assert played.status("CreateAllocation", hDevice=played.device) == "PROCEDURE_NOT_FOUND"
    assert played.status("DestroyAllocation2", hDevice=played.device) == "INVALID_PARAMETER"
    assert play().status("DestroyAllocation2", hDevice=played.device) == "SUCCESS"


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
    assert create(play(), **fields) == windows
    assert create(play(profile="wine"), **fields) == wine


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
    played = Played(simulator, adapter, device)

    def pages(number: int) -> list[dict[str, bytes]]:
        return [{"pPrivateDriverData": b"\xab\xcd" + number.to_bytes(2, "little")}]

    assert create(played, pAllocationInfo2=pages(1)) == "SUCCESS"
    assert simulator.machine.adapters[0].video_memory_used == 65536
    assert create(played, pAllocationInfo2=pages(240)) == "SUCCESS"
    assert create(played, pAllocationInfo2=pages(1)) == "GRAPHICS_NO_VIDEO_MEMORY"
    assert create(played, hResource=SENTINEL, pAllocationInfo2=[{}]) == "INVALID_PARAMETER", "as WSL answers"


def test_options_go_before_a_file(tmp_path: Path) -> None:
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
        ("profile =", "is no TOML"),
        ("colour = 1", "colour is no setting of a machine"),
        ('profile = "amiga"', "amiga is no profile"),
        ("adapters = 5", "adapters is a list"),
        ("uniques = 0", "uniques is a number from 1 to 3"),
        ("[[drivers]]\nmagic = 'zz'\noffset = 0\nwidth = 4", "a driver is a table"),
        ("[[drivers]]\noffset = 0\nwidth = 9", "width 1 to 8"),
        ("[[drivers]]\nmagic = 'ab'", "a driver is a table"),
        ('system_memory = "much"', "much"),
    ],
)
def test_files_that_describe_no_machine(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        tracekmt.Simulator(profile=str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        tracekmt.Simulator(profile=str(tmp_path / "machine.toml"))


def test_sizes_of_allocations() -> None:
    rules = [SizeRule("a", b"a", 1, 2, unit=256), SizeRule("any", b"", 0, 4)]
    assert allocation_size(b"a\2\0xx", rules) == 512
    assert allocation_size(b"\x10\0\0\0", rules) == 16
    assert allocation_size(b"a", rules) == 65536
