"""NT handles that graphics calls use: one table per process, and the objects with their names."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from tracekmt.simulator.model.shared_objects import SharedObject

STEP = 4
ALL_ACCESS = 0x1FFFFF
CURRENT_PROCESS = (1 << 64) - 1
"""Pseudo handle that GetCurrentProcess returns. The table has no entry for it."""

PSEUDO_HANDLES = frozenset({CURRENT_PROCESS, CURRENT_PROCESS - 1, (1 << 32) - 1, (1 << 32) - 2})
"""Pseudo handles of the current process and the current thread, of both sizes of pointers."""

EXTERNAL_LIMIT = 1 << 24
"""Handles that the simulator did not create are accepted below this value, if they are multiples of four."""

EVENT = "event"
PROCESS = "process"
SECTION = "section"
SHARED_RESOURCE = "shared resource"
SHARED_SYNC_OBJECT = "shared sync object"

Name = str


@dataclass(eq=False)
class NtObject:
    """An object behind NT handles.

    Attributes:
        type: EVENT, PROCESS, SECTION, SHARED_RESOURCE or SHARED_SYNC_OBJECT. An object without rules has the name of
            its kind.
        shared_objects: Shared objects that it keeps alive while a handle is open.
        name: Canonical name, None without one.
        process_id: Id of the process, for the type PROCESS.
        is_foreign: True for an object of another API. Its type is not certain.
        handle_count: Number of open handles.
    """

    type: str
    shared_objects: tuple[SharedObject, ...] = ()
    name: Name | None = None
    process_id: int = 0
    is_foreign: bool = False
    handle_count: int = field(default=0, init=False)


class NtHandleTable:
    """NT handles of a process: multiples of four, the lowest free one first.

    Attributes:
        entries: Object and access of each open handle.
    """

    def __init__(self) -> None:
        self.entries: dict[int, tuple[NtObject, int]] = {}
        self._next = STEP
        self._free: list[int] = []

    def start_at(self, handle: int) -> None:
        """Give new handles from a number on. The table must be empty."""
        self._next = handle

    def add(self, nt_object: NtObject, access: int) -> int:
        """Open a handle to an object, with an access mask."""
        handle = heappop(self._free) if self._free else self._next
        self._next += STEP if handle == self._next else 0
        self.entries[handle] = nt_object, access
        return handle

    def get(self, handle: int) -> NtObject | None:
        """Return the object of a handle, None if the handle is not open."""
        return self.entries[handle][0] if handle in self.entries else None

    def access(self, handle: int) -> int:
        """Return the access mask of an open handle."""
        return self.entries[handle][1]

    def may_be_external(self, handle: int) -> bool:
        """Return True if a part of the system that is not simulated may have created the handle.

        The simulator never returned such a handle.
        """
        return handle not in self.entries and self._next <= handle < EXTERNAL_LIMIT and handle % STEP == 0

    def is_invalid(self, handle: int, type_: str | None = None) -> bool:
        """Return True if a handle is known not to be open.

        Args:
            handle: The handle.
            type_: Type of object that the handle must have. Without it, every type is valid.
        """
        nt_object = self.get(handle)
        if nt_object is None:
            return not self.may_be_external(handle)
        return type_ is not None and nt_object.type != type_ and not nt_object.is_foreign

    def remove(self, handle: int) -> NtObject:
        """Close a handle and return its object."""
        nt_object, _ = self.entries.pop(handle)
        heappush(self._free, handle)
        return nt_object
