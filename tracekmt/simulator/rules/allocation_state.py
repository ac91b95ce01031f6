"""Priorities of allocations, and queries of their residency."""

from __future__ import annotations

from tracekmt.calls.allocation import D3DKMT_ALLOCATIONRESIDENCYSTATUS
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.objects import Allocation, Resource
from tracekmt.simulator.recorded_state import ANSWER_REASON
from tracekmt.simulator.rule import invalid
from tracekmt.simulator.sources import WSL
from tracekmt.simulator.unmodelled import UnmodelledRequest, by_description

NORMAL = 0x78000000
"""D3DDDI_ALLOCATIONPRIORITY_NORMAL."""

IN_GPU_MEMORY, IN_SHARED_MEMORY, NOT_RESIDENT = (
    D3DKMT_ALLOCATIONRESIDENCYSTATUS.number(f"D3DKMT_ALLOCATIONRESIDENCYSTATUS_{name}")
    for name in ("RESIDENTINGPUMEMORY", "RESIDENTINSHAREDMEMORY", "NOTRESIDENT")
)


class AllocationsRequest(UnmodelledRequest):
    """A call with a resource, or with a list of allocations."""

    @lazy_attribute
    def allocations(self) -> list[Allocation]:
        """Live allocations of the list, or of the resource."""
        found = [found for found in self.input_objects if isinstance(found, Allocation)]
        resources = [found for found in self.input_objects if isinstance(found, Resource)]
        children = [child for resource in resources for child in resource.children.values()]
        return [child for child in children if isinstance(child, Allocation)] if resources else found

    @property
    def has_unknown_priority(self) -> bool:
        """True if no call of the process has set a priority."""
        return any(allocation.priority is None for allocation in self.allocations)

    def write_all(self, name: str, numbers: list[int]) -> None:
        """Write a number for each allocation of the list, or the first one for the resource."""
        count = self.args["AllocationCount"] if not self.args["hResource"] else min(len(numbers), 1)
        self.memory.write(self.args[name], b"".join(number.to_bytes(4, "little") for number in numbers[:count]))


def set_priority(request: AllocationsRequest) -> None:
    """Set the priority of each allocation of the list, or one priority for the resource."""
    is_resource = bool(request.args["hResource"])
    priorities = request.args.numbers("pPriorities", 1 if is_resource else request.args["AllocationCount"])
    for index, allocation in enumerate(request.allocations):
        allocation.priority = priorities[0 if is_resource else index]


def get_priority(request: AllocationsRequest) -> None:
    """Write the priorities, the normal one if none was set."""
    priorities = [allocation.priority for allocation in request.allocations]
    request.write_all("pPriorities", [NORMAL if priority is None else priority for priority in priorities])


def query_residency(request: AllocationsRequest) -> None:
    """Write the residency. Windows may keep an allocation resident after its last Evict."""
    request.write_all("pResidencyStatus", [_residency(allocation) for allocation in request.allocations])


def _residency(allocation: Allocation) -> int:
    if not allocation.resident_count:
        return NOT_RESIDENT
    return IN_GPU_MEMORY if allocation.memory.video_size else IN_SHARED_MEMORY


_ONE_OF_BOTH = invalid(
    "both or neither of hResource and AllocationCount are 0",
    lambda r: bool(r.args["hResource"]) == bool(r.args["AllocationCount"]),
    WSL,
    "Microsoft source",
)

BEHAVIOURS = {
    "D3DKMTSetAllocationPriority": by_description(
        "D3DKMTSetAllocationPriority", request=AllocationsRequest, effect=set_priority
    ),
    "D3DKMTGetAllocationPriority": by_description(
        "D3DKMTGetAllocationPriority",
        request=AllocationsRequest,
        effect=get_priority,
        machine_answers=lambda request: request.has_unknown_priority,
        limits=ANSWER_REASON + ", for an allocation whose priority no call has set",
    ),
    "D3DKMTQueryAllocationResidency": by_description(
        "D3DKMTQueryAllocationResidency",
        _ONE_OF_BOTH,
        request=AllocationsRequest,
        effect=query_residency,
        machine_answers=lambda request: True,
        limits=ANSWER_REASON,
    ),
}
