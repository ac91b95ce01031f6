"""A check of GPU virtual addresses: ranges that are freed twice, or mapped over each other.

A mapping may lie in a reservation, or in another mapping whose range it replaces (Microsoft documentation:
D3DDDI_MAPGPUVIRTUALADDRESS).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tracekmt.calls.kinds import ADAPTER
from tracekmt.checker.rule import Check, misuse
from tracekmt.codec.luid import Luid
from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import iter_handles
from tracekmt.spec.types import PAGE_SIZE
from tracekmt.trace.call import TracedCall

_MAP, _RESERVE, _FREE = "D3DKMTMapGpuVirtualAddress", "D3DKMTReserveGpuVirtualAddress", "D3DKMTFreeGpuVirtualAddress"


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


class _Space:
    """The GPU addresses of the process on one adapter."""

    def __init__(self) -> None:
        self.mappings, self.reservations = _Ranges(), _Ranges()
        self.freed_by: dict[int, int] = {}


class GpuRanges(Check):
    """Finds ranges of GPU addresses that are freed twice or overlap. Each adapter has other addresses."""

    def __init__(self) -> None:
        # By the adapter: its LUID, or 0 if it is unknown.
        self._spaces: dict[int, _Space] = defaultdict(_Space)
        self._adapters: dict[Identity, int] = {}

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> Iterator[Finding]:
        """Yield a finding for a range that overlaps another one, or that is free already."""
        space = self._spaces[self._adapter_of(call, bindings)]
        for identity in created:
            if identity.kind.binding == "handle":
                self._adapters[identity] = _luid_beside(call, identity) or self._adapter_of(call, bindings)
        if call.name == _FREE:
            yield from _free(call, space)
        for identity in destroyed:  # with their allocations
            if identity.kind.binding == "range":
                space.mappings.pop(identity.recorded)
        if call.name in (_MAP, _RESERVE) and call.succeeded and isinstance(call.outputs, dict):
            yield from _add(call, call.outputs, space)

    def _adapter_of(self, call: TracedCall, bindings: Bindings) -> int:
        """Return the adapter of the first handle of a call that has a known one, 0 without such a handle."""
        if not self._adapters:
            return 0
        for bound, kind in iter_handles(call.bound_inputs):
            identity = bindings.find(kind, bound.value)
            if identity is not None and self._adapters.get(identity):
                return self._adapters[identity]
        return 0


def _luid_beside(call: TracedCall, identity: Identity) -> int:
    """Return the LUID that a call has written for an opened adapter as a number, 0 for other objects."""
    outputs = call.outputs if identity.kind == ADAPTER else None
    for part in identity.path.split(".")[:-1] or [""] if outputs is not None else ():
        name, _, index = part.rstrip("]").partition("[")
        outputs = outputs.get(name, outputs) if isinstance(outputs, dict) else outputs
        outputs = outputs[int(index)] if isinstance(outputs, list) and index else outputs
    luid = Luid.from_value(outputs.get("AdapterLuid")) if isinstance(outputs, dict) else None
    return 0 if luid is None else (luid.high_part & 0xFFFFFFFF) << 32 | luid.low_part


def _free(call: TracedCall, space: _Space) -> Iterator[Finding]:
    address = call.number("BaseAddress")
    freed = _Range(address, address + call.number("Size"), call.index, is_mapping=False)
    is_live = any(True for ranges in (space.mappings, space.reservations) for _ in ranges.overlapping(freed))
    if not is_live and address in space.freed_by:
        message = f"call {space.freed_by[address]} freed the range from 0x{address:x} on"
        yield misuse(call, "GPU range freed twice", message, path="BaseAddress", on=f"gpu address 0x{address:x}")
    if call.succeeded:
        space.freed_by[address] = call.index
        space.mappings.pop_inside(freed)
        space.reservations.pop_inside(freed)


def _add(call: TracedCall, outputs: dict[str, object], space: _Space) -> Iterator[Finding]:
    start, is_mapping = outputs.get("VirtualAddress"), call.name == _MAP
    size = call.number("SizeInPages") * PAGE_SIZE if is_mapping else call.number("Size")
    if not isinstance(start, int) or not start or not size:
        return
    new, is_chosen = _Range(start, start + size, call.index, is_mapping), call.number("BaseAddress") != 0
    mapped, reserved = list(space.mappings.overlapping(new)), list(space.reservations.overlapping(new))
    lies_inside = any(older.contains(new) for older in (*(mapped if is_chosen else ()), *reserved))
    is_free = not mapped and not reserved
    if not is_free and not (is_mapping and lies_inside and (is_chosen or not mapped)):
        older = (*mapped, *reserved)[0]
        message = f"the range 0x{new.start:x} to 0x{new.end:x} overlaps that of call {older.call_index}"
        on = f"gpu address 0x{new.start:x}"
        yield misuse(call, "GPU ranges overlap", message, path="VirtualAddress", on=on)
    (space.mappings if is_mapping else space.reservations).add(new)
    space.freed_by.pop(start, None)
