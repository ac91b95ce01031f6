"""What only a driver knows, as far as the simulator needs it: how large an allocation is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracekmt.errors import UsageError

SAMPLE_MAGIC = b"KMTS"
SAMPLE_DATA_SIZE = 16
DEFAULT_SIZE = 64 << 10
"""What an allocation takes whose private data belongs to a driver that nobody has told about."""

KERNEL_RECORD = 512
"""System memory that the kernel's own record of an allocation takes (an assumption)."""


@dataclass(frozen=True)
class SizeRule:
    """Where a driver's private data say how large the allocation is: a number of `width` bytes at `offset`, in units of
    `unit` bytes, rounded up to `alignment`. magic: what the data of this driver begin with."""

    name: str
    magic: bytes
    offset: int
    width: int
    unit: int = 1
    alignment: int = 1

    def size(self, data: bytes) -> int | None:
        """The bytes that an allocation with these data takes; None where they are another driver's."""
        number = data[self.offset : self.offset + self.width]
        if not data.startswith(self.magic) or len(number) < self.width:
            return None
        return -(-int.from_bytes(number, "little") * self.unit // self.alignment) * self.alignment


SAMPLE = SizeRule("sample", SAMPLE_MAGIC, offset=8, width=8)
"""The driver of the samples and of the demo."""


def allocation_size(data: bytes, rules: Sequence[SizeRule]) -> int:
    """The bytes of memory that an allocation with this private data takes."""
    sizes = (rule.size(data) for rule in (*rules, SAMPLE))
    return next((size for size in sizes if size is not None), DEFAULT_SIZE)


def size_rule(settings: Any) -> SizeRule:
    """A rule from its settings; UsageError names what is wrong."""
    if isinstance(settings, SizeRule):
        return settings
    try:
        values = {**settings, "magic": bytes.fromhex(settings.get("magic", ""))}
        rule = SizeRule(**{"name": "unnamed", **values})
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"a driver is a table of name, magic (hex), offset, width, unit, alignment: {error}") from None
    numbers = (rule.offset, rule.width - 1, rule.unit - 1, rule.alignment - 1)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or rule.width > 8:
        raise UsageError(f"driver {rule.name}: offset is from 0 on, width 1 to 8, unit and alignment from 1 on")
    return rule


def heap_data(size: int) -> bytes:
    """What the kernel tells the driver of a standard allocation: a GDI surface as wide as the heap and one line high, a
    texture for several adapters (documentation: D3DKMT_STANDARDALLOCATIONTYPE; WSL2-Linux-Kernel). Width, Height,
    Format, Type, Flags, Pitch."""
    cross_adapter_texture = 7
    return b"".join(each.to_bytes(4, "little") for each in (size, 1, 0, cross_adapter_texture, 0, 0))


def sample_data(size: int, extra: bytes = b"") -> bytes:
    """Private data of the sample driver for an allocation of `size` bytes."""
    return SAMPLE_MAGIC + b"\1\0\0\0" + size.to_bytes(8, "little") + extra
