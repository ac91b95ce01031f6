"""Real memory behind the simulator's addresses: contents of allocations and values of fences."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary

from tracekmt.run.mailbox import CELL, Heap
from tracekmt.simulator.model.gpu_queue import Fence
from tracekmt.simulator.model.shared_objects import AllocationMemory

UNKNOWN_SIZE = 1 << 28
"""Bytes of addresses for an allocation whose size only a driver knows."""


class Contents:
    """Pieces of a heap for the objects of a machine. All processes see the same contents."""

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        self._offsets: WeakKeyDictionary[AllocationMemory | Fence, int] = WeakKeyDictionary()

    def of_allocation(self, memory: AllocationMemory) -> int:
        """Return the offset of the contents of an allocation in the heap."""
        return self._offset_of(memory, memory.size if memory.size_known else UNKNOWN_SIZE)

    def of_fence(self, fence: Fence) -> tuple[int, Callable[[int], None]]:
        """Return the offset of the value of a fence in the heap, and its writer."""
        offset = self._offset_of(fence, CELL)
        return offset, partial(self._heap.write_value, offset)

    def _offset_of(self, owner: AllocationMemory | Fence, size: int) -> int:
        offset = self._offsets.get(owner)
        if offset is None:
            offset = self._offsets[owner] = self._heap.allocate(size)
            weakref.finalize(owner, self._heap.free, offset, size).atexit = False
        return offset
