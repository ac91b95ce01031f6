"""Changes of a recording, as another driver or another version of a program would cause them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from itertools import count
from pathlib import Path

from tracekmt.codec import BoundLocation
from tracekmt.spec.layout import lay_out
from tracekmt.spec.types import POINTER_SIZE
from tracekmt.trace.call import BoundValue, TracedCall
from tracekmt.trace.events import Enter, Leave, Region
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer


class Recording:
    """The events of a trace, to be changed and written.

    Attributes:
        calls: The calls by index.
        events: The events of each call by index. Added calls have larger indexes.
        timeline: Index, and True for a leave event, of every event.
    """

    def __init__(self, path: Path, change: Callable[[TracedCall], tuple[Enter, Leave | None]] | None = None) -> None:
        with Trace(path) as trace:
            self._header, self._specs, self._modules = trace.header, trace.specs, trace.modules
            self.calls = {call.index: call for call in trace.calls()}
            for call in self.calls.values():
                assert call.to_json()  # decoded while the file is open
            self.timeline = list(trace.timeline())
        self.events = {
            index: (call.enter, call.leave) if change is None else change(call) for index, call in self.calls.items()
        }

    def copy(self) -> Recording:
        """Return a recording that can be changed alone."""
        other = copy(self)
        other.events, other.timeline = dict(self.events), list(self.timeline)
        return other

    def write(self, path: Path) -> Path:
        """Write the trace. Indexes of calls are new."""
        writer = Writer(path, self._header, force=True)
        for spec_id, spec in self._specs.items():
            writer.describe(spec_id, spec)
        for module in self._modules:
            writer.module(module)
        numbers = count()
        sequences: dict[int, int] = {}
        for index, is_leave in self.timeline:
            enter, leave = self.events[index]
            if not is_leave:
                sequences[index] = next(numbers)
                writer.events([replace(enter, sequence=sequences[index], index=None)], flush=False)
            elif leave is not None:
                writer.events([replace(leave, sequence=next(numbers), enter=sequences[index])], flush=False)
        writer.end("copied", None)
        writer.close()
        return path

    def order(self) -> list[int]:
        """Return the indexes of the calls in the order of the trace that `write` makes."""
        return [index for index, is_leave in self.timeline if not is_leave]

    def remove(self, index: int) -> None:
        """Take a call out."""
        self.timeline = [event for event in self.timeline if event[0] != index]

    def add(self, index: int, after: int, number: int) -> list[int]:
        """Add copies of a call behind the leave event of another call. Return their indexes."""
        first = max(self.events) + 1
        added = list(range(first, first + number))
        enter, leave = self.events[index]
        thread = self.events[after][0].thread
        for new in added:
            self.events[new] = replace(enter, thread=thread), leave
        place = self.timeline.index((after, True)) + 1
        self.timeline[place:place] = [(new, is_leave) for new in added for is_leave in (False, True)]
        return added

    def move(self, indexes: Iterable[int], after: int) -> None:
        """Move calls behind the leave event of another call."""
        moved = list(indexes)
        self.timeline = [event for event in self.timeline if event[0] not in moved]
        place = self.timeline.index((after, True)) + 1
        self.timeline[place:place] = [(index, is_leave) for index in moved for is_leave in (False, True)]

    def set_status(self, index: int, status: int) -> None:
        """Let a call return another status."""
        enter, leave = self.events[index]
        assert leave is not None
        self.events[index] = enter, replace(leave, result=status)

    def set_input(self, index: int, path: str, change: Callable[[int], int]) -> None:
        """Change a number in the argument of a call."""
        enter, leave = self.events[index]
        call = self.calls[index]
        start, end, _ = lay_out(call.spec.argument, call.abi).span(path)

        def poke(regions: tuple[Region, ...]) -> tuple[Region, ...]:
            changed = []
            for address, wanted, data in regions:
                if address == enter.arguments[0]:
                    number = change(int.from_bytes(data[start:end], "little")).to_bytes(end - start, "little")
                    changed.append((address, wanted, data[:start] + number + data[end:]))
                else:
                    changed.append((address, wanted, data))
            return tuple(changed)

        after = None if leave is None else replace(leave, regions=poke(leave.regions))
        self.events[index] = replace(enter, regions=poke(enter.regions)), after


MOVED = 0x1000_0000
"""Distance between the addresses, and between the handles, of two traces."""


def relocate(region: Region, regions: Iterable[Region], size: int) -> Region:
    """Move a region to another address, with its pointers to regions."""
    address, wanted, data = region
    moved = bytearray(data)
    for at in range(0, len(data) - size + 1, size):
        word = int.from_bytes(data[at : at + size], "little")
        if any(start <= word < start + max(length, 1) for start, length, _ in regions):
            moved[at : at + size] = (word + MOVED).to_bytes(size, "little")
    return address + MOVED, wanted, bytes(moved)


def replace_handles(call: TracedCall, regions: tuple[Region, ...], values: Iterable[BoundValue]) -> tuple[Region, ...]:
    """Replace the handles in memory."""
    blocks = [(address, wanted, bytearray(data)) for address, wanted, data in regions]
    for bound in values:
        if bound.kind is None or bound.kind.binding != "handle" or not bound.value or bound.kind.external:
            continue
        start, size = location_of(call, bound)
        for address, _, data in blocks:
            if 0 <= start - address <= len(data) - size:
                data[start - address : start - address + size] = (bound.value + MOVED).to_bytes(size, "little")
    return tuple((address, wanted, bytes(data)) for address, wanted, data in blocks)


def location_of(call: TracedCall, bound: BoundValue) -> tuple[int, int]:
    """Return the address and the size of a value. A value without an address is a field of the argument."""
    if isinstance(bound, BoundLocation):
        return bound.address, bound.size
    begin, end, _ = lay_out(call.spec.argument, call.abi).span(bound.path)
    return call.enter.arguments[0] + begin, end - begin


def relocate_call(call: TracedCall) -> tuple[Enter, Leave | None]:
    """Move a call to other handles, addresses and to another thread."""
    enter, leave = call.enter, call.leave
    size = POINTER_SIZE[call.abi]
    all_regions = enter.regions + (leave.regions if leave is not None else ())
    addresses = {start for start, _, _ in all_regions}

    def move(regions: tuple[Region, ...], values: Iterable[BoundValue]) -> tuple[Region, ...]:
        return tuple(relocate(region, all_regions, size) for region in replace_handles(call, regions, values))

    arguments = tuple(argument + MOVED if argument in addresses else argument for argument in enter.arguments)
    enter = replace(
        enter, thread=7919 - enter.thread % 1000, arguments=arguments, regions=move(enter.regions, call.bound_inputs)
    )
    if leave is not None:
        leave = replace(leave, regions=move(leave.regions, call.bound_outputs))
    return enter, leave
