"""Ownership of video present sources, with the answers of Windows in Wine's conformance test."""

from __future__ import annotations

import pytest

from tests.simulator.machine import Caller, new_caller

OK, IN_USE, INVALID = "SUCCESS", "GRAPHICS_VIDPN_SOURCE_IN_USE", "INVALID_PARAMETER"
OCCLUDED = "GRAPHICS_PRESENT_OCCLUDED"
UNOWNED, SHARED, EXCLUSIVE, EXCLUSIVEGDI, EMULATED, UNKNOWN = range(6)


@pytest.fixture
def caller() -> Caller:
    return new_caller()


def request(caller: Caller, device: int, owner_type: int | None) -> str:
    """Request an owner type of source 0, or release all sources. Return the status."""
    inputs = {"hDevice": device}
    if owner_type is not None:
        inputs |= {"pType": [owner_type], "pVidPnSourceId": [0]}  # type: ignore[dict-item]
    return caller.status("SetVidPnSourceOwner", inputs)


def check(caller: Caller) -> str:
    return caller.status("CheckVidPnExclusiveOwnership", {"hAdapter": caller.adapter, "VidPnSourceId": 0})


def create_device(caller: Caller) -> int:
    return int(caller.outputs("CreateDevice", hAdapter=caller.adapter)["hDevice"])


@pytest.mark.parametrize(
    ("before", "requested", "status", "checked"),
    [
        (None, None, OK, OK),
        (None, UNOWNED, OK, OK),
        (None, SHARED, IN_USE, OK),
        (None, EXCLUSIVE, OK, OCCLUDED),
        (None, EXCLUSIVEGDI, INVALID, OK),
        (None, EMULATED, OK, OK),
        (None, UNKNOWN, INVALID, OK),
        (UNOWNED, UNOWNED, OK, OK),
        (UNOWNED, SHARED, IN_USE, OK),
        (UNOWNED, EXCLUSIVE, OK, OCCLUDED),
        (UNOWNED, EMULATED, OK, OK),
        (SHARED, UNOWNED, OK, OK),
        (SHARED, SHARED, IN_USE, OK),
        (SHARED, EXCLUSIVE, OK, OCCLUDED),
        (SHARED, EMULATED, OK, OK),
        (EXCLUSIVE, UNOWNED, OK, OK),
        (EXCLUSIVE, SHARED, INVALID, OCCLUDED),
        (EXCLUSIVE, EXCLUSIVE, OK, OCCLUDED),
        (EXCLUSIVE, EMULATED, INVALID, OCCLUDED),
        (EMULATED, UNOWNED, OK, OK),
        (EMULATED, SHARED, IN_USE, OK),
        (EMULATED, EXCLUSIVE, INVALID, OK),
        (EMULATED, EMULATED, OK, OK),
        (EXCLUSIVE, None, OK, OK),
        (EMULATED, None, OK, OK),
    ],
)
def test_one_device(caller: Caller, before: int | None, requested: int | None, status: str, checked: str) -> None:
    if before is not None:
        request(caller, caller.device, before)
    assert request(caller, caller.device, requested) == status
    assert check(caller) == checked
    assert request(caller, caller.device, None) == OK
    assert check(caller) == OK


@pytest.mark.parametrize(
    ("first", "second", "status", "checked"),
    [
        (UNOWNED, UNOWNED, OK, OK),
        (UNOWNED, SHARED, IN_USE, OK),
        (UNOWNED, EXCLUSIVE, OK, OCCLUDED),
        (UNOWNED, EMULATED, OK, OK),
        (SHARED, EXCLUSIVE, OK, OCCLUDED),
        (SHARED, EMULATED, OK, OK),
        (EXCLUSIVE, UNOWNED, OK, OCCLUDED),
        (EXCLUSIVE, SHARED, IN_USE, OCCLUDED),
        (EXCLUSIVE, EXCLUSIVE, IN_USE, OCCLUDED),
        (EXCLUSIVE, EMULATED, IN_USE, OCCLUDED),
        (EMULATED, UNOWNED, OK, OK),
        (EMULATED, SHARED, IN_USE, OK),
        (EMULATED, EXCLUSIVE, IN_USE, OK),
        (EMULATED, EMULATED, IN_USE, OK),
    ],
)
def test_two_devices(caller: Caller, first: int, second: int, status: str, checked: str) -> None:
    other = create_device(caller)
    request(caller, caller.device, first)
    assert request(caller, other, second) == status
    assert check(caller) == checked


def test_a_release_frees_the_sources_of_its_device_only(caller: Caller) -> None:
    other = create_device(caller)
    assert request(caller, caller.device, EXCLUSIVE) == OK
    assert request(caller, other, None) == OK
    assert check(caller) == OCCLUDED
    assert request(caller, caller.device, None) == OK
    assert check(caller) == OK


def test_the_destruction_of_a_device_frees_its_sources(caller: Caller) -> None:
    owner = create_device(caller)
    assert request(caller, owner, EXCLUSIVE) == OK
    caller.outputs("DestroyDevice", hDevice=owner)
    assert check(caller) == OK
    assert request(caller, caller.device, EXCLUSIVE) == OK


def test_invalid_arguments(caller: Caller) -> None:
    assert caller.status("SetVidPnSourceOwner", {"hDevice": 0}) == INVALID
    for name in ("CheckVidPnExclusiveOwnership", "CheckOcclusion"):
        assert caller.simulator.call(f"D3DKMT{name}", None).status.name == f"STATUS_{INVALID}"
    assert caller.status("CheckVidPnExclusiveOwnership", {"hAdapter": 0}) == INVALID
    assert caller.status("CheckOcclusion", {"hWindow": 0}) == INVALID
    assert caller.status("CheckOcclusion", {"hWindow": 0x10010}) == OK


def test_later_versions(caller: Caller) -> None:
    version_0 = {"hDevice": caller.device, "pType": [EXCLUSIVE], "pVidPnSourceId": [0]}
    version_1 = {"Version0": version_0, "Flags": ["AllowOutputDuplication"]}
    assert caller.status("SetVidPnSourceOwner1", version_1) == OK
    assert check(caller) == OCCLUDED
    released = {"Version1": {"Version0": {**version_0, "pType": [UNOWNED]}}, "pVidPnSourceNtHandles": [0]}
    assert caller.status("SetVidPnSourceOwner2", released) == OK
    assert check(caller) == OK
