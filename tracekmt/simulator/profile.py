"""Differences of one system from Windows, as changes of the simulator's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tracekmt.simulator.rule import ValidationRule


@dataclass(frozen=True)
class Profile:
    """Differences of one system from Windows.

    Attributes:
        not_exported: Functions that the system does not have, each with the rule that rejects its calls.
        rules: Rules checked before those of a function.
        append: Rules checked after those of a function.
        replace: Rules that another rule replaces.
        remove: Rules that the system does not have.
        updates_runtime_data: True if an escape can replace the runtime data of a resource.
        heap_data: True if the kernel informs the driver of standard allocations.
        sources: NumOfSources of every adapter. None is that of the adapter's settings.
        lists_exactly: True if a call without a list gets the number of adapters, instead of a sufficient one.
        commits_at_creation: True if an allocation takes video memory when it is created, as before WDDM 2.
        reports_trim: True if a MakeResident that fails writes NumBytesToTrim and NumAllocations.
        returns_reserve_fence: True if ReserveGpuVirtualAddress writes PagingFenceValue.
        locks_without_device: True if Lock2 returns a known address without a look at hDevice.
    """

    not_exported: Mapping[str, ValidationRule] = field(default_factory=dict)
    rules: Mapping[str, Sequence[ValidationRule]] = field(default_factory=dict)
    append: Mapping[str, Sequence[ValidationRule]] = field(default_factory=dict)
    replace: Mapping[ValidationRule, ValidationRule] = field(default_factory=dict)
    remove: Sequence[ValidationRule] = ()
    updates_runtime_data: bool = False
    heap_data: bool = True
    sources: int | None = None
    lists_exactly: bool = False
    commits_at_creation: bool = False
    reports_trim: bool = True
    returns_reserve_fence: bool = True
    locks_without_device: bool = False
