"""Size of the caller's memory behind addresses whose contents no description covers.

Such memory is given to a call, for example as the backing of an allocation, and is not copied. A replay must allocate
at least as much. The size is looked up while events are drained. The trace stores it as a region with a requested
length and no bytes.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from tracekmt import codec
from tracekmt.codec import BoundLocation
from tracekmt.codec.memory import Recorded
from tracekmt.record.process import proc
from tracekmt.record.process.windows_memory import writable_range
from tracekmt.spec.layout import Layout, lay_out
from tracekmt.spec.paths import structures
from tracekmt.spec.types import Abi, Address, CallSpec, Field, Pointer, Struct
from tracekmt.trace.events import Enter

E = TypeVar("E")


class MemoryMap:
    """Writable memory of one process, as the system reports it. Empty where the system reports nothing."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ranges: list[tuple[int, int]] = []

    def annotate_events(self, events: Iterable[E], specs: Mapping[int, CallSpec], abi: Abi) -> Iterator[E | Enter]:
        """Yield the events, with a region for the size of the memory behind each undescribed address.

        Args:
            events: Events in the order of their sequence numbers.
            specs: Descriptions by the ids that events carry.
            abi: Layout of the arguments.
        """
        is_current = False
        for event in events:
            spec = specs.get(event.spec_id) if isinstance(event, Enter) else None
            if spec is None or not isinstance(event, Enter) or not has_undescribed_pointer(spec):
                yield event
                continue
            regions = []
            for address in sorted(_undescribed_addresses(spec, event, abi)):
                if sys.platform == "win32":
                    size = self._windows_size(address)
                else:
                    self._ranges = self._ranges if is_current else self._read_ranges() or self._ranges
                    is_current = True
                    size = _size_behind(self._ranges, address)
                regions += [(address, size, b"")] if size else []
            yield replace(event, regions=(*event.regions, *regions)) if regions else event

    def _windows_size(self, address: int) -> int:
        """Return the number of writable bytes from an address on in a process of Windows."""
        writable = writable_range(self._pid, address)
        return writable[1] - writable[0] if writable is not None else 0

    def _read_ranges(self) -> list[tuple[int, int]]:
        try:
            return proc.writable_ranges(self._pid)
        except OSError:
            return []  # the process has ended, or belongs to another user


def _size_behind(ranges: list[tuple[int, int]], address: int) -> int:
    """Return the number of bytes from an address to the end of its range, 0 outside of all ranges."""
    index = bisect_right(ranges, (address, 1 << 64)) - 1
    return max(ranges[index][1] - address, 0) if index >= 0 else 0


@lru_cache(maxsize=1024)
def has_undescribed_pointer(spec: CallSpec) -> bool:
    """Return True if a call passes addresses whose memory no description covers."""
    return any(_is_undescribed_input(field) for inner in structures(spec.argument) for field in inner.fields())


@lru_cache(maxsize=1024)
def address_places(spec: CallSpec, abi: Abi) -> bytes | None:
    """Return the places of the undescribed addresses of a call, from which the core tells that a call has none.

    Returns:
        For each place five numbers of 32 bits: the offset and the size of a pointer in the argument, the size of the
        structures behind it (0: the address is in the argument itself), the offset and the size of the address. None
        if an address may be elsewhere.
    """
    if not has_undescribed_pointer(spec):
        return b""
    if spec.argument.parameters:
        return None
    layout = lay_out(spec.argument, abi)
    places = [(0, 0, 0, *place) for place in _places_in(layout)]
    covered = {spec.argument}
    for slot in layout.slots:
        type_ = slot.field.type
        if isinstance(type_, Pointer) and isinstance(type_.to, Struct):
            inner = lay_out(type_.to, abi)
            covered.add(type_.to)
            if slot.union is None or not slot.union.by_call or slot.field.name in spec.union_arms:
                places += [(slot.offset, slot.size, inner.size, *place) for place in _places_in(inner)]
    others = (inner for inner in structures(spec.argument) if inner not in covered)
    if any(_is_undescribed_input(field) for inner in others for field in inner.fields()):
        return None
    return b"".join(struct.pack("<5I", *place) for place in places)


def _places_in(layout: Layout) -> list[tuple[int, int]]:
    """Return offset and size of the undescribed addresses in a structure itself."""
    return [(slot.offset, slot.size) for slot in layout.slots if _is_undescribed_input(slot.field)]


def _is_undescribed_input(field: Field) -> bool:
    type_ = field.type
    is_range = isinstance(type_, Address) and type_.kind is not None and type_.kind.binding == "range"
    return is_range and field.direction == "in"


def _undescribed_addresses(spec: CallSpec, event: Enter, abi: Abi) -> set[int]:
    """Return those addresses. A form of the argument that its memory alone does not decide yields none."""
    finder = codec.finder(spec, abi)
    if finder is None or not event.arguments:
        return set()
    locations: Iterable[BoundLocation] = finder.find(Recorded(event.regions), event.arguments[0]) or ()
    return {location.value for location in locations if location.value and _is_undescribed_input(location.field)}
