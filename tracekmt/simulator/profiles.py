"""Profiles of the systems that the simulator knows, as differences from the rules of Windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracekmt.calls import FAMILIES
from tracekmt.simulator.profile import Profile
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules import allocation, feature, sharing
from tracekmt.simulator.sources import WSL

_LIBDXG = "microsoft/libdxg src/d3dkmt-wsl.cpp"
_WINE = "Wine dlls/win32u/d3dkmt.c"
_CREATE_FUNCTIONS = ("D3DKMTCreateAllocation", "D3DKMTCreateAllocation2")


def _wsl_not_exported() -> dict[str, ValidationRule]:
    not_supported = ValidationRule(
        "STATUS_NOT_SUPPORTED",
        "WSL does not have this function",
        lambda request: True,
        _LIBDXG,
        "Microsoft source",
    )
    names = [spec.name for spec in FAMILIES["keyed mutex"]]
    names += ["D3DKMTLock", "D3DKMTUnlock", "D3DKMTOpenNtHandleFromName", "D3DKMTOpenSyncObjectNtHandleFromName"]
    not_exported = ValidationRule(
        "STATUS_PROCEDURE_NOT_FOUND",
        "WSL's library does not export version 1",
        lambda request: True,
        _LIBDXG,
        "Microsoft source",
    )
    return {**dict.fromkeys(names, not_supported), "D3DKMTCreateAllocation": not_exported}


def _wsl(reason: str, violated: Callable[[Any], Any]) -> ValidationRule:
    return invalid(reason, violated, WSL, "Microsoft source")


PACKET_SIZE = 128 << 10
"""Bytes of the largest message to the host: DXG_MAX_VM_BUS_PACKET_SIZE."""


def _private_data_size(request: allocation.CreateAllocationRequest) -> int:
    """Return the bytes of all private data of a creation."""
    size = request.args["PrivateRuntimeDataSize"] + request.args["PrivateDriverDataSize"]
    return size + sum(element["PrivateDriverDataSize"] for element in request.elements)


WINDOWS = Profile()

WSL_PROFILE = Profile(
    not_exported=_wsl_not_exported(),
    remove=(allocation.HEAP_SIZE,),
    replace=dict(zip(sharing.EXACT_SIZES, sharing.MINIMUM_SIZES, strict=True)),
    sources=0,
    lists_exactly=True,
    reports_trim=False,
    returns_reserve_fence=False,
    locks_without_device=True,
    rules={
        "D3DKMTCreateAllocation2": (
            _wsl("NumAllocations is 0 or above 1024", lambda r: not 0 < r.args["NumAllocations"] <= 1024),
            _wsl("the Size of an existing heap is 0", lambda r: "StandardAllocation" in r.flags and not r.heap_size),
            _wsl(
                "CreateShared without NtSecuritySharing",
                lambda r: "CreateShared" in r.flags and "NtSecuritySharing" not in r.flags,
            ),
            _wsl(
                "ExistingSection or CreateProtected",
                lambda r: "ExistingSection" in r.flags or "CreateProtected" in r.flags,
            ),
            _wsl(
                "StandardAllocation with private driver data of an allocation",
                lambda r: (
                    "StandardAllocation" in r.flags and any(element["PrivateDriverDataSize"] for element in r.elements)
                ),
            ),
            _wsl(
                "pSystemMem is NULL for some allocations only",
                lambda r: len({bool(element["pSystemMem"]) for element in r.elements}) > 1,
            ),
            _wsl("hResource is not a resource of the device", lambda r: r.args["hResource"] and r.resource is None),
            ValidationRule(
                "STATUS_BUFFER_TOO_SMALL",
                "the private data do not fit one message to the host",
                lambda r: _private_data_size(r) > PACKET_SIZE,
                _LIBDXG + "; DXG_MAX_VM_BUS_PACKET_SIZE of " + WSL,
                "Microsoft source",
            ),
        ),
        "D3DKMTDestroyAllocation2": (
            _wsl("AllocationCount is above 1024", lambda r: r.args["AllocationCount"] > 1024),
            _wsl(
                "hResource and AllocationCount are 0",
                lambda r: not r.args["hResource"] and not r.args["AllocationCount"],
            ),
            _wsl("hResource with AllocationCount", lambda r: r.args["hResource"] and r.args["AllocationCount"]),
        ),
        **dict.fromkeys(
            (
                "D3DKMTMakeResident",
                "D3DKMTEvict",
                "D3DKMTOfferAllocations",
                "D3DKMTReclaimAllocations",
                "D3DKMTReclaimAllocations2",
            ),
            (_wsl("NumAllocations is 0 or above 10240", lambda r: not 0 < r.args["NumAllocations"] <= 10240),),
        ),
        "D3DKMTSubmitCommand": (
            _wsl("NumHistoryBuffers is above 1024", lambda r: r.args["NumHistoryBuffers"] > 1024),
            _wsl(
                "private data exceed one message to the host",
                lambda r: r.args["PrivateDriverDataSize"] > PACKET_SIZE,
            ),
        ),
        **dict.fromkeys(
            ("D3DKMTSubmitWaitForSyncObjectsToHwQueue", "D3DKMTSubmitSignalSyncObjectsToHwQueue"),
            (_wsl("ObjectCount is 0 or above 32", lambda r: not 0 < r.args["ObjectCount"] <= 32),),
        ),
        **dict.fromkeys(
            ("D3DKMTQueryVideoMemoryInfo", "D3DKMTChangeVideoMemoryReservation"),
            (_wsl("hProcess is not 0", lambda r: r.args["hProcess"]),),
        ),
        "D3DKMTIsFeatureEnabled": (feature.NO_ADAPTER,),
        "D3DKMTShareObjects": (_wsl("cObjects is not 1", lambda r: r.args["cObjects"] != 1),),
    },
)

WINE = Profile(
    not_exported={
        "D3DKMTOpenAdapterFromHdc": ValidationRule(
            "STATUS_NO_MEMORY", "Wine does not implement this function", lambda request: True, _WINE, "assumption"
        )
    },
    append={
        name: (
            ValidationRule(
                "STATUS_NOT_SUPPORTED",
                "Wine supports allocations on existing system memory only",
                lambda r: "StandardAllocation" not in r.flags or "ExistingSection" in r.flags,
                _WINE,
                "assumption",
            ),
        )
        for name in _CREATE_FUNCTIONS
    },
    remove=(allocation.HEAP_SIZE, allocation.MEMORY_INSIDE_A_PAGE),
    heap_data=False,
    updates_runtime_data=True,
)

WDDM_1 = Profile(commits_at_creation=True)
"""Windows with a driver older than WDDM 2: an allocation takes video memory when it is created."""

PROFILES = {"windows": WINDOWS, "wddm1": WDDM_1, "wsl": WSL_PROFILE, "wine": WINE}
