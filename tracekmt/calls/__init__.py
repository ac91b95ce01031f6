"""Descriptions of the D3DKMT functions, one module per family.

Data only: recording, decoding, simulation, comparison and documentation of a call are derived from its description.
A module of this package that sets FAMILY registers the descriptions in its CALLS.
"""

from __future__ import annotations

import importlib
import pkgutil

from tracekmt.spec.dsl import in_, parameters
from tracekmt.spec.types import CallSpec, RawWindow


def _collect_families() -> dict[str, tuple[CallSpec, ...]]:
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {module.FAMILY: module.CALLS for module in modules if hasattr(module, "FAMILY")}


FAMILIES: dict[str, tuple[CallSpec, ...]] = _collect_families()
CALLS: dict[str, CallSpec] = {spec.name: spec for specs in FAMILIES.values() for spec in specs}

EXPORT_PREFIXES = ("D3DKMT", "NtGdiDdDDI")
"""Name prefixes of the interface's exports, described or not."""

INTERFACE = {
    "functions": EXPORT_PREFIXES[0],
    "calls": EXPORT_PREFIXES[1],
    "callsIn": "win32u.dll",
    "system": ["gdi32", "gdi32full", "dxcore"],
}
"""Location of the functions on Windows. Exports of `system` call a system call stub in win32u under another name."""

RAW_ARGUMENTS = 4
RAW_WINDOW = 256


def raw_call(name: str) -> CallSpec:
    """Describe an undescribed export: its arguments, and the first bytes each may point to."""
    window = RawWindow("ULONG_PTR", RAW_WINDOW)
    arguments = [in_(f"argument{number}", window) for number in range(RAW_ARGUMENTS)]
    return CallSpec(name, parameters(name, *arguments), sources=("not described",), raw=True)


def family_of(name: str) -> str:
    """Return the family of a described function.

    Raises:
        KeyError: The function is not described.
    """
    for family, specs in FAMILIES.items():
        if any(spec.name == name for spec in specs):
            return family
    raise KeyError(name)
