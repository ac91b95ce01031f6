"""The facts that descriptions are held against: what a compiler read from Microsoft's headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FACTS = json.loads((Path(__file__).parent.parent / "data" / "ddi.json").read_text())
FUNCTIONS = {function["name"]: function for function in FACTS["functions"]}
STRUCTS = {**FACTS["structs"], **FACTS["payloads"]}
STRUCTS |= {alias: STRUCTS[tag] for alias, tag in FACTS["aliases"].items() if tag in STRUCTS and alias not in STRUCTS}
ENUMS = FACTS["enums"]
# Structures of the system's own headers, of which the facts have the sizes alone.
EXTERNAL = {**FACTS["external"], "UNICODE_STRING": [16, 8]}

# Names that stand for one another: what the facts say of a pointer, and what it is called.
TYPE_NAMES = {"PLARGE_INTEGER": ("LARGE_INTEGER",), "void": ("void *",)}

_POINTER = "the header's note is about the pointer; the call writes what it leads to"
_BACK = "the driver may rewrite the bytes (WSL's dxgkrnl copies them back)"
_OPENED = "the header's note is for the driver that is asked; for the caller of an open it is an output (documentation)"
_RENDER = "documented as in and out: what is wanted, and what was given; with RenderKm the buffers are inputs"

# Fields whose direction is not the one that the header notes, and why.
DIRECTIONS = {
    (struct, field): why
    for struct, fields, why in (
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

Place = tuple[int, int]


def pair(value: Any) -> Place:
    """A fact for x64 and x86."""
    return (value[0], value[1]) if isinstance(value, list) else (value, value)


def is_word(fields: list[dict[str, Any]]) -> bool:
    """Whether fields are one word of bits, with or without a name for the whole."""
    inner = fields[0]["fields"] if len(fields) == 1 and "name" not in fields[0] and "fields" in fields[0] else fields
    return all(
        "bit" in f or f.get("name") == "Value" or ("fields" in f and is_word(f["fields"])) for f in inner
    ) and any("bit" in f or "fields" in f for f in inner)


def named_word(field: dict[str, Any]) -> dict[str, Any] | None:
    """The named word in an unnamed union of bits and a whole."""
    if "name" in field or field.get("type") != "union":
        return None
    named = [f for f in field["fields"] if "name" in f]
    return named[0] if len(named) == 1 and all("name" in f or is_word(f["fields"]) for f in field["fields"]) else None


def flat(fields: list[dict[str, Any]], base: Place = (0, 0)) -> Iterator[tuple[str, dict[str, Any], Place]]:
    """Named fields with their offsets in both ABIs, unnamed unions and structures flattened."""
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
    """The named bits of a word: position and width."""
    found: dict[str, Place] = {}
    for field in fields:
        if "bit" in field:
            found[field["name"]] = (field["bit"], field["bits"])
        elif "fields" in field:
            found.update(bits(field["fields"]))
    return found


def inner_fields(field: dict[str, Any]) -> list[dict[str, Any]]:
    """What a field's own structure or union holds, in place or by name."""
    found: list[dict[str, Any]] = field["fields"] if "fields" in field else STRUCTS[field["type"]]["fields"]
    return found
