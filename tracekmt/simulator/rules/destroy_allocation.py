"""Destruction of allocations and resources."""

from __future__ import annotations

from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.objects import Allocation, Resource
from tracekmt.simulator.request import Behaviour
from tracekmt.simulator.rule import invalid
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.sources import WINE_TEST, WSL, page


class DestroyAllocationRequest(DeviceRequest):
    """A D3DKMT_DESTROYALLOCATION or D3DKMT_DESTROYALLOCATION2."""

    @lazy_attribute
    def resource(self) -> Resource | None:
        """Live resource of hResource on the same device, or None."""
        resource = self.process.find(self.args["hResource"], Resource)
        return resource if resource and resource.is_on(self.device) else None

    @lazy_attribute
    def handles(self) -> list[int]:
        """Handles in the list, empty if hResource is set."""
        count = 0 if self.args["hResource"] else self.args["AllocationCount"]
        without_instance = self.process.handles.without_instance
        return [without_instance(handle) for handle in self.args.numbers("phAllocationList", count)]

    @lazy_attribute
    def allocations(self) -> list[Allocation]:
        """Live allocations of the device in the list."""
        objects = [self.process.find(handle, Allocation) for handle in self.handles]
        return [allocation for allocation in objects if allocation is not None and allocation.is_on(self.device)]


_RULES = (
    BAD_DEVICE,
    invalid(
        "hResource is not a resource of the device",
        lambda r: r.args["hResource"] != 0 and r.resource is None,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "phAllocationList is NULL with AllocationCount",
        lambda r: not r.args["hResource"] and r.args["AllocationCount"] != 0 and r.args["phAllocationList"] == 0,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "a handle in the list is not an allocation of the device; nothing is destroyed",
        lambda r: len(r.allocations) != len(r.handles),
        WINE_TEST + " (one handle); WSL (lists)",
        "Windows-verified",
    ),
    invalid(
        "the list has an allocation twice",
        lambda r: len(set(r.handles)) != len(r.handles),
        "the second would be a destroyed handle",
        "assumption",
    ),
    invalid(
        "the allocations in the list belong to different resources, or only some belong to one",
        lambda r: len({id(allocation.resource) for allocation in r.allocations}) > 1,
        page("D3DKMT_DESTROYALLOCATION2"),
        "documentation",
    ),
    invalid(
        "the list has an allocation of a shared resource, which is destroyed with its resource only",
        lambda r: any(allocation.resource and allocation.resource.state.shared for allocation in r.allocations),
        WSL,
        "Microsoft source",
    ),
)


def destroy(request: DestroyAllocationRequest) -> None:
    """Destroy the resource and its allocations, or the allocations in the list.

    A resource outlives its last allocation.
    """
    for kernel_object in [request.resource] if request.resource else request.allocations:
        assert kernel_object is not None
        request.process.destroy(kernel_object)


_DESTROY = Behaviour(request=DestroyAllocationRequest, rules=_RULES, effect=destroy)

BEHAVIOURS = {"D3DKMTDestroyAllocation": _DESTROY, "D3DKMTDestroyAllocation2": _DESTROY}
