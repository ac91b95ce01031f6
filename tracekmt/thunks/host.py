"""Queries the thunks of a machine for its adapters, their drivers and the memory in use."""

from __future__ import annotations

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

DRIVER_VERSIONS = ("KMTQAITYPE_UMD_DRIVER_VERSION", "KMTQAITYPE_KMD_DRIVER_VERSION")
"""Queries whose answers identify the build of a driver."""

MAX_ADAPTERS = 64
DISPLAYS = 16
"""Number of displays that are queried by name."""


@dataclass(frozen=True)
class HostAdapter:
    """An adapter of the machine.

    Attributes:
        luid: LUID of the adapter.
        answers: Answers to the queries that identify the adapter and its driver, by query.
    """

    luid: Luid
    answers: Mapping[str, Any]

    def __str__(self) -> str:
        return str(self.luid)


def list_adapters(library: Library) -> list[HostAdapter]:
    """Return the adapters that the thunks list. All handles are closed again."""
    adapters = []
    for entry in _enumerate(library):
        handle, luid = _number(entry, "hAdapter"), _luid(entry)
        if luid is not None:
            adapters.append(HostAdapter(luid, query_identity(library, handle)))
        close_adapter(library, handle)
    return adapters


def _enumerate(library: Library) -> list[Any]:
    newer, older = CALLS["D3DKMTEnumAdapters2"], CALLS["D3DKMTEnumAdapters"]
    if library.has(newer.name):
        status, outputs = library.query(newer, {"NumAdapters": 0})
        count = min(_number(outputs, "NumAdapters"), MAX_ADAPTERS)
        if status.succeeded and count:
            status, outputs = library.query(newer, {"pAdapters": [{}] * count})
            return _list(outputs, "pAdapters")[: _number(outputs, "NumAdapters")] if status.succeeded else []
    if library.has(older.name):
        status, outputs = library.query(older, {})
        return _list(outputs, "Adapters") if status.succeeded else []
    return []


# A library may return any value in any field, and any pointer.
def _number(outputs: Any, name: str) -> int:
    value = look_up(outputs, name)
    return value if isinstance(value, int) else 0


def _list(outputs: Any, name: str) -> list[Any]:
    value = look_up(outputs, name)
    return value if isinstance(value, list) else []


def _luid(outputs: Any) -> Luid | None:
    return Luid.from_value(look_up(outputs, "AdapterLuid"))


def open_adapter(library: Library, luid: Luid) -> int | None:
    """Open an adapter. Return None if that fails."""
    spec = CALLS["D3DKMTOpenAdapterFromLuid"]
    if not library.has(spec.name):
        return None
    status, outputs = library.query(spec, {"AdapterLuid": luid.to_value()})
    return _number(outputs, "hAdapter") if status.succeeded else None


def display_names(library: Library) -> dict[Luid, str]:
    """Return the GDI name of the first display of each adapter."""
    spec = CALLS["D3DKMTOpenAdapterFromGdiDisplayName"]
    names: dict[Luid, str] = {}
    for number in range(1, DISPLAYS + 1) if library.has(spec.name) else ():
        name = rf"\\.\DISPLAY{number}"
        status, outputs = library.query(spec, {"DeviceName": name})
        luid = _luid(outputs)
        if status.succeeded and luid is not None:
            names.setdefault(luid, name)
            close_adapter(library, _number(outputs, "hAdapter"))
    return names


def close_adapter(library: Library, handle: int) -> None:
    """Close a handle to an adapter."""
    spec = CALLS["D3DKMTCloseAdapter"]
    if library.has(spec.name):
        library.query(spec, {"hAdapter": handle})


def create_device(library: Library, adapter: int) -> int | None:
    """Create a device. Return None if that fails."""
    spec = CALLS["D3DKMTCreateDevice"]
    if not library.has(spec.name):
        return None
    status, outputs = library.query(spec, {"hAdapter": adapter})
    return _number(outputs, "hDevice") if status.succeeded else None


def query_identity(library: Library, adapter: int) -> dict[str, Any]:
    """Return the answers of an adapter to the queries that identify it and its driver, in JSON form."""
    spec = CALLS["D3DKMTQueryAdapterInfo"]
    answers: dict[str, Any] = {}
    for query_type, name, case in _identity_queries(spec) if library.has(spec.name) else ():
        buffer = bytes(measure(case, library.abi)[0])
        inputs = {"hAdapter": adapter, "Type": query_type, "pPrivateDriverData": buffer}
        status, outputs = library.query(spec, inputs)
        answer = look_up(outputs, "pPrivateDriverData")
        if status.succeeded and answer is not None and not isinstance(answer, (bytes, Unreadable)):
            answers[name] = to_json(case, answer) if isinstance(case, Struct) else json_form(case, answer)
    return answers


def _identity_queries(spec: CallSpec) -> Iterator[tuple[int, str, Any]]:
    payload = spec.argument.field("pPrivateDriverData").type
    assert isinstance(payload, Payload)
    return (case for case in payload.cases if case[1] in IDENTITY)


def memory_used(library: Library, adapter: int) -> int | None:
    """Return the video memory that the process of the library uses on an adapter, local and shared, in bytes.

    None if the thunks do not report it.
    """
    spec = CALLS["D3DKMTQueryVideoMemoryInfo"]
    if not library.has(spec.name):
        return None
    used = None
    for group in (0, 1):
        status, outputs = library.query(spec, {"hAdapter": adapter, "MemorySegmentGroup": group})
        if status.succeeded:
            used = (used or 0) + _number(outputs, "CurrentUsage")
    return used


def compare_drivers(recorded: Mapping[str, Any], host: Mapping[str, Any]) -> str | None:
    """Return both driver versions as text if two adapters have different driver builds.

    None if the versions are equal or unknown.

    Args:
        recorded: Answers of the recorded adapter.
        host: Answers of the adapter of this machine.
    """
    for query in DRIVER_VERSIONS:
        if query in recorded and query in host and recorded[query] != host[query]:
            return f"{_version(recorded[query])}, here {_version(host[query])}"
    return None


def _version(answer: Any) -> str:
    (value,) = answer.values() if isinstance(answer, Mapping) and len(answer) == 1 else (answer,)
    return version_text(int(value)) if str(value).isdigit() else str(value)
