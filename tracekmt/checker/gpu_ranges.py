"""A check of GPU virtual addresses: ranges that are freed twice, or mapped over each other.

A mapping may lie in a reservation, or in another mapping whose range it replaces (Microsoft documentation:
D3DDDI_MAPGPUVIRTUALADDRESS).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

from tracekmt.checker.rule import Check, misuse
from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.trace.call import TracedCall

_MAP, _RESERVE, _FREE = "D3DKMTMapGpuVirtualAddress", "D3DKMTReserveGpuVirtualAddress", "D3DKMTFreeGpuVirtualAddress"
_PAGE = 4096


class _Range(NamedTuple):
    start: int
    end: int
    call_index: int
    is_mapping: bool

    def overlaps(self, other: _Range) -> bool:
        return self.start < other.end and other.start < self.end

    def contains(self, other: _Range) -> bool:
        return self.start <= other.start and other.end <= self.end


class _Ranges:
    """Live ranges by their starts. Ranges of one kind seldom overlap, so a search looks at neighbours only."""

    def __init__(self) -> None:
        self._by_start: dict[int, _Range] = {}
        self._starts: list[int] = []

    def add(self, range_: _Range) -> None:
        if range_.start not in self._by_start:
            insort(self._starts, range_.start)
        self._by_start[range_.start] = range_

    def pop(self, start: int) -> _Range | None:
        range_ = self._by_start.pop(start, None)
        if range_ is not None:
            del self._starts[bisect_left(self._starts, start)]
        return range_

    def pop_inside(self, range_: _Range) -> bool:
        inside = [live.start for live in self.overlapping(range_) if range_.contains(live)]
        for start in inside:
            self.pop(start)
        return bool(inside)

    def overlapping(self, range_: _Range) -> Iterator[_Range]:
        position = max(bisect_left(self._starts, range_.start) - 1, 0)
        for start in self._starts[position : bisect_left(self._starts, range_.end)]:
            if self._by_start[start].overlaps(range_):
                yield self._by_start[start]


class GpuRanges(Check):
    """Finds ranges of GPU addresses that are freed twice or overlap."""

    def __init__(self) -> None:
        self._mappings, self._reservations = _Ranges(), _Ranges()
        self._freed_by: dict[int, int] = {}

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> Iterator[Finding]:
        """Yield a finding for a range that overlaps another one, or that is free already."""
        if call.name == _FREE:
            yield from self._free(call)
        for identity in destroyed:  # with their allocations
            if identity.kind.binding == "range":
                self._mappings.pop(identity.recorded)
        if call.name in (_MAP, _RESERVE) and call.succeeded and isinstance(call.outputs, dict):
            yield from self._add(call, call.outputs)

    def _free(self, call: TracedCall) -> Iterator[Finding]:
        address = call.number("BaseAddress")
        freed = _Range(address, address + call.number("Size"), call.index, is_mapping=False)
        freed_mappings, freed_reservations = self._mappings.pop_inside(freed), self._reservations.pop_inside(freed)
        if freed_mappings or freed_reservations:
            self._freed_by[address] = call.index
        elif address in self._freed_by:
            message = f"call {self._freed_by[address]} freed the range from 0x{address:x} on"
            yield misuse(call, "GPU range freed twice", message, path="BaseAddress", on=f"gpu address 0x{address:x}")

    def _add(self, call: TracedCall, outputs: dict[str, object]) -> Iterator[Finding]:
        start, is_mapping = outputs.get("VirtualAddress"), call.name == _MAP
        size = call.number("SizeInPages") * _PAGE if is_mapping else call.number("Size")
        if not isinstance(start, int) or not start or not size:
            return
        new, is_chosen = _Range(start, start + size, call.index, is_mapping), call.number("BaseAddress") != 0
        for older in (*self._mappings.overlapping(new), *self._reservations.overlapping(new)):
            may_replace = is_mapping and (not older.is_mapping or is_chosen) and older.contains(new)
            if not may_replace:
                message = f"the range 0x{new.start:x} to 0x{new.end:x} overlaps that of call {older.call_index}"
                on = f"gpu address 0x{new.start:x}"
                yield misuse(call, "GPU ranges overlap", message, path="VirtualAddress", on=on)
                break
        (self._mappings if is_mapping else self._reservations).add(new)
        self._freed_by.pop(start, None)
