"""How much of a program's memory lies where a call's argument leads and nothing is copied: memory that an allocation is
to lie on. A replay has to have as much.

It is looked up while events are drained, and stands in the trace as a region of which nothing was wanted but its size.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from tracekmt import codec
from tracekmt.codec import BoundLocation
from tracekmt.codec.memory import Recorded
from tracekmt.spec.paths import structures
from tracekmt.spec.types import Abi, Address, CallSpec, Field
from tracekmt.trace.events import Enter

E = TypeVar("E")


class MemoryMap:
    """The memory of one process, by what the system says of it; nothing where it says nothing."""

    def __init__(self, pid: int) -> None:
        self._maps = Path(f"/proc/{pid}/maps")
        self._known: list[tuple[int, int]] = []

    def annotate_events(self, events: Iterable[E], calls: Mapping[int, CallSpec], layout: Abi) -> Iterator[E | Enter]:
        """The same events, with what lies behind such addresses."""
        looked = False
        for event in events:
            call = calls.get(event.spec_id) if isinstance(event, Enter) else None
            if call is None or not isinstance(event, Enter) or not _has_undescribed_pointer(call):
                yield event
                continue
            found = []
            for address in sorted(_addresses(call, event, layout)):
                self._known = self._known if looked else self._mapped() or self._known
                looked = True
                size = _size(self._known, address)
                found += [(address, size, b"")] if size else []
            yield replace(event, regions=(*event.regions, *found)) if found else event

    def _mapped(self) -> list[tuple[int, int]]:
        """Every stretch of memory that can be written to: where it begins and ends."""
        try:
            lines = self._maps.read_text("utf-8", "replace").splitlines()
        except OSError:
            return []  # the process has ended, or is another's
        spans = (line.split(None, 2)[:2] for line in lines)
        return [(int(span.split("-")[0], 16), int(span.split("-")[1], 16)) for span, may in spans if may[:2] == "rw"]


def _size(spans: list[tuple[int, int]], address: int) -> int:
    """Bytes from an address to the end of the stretch that it lies in; 0 outside of all."""
    at = bisect_right(spans, (address, 1 << 64)) - 1
    return max(spans[at][1] - address, 0) if at >= 0 else 0


@lru_cache(maxsize=1024)
def _has_undescribed_pointer(call: CallSpec) -> bool:
    """Whether a call is given addresses whose memory nothing describes."""
    return any(_given(field) for struct in structures(call.argument) for field in struct.fields())


def _given(field: Field) -> bool:
    type_ = field.type
    ranged = isinstance(type_, Address) and type_.kind is not None and type_.kind.binding == "range"
    return ranged and field.direction == "in"


def _addresses(call: CallSpec, event: Enter, layout: Abi) -> set[int]:
    """Those addresses. Where the argument's form is told by more than its memory, nobody looks."""
    finder = codec.finder(call, layout)
    memory = Recorded(event.regions)
    frame = finder.frame(memory, event.arguments[0]) if finder is not None and event.arguments else None
    if finder is None or frame is None:
        return set()
    places: Iterable[BoundLocation] = finder.places(frame, memory, event.arguments[0]) or ()
    return {place.value for place in places if place.value and _given(place.field)}
