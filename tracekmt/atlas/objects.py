"""Names and data of the objects that the cases use."""

from __future__ import annotations

from typing import Any

DATA = bytes(range(64))
NAME = "\\Sessions\\1\\BaseNamedObjects\\tracekmt-atlas"
RESOURCE_NAME, EVENT_NAME, SECTION_NAME = (f"{NAME}-{kind}" for kind in ("resource", "event", "section"))
HEAP: dict[str, Any] = {
    "Flags": ["StandardAllocation", "ExistingSysMem"],
    "pStandardAllocation": {
        "Type": "D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP",
        "ExistingHeapData": {"Size": 0x10000},
    },
}
"""Inputs of a standard allocation in memory of the program."""
PAGES = {"SectionPageProtection": 0x04, "AllocationAttributes": 0x8000000}
"""PAGE_READWRITE and SEC_COMMIT, for sections."""
