"""Handle table of a process, with the handle values of the graphics kernel.

A handle has 32 bits: 6 of instance (always 0), 24 of index, 2 of unique. Fresh slots have unique 1, so handles run
0x40000000, 0x40000040, ... All local kinds share one table (Wine's conformance test, run on Windows). A freed slot
goes to the end of the free list and is not reused before the slots ahead of it. The table grows while at most
`RESERVE` slots are free (WSL2-Linux-Kernel drivers/hv/dxgkrnl/hmgr.c).
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

STEP = 0x40
UNIQUES = 3
"""Default number of generations of a slot: the values of the two unique bits without 0."""

GLOBAL = 2
"""Low six bits of a global handle. Those of a local handle are 0, and look-ups ignore other values."""

GROWTH = 1024
RESERVE = 128
_INDEX_BITS = 24
_UNIQUE_SHIFT = 30

T = TypeVar("T")


class HandleTableFullError(Exception):
    """Every slot of a handle table is in use."""


class HandleTable:
    """Handles to live objects.

    A free changes the unique of its slot from 1 to 2, from 2 to 3, and from 3 to 1. This is the evident intent of
    hmgr.c, and is not verified on Windows.

    Args:
        uniques: Number of generations that a slot counts before it starts again.
    """

    def __init__(self, uniques: int = UNIQUES) -> None:
        self._uniques = uniques
        self._objects: list[object | None] = []
        self._generation = bytearray()
        self._free: deque[int] = deque()

    def add(self, item: object) -> int:
        """Return a fresh handle to an object.

        Raises:
            HandleTableFullError: Every slot is in use.
        """
        if len(self._free) <= RESERVE and len(self._objects) < 1 << _INDEX_BITS:
            first = len(self._objects)
            self._objects += [None] * GROWTH
            self._generation += b"\1" * GROWTH
            self._free.extend(range(first, first + GROWTH))
        if not self._free:
            raise HandleTableFullError
        index = self._free.popleft()
        self._objects[index] = item
        return self._generation[index] << _UNIQUE_SHIFT | index * STEP

    def get(self, handle: int, type_: type[T]) -> T | None:
        """Return the live object of a handle, None if it has another type. Instance bits are ignored."""
        if handle & STEP - 1 == GLOBAL:
            return None
        index = handle >> 6 & ((1 << _INDEX_BITS) - 1)
        if index < len(self._objects) and self._generation[index] == handle >> _UNIQUE_SHIFT:
            item = self._objects[index]
            if isinstance(item, type_):
                return item
        return None

    @staticmethod
    def without_instance(handle: int) -> int:
        """Return a local handle without its instance bits, as `add` returned it."""
        return handle if handle & STEP - 1 == GLOBAL else handle & ~(STEP - 1)

    def remove(self, handle: int) -> None:
        """Free a handle that `add` returned. Its slot goes to the end of the free list."""
        index = handle >> 6 & ((1 << _INDEX_BITS) - 1)
        self._objects[index] = None
        self._generation[index] = self._generation[index] % self._uniques + 1
        self._free.append(index)

    def undo_add(self, handle: int) -> None:
        """Undo the last `add`, whose handle no caller received."""
        index = handle >> 6 & ((1 << _INDEX_BITS) - 1)
        self._objects[index] = None
        self._free.appendleft(index)

    def objects(self) -> list[object]:
        """Return all live objects."""
        return [item for item in self._objects if item is not None]

    def __len__(self) -> int:
        return len(self._objects) - len(self._free)


class GlobalHandles:
    """Global handles of the machine. Their low six bits are 2 (Wine's conformance test, run on Windows)."""

    def __init__(self) -> None:
        self._objects: dict[int, object] = {}
        self._next = 1 << _UNIQUE_SHIFT | GLOBAL

    def add(self, item: object) -> int:
        """Return a fresh global handle to an object."""
        handle = self._next
        self._next += STEP
        self._objects[handle] = item
        return handle

    def get(self, handle: int, type_: type[T]) -> T | None:
        """Return the object of a global handle, None if it has another type."""
        item = self._objects.get(handle)
        return item if isinstance(item, type_) else None

    def remove(self, handle: int) -> None:
        """Free a global handle."""
        del self._objects[handle]

    def __len__(self) -> int:
        return len(self._objects)
