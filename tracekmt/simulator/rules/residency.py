"""Residency: make resident, evict, offer and reclaim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model import memory_usage
from tracekmt.simulator.model.objects import Allocation, Device, DeviceObject, Resource
from tracekmt.simulator.model.shared_objects import AllocationMemory
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule, device_removed, invalid, unspecified
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.rules.paging_queue import BAD_QUEUE, PagingQueueRequest
from tracekmt.simulator.sources import page

OUT_OF_MEMORY = "D3DKMT_DEVICEEXECUTION_ERROR_OUTOFMEMORY"
"""State of a device after a MakeResident that had to succeed and failed (an assumption: the page says "in error")."""

_TRIM = {"NumBytesToTrim": "only the recorded machine knows how far its memory was over budget"}
_DISCARD_REASON = "only the recorded machine knows which contents were discarded"
_DISCARDED = dict.fromkeys(("pDiscarded[]", "pResults[]"), _DISCARD_REASON)


T = TypeVar("T", bound=DeviceObject)


def _on_device(found: T | None, device: Device | None) -> T | None:
    """Return an object if it is on a device. A device that is older than the trace may be unknown."""
    return found if found is not None and (device is None or found.is_on(device)) else None


class _AllocationList(Request):
    """A call with a list of allocations."""

    @lazy_attribute
    def allocations(self) -> list[Allocation | None]:
        """Live allocation of each handle on the call's device, or None."""
        handles = self.args.numbers("AllocationList", self.args["NumAllocations"])
        return [_on_device(self.process.find(handle, Allocation), self.device) for handle in handles]

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """NumBytesToTrim, unless the settings define the budget."""
        return {} if "video_memory" in self.machine.known else _TRIM


class MakeResidentRequest(_AllocationList, PagingQueueRequest):
    """A D3DDDI_MAKERESIDENT."""

    memory_setting = "video_memory"

    @lazy_attribute
    def bytes_over_budget(self) -> int:
        """Bytes by which the resident memory of an adapter would exceed a budget, 0 if it would not."""
        memories: dict[int, AllocationMemory] = {}
        for allocation in self.allocations:
            if allocation is not None and not allocation.memory.resident_count:
                memories[id(allocation.memory)] = allocation.memory
        adapter = self.adapter
        if adapter is None or not memories:
            return 0
        video_size = adapter.resident_video_memory + sum(memory.video_size for memory in memories.values())
        shared_size = adapter.resident_shared_memory + sum(memory.shared_size for memory in memories.values())
        return over_budget(adapter.video_memory, video_size) + over_budget(adapter.shared_memory, shared_size)


class EvictRequest(_AllocationList, DeviceRequest):
    """A D3DKMT_EVICT."""


class _OfferedList(Request):
    """A call that offers or reclaims resources or allocations."""

    @lazy_attribute
    def objects(self) -> list[DeviceObject | None]:
        """Live object of each handle on the call's device, or None."""
        has_resources = bool(self.args["pResources"])
        name = "pResources" if has_resources else "HandleList"
        handles = self.args.numbers(name, self.args["NumAllocations"]) if self.args[name] else []
        type_: type[DeviceObject] = Resource if has_resources else Allocation
        return [_on_device(self.process.find(handle, type_), self.device) for handle in handles]

    def memories_of(self, found: DeviceObject | None) -> list[AllocationMemory]:
        """Return the memory of an allocation, or of all allocations of a resource."""
        objects = () if found is None else (found, *found.children.values())
        return [allocation.memory for allocation in objects if isinstance(allocation, Allocation)]

    @property
    def memories(self) -> list[AllocationMemory]:
        """Memory of all objects."""
        return [memory for found in self.objects for memory in self.memories_of(found)]

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Results of a reclaim, unless the settings define the budget."""
        if "video_memory" in self.machine.known:
            return {}
        return _DISCARDED if any(map(self.spec.argument.has, ("pDiscarded", "pResults"))) else {}


class OfferRequest(_OfferedList, DeviceRequest):
    """A call that offers or reclaims on a device."""


class Reclaim2Request(_OfferedList, PagingQueueRequest):
    """A D3DKMT_RECLAIMALLOCATIONS2."""


def over_budget(budget: int | None, size: int) -> int:
    """Return the bytes of memory above a budget."""
    return 0 if budget is None else max(size - budget, 0)


def make_resident(request: MakeResidentRequest) -> None:
    """Count each allocation once more, and queue the operation."""
    for allocation in request.allocations:
        assert allocation is not None
        request.process.memory.set_resident_count(allocation, allocation.resident_count + 1)
    if request.adapter is not None:
        memory_usage.discard(request.adapter)
    request.args["PagingFenceValue"] = request.next_fence_value()
    request.args["NumBytesToTrim"] = 0


def _refuse(request: MakeResidentRequest) -> None:
    """Write how far the request is over budget. A last attempt puts the device in error.

    NumAllocations is the number of allocations made resident: none, because a failed call has no effect.
    """
    flag = request.machine.device_error_flag
    if request.args[f"Flags.{flag}"] and request.device is not None:
        request.device.lose(OUT_OF_MEMORY)
    if request.machine.profile.reports_trim:
        request.args["NumBytesToTrim"] = request.bytes_over_budget
        request.args["NumAllocations"] = 0


def evict(request: EvictRequest) -> None:
    """Count each allocation once less, down to 0."""
    for allocation in request.allocations:
        assert allocation is not None
        request.process.memory.set_resident_count(allocation, max(allocation.resident_count - 1, 0))
    adapter = request.adapter
    assert adapter is not None
    request.args["NumBytesToTrim"] = over_budget(adapter.video_memory, adapter.resident_video_memory) + over_budget(
        adapter.shared_memory, adapter.resident_shared_memory
    )


def offer(request: OfferRequest) -> None:
    """Offer the memory. Its contents are discarded when a MakeResident needs the room."""
    for memory in request.memories:
        memory_usage.offer(memory, request.args["Priority"])


def reclaim(request: OfferRequest | Reclaim2Request) -> None:
    """Take the memory back, and report whose contents were discarded."""
    discarded = [[memory_usage.reclaim(memory) for memory in request.memories_of(each)] for each in request.objects]
    results = [any(each) for each in discarded]
    name = "pResults" if "pResults" in request.spec.union_arms else "pDiscarded"
    if request.args[name]:
        request.memory.write(request.args[name], b"".join(result.to_bytes(4, "little") for result in results))
    if isinstance(request, Reclaim2Request):
        request.args["PagingFenceValue"] = request.next_fence_value()


_BAD_LIST = unspecified(
    "foreign_allocation",
    "a handle in AllocationList is not an allocation of the device",
    lambda r: None in r.allocations,
    page("D3DDDI_MAKERESIDENT") + ", which names no status",
    confidence="documentation",
)
_NOT_RESIDENT = unspecified(
    "evict_below_zero",
    "an allocation in the list is not resident",
    lambda r: any(not allocation.resident_count for allocation in r.allocations),
    status="STATUS_SUCCESS",
)
_OFFER_RULES = (
    invalid(
        "both or neither of pResources and HandleList are NULL",
        lambda r: bool(r.args["pResources"]) == bool(r.args["HandleList"]),
        page("D3DKMT_OFFERALLOCATIONS"),
        "documentation",
    ),
    unspecified(
        "foreign_offer",
        "a handle in the list is not a resource or an allocation of the device",
        lambda r: None in r.objects,
    ),
)
_MUST_SUCCEED = ValidationRule(
    "STATUS_INVALID_PARAMETER",
    "MustSucceed without CantTrimFurther",
    lambda r: r.args["Flags.MustSucceed"] and not r.args["Flags.CantTrimFurther"],
    page("D3DDDI_MAKERESIDENT_FLAGS"),
    "documentation",
)
NO_MEMORY = ValidationRule(
    "STATUS_NO_MEMORY",
    "the resident memory would exceed the budget of the adapter",
    lambda r: r.bytes_over_budget,
    "Microsoft documentation: process residency budgets",
    "documentation",
    write=_refuse,
    detail=lambda r: f": NumBytesToTrim {r.bytes_over_budget:,}",
)

BEHAVIOURS = {
    "D3DKMTMakeResident": Behaviour(
        request=MakeResidentRequest,
        rules=(BAD_QUEUE, _MUST_SUCCEED, _BAD_LIST, NO_MEMORY),
        effect=make_resident,
        is_queued=True,
    ),
    "D3DKMTEvict": Behaviour(request=EvictRequest, rules=(BAD_DEVICE, _BAD_LIST, _NOT_RESIDENT), effect=evict),
    "D3DKMTOfferAllocations": Behaviour(
        request=OfferRequest,
        rules=(BAD_DEVICE, *_OFFER_RULES, device_removed("D3DKMTOfferAllocations")),
        effect=offer,
    ),
    "D3DKMTReclaimAllocations": Behaviour(
        request=OfferRequest,
        rules=(BAD_DEVICE, *_OFFER_RULES, device_removed("D3DKMTReclaimAllocations")),
        effect=reclaim,
    ),
    "D3DKMTReclaimAllocations2": Behaviour(
        request=Reclaim2Request,
        rules=(BAD_QUEUE, *_OFFER_RULES, device_removed("D3DKMTReclaimAllocations2")),
        effect=reclaim,
        is_queued=True,
    ),
}
