"""Residency: make resident, evict, offer and reclaim. Memory is not limited here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TypeVar

from tracekmt.simulator.model.objects import Allocation, Device, DeviceObject, Resource
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.simulator.rule import ValidationRule, invalid
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.rules.paging_queue import BAD_QUEUE, PagingQueueRequest
from tracekmt.simulator.sources import LIKE_OTHERS, page

_TRIM = {"NumBytesToTrim": "only the recorded machine knows how far its memory was over budget"}
_DISCARD_REASON = "only the recorded machine knows which contents were discarded"
_DISCARDED = dict.fromkeys(("pDiscarded[]", "pResults[]"), _DISCARD_REASON)


T = TypeVar("T", bound=DeviceObject)


def _on_device(found: T | None, device: Device | None) -> T | None:
    """Return an object if it is on a device. A device that is older than the trace may be unknown."""
    return found if found is not None and (device is None or found.is_on(device)) else None


class _AllocationList(Request):
    """A call with a list of allocations."""

    @cached_property
    def allocations(self) -> list[Allocation | None]:
        """Live allocation of each handle on the call's device, or None."""
        handles = self.args.numbers("AllocationList", self.args["NumAllocations"])
        return [_on_device(self.process.find(handle, Allocation), self.device) for handle in handles]

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """NumBytesToTrim."""
        return _TRIM


class MakeResidentRequest(_AllocationList, PagingQueueRequest):
    """A D3DDDI_MAKERESIDENT."""


class EvictRequest(_AllocationList, DeviceRequest):
    """A D3DKMT_EVICT."""


class _OfferedList(Request):
    """A call that offers or reclaims resources or allocations."""

    @cached_property
    def objects(self) -> list[DeviceObject | None]:
        """Live object of each handle on the call's device, or None."""
        has_resources = bool(self.args["pResources"])
        name = "pResources" if has_resources else "HandleList"
        handles = self.args.numbers(name, self.args["NumAllocations"]) if self.args[name] else []
        type_: type[DeviceObject] = Resource if has_resources else Allocation
        return [_on_device(self.process.find(handle, type_), self.device) for handle in handles]

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Results of a reclaim."""
        return _DISCARDED if any(map(self.spec.argument.has, ("pDiscarded", "pResults"))) else {}


class OfferRequest(_OfferedList, DeviceRequest):
    """A call that offers or reclaims on a device."""


class Reclaim2Request(_OfferedList, PagingQueueRequest):
    """A D3DKMT_RECLAIMALLOCATIONS2."""


def make_resident(request: MakeResidentRequest) -> None:
    """Count each allocation once more, and queue the operation."""
    for allocation in request.allocations:
        assert allocation is not None
        allocation.resident_count += 1
    request.args["PagingFenceValue"] = request.next_fence_value()
    request.args["NumBytesToTrim"] = 0


def evict(request: EvictRequest) -> None:
    """Count each allocation once less, down to 0."""
    for allocation in request.allocations:
        assert allocation is not None
        allocation.resident_count = max(allocation.resident_count - 1, 0)
    request.args["NumBytesToTrim"] = 0


def offer(request: OfferRequest) -> None:
    """Do nothing: no contents are discarded."""


def reclaim(request: OfferRequest | Reclaim2Request) -> None:
    """Report that no contents were discarded."""
    name = "pResults" if "pResults" in request.spec.union_arms else "pDiscarded"
    if request.args[name]:
        request.memory.write(request.args[name], bytes(4 * request.args["NumAllocations"]))
    if isinstance(request, Reclaim2Request):
        request.args["PagingFenceValue"] = request.next_fence_value()


_BAD_LIST = invalid(
    "a handle in AllocationList is not an allocation of the device",
    lambda r: None in r.allocations,
    LIKE_OTHERS,
    "assumption",
)
_OFFER_RULES = (
    invalid(
        "both or neither of pResources and HandleList are NULL",
        lambda r: bool(r.args["pResources"]) == bool(r.args["HandleList"]),
        page("D3DKMT_OFFERALLOCATIONS"),
        "documentation",
    ),
    invalid(
        "a handle in the list is not a resource or an allocation of the device",
        lambda r: None in r.objects,
        LIKE_OTHERS,
        "assumption",
    ),
)
_MUST_SUCCEED = ValidationRule(
    "STATUS_INVALID_PARAMETER",
    "MustSucceed without CantTrimFurther",
    lambda r: r.args["Flags.MustSucceed"] and not r.args["Flags.CantTrimFurther"],
    page("D3DDDI_MAKERESIDENT_FLAGS"),
    "documentation",
)

BEHAVIOURS = {
    "D3DKMTMakeResident": Behaviour(
        request=MakeResidentRequest, rules=(BAD_QUEUE, _MUST_SUCCEED, _BAD_LIST), effect=make_resident, is_queued=True
    ),
    "D3DKMTEvict": Behaviour(request=EvictRequest, rules=(BAD_DEVICE, _BAD_LIST), effect=evict),
    "D3DKMTOfferAllocations": Behaviour(request=OfferRequest, rules=(BAD_DEVICE, *_OFFER_RULES), effect=offer),
    "D3DKMTReclaimAllocations": Behaviour(request=OfferRequest, rules=(BAD_DEVICE, *_OFFER_RULES), effect=reclaim),
    "D3DKMTReclaimAllocations2": Behaviour(
        request=Reclaim2Request, rules=(BAD_QUEUE, *_OFFER_RULES), effect=reclaim, is_queued=True
    ),
}
