"""Locally unique identifiers of adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tracekmt.errors import UsageError


class Luid(NamedTuple):
    """LUID of an adapter, printed as HIGH:LOW in hexadecimal.

    Attributes:
        low_part: LowPart, unsigned.
        high_part: HighPart, signed.
    """

    low_part: int
    high_part: int

    def __str__(self) -> str:
        return f"{self.high_part & 0xFFFFFFFF:x}:{self.low_part:x}"

    def to_value(self) -> dict[str, int]:
        """Return the LUID in the value form."""
        return {"LowPart": self.low_part, "HighPart": self.high_part}

    @classmethod
    def from_value(cls, value: Any) -> Luid | None:
        """Read a LUID in the value form. Return None for any other value."""
        if not isinstance(value, Mapping) or set(value) != {"LowPart", "HighPart"}:
            return None
        low_part, high_part = value["LowPart"], value["HighPart"]
        return cls(low_part, high_part) if isinstance(low_part, int) and isinstance(high_part, int) else None

    @classmethod
    def parse(cls, text: str) -> Luid:
        """Parse HIGH:LOW, or LOW alone, in hexadecimal.

        Raises:
            UsageError: The text is not a LUID.
        """
        high_part, _, low_part = text.rpartition(":")
        try:
            high, low = int(high_part or "0", 16), int(low_part, 16)
            if not (0 <= high < 1 << 32 and 0 <= low < 1 << 32):
                raise ValueError
            return cls(low, high - (1 << 32) if high >= 1 << 31 else high)
        except ValueError:
            raise UsageError(
                f"invalid LUID: {text} (expected HIGH:LOW in hexadecimal, see `tracekmt doctor`)"
            ) from None
