"""Memory that a process uses, and memory that is resident or offered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tracekmt.codec.luid import Luid
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.objects import Allocation
from tracekmt.simulator.model.shared_objects import AllocationMemory


class MemoryUsage:
    """Memory of the allocations of a process.

    Attributes:
        bytes: Bytes in use, by the LUID of their adapter. True is the adapter's own memory: only resident allocations
            count since WDDM 2. False is the machine's memory, used by allocations of any state.
        is_known: False if the process has used memory of a size that only a driver or an earlier call knows.
    """

    def __init__(self, commits_at_creation: Callable[[Adapter], bool]) -> None:
        """Create the usage of a process without allocations.

        Args:
            commits_at_creation: Returns True for an adapter whose allocations take memory when they are created.
        """
        self.bytes: Counter[tuple[Luid, bool]] = Counter()
        self.is_known = True
        self._commits_at_creation = commits_at_creation
        self._opened: Counter[AllocationMemory] = Counter()
        self._resident: Counter[AllocationMemory] = Counter()

    def open(self, memory: AllocationMemory) -> None:
        """Note that another allocation of the process has the memory. Only the first one uses it."""
        self.is_known &= memory.size_known
        self._opened[memory] += 1
        if self._opened[memory] == 1:
            self.count(memory, 1)

    def close(self, memory: AllocationMemory) -> None:
        """Note that an allocation of the process does not have the memory any more."""
        if self._opened[memory] == 1:
            self.count(memory, -1)
            del self._opened[memory]
        else:
            self._opened[memory] -= 1

    def set_resident_count(self, allocation: Allocation, count: int) -> None:
        """Change the count of an allocation on the residency list of its device. At 0, it is not on the list."""
        was_resident = allocation.resident_count > 0
        allocation.resident_count = count
        if was_resident == (count > 0):
            return
        memory = allocation.memory
        sign, count_before = (1, 0) if count else (-1, 1)
        if memory.resident_count == count_before:
            count_resident(memory, sign)
        memory.resident_count += sign
        is_first_or_last = self._resident[memory] == count_before
        self._resident[memory] += sign
        if not self._resident[memory]:
            del self._resident[memory]
        if is_first_or_last and not self._commits_at_creation(memory.adapter):
            self.bytes[memory.adapter.luid, True] += sign * memory.video_size

    def count(self, memory: AllocationMemory, sign: int) -> None:
        """Add memory to the usage or subtract it, if allocations of this process have it."""
        luid = memory.adapter.luid
        if memory in self._opened:
            self.bytes[luid, False] += sign * memory.shared_size
        if memory in (self._opened if self._commits_at_creation(memory.adapter) else self._resident):
            self.bytes[luid, True] += sign * memory.video_size


def count_resident(memory: AllocationMemory, sign: int) -> None:
    """Add memory to the resident memory of its adapter or subtract it. Offered memory does not count."""
    if not memory.is_offered:
        memory.adapter.resident_video_memory += sign * memory.video_size
        memory.adapter.resident_shared_memory += sign * memory.shared_size


def offer(memory: AllocationMemory, priority: int) -> None:
    """Let the contents be discarded when others need the memory, those of the lowest priority first."""
    if memory.is_offered:
        return
    if memory.resident_count:
        count_resident(memory, -1)
    memory.is_offered = True
    memory.adapter.offered.append((priority, memory))
    memory.adapter.offered.sort(key=lambda entry: entry[0])


def reclaim(memory: AllocationMemory) -> bool:
    """Take memory back that was offered. Return True if its contents were discarded."""
    if not memory.is_offered:
        return False
    adapter, is_discarded = memory.adapter, memory.is_discarded
    adapter.offered = [entry for entry in adapter.offered if entry[1] is not memory]
    memory.is_offered = memory.is_discarded = False
    if memory.resident_count:
        count_resident(memory, 1)
    return is_discarded


def discard(adapter: Adapter) -> None:
    """Discard offered contents until the adapter's own memory has room for what is resident."""
    budget = adapter.video_memory
    kept = sum(memory.video_size for _, memory in adapter.offered if memory.resident_count)
    while budget is not None and adapter.offered and adapter.resident_video_memory + kept > budget:
        _, memory = adapter.offered.pop(0)
        memory.is_discarded = True
        kept -= memory.video_size if memory.resident_count else 0
