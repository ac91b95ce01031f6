"""The described functions, one module per family. Data only: everything that records, decodes, simulates, compares
or documents a call derives what it does from here."""

from __future__ import annotations

from tracekmt.calls import (
    adapter,
    allocation,
    context,
    device,
    escape,
    gpu_va,
    keyed_mutex,
    lock,
    nt_calls,
    paging_queue,
    present,
    residency,
    sharing,
    statistics,
    submission,
    sync,
    video_memory,
)
from tracekmt.spec.dsl import in_, parameters
from tracekmt.spec.types import CallSpec, RawWindow

FAMILIES: dict[str, tuple[CallSpec, ...]] = {
    "adapter": adapter.CALLS,
    "device": device.CALLS,
    "context": context.CALLS,
    "allocation": allocation.CALLS,
    "sharing": sharing.CALLS,
    "residency": residency.CALLS,
    "gpu virtual address": gpu_va.CALLS,
    "paging queue": paging_queue.CALLS,
    "lock": lock.CALLS,
    "synchronization object": sync.CALLS,
    "keyed mutex": keyed_mutex.CALLS,
    "submission": submission.CALLS,
    "present": present.CALLS,
    "video memory": video_memory.CALLS,
    "escape": escape.CALLS,
    "statistics": statistics.CALLS,
    "support": nt_calls.CALLS,
}

CALLS: dict[str, CallSpec] = {call.name: call for family in FAMILIES.values() for call in family}

EXPORT_PREFIXES = ("D3DKMT", "NtGdiDdDDI")
"""What the names of the interface's exports begin with, those included that nobody has described."""

INTERFACE = {
    "functions": EXPORT_PREFIXES[0],
    "calls": EXPORT_PREFIXES[1],
    "callsIn": "win32u.dll",
    "system": ["gdi32", "gdi32full", "dxcore"],
}
"""Where Windows has them: functions of `system` come down to system calls of win32u, by another name."""

RAW_ARGUMENTS = 4
RAW_WINDOW = 256


def raw_call(name: str) -> CallSpec:
    """A function that nobody has described: its arguments as they are, and the beginning of what each may lead to."""
    window = RawWindow("ULONG_PTR", RAW_WINDOW)
    arguments = [in_(f"argument{number}", window) for number in range(RAW_ARGUMENTS)]
    return CallSpec(name, parameters(name, *arguments), sources=("not described",), raw=True)


def family_of(name: str) -> str:
    """The family that describes a function; KeyError where none does."""
    for family, calls in FAMILIES.items():
        if any(call.name == name for call in calls):
            return family
    raise KeyError(name)
