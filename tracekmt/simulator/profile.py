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
        heap_data: True if the kernel informs the driver of standard allocations.
    """

    not_exported: Mapping[str, ValidationRule] = field(default_factory=dict)
    rules: Mapping[str, Sequence[ValidationRule]] = field(default_factory=dict)
    append: Mapping[str, Sequence[ValidationRule]] = field(default_factory=dict)
    replace: Mapping[ValidationRule, ValidationRule] = field(default_factory=dict)
    remove: Sequence[ValidationRule] = ()
    heap_data: bool = True
