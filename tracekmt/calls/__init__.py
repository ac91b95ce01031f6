"""The described functions, one module per family. Data only: everything that records, decodes, simulates, compares
or documents a call derives what it does from here."""

from __future__ import annotations

from tracekmt.calls import adapter, allocation, device
from tracekmt.spec.types import Call

FAMILIES: dict[str, tuple[Call, ...]] = {
    "adapter": adapter.CALLS,
    "device": device.CALLS,
    "allocation": allocation.CALLS,
}

CALLS: dict[str, Call] = {call.name: call for family in FAMILIES.values() for call in family}


def family_of(name: str) -> str:
    """The family that describes a function; KeyError where none does."""
    for family, calls in FAMILIES.items():
        if any(call.name == name for call in calls):
            return family
    raise KeyError(name)
