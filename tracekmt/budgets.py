"""Budgets for the memory and the time that reading a trace may take, because a trace may come from a stranger.

A trace beyond a budget is a plain error. `raise_budgets` raises all of them, for the option `--budgets`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from tracekmt.errors import UsageError


@dataclass
class Budgets:
    """The budgets in effect.

    Attributes:
        frame_objects: Objects of one frame. 64 MB of empty maps would take gigabytes.
        metadata_bytes: Unpacked bytes of one frame with a header, a description, a module or an end.
        unpacked_bytes: Unpacked bytes of all frames that one reader reads, beyond those for the size of the file.
        unpacked_bytes_per_byte: Further unpacked bytes for each byte of the file.
        modules: Modules of a trace.
        description_objects: Objects of all descriptions of a trace.
        values: Values of one decoded argument. A structure counts as 8 values more than it has fields.
        value_bytes: Bytes of memory that one decoded argument reads.
    """

    frame_objects: int = 1_000_000
    metadata_bytes: int = 4 << 20
    unpacked_bytes: int = 1 << 30
    unpacked_bytes_per_byte: int = 2000
    modules: int = 1 << 16
    description_objects: int = 1_000_000
    values: int = 3_000_000
    value_bytes: int = 256 << 20


BUDGETS = Budgets()


def raise_budgets(factor: int) -> None:
    """Multiply all budgets.

    Raises:
        UsageError: The factor is less than 1.
    """
    if factor < 1:
        raise UsageError(f"invalid factor of --budgets: {factor} (expected 1 or more)")
    set_budgets(Budgets(*(getattr(Budgets(), field.name) * factor for field in fields(Budgets))))


def set_budgets(budgets: Budgets) -> None:
    """Use other budgets in this process."""
    for field in fields(BUDGETS):
        setattr(BUDGETS, field.name, getattr(budgets, field.name))
