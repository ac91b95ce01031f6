"""What a machine's thunks say of it: its adapters, their drivers, the memory that is taken."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tracekmt.calls import CALLS
from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.codec import Unreadable, json_form, look_up, to_json
from tracekmt.codec.luid import Luid
from tracekmt.objects.adapters import version_text
from tracekmt.spec.layout import measure
from tracekmt.spec.types import CallSpec, Payload, Struct
from tracekmt.thunks.library import Library

BUILD = ("KMTQAITYPE_UMD_DRIVER_VERSION", "KMTQAITYPE_KMD_DRIVER_VERSION")
"""The answers that tell one build of a driver from another."""

MOST_ADAPTERS = 64
DISPLAYS = 16
"""Displays that are asked for by name."""


@dataclass(frozen=True)
class HostAdapter:
    """An adapter of the machine: its LUID (LowPart, HighPart), and its answers to the questions that say which adapter
    and which driver it is, by the question."""

    luid: Luid
    told: Mapping[str, Any]

    def __str__(self) -> str:
        return str(self.luid)


def adapters(library: Library) -> list[HostAdapter]:
    """The adapters that the thunks list; none where they list none. Nothing stays open."""
    found = []
    for entry in _listed(library):
        handle, luid = _number(entry, "hAdapter"), _luid(entry)
        if luid is not None:
            found.append(HostAdapter(luid, identity(library, handle)))
        close_adapter(library, handle)
    return found


def _listed(library: Library) -> list[Any]:
    newer, older = CALLS["D3DKMTEnumAdapters2"], CALLS["D3DKMTEnumAdapters"]
    if library.has(newer.name):
        status, outputs = library.ask(newer, {"NumAdapters": 0})
        count = min(_number(outputs, "NumAdapters"), MOST_ADAPTERS)
        if status.succeeded and count:
            status, outputs = library.ask(newer, {"pAdapters": [{}] * count})
            return _list(outputs, "pAdapters")[: _number(outputs, "NumAdapters")] if status.succeeded else []
    if library.has(older.name):
        status, outputs = library.ask(older, {})
        return _list(outputs, "Adapters") if status.succeeded else []
    return []


# A library may answer anything, and lead anywhere.
def _number(outputs: Any, name: str) -> int:
    value = look_up(outputs, name)
    return value if isinstance(value, int) else 0


def _list(outputs: Any, name: str) -> list[Any]:
    value = look_up(outputs, name)
    return value if isinstance(value, list) else []


def _luid(outputs: Any) -> Luid | None:
    return Luid.from_value(look_up(outputs, "AdapterLuid"))


def open_adapter(library: Library, luid: Luid) -> int | None:
    """A handle to an adapter; None where it cannot be opened."""
    call = CALLS["D3DKMTOpenAdapterFromLuid"]
    if not library.has(call.name):
        return None
    status, outputs = library.ask(call, {"AdapterLuid": luid.to_value()})
    return _number(outputs, "hAdapter") if status.succeeded else None


def display_names(library: Library) -> dict[Luid, str]:
    """The first display of each adapter that has one, by the name that GDI has for it."""
    call = CALLS["D3DKMTOpenAdapterFromGdiDisplayName"]
    names: dict[Luid, str] = {}
    for number in range(1, DISPLAYS + 1) if library.has(call.name) else ():
        name = rf"\\.\DISPLAY{number}"
        status, outputs = library.ask(call, {"DeviceName": name})
        luid = _luid(outputs)
        if status.succeeded and luid is not None:
            names.setdefault(luid, name)
            close_adapter(library, _number(outputs, "hAdapter"))
    return names


def close_adapter(library: Library, handle: int) -> None:
    """Give a handle to an adapter back."""
    call = CALLS["D3DKMTCloseAdapter"]
    if library.has(call.name):
        library.ask(call, {"hAdapter": handle})


def create_device(library: Library, adapter: int) -> int | None:
    """A new device; None where there is none to be had."""
    call = CALLS["D3DKMTCreateDevice"]
    if not library.has(call.name):
        return None
    status, outputs = library.ask(call, {"hAdapter": adapter})
    return _number(outputs, "hDevice") if status.succeeded else None


def identity(library: Library, adapter: int) -> dict[str, Any]:
    """What an adapter answers to the questions that say which one it is."""
    call = CALLS["D3DKMTQueryAdapterInfo"]
    told: dict[str, Any] = {}
    for number, name, case in _questions(call) if library.has(call.name) else ():
        asked = {"hAdapter": adapter, "Type": number, "pPrivateDriverData": bytes(measure(case, library.abi)[0])}
        status, outputs = library.ask(call, asked)
        answer = look_up(outputs, "pPrivateDriverData")
        if status.succeeded and answer is not None and not isinstance(answer, (bytes, Unreadable)):
            told[name] = to_json(case, answer) if isinstance(case, Struct) else json_form(case, answer)
    return told


def _questions(call: CallSpec) -> Iterator[tuple[int, str, Any]]:
    payload = call.argument.field("pPrivateDriverData").type
    assert isinstance(payload, Payload)
    return (case for case in payload.cases if case[1] in IDENTITY)


def memory_used(library: Library, adapter: int) -> int | None:
    """Bytes of the adapter's memory, its own and what it shares, that the process there has taken; None where nobody
    can tell."""
    call = CALLS["D3DKMTQueryVideoMemoryInfo"]
    if not library.has(call.name):
        return None
    used = None
    for group in (0, 1):
        status, outputs = library.ask(call, {"hAdapter": adapter, "MemorySegmentGroup": group})
        if status.succeeded:
            used = (used or 0) + _number(outputs, "CurrentUsage")
    return used


def another_build(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """How the drivers that told these things differ; None where they do not, or do not say enough."""
    for question in BUILD:
        if question in mine and question in theirs and mine[question] != theirs[question]:
            return f"{_said(mine[question])} against {_said(theirs[question])}"
    return None


def _said(answer: Any) -> str:
    (value,) = answer.values() if isinstance(answer, Mapping) and len(answer) == 1 else (answer,)
    return version_text(int(value)) if str(value).isdigit() else str(value)


def system() -> str:
    """This system and its build, in a line."""
    return f"{platform.system()} {platform.release()} {platform.version()} {platform.machine()}"
