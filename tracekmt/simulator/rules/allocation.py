"""How allocations and resources are answered: one list of rules per call, in the order in which they are looked at.

That order comes from third-party notes on a decompiled dxgkrnl.sys; single faults in it are confirmed by Wine's
conformance test, no test combines faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from tracekmt.calls.allocation import D3DKMT_STANDARDALLOCATIONTYPE
from tracekmt.codec.memory import Memory
from tracekmt.simulator.model.allocation_size import KERNEL_RECORD, allocation_size, heap_data
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.objects import Allocation, AllocationMemory, Resource, ResourceState
from tracekmt.simulator.request import Behaviour, View
from tracekmt.simulator.rule import ValidationRule, null
from tracekmt.simulator.rule import invalid as _invalid
from tracekmt.simulator.rules.device import BAD_DEVICE, ByDevice, stopped
from tracekmt.simulator.sources import OTHER_TYPES, page
from tracekmt.simulator.sources import REVERSED as _REVERSED
from tracekmt.simulator.sources import WINE_TEST as _WINE_TEST
from tracekmt.simulator.sources import WSL as _WSL
from tracekmt.spec.types import Abi, CallSpec

PAGE = 4096
NUM_ALLOCATIONS_LIMIT = 0x682AA
EXISTINGHEAP = D3DKMT_STANDARDALLOCATIONTYPE.number("D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP")
WDDM_2_0 = 2000
_FORBIDDEN = ("CreateProtected", "CreateWriteCombined", "CreateCached", "OpenCrossAdapter")

_CREATE_PAGE = page("D3DKMTCreateAllocation2")
_STRUCT_PAGE = page("D3DKMT_CREATEALLOCATION")
_DESTROY_PAGE = page("D3DKMT_DESTROYALLOCATION2")


class CreateAllocation(ByDevice):
    """A D3DKMT_CREATEALLOCATION and what hangs on it, with elements of either version."""

    def __init__(self, process: Process, call: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, call, abi, memory, arguments)
        self.flags = self.args.flags("Flags")

    @cached_property
    def standard(self) -> View:
        """The standard allocation."""
        return self.args.follow("pStandardAllocation")

    @cached_property
    def heap_size(self) -> int:
        """The size that a standard allocation states."""
        return self.standard["ExistingHeapData.Size"]

    @cached_property
    def elements(self) -> list[View]:
        """The allocations asked for."""
        (name,) = (arm for arm in self.spec.union_arms if arm.startswith("pAllocationInfo"))
        return [self.args.follow(name, index) for index in range(self.args["NumAllocations"])]

    @cached_property
    def resource(self) -> Resource | None:
        """The resource that is added to: what hResource leads to, in the same device."""
        found = self.process.find(self.args["hResource"], Resource)
        return found if found and found.device is self.device else None

    @cached_property
    def backings(self) -> list[AllocationMemory]:
        """The memory that each allocation would have."""
        assert self.adapter is not None
        found: list[AllocationMemory] = []
        for element in self.elements:
            data = element.bytes("pPrivateDriverData", "PrivateDriverDataSize")
            standard = "StandardAllocation" in self.flags
            size = self.heap_size if standard else allocation_size(data, self.machine.drivers)
            if standard or element["pSystemMem"]:
                told = data if not standard else heap_data(size) if self.machine.profile.heap_data else b""
                made = AllocationMemory(self.adapter, told, 0, size, size + KERNEL_RECORD)
            else:
                made = AllocationMemory(self.adapter, data, size, 0, KERNEL_RECORD)
            found.append(made)
        return found

    def fits(self, size: int) -> bool:
        """Whether the machine's budget of system memory holds so much more."""
        budget = self.machine.system_memory
        return budget is None or self.machine.system_memory_used + size <= budget

    @property
    def out_of_video_memory(self) -> bool:
        """Whether the adapter's budgets do not hold the allocations."""
        assert self.adapter is not None
        local, shared = self.adapter.video_memory, self.adapter.shared_memory
        return (local is not None and self.adapter.video_memory_used + sum(b.video for b in self.backings) > local) or (
            shared is not None and self.adapter.shared_memory_used + sum(b.shared for b in self.backings) > shared
        )


class DestroyAllocation(ByDevice):
    """A D3DKMT_DESTROYALLOCATION2 and its list."""

    @cached_property
    def resource(self) -> Resource | None:
        """What hResource leads to, in the same device."""
        found = self.process.find(self.args["hResource"], Resource)
        return found if found and found.device is self.device else None

    @cached_property
    def listed(self) -> list[int]:
        """The handles in the list; with hResource set the list does not count."""
        count = 0 if self.args["hResource"] else self.args["AllocationCount"]
        return [self.process.handles.plain(handle) for handle in self.args.numbers("phAllocationList", count)]

    @cached_property
    def allocations(self) -> list[Allocation]:
        """What the list leads to, without what leads nowhere or into another device."""
        found = [self.process.find(handle, Allocation) for handle in self.listed]
        return [allocation for allocation in found if allocation is not None and allocation.device is self.device]


HEAP_SIZE = _invalid(
    "an existing heap's Size is 0 or above 0xffffffff",
    lambda r: "StandardAllocation" in r.flags and not 0 < r.heap_size <= 0xFFFFFFFF,
    _REVERSED,
    "reverse engineering",
)
MEMORY_INSIDE_A_PAGE = _invalid(
    "ExistingSysMem with pSystemMem inside a page",
    lambda r: "ExistingSysMem" in r.flags and any(element["pSystemMem"] % PAGE for element in r.elements),
    _STRUCT_PAGE,
    "documentation",
)
CREATE_RULES = (
    BAD_DEVICE,
    _invalid("NoKmdAccess needs test signing", lambda r: "NoKmdAccess" in r.flags, _REVERSED, "reverse engineering"),
    _invalid(
        "NumAllocations is above 0x682aa",
        lambda r: r.args["NumAllocations"] > NUM_ALLOCATIONS_LIMIT,
        _REVERSED,
        "reverse engineering",
    ),
    _invalid(
        "a flag that user mode may not set: " + ", ".join(_FORBIDDEN),
        lambda r: not r.flags.isdisjoint(_FORBIDDEN),
        _REVERSED,
        "reverse engineering",
    ),
    _invalid(
        "ExistingSysMem without StandardAllocation",
        lambda r: "ExistingSysMem" in r.flags and "StandardAllocation" not in r.flags,
        _WINE_TEST,
        "Windows-verified",
    ),
    _invalid(
        "ExistingSection without StandardAllocation",
        lambda r: "ExistingSection" in r.flags and "StandardAllocation" not in r.flags,
        _STRUCT_PAGE,
        "documentation",
    ),
    _invalid(
        "StandardAllocation with both or neither of ExistingSysMem and ExistingSection",
        lambda r: "StandardAllocation" in r.flags and ("ExistingSysMem" in r.flags) == ("ExistingSection" in r.flags),
        _WINE_TEST + " (neither); documentation (both)",
        "Windows-verified",
    ),
    _invalid(
        "StandardAllocation with PrivateDriverDataSize",
        lambda r: "StandardAllocation" in r.flags and r.args["PrivateDriverDataSize"] != 0,
        _WINE_TEST,
        "Windows-verified",
    ),
    _invalid(
        "StandardAllocation with NumAllocations other than 1",
        lambda r: "StandardAllocation" in r.flags and r.args["NumAllocations"] != 1,
        _WINE_TEST,
        "Windows-verified",
    ),
    _invalid(
        "a standard allocation's Type is not EXISTINGHEAP",
        lambda r: "StandardAllocation" in r.flags and r.standard["Type"] != EXISTINGHEAP,
        _WINE_TEST + " (0); third-party notes (others)",
        "Windows-verified",
    ),
    _invalid(
        "a standard allocation's Flags are not 0",
        lambda r: "StandardAllocation" in r.flags and r.standard["Flags"] != 0,
        _REVERSED,
        "reverse engineering",
    ),
    HEAP_SIZE,
    _invalid(
        "an existing heap's Size is no multiple of a page",
        lambda r: "StandardAllocation" in r.flags and r.heap_size % PAGE != 0,
        _WINE_TEST,
        "Windows-verified",
    ),
    _invalid(
        "NtSecuritySharing without CreateShared",
        lambda r: "NtSecuritySharing" in r.flags and "CreateShared" not in r.flags,
        "as for synchronization objects in Wine's conformance test",
        "assumption",
    ),
    _invalid(
        "CreateShared without CreateResource: a shared allocation belongs to a resource",
        lambda r: "CreateShared" in r.flags and "CreateResource" not in r.flags,
        _WINE_TEST,
        "Windows-verified",
    ),
    _invalid(
        "neither hResource nor an allocation",
        lambda r: r.args["hResource"] == 0 and r.args["NumAllocations"] == 0,
        _REVERSED,
        "reverse engineering",
    ),
    _invalid(
        "StandardAllocation on an adapter older than WDDM 2.0",
        lambda r: "StandardAllocation" in r.flags and r.adapter.wddm < WDDM_2_0,
        _REVERSED,
        "reverse engineering",
    ),
    stopped("D3DKMTCreateAllocation2"),
    ValidationRule(
        "STATUS_NO_MEMORY",
        "the budget of system memory does not hold the kernel's records",
        lambda r: not r.fits(KERNEL_RECORD * r.args["NumAllocations"]),
        _CREATE_PAGE,
        "documentation",
    ),
    _invalid(
        "ExistingSysMem without pSystemMem",
        lambda r: "ExistingSysMem" in r.flags and any(element["pSystemMem"] == 0 for element in r.elements),
        _WINE_TEST,
        "Windows-verified",
    ),
    MEMORY_INSIDE_A_PAGE,
    _invalid(
        "ExistingSection in version 1, whose elements have no section",
        lambda r: "ExistingSection" in r.flags and not r.elements[0].layout.struct.has("hSection"),
        _STRUCT_PAGE,
        "assumption",
    ),
    ValidationRule(
        "STATUS_INVALID_HANDLE",
        "hSection leads nowhere",
        lambda r: "ExistingSection" in r.flags and r.process.nt.is_invalid(r.elements[0]["hSection"]),
        "as Windows answers for other NT handles in Wine's conformance test",
        "assumption",
    ),
    ValidationRule(
        "STATUS_OBJECT_TYPE_MISMATCH",
        "hSection leads to no section",
        lambda r: "ExistingSection" in r.flags and r.process.nt.is_invalid(r.elements[0]["hSection"], "section"),
        OTHER_TYPES,
        "assumption",
    ),
    _invalid(
        "Stereo without Primary",
        lambda r: any(e["Flags.Stereo"] and not e["Flags.Primary"] for e in r.elements),
        _REVERSED,
        "reverse engineering",
    ),
    ValidationRule(
        "STATUS_INVALID_HANDLE",
        "hResource is no resource of the device",
        lambda r: r.args["hResource"] != 0 and r.resource is None,
        _WINE_TEST,
        "Windows-verified",
    ),
    _invalid(
        "StandardAllocation added to an existing resource",
        lambda r: "StandardAllocation" in r.flags and r.args["hResource"] != 0 and "CreateResource" not in r.flags,
        _WINE_TEST,
        "Windows-verified",
    ),
    # The page forbids it without naming a status.
    _invalid(
        "added to an existing shared resource",
        lambda r: r.resource is not None and r.resource.body.shared and "CreateResource" not in r.flags,
        _CREATE_PAGE,
        "documentation",
    ),
    _invalid(
        "runtime or private driver data cannot be read",
        lambda r: not _readable(r),
        _WSL,
        "Microsoft source",
    ),
    ValidationRule(
        "STATUS_NO_MEMORY",
        "the budget of system memory does not hold the memory that allocations pin",
        lambda r: not r.fits(sum(backing.system for backing in r.backings)),
        _CREATE_PAGE,
        "documentation",
    ),
    ValidationRule(
        "STATUS_GRAPHICS_NO_VIDEO_MEMORY",
        "the budget of video memory is used up",
        lambda r: r.out_of_video_memory,
        _CREATE_PAGE,
        "documentation",
    ),
)


def _readable(request: CreateAllocation) -> bool:
    """Copies what the caller passes along; a Fault on the way is answered as unreadable memory."""
    request.args.bytes("pPrivateRuntimeData", "PrivateRuntimeDataSize")
    if "StandardAllocation" not in request.flags:
        request.args.bytes("pPrivateDriverData", "PrivateDriverDataSize")
    return len(request.backings) == len(request.elements)


def create_allocation(request: CreateAllocation) -> None:
    """Resource first, then its allocations in order, each with the next handle (Wine's test). hGlobalShare is always
    written, hResource only when one is created, private data and sizes stay as they are."""
    process, device, args = request.process, request.device, request.args
    assert device is not None
    resource, global_share = request.resource, 0
    if "CreateResource" in request.flags:
        body = ResourceState(
            device.adapter,
            shared="CreateShared" in request.flags,
            nt="NtSecuritySharing" in request.flags,
            runtime_data=args.bytes("pPrivateRuntimeData", "PrivateRuntimeDataSize"),
            driver_data=b"" if "StandardAllocation" in request.flags else _driver_data(args),
        )
        resource = Resource(device, body)
        args["hResource"] = process.add(resource, device)
        if body.shared and not body.nt:
            global_share = process.machine.share(body)
    args["hGlobalShare"] = global_share
    for element, backing in zip(request.elements, request.backings, strict=True):
        element["hAllocation"] = process.add(Allocation(device, resource, backing), device, resource)
        if resource is not None and resource.body.shared:
            process.machine.hold(backing)
            resource.body.backings.append(backing)


def _driver_data(args: View) -> bytes:
    return args.bytes("pPrivateDriverData", "PrivateDriverDataSize")


def leaves_it_to_the_driver(request: CreateAllocation) -> bool:
    """Whether a driver sees what is asked for: it may refuse it."""
    return "StandardAllocation" not in request.flags


DESTROY_RULES = (
    BAD_DEVICE,
    _invalid(
        "hResource is no resource of the device",
        lambda r: r.args["hResource"] != 0 and r.resource is None,
        _WINE_TEST,
        "Windows-verified",
    ),
    _invalid(
        "phAllocationList is NULL with AllocationCount",
        lambda r: not r.args["hResource"] and r.args["AllocationCount"] != 0 and r.args["phAllocationList"] == 0,
        _WINE_TEST,
        "Windows-verified",
    ),
    _invalid(
        "the list holds a handle that is no allocation of the device; nothing is destroyed",
        lambda r: len(r.allocations) != len(r.listed),
        _WINE_TEST + " (one handle); WSL (lists)",
        "Windows-verified",
    ),
    _invalid(
        "the list names an allocation twice",
        lambda r: len(set(r.listed)) != len(r.listed),
        "the second would be a destroyed handle",
        "assumption",
    ),
    _invalid(
        "the list mixes allocations of different resources, or of one and of none",
        lambda r: len({id(allocation.resource) for allocation in r.allocations}) > 1,
        _DESTROY_PAGE,
        "documentation",
    ),
    _invalid(
        "an allocation of a shared resource is destroyed by itself",
        lambda r: any(allocation.resource and allocation.resource.body.shared for allocation in r.allocations),
        _WSL,
        "Microsoft source",
    ),
)


def destroy_allocation(request: DestroyAllocation) -> None:
    """The resource with all its allocations, or the allocations of the list; a resource outlives its last one."""
    for node in [request.resource] if request.resource else request.allocations:
        assert node is not None
        request.process.end(node)


CREATE = Behaviour(
    request=CreateAllocation,
    null=null(
        "STATUS_ACCESS_VIOLATION",
        _WINE_TEST + " (comment)",
        "Windows-verified",
        "the argument is NULL: on Windows the caller itself crashes, which a simulator spares it",
    ),
    rules=CREATE_RULES,
    effect=create_allocation,
    driver_decides=leaves_it_to_the_driver,
)
DESTROY = Behaviour(request=DestroyAllocation, rules=DESTROY_RULES, effect=destroy_allocation)

# The versions take each other's objects and answer alike (Wine's conformance test); only their elements differ.
BEHAVIOURS = {
    "D3DKMTCreateAllocation": CREATE,
    "D3DKMTCreateAllocation2": CREATE,
    "D3DKMTDestroyAllocation": DESTROY,
    "D3DKMTDestroyAllocation2": DESTROY,
}
