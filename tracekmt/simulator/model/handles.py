"""The handle table of a process, as the graphics kernel keeps it.

A handle has 32 bits: 6 of instance (always 0), 24 of index, 2 of unique. Fresh slots have unique 1, so handles run
0x40000000, 0x40000040, ...; all local kinds share one table (Wine's conformance test, run on Windows). A freed slot
goes to the end of the free list and is not reused before those ahead of it; the table grows while at least
`RESERVE` slots are free (WSL2-Linux-Kernel drivers/hv/dxgkrnl/hmgr.c).
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

STEP = 0x40
UNIQUES = 3
"""How many generations of a slot are told apart, unless somebody asks for fewer: the two bits without 0."""

GLOBAL = 2
"""The low six bits of a global handle; those of a local one are 0, and are otherwise not looked at."""

GROWTH = 1024
RESERVE = 128
_INDEX_BITS = 24
_UNIQUE_SHIFT = 30

T = TypeVar("T")


class Full(Exception):  # noqa: N818 (the state of a table)
    """Every slot of a handle table is in use."""


class HandleTable:
    """Handles to live objects. `uniques` is how many generations a slot counts before it begins again: on freeing,
    1 becomes 2, 2 becomes 3, 3 becomes 1 (the evident intent of hmgr.c; not verified on Windows)."""

    def __init__(self, uniques: int = UNIQUES) -> None:
        self._uniques = uniques
        self._objects: list[object | None] = []
        self._generation = bytearray()
        self._free: deque[int] = deque()

    def add(self, item: object) -> int:
        """A fresh handle to an object."""
        if len(self._free) <= RESERVE and len(self._objects) < 1 << _INDEX_BITS:
            first = len(self._objects)
            self._objects += [None] * GROWTH
            self._generation += b"\1" * GROWTH
            self._free.extend(range(first, first + GROWTH))
        if not self._free:
            raise Full
        index = self._free.popleft()
        self._objects[index] = item
        return self._generation[index] << _UNIQUE_SHIFT | index * STEP

    def get(self, handle: int, type_: type[T]) -> T | None:
        """The object behind a handle, if it lives and is of that type. Instance bits are not looked at."""
        if handle & STEP - 1 == GLOBAL:
            return None
        index = handle >> 6 & ((1 << _INDEX_BITS) - 1)
        if index < len(self._objects) and self._generation[index] == handle >> _UNIQUE_SHIFT:
            item = self._objects[index]
            if isinstance(item, type_):
                return item
        return None

    @staticmethod
    def plain(handle: int) -> int:
        """A handle as `add` gave it, whatever its instance bits."""
        return handle if handle & STEP - 1 == GLOBAL else handle & ~(STEP - 1)

    def remove(self, handle: int) -> None:
        """End a handle that `add` gave; its slot goes to the end of the free list."""
        index = handle >> 6 & ((1 << _INDEX_BITS) - 1)
        self._objects[index] = None
        self._generation[index] = self._generation[index] % self._uniques + 1
        self._free.append(index)

    def take_back(self, handle: int) -> None:
        """Undo the last `add`: nobody has seen its handle."""
        index = handle >> 6 & ((1 << _INDEX_BITS) - 1)
        self._objects[index] = None
        self._free.appendleft(index)

    def all(self) -> list[object]:
        """Everything that a handle leads to."""
        return [item for item in self._objects if item is not None]

    def __len__(self) -> int:
        return len(self._objects) - len(self._free)


class GlobalHandles:
    """Share handles, one space for the machine: their low six bits are 2 (Wine's conformance test, run on Windows)."""

    def __init__(self) -> None:
        self._objects: dict[int, object] = {}
        self._next = 1 << _UNIQUE_SHIFT | GLOBAL

    def add(self, item: object) -> int:
        """A fresh global handle to an object."""
        handle = self._next
        self._next += STEP
        self._objects[handle] = item
        return handle

    def get(self, handle: int, type_: type[T]) -> T | None:
        """What a global handle leads to, if it is of that type."""
        item = self._objects.get(handle)
        return item if isinstance(item, type_) else None

    def remove(self, handle: int) -> None:
        """End a global handle."""
        del self._objects[handle]

    def __len__(self) -> int:
        return len(self._objects)
