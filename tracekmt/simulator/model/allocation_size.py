"""Allocation sizes from a driver's private data.

Only a driver knows the size of an allocation. Rules on the private data give the simulator that size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracekmt.errors import UsageError

SAMPLE_MAGIC = b"KMTS"
SAMPLE_DATA_SIZE = 16
DEFAULT_SIZE = 64 << 10
"""Bytes of an allocation whose private data match no rule."""

KERNEL_RECORD = 512
"""Bytes of system memory for the kernel's own record of an allocation (an assumption)."""


@dataclass(frozen=True)
class SizeRule:
    """Location of an allocation's size in a driver's private data.

    Attributes:
        name: Name of the driver, for messages.
        magic: First bytes of the private data of this driver.
        offset: Offset of the number in bytes.
        width: Width of the little-endian number in bytes.
        unit: Bytes that the number counts in.
        alignment: Multiple in bytes to which the size is rounded up.
    """

    name: str
    magic: bytes
    offset: int
    width: int
    unit: int = 1
    alignment: int = 1

    def size(self, private_data: bytes) -> int | None:
        """Return the bytes of an allocation, None if its private data belong to another driver."""
        number = private_data[self.offset : self.offset + self.width]
        if not private_data.startswith(self.magic) or len(number) < self.width:
            return None
        return -(-int.from_bytes(number, "little") * self.unit // self.alignment) * self.alignment


SAMPLE = SizeRule("sample", SAMPLE_MAGIC, offset=8, width=8)
"""Rule for the driver of the samples and of the demo."""


def allocation_size(private_data: bytes, rules: Sequence[SizeRule]) -> int | None:
    """Return the bytes of an allocation by the first rule that matches its private data, None if no rule does."""
    sizes = (rule.size(private_data) for rule in (*rules, SAMPLE))
    return next((size for size in sizes if size is not None), None)


def parse_size_rule(settings: Any) -> SizeRule:
    """Create a rule from its settings.

    Args:
        settings: A rule, or a table with the attributes of `SizeRule`, with `magic` in hex.

    Raises:
        UsageError: A setting is unknown, missing or invalid.
    """
    if isinstance(settings, SizeRule):
        return settings
    try:
        values = {**settings, "magic": bytes.fromhex(settings.get("magic", ""))}
        rule = SizeRule(**{"name": "unnamed", **values})
    except (TypeError, ValueError, AttributeError):
        raise UsageError(
            f"invalid driver: {str(settings)[:40]} "
            "(expected a table of offset, width and optional name, magic in hex, unit, alignment)"
        ) from None
    numbers = (rule.offset, rule.width - 1, rule.unit - 1, rule.alignment - 1)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or rule.width > 8:
        raise UsageError(
            f"invalid driver: {rule.name} (expected offset from 0, width from 1 to 8, unit and alignment from 1)"
        )
    return rule


def heap_data(size: int) -> bytes:
    """Return the private data that the kernel passes to the driver of a standard allocation.

    They describe a GDI surface as wide as the heap and one line high, a texture for several adapters (documentation:
    D3DKMT_STANDARDALLOCATIONTYPE; WSL2-Linux-Kernel). The fields are Width, Height, Format, Type, Flags, Pitch.
    """
    cross_adapter_texture = 7
    return b"".join(number.to_bytes(4, "little") for number in (size, 1, 0, cross_adapter_texture, 0, 0))


def sample_data(size: int, extra: bytes = b"") -> bytes:
    """Return private data of the sample driver for an allocation of `size` bytes."""
    return SAMPLE_MAGIC + b"\1\0\0\0" + size.to_bytes(8, "little") + extra
