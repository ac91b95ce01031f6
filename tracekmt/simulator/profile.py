"""Differences of one system from the simulator's rules of Windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tracekmt.simulator.rule import ValidationRule


@dataclass(frozen=True)
class Profile:
    """absent: functions that there are not. rules: looked at before a call's own; behind: after them. instead: what
    stands for some of those. without: what of them does not hold.
    heap_data: whether the kernel tells a driver of standard allocations."""

    not_exported: Mapping[str, ValidationRule] = field(default_factory=dict)
    rules: Mapping[str, Sequence[ValidationRule]] = field(default_factory=dict)
    append: Mapping[str, Sequence[ValidationRule]] = field(default_factory=dict)
    replace: Mapping[ValidationRule, ValidationRule] = field(default_factory=dict)
    remove: Sequence[ValidationRule] = ()
    heap_data: bool = True
