"""Address spaces of a GPU: which ranges are in use."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

SPACE_END = 0xE00000000000
"""End of the addresses that the simulator chooses for a call. The kernel's own mappings, such as fences, are behind it.
The adapter defines the real one."""

_FIRST_ADDRESS = 1 << 32
"""First address that is chosen for a call without limits, so that no valid address looks like a 32-bit number."""


@dataclass(eq=False)
class Range:
    """Addresses in use.

    Attributes:
        start: First address.
        end: Address behind the last one.
        is_reserved: True for a range of a reservation, False for a range that a mapping chose or was given.
        is_chosen: True if the simulator chose the address.
    """

    start: int
    end: int
    is_reserved: bool
    is_chosen: bool


class AddressSpace:
    """The ranges in use of one process on one adapter. They do not overlap."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ranges: list[Range] = []
        self._cursors: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._ranges)

    def overlapping(self, start: int, end: int) -> list[Range]:
        """Return the ranges that overlap the addresses from start up to end, in order."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        last = bisect_left(self._starts, end)
        return [range_ for range_ in self._ranges[first:last] if range_.end > start]

    def containing(self, start: int, end: int) -> Range | None:
        """Return the range that contains the addresses from start up to end, or None."""
        position = bisect_right(self._starts, start) - 1
        if position < 0 or self._ranges[position].end < end:
            return None
        return self._ranges[position]

    def choose(self, size: int, minimum: int, maximum: int, alignment: int) -> int | None:
        """Return an unused address, None if no range between the limits is free.

        The search continues behind the last chosen range, so its cost does not grow with the ranges in use.

        Args:
            size: Bytes of the range.
            minimum: Lowest address, 0 for no limit.
            maximum: Address behind the last one that is allowed, 0 for no limit.
            alignment: Multiple in bytes.
        """
        end = min(maximum or SPACE_END, SPACE_END)
        first = _round_up(minimum or (_FIRST_ADDRESS if end > _FIRST_ADDRESS + size else alignment), alignment)
        cursor = self._cursors.get((first, end), first)
        found = self._first_free(size, cursor, end, alignment)
        if found is None and cursor > first:
            found = self._first_free(size, first, end, alignment)
        if found is not None:
            self._cursors[first, end] = found + size
        return found

    def _first_free(self, size: int, start: int, end: int, alignment: int) -> int | None:
        address = _round_up(start, alignment)
        position = max(bisect_right(self._starts, address) - 1, 0)
        while position < len(self._ranges) and self._starts[position] < address + size:
            address = max(address, _round_up(self._ranges[position].end, alignment))
            position += 1
        return address if address + size <= end else None

    def add(self, start: int, size: int, *, is_reserved: bool, is_chosen: bool) -> Range:
        """Use addresses that are free."""
        range_ = Range(start, start + size, is_reserved, is_chosen)
        position = bisect_left(self._starts, start)
        self._starts.insert(position, start)
        self._ranges.insert(position, range_)
        return range_

    def remove(self, start: int, end: int) -> None:
        """Free the addresses from start up to end, which may be parts of ranges."""
        for range_ in self.overlapping(start, end):
            position = bisect_left(self._starts, range_.start)
            del self._starts[position], self._ranges[position]
            kinds = {"is_reserved": range_.is_reserved, "is_chosen": range_.is_chosen}
            if range_.start < start:
                self.add(range_.start, start - range_.start, **kinds)
            if range_.end > end:
                self.add(end, range_.end - end, **kinds)

    def discard(self, range_: Range) -> None:
        """Free a range, if it is still in use as a whole."""
        position = bisect_left(self._starts, range_.start)
        if position < len(self._ranges) and self._ranges[position] is range_:
            del self._starts[position], self._ranges[position]


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
