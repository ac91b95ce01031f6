"""Device contexts over memory, with the answers of Windows in Wine's conformance test."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.machine import Caller, new_caller

VALID: dict[str, Any] = {
    "pMemory": 0x10000,
    "Format": "D3DDDIFMT_X8R8G8B8",
    "Width": 9,
    "Height": 7,
    "Pitch": 48,
    "hDeviceDc": 0x210100C8,
}


@pytest.fixture
def caller() -> Caller:
    return new_caller()


@pytest.mark.parametrize(
    "fields",
    [{"pMemory": None}, {"Height": 0}, {"Pitch": 0}, {"hDeviceDc": 0}, *({"Format": number} for number in (0, 32, 50))],
)
def test_invalid_fields(caller: Caller, fields: dict[str, Any]) -> None:
    result = caller("CreateDCFromMemory", {**VALID, **fields, "hDc": 0x1234})
    assert result.status.name == "STATUS_INVALID_PARAMETER"
    assert result.outputs["hDc"] == 0x1234


@pytest.mark.parametrize("name", ["R8G8B8", "A8R8G8B8", "X8R8G8B8", "R5G6B5", "X1R5G5B5", "A1R5G5B5", "P8"])
def test_formats_of_gdi(caller: Caller, name: str) -> None:
    created = caller.outputs("CreateDCFromMemory", **{**VALID, "Format": f"D3DDDIFMT_{name}"})
    assert created["hDc"]
    assert created["hBitmap"]


def test_both_are_destroyed_once(caller: Caller) -> None:
    created = caller.outputs("CreateDCFromMemory", **VALID)
    both = {name: created[name] for name in ("hDc", "hBitmap")}
    assert caller.status("DestroyDCFromMemory", {**both, "hBitmap": both["hDc"]}) == "INVALID_PARAMETER"
    assert caller.status("DestroyDCFromMemory", both) == "SUCCESS"
    assert caller.status("DestroyDCFromMemory", both) == "INVALID_PARAMETER"
    for name in ("CreateDCFromMemory", "DestroyDCFromMemory"):
        assert caller.simulator.call(f"D3DKMT{name}", None).status.name == "STATUS_INVALID_PARAMETER"
