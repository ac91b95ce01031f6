"""NT handles, as far as graphics calls pass them around: a table per process, objects, and their names."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from tracekmt.simulator.model.objects import SharedObject

STEP = 4
CURRENT_PROCESS = (1 << 64) - 1
"""What GetCurrentProcess gives: no handle, but taken for one."""

PLAUSIBLE = 1 << 24
"""Handles of other makers than this simulator are below this, and multiples of four; others are refused."""

Name = str


def canonical_name(text: str) -> Name:
    """A name as names are compared: without regard to case (Wine's conformance test), letter by letter."""
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in text)


@dataclass(eq=False)
class NtObject:
    """What an NT handle leads to. type: "event", "section", "process", "shared resource" or "shared sync object".
    handles: how many lead to it. process: the id of one."""

    type: str
    holds: tuple[SharedObject, ...] = ()
    name: Name | None = None
    process: int = 0
    handles: int = field(default=0, init=False)


class NtTable:
    """The NT handles of a process: multiples of four, the lowest free one first."""

    def __init__(self) -> None:
        self.handles: dict[int, tuple[NtObject, int]] = {}
        self._next = STEP
        self._free: list[int] = []

    def add(self, item: NtObject, access: int) -> int:
        """A handle with some access."""
        handle = heappop(self._free) if self._free else self._next
        self._next += STEP if handle == self._next else 0
        self.handles[handle] = item, access
        return handle

    def get(self, handle: int) -> NtObject | None:
        """What a handle leads to."""
        return self.handles[handle][0] if handle in self.handles else None

    def access(self, handle: int) -> int:
        """What a handle allows."""
        return self.handles[handle][1]

    def may_be_external(self, handle: int) -> bool:
        """Whether a handle may come from a part of the system that is not simulated: it was never given out here."""
        return handle not in self.handles and self._next <= handle < PLAUSIBLE and handle % STEP == 0

    def is_invalid(self, handle: int, type_: str | None = None) -> bool:
        """Whether a handle leads to nothing of a type, as far as can be known here; to nothing at all without one."""
        found = self.get(handle)
        return not self.may_be_external(handle) if found is None else type_ is not None and found.type != type_

    def remove(self, handle: int) -> NtObject:
        """End a handle."""
        item, _ = self.handles.pop(handle)
        heappush(self._free, handle)
        return item
