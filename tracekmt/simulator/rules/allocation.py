"""Creation of allocations and resources.

The order of the rules of a call comes from third-party notes on a decompiled dxgkrnl.sys. Wine's conformance test
confirms single rules. No test violates several rules at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekmt.calls.allocation import D3DKMT_STANDARDALLOCATIONTYPE
from tracekmt.codec.memory import Memory, MemoryFault
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.allocation_size import DEFAULT_SIZE, KERNEL_RECORD, allocation_size, heap_data
from tracekmt.simulator.model.machine import WDDM_2_0, Process
from tracekmt.simulator.model.nt_handles import SECTION
from tracekmt.simulator.model.objects import Allocation, Resource
from tracekmt.simulator.model.shared_objects import AllocationMemory, ResourceState
from tracekmt.simulator.request import Behaviour, View
from tracekmt.simulator.rule import ValidationRule, device_removed, invalid, null
from tracekmt.simulator.rules.device import BAD_DEVICE, DeviceRequest
from tracekmt.simulator.sources import OTHER_TYPES, REVERSED, WINE_TEST, WSL, page
from tracekmt.spec.types import PAGE_SIZE, Abi, CallSpec

NUM_ALLOCATIONS_LIMIT = 0x682AA
EXISTINGHEAP = D3DKMT_STANDARDALLOCATIONTYPE.number("D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP")
_FORBIDDEN = ("CreateProtected", "CreateWriteCombined", "CreateCached", "OpenCrossAdapter")

_CREATE_PAGE = page("D3DKMTCreateAllocation2")
_STRUCT_PAGE = page("D3DKMT_CREATEALLOCATION")


class CreateAllocationRequest(DeviceRequest):
    """A D3DKMT_CREATEALLOCATION with elements of either version.

    Attributes:
        flags: Names of the flags that are set.
    """

    def __init__(self, process: Process, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
        super().__init__(process, spec, abi, memory, arguments)
        self.flags = self.args.flags("Flags")

    @lazy_attribute
    def standard(self) -> View:
        """Standard allocation of pStandardAllocation."""
        return self.args.follow("pStandardAllocation")

    @lazy_attribute
    def heap_size(self) -> int:
        """Bytes of the standard allocation's heap."""
        return self.standard["ExistingHeapData.Size"]

    @lazy_attribute
    def elements(self) -> list[View]:
        """Elements of the list, one for each allocation to create."""
        (name,) = (arm for arm in self.spec.union_arms if arm.startswith("pAllocationInfo"))
        return [self.args.follow(name, index) for index in range(self.args["NumAllocations"])]

    @lazy_attribute
    def resource(self) -> Resource | None:
        """Live resource of hResource on the same device, or None."""
        resource = self.process.find(self.args["hResource"], Resource)
        return resource if resource and resource.is_on(self.device) else None

    @lazy_attribute
    def memories(self) -> list[AllocationMemory]:
        """Memory that each allocation needs."""
        assert self.adapter is not None
        memories: list[AllocationMemory] = []
        for element in self.elements:
            data = element.bytes("pPrivateDriverData", "PrivateDriverDataSize")
            if "StandardAllocation" in self.flags:
                size = self.heap_size
                data = heap_data(size) if self.machine.profile.heap_data else b""
                memory = AllocationMemory(
                    self.adapter, data, 0, size, size + KERNEL_RECORD, caller_address=element["pSystemMem"]
                )
            else:
                known_size = allocation_size(data, self.machine.drivers)
                size, size_known = known_size or DEFAULT_SIZE, known_size is not None
                in_system = bool(element["pSystemMem"])
                memory = AllocationMemory(
                    self.adapter,
                    data,
                    0 if in_system else size,
                    size if in_system else 0,
                    KERNEL_RECORD + (size if in_system else 0),
                    size_known=size_known,
                    caller_address=element["pSystemMem"],
                )
            memories.append(memory)
        return memories

    def fits_system_memory(self, size: int) -> bool:
        """Return True if `size` more bytes fit the machine's budget of system memory."""
        budget = self.machine.system_memory
        return budget is None or self.machine.system_memory_used + size <= budget

    @property
    def commits_at_creation(self) -> bool:
        """True if an allocation takes video memory when it is created, as before WDDM 2."""
        assert self.adapter is not None
        return self.machine.commits_at_creation(self.adapter)

    @property
    def has_too_large_memory(self) -> bool:
        """True if one of the allocations is larger than a budget of the adapter."""
        adapter = self.adapter
        assert adapter is not None
        sizes = [(memory.video_size, memory.shared_size) for memory in self.memories]
        budgets = adapter.video_memory, adapter.shared_memory
        return any(_exceeds(budget, size) for pair in sizes for budget, size in zip(budgets, pair, strict=True))

    @property
    def exceeds_video_memory(self) -> bool:
        """True if the allocations exceed a budget of the adapter, with those that exist."""
        adapter = self.adapter
        assert adapter is not None
        video_size = adapter.video_memory_used + sum(memory.video_size for memory in self.memories)
        shared_size = adapter.shared_memory_used + sum(memory.shared_size for memory in self.memories)
        budgets = ((adapter.video_memory, video_size), (adapter.shared_memory, shared_size))
        return any(_exceeds(budget, size) for budget, size in budgets)


def _exceeds(budget: int | None, size: int) -> bool:
    return budget is not None and size > budget


HEAP_SIZE = invalid(
    "the Size of an existing heap is 0 or above 0xffffffff",
    lambda r: "StandardAllocation" in r.flags and not 0 < r.heap_size <= 0xFFFFFFFF,
    REVERSED,
    "reverse engineering",
)
MEMORY_INSIDE_A_PAGE = invalid(
    "ExistingSysMem with a pSystemMem that is not aligned to a page",
    lambda r: "ExistingSysMem" in r.flags and any(element["pSystemMem"] % PAGE_SIZE for element in r.elements),
    _STRUCT_PAGE,
    "documentation",
)
CREATE_RULES = (
    BAD_DEVICE,
    invalid("NoKmdAccess without test signing", lambda r: "NoKmdAccess" in r.flags, REVERSED, "reverse engineering"),
    invalid(
        "NumAllocations is above 0x682aa",
        lambda r: r.args["NumAllocations"] > NUM_ALLOCATIONS_LIMIT,
        REVERSED,
        "reverse engineering",
    ),
    invalid(
        "a flag that user mode cannot set: " + ", ".join(_FORBIDDEN),
        lambda r: not r.flags.isdisjoint(_FORBIDDEN),
        REVERSED,
        "reverse engineering",
    ),
    invalid(
        "ExistingSysMem without StandardAllocation",
        lambda r: "ExistingSysMem" in r.flags and "StandardAllocation" not in r.flags,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "ExistingSection without StandardAllocation",
        lambda r: "ExistingSection" in r.flags and "StandardAllocation" not in r.flags,
        _STRUCT_PAGE,
        "documentation",
    ),
    invalid(
        "StandardAllocation with both or neither of ExistingSysMem and ExistingSection",
        lambda r: "StandardAllocation" in r.flags and ("ExistingSysMem" in r.flags) == ("ExistingSection" in r.flags),
        WINE_TEST + " (neither); documentation (both)",
        "Windows-verified",
    ),
    invalid(
        "StandardAllocation with PrivateDriverDataSize",
        lambda r: "StandardAllocation" in r.flags and r.args["PrivateDriverDataSize"] != 0,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "StandardAllocation with NumAllocations other than 1",
        lambda r: "StandardAllocation" in r.flags and r.args["NumAllocations"] != 1,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "the Type of a standard allocation is not EXISTINGHEAP",
        lambda r: "StandardAllocation" in r.flags and r.standard["Type"] != EXISTINGHEAP,
        WINE_TEST + " (0); third-party notes (others)",
        "Windows-verified",
    ),
    invalid(
        "the Flags of a standard allocation are not 0",
        lambda r: "StandardAllocation" in r.flags and r.standard["Flags"] != 0,
        REVERSED,
        "reverse engineering",
    ),
    HEAP_SIZE,
    invalid(
        "the Size of an existing heap is not a multiple of a page",
        lambda r: "StandardAllocation" in r.flags and r.heap_size % PAGE_SIZE != 0,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "NtSecuritySharing without CreateShared",
        lambda r: "NtSecuritySharing" in r.flags and "CreateShared" not in r.flags,
        "by analogy with synchronization objects in Wine's conformance test",
        "assumption",
    ),
    invalid(
        "CreateShared without CreateResource: a shared allocation needs a resource",
        lambda r: "CreateShared" in r.flags and "CreateResource" not in r.flags,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "hResource and NumAllocations are 0",
        lambda r: r.args["hResource"] == 0 and r.args["NumAllocations"] == 0,
        REVERSED,
        "reverse engineering",
    ),
    invalid(
        "StandardAllocation on an adapter older than WDDM 2.0",
        lambda r: "StandardAllocation" in r.flags and r.adapter.wddm < WDDM_2_0,
        REVERSED,
        "reverse engineering",
    ),
    device_removed("D3DKMTCreateAllocation2"),
    ValidationRule(
        "STATUS_NO_MEMORY",
        "the kernel's records exceed the budget of system memory",
        lambda r: not r.fits_system_memory(KERNEL_RECORD * r.args["NumAllocations"]),
        _CREATE_PAGE,
        "documentation",
    ),
    invalid(
        "ExistingSysMem without pSystemMem",
        lambda r: "ExistingSysMem" in r.flags and any(element["pSystemMem"] == 0 for element in r.elements),
        WINE_TEST,
        "Windows-verified",
    ),
    MEMORY_INSIDE_A_PAGE,
    invalid(
        "ExistingSection in version 1, whose elements do not have hSection",
        lambda r: "ExistingSection" in r.flags and not r.elements[0].layout.struct.has("hSection"),
        _STRUCT_PAGE,
        "assumption",
    ),
    ValidationRule(
        "STATUS_INVALID_HANDLE",
        "hSection is not an open handle",
        lambda r: "ExistingSection" in r.flags and r.process.nt_handles.is_invalid(r.elements[0]["hSection"]),
        "by analogy with other NT handles in Wine's conformance test",
        "assumption",
    ),
    ValidationRule(
        "STATUS_OBJECT_TYPE_MISMATCH",
        "hSection is not a section handle",
        lambda r: "ExistingSection" in r.flags and r.process.nt_handles.is_invalid(r.elements[0]["hSection"], SECTION),
        OTHER_TYPES,
        "assumption",
    ),
    invalid(
        "Stereo without Primary",
        lambda r: any(element["Flags.Stereo"] and not element["Flags.Primary"] for element in r.elements),
        REVERSED,
        "reverse engineering",
    ),
    ValidationRule(
        "STATUS_INVALID_HANDLE",
        "hResource is not a resource of the device",
        lambda r: r.args["hResource"] != 0 and r.resource is None,
        WINE_TEST,
        "Windows-verified",
    ),
    invalid(
        "StandardAllocation in an existing resource",
        lambda r: "StandardAllocation" in r.flags and r.args["hResource"] != 0 and "CreateResource" not in r.flags,
        WINE_TEST,
        "Windows-verified",
    ),
    # The page forbids this, but names no status.
    invalid(
        "hResource is a shared resource, which cannot grow",
        lambda r: r.resource is not None and r.resource.state.shared and "CreateResource" not in r.flags,
        _CREATE_PAGE,
        "documentation",
    ),
    invalid(
        "runtime or private driver data cannot be read",
        lambda r: not _is_readable(r),
        WSL,
        "Microsoft source",
    ),
    ValidationRule(
        "STATUS_NO_MEMORY",
        "memory that the allocations pin exceeds the budget of system memory",
        lambda r: not r.fits_system_memory(sum(memory.system_size for memory in r.memories)),
        _CREATE_PAGE,
        "documentation",
    ),
    # Since WDDM 2, allocations may exceed the budget together, and MakeResident fails instead.
    ValidationRule(
        "STATUS_GRAPHICS_NO_VIDEO_MEMORY",
        "an allocation is larger than the budget of video memory",
        lambda r: r.has_too_large_memory,
        _CREATE_PAGE,
        "documentation",
    ),
    ValidationRule(
        "STATUS_GRAPHICS_NO_VIDEO_MEMORY",
        "the budget of video memory is used up, on an adapter older than WDDM 2.0",
        lambda r: r.commits_at_creation and r.exceeds_video_memory,
        _CREATE_PAGE,
        "documentation",
    ),
)


def _is_readable(request: CreateAllocationRequest) -> bool:
    """Read all private data."""
    try:
        request.args.bytes("pPrivateRuntimeData", "PrivateRuntimeDataSize")
        if "StandardAllocation" not in request.flags:
            request.args.bytes("pPrivateDriverData", "PrivateDriverDataSize")
        return len(request.memories) == len(request.elements)
    except MemoryFault:
        return False


def create_allocation(request: CreateAllocationRequest) -> None:
    """Create the allocations and, with CreateResource, their resource.

    The resource has the first handle, and each allocation the next one (Wine's test). hGlobalShare is always written,
    and hResource only with CreateResource. Private data and sizes stay unchanged.
    """
    process, device, args = request.process, request.device, request.args
    assert device is not None
    resource, global_share = request.resource, 0
    if "CreateResource" in request.flags:
        state = ResourceState(
            device.adapter,
            shared="CreateShared" in request.flags,
            nt_shared="NtSecuritySharing" in request.flags,
            runtime_data=args.bytes("pPrivateRuntimeData", "PrivateRuntimeDataSize"),
            driver_data=b"" if "StandardAllocation" in request.flags else _driver_data(args),
        )
        resource = Resource(device, state)
        args["hResource"] = process.add(resource, device)
        if state.shared and not state.nt_shared:
            global_share = process.machine.create_global_handle(state)
    args["hGlobalShare"] = global_share
    for element, memory in zip(request.elements, request.memories, strict=True):
        element["hAllocation"] = process.add(Allocation(device, resource, memory), device, resource)
        if resource is not None and resource.state.shared:
            process.machine.add_reference(memory)
            resource.state.memories.append(memory)


def _driver_data(args: View) -> bytes:
    return args.bytes("pPrivateDriverData", "PrivateDriverDataSize")


def driver_decides(request: CreateAllocationRequest) -> bool:
    """Return True if the driver sees the request, and may reject it."""
    return "StandardAllocation" not in request.flags


CREATE = Behaviour(
    request=CreateAllocationRequest,
    null=null(
        "STATUS_ACCESS_VIOLATION",
        WINE_TEST + " (comment)",
        "Windows-verified",
        "the argument is NULL: on Windows the caller itself crashes",
    ),
    rules=CREATE_RULES,
    effect=create_allocation,
    driver_decides=driver_decides,
)

# The versions accept each other's objects and answer alike (Wine's conformance test). Only their elements differ.
BEHAVIOURS = {
    "D3DKMTCreateAllocation": CREATE,
    "D3DKMTCreateAllocation2": CREATE,
}
