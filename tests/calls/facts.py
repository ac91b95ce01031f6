"""Facts to compare descriptions with: the layouts that a compiler computed from Microsoft's headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FACTS = json.loads((Path(__file__).parent.parent / "data" / "ddi.json").read_text())
FUNCTIONS = {function["name"]: function for function in FACTS["functions"]}
STRUCTS = {**FACTS["structs"], **FACTS["payloads"]}
EARLIER = FACTS["earlier"]
STRUCTS |= {alias: STRUCTS[tag] for alias, tag in FACTS["aliases"].items() if tag in STRUCTS and alias not in STRUCTS}
ENUMS = FACTS["enums"]
# Structures of other system headers. The facts contain only their sizes.
EXTERNAL = {**FACTS["external"], "UNICODE_STRING": [16, 8]}

# Types of pointers in the facts, with the names of the same types in descriptions.
TYPE_NAMES = {"PLARGE_INTEGER": ("LARGE_INTEGER",), "void": ("void *",), "float": ("FLOAT",)}

_POINTER = "the header's note is about the pointer, but the call writes the memory behind it"
_BACK = "the driver may rewrite the bytes (WSL's dxgkrnl copies them back)"
_OPENED = "the header's note is for the driver; for the caller that opens it is an output (documentation)"
_RENDER = "documented as in and out: the requested and the actual size; with RenderKm the buffers are inputs"

# Fields with another direction than the header's note: (structure, field) -> reason.
DIRECTIONS = {
    (struct, field): reason
    for struct, fields, reason in (
        ("D3DDDI_ALLOCATIONINFO", "pPrivateDriverData", _BACK),
        ("D3DDDI_ALLOCATIONINFO2", "pPrivateDriverData", _BACK),
        ("D3DDDI_OPENALLOCATIONINFO", "hAllocation pPrivateDriverData PrivateDriverDataSize", _OPENED),
        ("D3DDDI_OPENALLOCATIONINFO2", "hAllocation pPrivateDriverData PrivateDriverDataSize", _OPENED),
        ("D3DKMT_GETPRESENTHISTORY", "pTokens", _POINTER),
        (
            "D3DKMT_OPENRESOURCE",
            "pOpenAllocationInfo pOpenAllocationInfo2 pPrivateRuntimeData pResourcePrivateDriverData",
            _POINTER,
        ),
        ("D3DKMT_OPENRESOURCE", "pTotalPrivateDriverDataBuffer", _POINTER),
        (
            "D3DKMT_OPENRESOURCEFROMNTHANDLE",
            "pOpenAllocationInfo2 pPrivateRuntimeData pResourcePrivateDriverData pTotalPrivateDriverDataBuffer",
            _POINTER,
        ),
        ("D3DKMT_QUERYRESOURCEINFO", "pPrivateRuntimeData", _POINTER),
        ("D3DKMT_QUERYRESOURCEINFOFROMNTHANDLE", "pPrivateRuntimeData", _POINTER),
        ("D3DKMT_RENDER", "pNewCommandBuffer NewCommandBufferSize pNewAllocationList NewAllocationListSize", _RENDER),
        ("D3DKMT_RENDER", "NewPatchLocationListSize NewCommandBuffer", _RENDER),
        ("D3DKMT_SETQUEUEDLIMIT", "QueuedPresentLimit", "written for D3DKMT_GET_QUEUEDLIMIT_PRESENT"),
    )
    for field in fields.split()
}

_KERNEL_BUFFER = "the kernel allocates the buffer for later calls and returns its address and size"
_FENCE_HANDLE = "a HANDLE; the header's comment is: NT handle to FlipEx fence"
_DUPLICATION = "a duplication has no handle: the source of the adapter names it"
_GPU_WAIT = "the wait is added to a context's commands; the calling thread continues (documentation)"

# Descriptions that contradict their names, and why that is right: (function, path) -> reason.
NAMING = {
    (function, path): reason
    for function, paths, reason in (
        ("D3DKMTCreateContext", "pCommandBuffer pAllocationList pPatchLocationList", _KERNEL_BUFFER),
        ("D3DKMTCreateDevice", "pCommandBuffer pAllocationList pPatchLocationList", _KERNEL_BUFFER),
        ("D3DKMTRender", "pNewCommandBuffer pNewAllocationList pNewPatchLocationList", _KERNEL_BUFFER),
        ("D3DKMTPresent", "PresentHistoryToken.Token.Flip.hSyncObject", _FENCE_HANDLE),
        (
            "D3DKMTSubmitPresentToHwQueue",
            "PrivatePresentData.PresentHistoryToken.Token.Flip.hSyncObject",
            _FENCE_HANDLE,
        ),
        (
            "D3DKMTSubmitPresentBltToHwQueue",
            "PrivatePresentData.PresentHistoryToken.Token.Flip.hSyncObject",
            _FENCE_HANDLE,
        ),
        ("D3DKMTGetPresentHistory", "pTokens[].Token.Flip.hSyncObject", _FENCE_HANDLE),
        ("D3DKMTPresentRedirected", "PresentHistoryToken.Token.Flip.hSyncObject", _FENCE_HANDLE),
        ("D3DKMTCreateOutputDupl", "", _DUPLICATION),
        ("D3DKMTDestroyOutputDupl", "", _DUPLICATION),
        ("D3DKMTWaitForSynchronizationObject", "", _GPU_WAIT),
        ("D3DKMTWaitForSynchronizationObject2", "", _GPU_WAIT),
        ("D3DKMTWaitForSynchronizationObjectFromGpu", "", _GPU_WAIT),
        ("D3DKMTCloseDxCoreDevice", "", "it has no parameters, so there is no handle to destroy"),
    )
    for path in paths.split() or [""]
}

Place = tuple[int, int]


def pair(value: Any) -> Place:
    """Return a fact for x64 and x86."""
    return (value[0], value[1]) if isinstance(value, list) else (value, value)


def is_word(fields: list[dict[str, Any]]) -> bool:
    """Return True if fields are one word of bits, with or without a name for the word."""
    inner = fields[0]["fields"] if len(fields) == 1 and "name" not in fields[0] and "fields" in fields[0] else fields
    return all(
        "bit" in f or f.get("name") == "Value" or ("fields" in f and is_word(f["fields"])) for f in inner
    ) and any("bit" in f or "fields" in f for f in inner)


def named_word(field: dict[str, Any]) -> dict[str, Any] | None:
    """Return the named word in an unnamed union of a word and its bits."""
    if "name" in field or field.get("type") != "union":
        return None
    named = [f for f in field["fields"] if "name" in f]
    return named[0] if len(named) == 1 and all("name" in f or is_word(f["fields"]) for f in field["fields"]) else None


def flat(fields: list[dict[str, Any]], base: Place = (0, 0)) -> Iterator[tuple[str, dict[str, Any], Place]]:
    """Iterate over the named fields with their offsets in both ABIs. Unnamed unions and structures are flattened.

    Bit fields beside other fields are one word, which the descriptions name "Flags".
    """
    members = [field for field in fields if "bit" in field]
    if members and len(members) < len(fields):
        first = members[0]["bit"]
        bit_fields = [{**member, "bit": member["bit"] - first} for member in members]
        fields = [field for field in fields if "bit" not in field]
        fields.append({"name": "Flags", "offset": first // 8, "size": members[0]["storage"], "fields": bit_fields})
    for field in fields:
        offset = pair(field.get("offset", 0))
        place = (base[0] + offset[0], base[1] + offset[1])
        word = named_word(field)
        if word is not None:
            yield word["name"], {**word, "fields": field["fields"]}, place
        elif "name" in field:
            yield field["name"], field, place
        else:
            yield from flat(field["fields"], place)


def bits(fields: list[dict[str, Any]]) -> dict[str, Place]:
    """Return the position and width of the named bits of a word."""
    places: dict[str, Place] = {}
    for field in fields:
        if "bit" in field:
            places[field["name"]] = (field["bit"], field["bits"])
        elif "fields" in field:
            places.update(bits(field["fields"]))
    return places


def inner_fields(field: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of a field's structure or union, which the fact contains or names."""
    fields: list[dict[str, Any]] = field["fields"] if "fields" in field else STRUCTS[field["type"]]["fields"]
    return fields
