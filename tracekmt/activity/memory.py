"""Memory of a program's allocations, as far as its own calls show it.

Only a driver knows the size of an allocation. Three sources give it here: the size of an existing heap, a rule for the
driver's private data, and the GPU addresses that the allocation is mapped to. An allocation of unknown size counts 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tracekmt.calls.allocation import HEAP_SIZE
from tracekmt.calls.kinds import ALLOCATION, RESOURCE
from tracekmt.codec import look_up
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.simulator.model.allocation_size import SizeRule, allocation_size
from tracekmt.spec.types import PAGE_SIZE, CallSpec
from tracekmt.trace.reader import TracedCall

_TRIMMING = ("D3DKMTMakeResident", "D3DKMTEvict")
_USING = (
    *("D3DKMTMapGpuVirtualAddress", "D3DKMTMakeResident", "D3DKMTEvict"),
    *("D3DKMTOfferAllocations", "D3DKMTReclaimAllocations", "D3DKMTReclaimAllocations2"),
)
"""Functions that use the memory of existing allocations."""

BUDGET_FUNCTION = "D3DKMTQueryVideoMemoryInfo"

MemoryAction = Literal["sized", "resident", "evicted", "offered", "reclaimed", "discarded"]


@dataclass(frozen=True, slots=True)
class MemoryChange:
    """Change of one allocation's memory.

    Attributes:
        action: "sized": its size became known, or grew. "resident": the first request for residency. "evicted": the
            last request was taken back, or a resident allocation was destroyed. "offered" and "reclaimed": by the
            program. "discarded": reclaimed, with its contents lost.
        allocation: The allocation.
        size: Its size in bytes. 0 if it is unknown.
    """

    action: MemoryAction
    allocation: Identity
    size: int


@dataclass(frozen=True, slots=True)
class VideoMemory:
    """Answer to D3DKMTQueryVideoMemoryInfo, in bytes.

    Attributes:
        adapter: Recorded handle of the adapter.
        group: "local" or "non-local".
        budget: Bytes that the program may use.
        usage: Bytes that the program uses.
    """

    adapter: int
    group: str
    budget: int
    usage: int


def is_followed(spec: CallSpec) -> bool:
    """Return True if a function can change objects or memory."""
    return bool(spec.creates or spec.destroys) or spec.name in _USING


class Memory:
    """Memory of a program while its calls pass.

    Attributes:
        requested: Bytes of all live allocations.
        resident: Bytes of the allocations that the program asked to be resident, and that it did not evict.
        offered: Bytes of the allocations that the program offered.
        unsized: Number of live allocations of unknown size.
    """

    def __init__(self, bindings: Bindings, size_rules: Sequence[SizeRule] = ()) -> None:
        self.requested = self.resident = self.offered = self.unsized = 0
        self._bindings = bindings
        self._size_rules = size_rules
        self._sizes: dict[Identity, int] = {}
        self._requests: Counter[Identity] = Counter()
        self._offered: set[Identity] = set()

    def on_leave(
        self, call: TracedCall, created: Iterable[Identity], destroyed: Iterable[Identity]
    ) -> list[MemoryChange]:
        """Update the memory by a call that returned.

        Args:
            call: The call.
            created: Objects that the call created.
            destroyed: Objects that the call destroyed.

        Returns:
            The changes, in order.
        """
        changes = [change for allocation in _allocations(created) for change in self._add(call, allocation)]
        changes += [change for allocation in _allocations(destroyed) for change in self._remove(allocation)]
        if call.name in _USING and call.succeeded and isinstance(call.inputs, dict):
            changes += self._use(call, call.inputs)
        return changes

    def _use(self, call: TracedCall, arguments: dict[str, Any]) -> Iterator[MemoryChange]:
        match call.name:
            case "D3DKMTMapGpuVirtualAddress":
                end = arguments["OffsetInPages"] + arguments["SizeInPages"]
                for allocation in self._listed([arguments["hAllocation"]]):
                    yield from self._grow(allocation, end * PAGE_SIZE)
            case "D3DKMTMakeResident":
                # The list is read before the call. The call may have made its first allocations resident only.
                count = _number(call.outputs, "NumAllocations")
                for allocation in self._listed(_items(arguments["AllocationList"])[:count]):
                    yield from self._request(allocation)
            case "D3DKMTEvict":
                for allocation in self._listed(_items(arguments["AllocationList"])):
                    yield from self._evict(allocation)
            case "D3DKMTOfferAllocations":
                for allocation in self._offerable(arguments):
                    if allocation not in self._offered:
                        self._offered.add(allocation)
                        self.offered += self.size(allocation)
                        yield MemoryChange("offered", allocation, self.size(allocation))
            case _:
                outputs = call.outputs if isinstance(call.outputs, dict) else {}
                answers = _items(outputs.get("pResults", outputs.get("pDiscarded")))
                for position, allocation in enumerate(self._offerable(arguments)):
                    # TRUE in pDiscarded and D3DDDI_RECLAIM_RESULT_DISCARDED in pResults are both 1.
                    yield from self._reclaim(allocation, position < len(answers) and answers[position] == 1)

    def _offerable(self, arguments: dict[str, Any]) -> Iterator[Identity]:
        """Yield the allocations of a list, and those of the resources of a list."""
        yield from self._listed(_items(arguments["HandleList"]))
        for handle in _items(arguments["pResources"]):
            resource = self._bindings.find(RESOURCE, handle)
            yield from _allocations(resource.children if resource is not None else ())

    def _listed(self, handles: Iterable[Any]) -> Iterator[Identity]:
        """Yield the known live allocations of handles. Other handles are older than the trace."""
        for handle in handles:
            allocation = self._bindings.find(ALLOCATION, handle) if isinstance(handle, int) else None
            if allocation is not None and allocation in self._sizes:
                yield allocation

    def _add(self, call: TracedCall, allocation: Identity) -> Iterator[MemoryChange]:
        self._sizes[allocation] = 0
        self.unsized += 1
        yield from self._grow(allocation, self._size_at_creation(call, allocation))

    def _size_at_creation(self, call: TracedCall, allocation: Identity) -> int:
        """Return the size that the creating call shows, 0 if it shows none."""
        heap_size = _number(call.inputs, HEAP_SIZE)
        if heap_size:
            return heap_size
        array, _, rest = allocation.path.partition("[")
        elements, position = _items(look_up(call.outputs, array)), rest.partition("]")[0]
        element = elements[int(position)] if position.isdecimal() and int(position) < len(elements) else None
        data = look_up(element, "pPrivateDriverData")
        return allocation_size(data, self._size_rules) or 0 if isinstance(data, bytes) else 0

    def _grow(self, allocation: Identity, size: int) -> Iterator[MemoryChange]:
        growth = size - self._sizes[allocation]
        if growth <= 0:
            return
        self.unsized -= self._sizes[allocation] == 0
        self._sizes[allocation] = size
        self.requested += growth
        self.resident += growth if self._requests[allocation] else 0
        self.offered += growth if allocation in self._offered else 0
        yield MemoryChange("sized", allocation, size)

    def _remove(self, allocation: Identity) -> Iterator[MemoryChange]:
        if allocation not in self._sizes:
            return
        if self._requests[allocation]:
            self._requests[allocation] = 1
            yield from self._evict(allocation)
        for _ in self._reclaim(allocation, is_discarded=False):
            pass
        del self._requests[allocation]
        size = self._sizes.pop(allocation)
        self.requested -= size
        self.unsized -= size == 0

    def _request(self, allocation: Identity) -> Iterator[MemoryChange]:
        self._requests[allocation] += 1
        if self._requests[allocation] == 1:
            self.resident += self.size(allocation)
            yield MemoryChange("resident", allocation, self.size(allocation))

    def _evict(self, allocation: Identity) -> Iterator[MemoryChange]:
        self._requests[allocation] -= 1
        if self._requests[allocation] == 0:
            self.resident -= self.size(allocation)
            yield MemoryChange("evicted", allocation, self.size(allocation))
        self._requests[allocation] = max(self._requests[allocation], 0)

    def _reclaim(self, allocation: Identity, is_discarded: bool) -> Iterator[MemoryChange]:
        if allocation in self._offered:
            self._offered.remove(allocation)
            self.offered -= self.size(allocation)
            yield MemoryChange("discarded" if is_discarded else "reclaimed", allocation, self.size(allocation))

    def size(self, allocation: Identity) -> int:
        """Return the size of a live allocation in bytes, 0 if it is unknown."""
        return self._sizes.get(allocation, 0)


def video_memory(call: TracedCall) -> VideoMemory | None:
    """Return the answer of a call about budgets. None for other calls, and for a budget of another process."""
    if call.name != BUDGET_FUNCTION or not call.succeeded or not isinstance(call.outputs, dict):
        return None
    outputs = call.outputs
    if outputs["hProcess"]:
        return None
    group = "non-local" if outputs["MemorySegmentGroup"] == 1 else "local"
    return VideoMemory(outputs["hAdapter"], group, outputs["Budget"], outputs["CurrentUsage"])


def bytes_to_trim(call: TracedCall) -> int:
    """Return the bytes that the kernel asked the program to release, in the answer to a call about residency."""
    return _number(call.outputs, "NumBytesToTrim") if call.name in _TRIMMING and call.returned else 0


def _allocations(identities: Iterable[Identity]) -> Iterator[Identity]:
    return (identity for identity in identities if identity.kind.name == ALLOCATION.name)


def _items(values: Any) -> list[Any]:
    """Return the elements of a recorded array. An array that is NULL or unreadable has none."""
    return values if isinstance(values, list) else []


def _number(values: Any, path: str) -> int:
    number = look_up(values, path)
    return number if isinstance(number, int) else 0
