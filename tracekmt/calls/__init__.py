"""Descriptions of the D3DKMT functions, one module per family.

Data only: recording, decoding, simulation, comparison and documentation of a call are derived from its description.
A module of this package that sets FAMILY registers the descriptions in its CALLS.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache, lru_cache

from tracekmt.spec.dsl import in_, parameters
from tracekmt.spec.forms import for_build
from tracekmt.spec.serial import to_data
from tracekmt.spec.types import Abi, CallSpec, RawWindow


def _collect_families() -> dict[str, tuple[CallSpec, ...]]:
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {module.FAMILY: module.CALLS for module in modules if hasattr(module, "FAMILY")}


DESCRIPTIONS = _collect_families()
"""The descriptions with the fields of all builds, by family."""

LAYOUT_BUILDS = (0, 20348, 22000, 26100)
"""The first Windows builds with the present layouts of some structure. 0 has the layouts before all changes."""

WSL_BUILD = 22000
"""Build with the layouts of WSL's headers (libdxg declares WDDM 3.0)."""


def layout_build(build: int | None, abi: Abi) -> int:
    """Return the first build with the same layouts as a build: one of LAYOUT_BUILDS.

    Args:
        build: Build of Windows. None if it is unknown, which means the latest layouts.
        abi: ABI of the process. Programs of WSL have the layouts of its headers.
    """
    if abi == "wsl":
        build = WSL_BUILD
    return max(first for first in LAYOUT_BUILDS if build is None or first <= build)


@cache
def calls_of_build(build: int) -> dict[str, CallSpec]:
    """Return the descriptions with the layouts of one of LAYOUT_BUILDS, by function."""
    return {spec.name: for_build(spec, build) for specs in DESCRIPTIONS.values() for spec in specs}


CALLS: dict[str, CallSpec] = calls_of_build(LAYOUT_BUILDS[-1])
"""The descriptions with the latest layouts, by function."""

FAMILIES: dict[str, tuple[CallSpec, ...]] = {
    family: tuple(CALLS[spec.name] for spec in specs) for family, specs in DESCRIPTIONS.items()
}


BY_NAME: dict[str, CallSpec] = {name.removeprefix("D3DKMT"): spec for name, spec in CALLS.items()} | CALLS
"""The same descriptions by function, with and without the prefix of the names."""


def full_name(name: str) -> str:
    """Return the name of a described function with its prefix. Any other text is returned as it is."""
    return BY_NAME[name].name if name in BY_NAME else name


def forms(name: str) -> dict[int, CallSpec]:
    """Return the descriptions of a function that differ, each by the first build with it, oldest first.

    Raises:
        KeyError: The function is not described.
    """
    found: dict[int, CallSpec] = {}
    for build in LAYOUT_BUILDS:
        spec = calls_of_build(build)[name]
        if spec not in found.values():
            found[build] = spec
    return found


@lru_cache(maxsize=1024)
def form_like(spec: CallSpec) -> CallSpec | None:
    """Return the form of a described function that equals another description, such as one in a trace.

    Returns:
        The latest form if none is equal. None if the function is not described.
    """
    if spec.name not in CALLS:
        return None
    found = [*reversed(forms(spec.name).values())]
    if len(found) == 1:
        return found[0]
    argument = to_data(spec.argument)
    return next((form for form in found if to_data(form.argument) == argument), found[0])


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
