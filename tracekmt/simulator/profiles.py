"""What other systems than Windows answer otherwise: small sets of differences over the same rules."""

from __future__ import annotations

from tracekmt.calls import FAMILIES
from tracekmt.simulator.profile import Profile
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules import allocation, sharing
from tracekmt.simulator.sources import WSL

_LIBDXG = "microsoft/libdxg src/d3dkmt-wsl.cpp"
_WINE = "Wine dlls/win32u/d3dkmt.c"
_CREATES = ("D3DKMTCreateAllocation", "D3DKMTCreateAllocation2")


def _not_supported(what: str, source: str) -> ValidationRule:
    return ValidationRule("STATUS_NOT_SUPPORTED", what, lambda request: True, source, "Microsoft source")


def _absent() -> dict[str, ValidationRule]:
    refused = _not_supported("WSL has no such function", _LIBDXG)
    names = [call.name for call in FAMILIES["keyed mutex"]]
    names += ["D3DKMTLock", "D3DKMTUnlock", "D3DKMTOpenNtHandleFromName", "D3DKMTOpenSyncObjectNtHandleFromName"]
    not_exported = ValidationRule(
        "STATUS_PROCEDURE_NOT_FOUND",
        "WSL's library does not export version 1",
        lambda request: True,
        _LIBDXG,
        "Microsoft source",
    )
    return {**dict.fromkeys(names, refused), "D3DKMTCreateAllocation": not_exported}


def _wsl(what: str, broken: object) -> ValidationRule:
    return invalid(what, broken, WSL, "Microsoft source")  # type: ignore[arg-type]


PACKET_SIZE = 128 << 10


def _private_data(request: allocation.CreateAllocation) -> int:
    """Bytes of private data that a creation carries."""
    own = request.args["PrivateRuntimeDataSize"] + request.args["PrivateDriverDataSize"]
    return own + sum(element["PrivateDriverDataSize"] for element in request.elements)


WINDOWS = Profile()

WSL_PROFILE = Profile(
    not_exported=_absent(),
    remove=(allocation.HEAP_SIZE,),
    replace=dict(zip(sharing.EXACT_SIZES, sharing.LEAST_SIZES, strict=True)),
    rules={
        "D3DKMTCreateAllocation2": (
            _wsl("NumAllocations is 0, or above 1024", lambda r: not 0 < r.args["NumAllocations"] <= 1024),
            _wsl("an existing heap's Size is 0", lambda r: "StandardAllocation" in r.flags and not r.heap_size),
            _wsl(
                "CreateShared without NtSecuritySharing",
                lambda r: "CreateShared" in r.flags and "NtSecuritySharing" not in r.flags,
            ),
            _wsl(
                "ExistingSection or CreateProtected",
                lambda r: "ExistingSection" in r.flags or "CreateProtected" in r.flags,
            ),
            _wsl(
                "a standard allocation with private data",
                lambda r: "StandardAllocation" in r.flags and any(e["PrivateDriverDataSize"] for e in r.elements),
            ),
            _wsl(
                "pSystemMem is NULL for some allocations and not for others",
                lambda r: len({bool(element["pSystemMem"]) for element in r.elements}) > 1,
            ),
            _wsl("hResource is no resource of the device", lambda r: r.args["hResource"] and r.resource is None),
            ValidationRule(
                "STATUS_BUFFER_TOO_SMALL",
                "all private data do not fit into one message to the host",
                lambda r: _private_data(r) > PACKET_SIZE,
                _LIBDXG + "; DXG_MAX_VM_BUS_PACKET_SIZE of " + WSL,
                "Microsoft source",
            ),
        ),
        "D3DKMTDestroyAllocation2": (
            _wsl("AllocationCount is above 1024", lambda r: r.args["AllocationCount"] > 1024),
            _wsl("nothing to destroy", lambda r: not r.args["hResource"] and not r.args["AllocationCount"]),
            _wsl("hResource and a list", lambda r: r.args["hResource"] and r.args["AllocationCount"]),
        ),
        "D3DKMTMakeResident": (_wsl("NumAllocations is above 10240", lambda r: r.args["NumAllocations"] > 10240),),
        "D3DKMTShareObjects": (_wsl("more than one object", lambda r: r.args["cObjects"] != 1),),
    },
)

WINE = Profile(
    not_exported={
        "D3DKMTOpenAdapterFromHdc": ValidationRule(
            "STATUS_NO_MEMORY", "Wine does not have it yet", lambda request: True, _WINE, "assumption"
        )
    },
    append={
        name: (
            ValidationRule(
                "STATUS_NOT_SUPPORTED",
                "other allocations than one on existing memory",
                lambda r: "StandardAllocation" not in r.flags or "ExistingSection" in r.flags,
                _WINE,
                "assumption",
            ),
        )
        for name in _CREATES
    },
    remove=(allocation.HEAP_SIZE, allocation.MEMORY_INSIDE_A_PAGE),
    heap_data=False,
)

PROFILES = {"windows": WINDOWS, "wsl": WSL_PROFILE, "wine": WINE}
