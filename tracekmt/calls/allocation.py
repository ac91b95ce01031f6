"""Allocations and the resources that group them."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ALLOCATION,
    CPU_POINTER,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    FENCE_UINT64,
    GLOBAL_SHARE,
    PAGING_QUEUE,
    RESOURCE,
    RUNTIME_HANDLE,
    SECTION,
    handle,
    nt_handle,
)
from tracekmt.calls.sources import HEADER, WINE_TESTS, WSL_KERNEL
from tracekmt.spec.dsl import UINT, ULONG_PTR, enum, flags, in_, inout, out, structure, unless
from tracekmt.spec.types import (
    Array,
    Bit,
    Bytes,
    CallSpec,
    Condition,
    Creates,
    Destroys,
    Integer,
    Length,
    Pointer,
    Union,
)

FAMILY = "allocation"

D3DKMT_STANDARDALLOCATIONTYPE = enum(
    "D3DKMT_STANDARDALLOCATIONTYPE",
    D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP=1,
    D3DKMT_STANDARDALLOCATIONTYPE_INTERNALBACKINGSTORE=2,
    D3DKMT_STANDARDALLOCATIONTYPE_MAX=3,
)

D3DKMT_STANDARDALLOCATION_EXISTINGHEAP = structure(
    "D3DKMT_STANDARDALLOCATION_EXISTINGHEAP",
    in_("Size", Integer("D3DKMT_SIZE_T", None)),
)

D3DKMT_CREATESTANDARDALLOCATIONFLAGS = flags("D3DKMT_CREATESTANDARDALLOCATIONFLAGS")

D3DKMT_CREATESTANDARDALLOCATION = structure(
    "D3DKMT_CREATESTANDARDALLOCATION",
    in_("Type", D3DKMT_STANDARDALLOCATIONTYPE),
    Union((in_("ExistingHeapData", D3DKMT_STANDARDALLOCATION_EXISTINGHEAP),)),
    in_("Flags", D3DKMT_CREATESTANDARDALLOCATIONFLAGS),
)

D3DDDI_ALLOCATIONINFO_FLAGS = flags("D3DDDI_ALLOCATIONINFO.Flags", "Primary", "Stereo")

D3DDDI_ALLOCATIONINFO = structure(
    "D3DDDI_ALLOCATIONINFO",
    out("hAllocation", handle(ALLOCATION)),
    in_("pSystemMem", CPU_POINTER),
    inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("Flags", D3DDDI_ALLOCATIONINFO_FLAGS),
)

D3DDDI_ALLOCATIONINFO2_FLAGS = flags("D3DDDI_ALLOCATIONINFO2.Flags", "Primary", "Stereo", "OverridePriority")

D3DDDI_ALLOCATIONINFO2 = structure(
    "D3DDDI_ALLOCATIONINFO2",
    out("hAllocation", handle(ALLOCATION)),
    Union(
        (
            in_("hSection", nt_handle(SECTION), Condition("Flags.ExistingSection", parent=1)),
            in_("pSystemMem", CPU_POINTER),
        )
    ),
    # In and out: the driver may rewrite the bytes, but not their number (WSL's dxgkrnl copies them back).
    inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("Flags", D3DDDI_ALLOCATIONINFO2_FLAGS),
    out("GpuVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    Union(
        (
            in_("Priority", UINT, Condition("Flags.OverridePriority")),
            in_("Unused", ULONG_PTR),
        )
    ),
    in_("Reserved", Array(ULONG_PTR, 5)),
)

D3DKMT_CREATEALLOCATIONFLAGS = flags(
    "D3DKMT_CREATEALLOCATIONFLAGS",
    "CreateResource",
    "CreateShared",
    "NonSecure",
    "CreateProtected",
    "RestrictSharedAccess",
    "ExistingSysMem",
    "NtSecuritySharing",
    "ReadOnly",
    "CreateWriteCombined",
    "CreateCached",
    "SwapChainBackBuffer",
    "CrossAdapter",
    "OpenCrossAdapter",
    "PartialSharedCreation",
    Bit("Zeroed", 14, direction="out", opaque=True),
    "WriteWatch",
    "StandardAllocation",
    "ExistingSection",
    "AllowNotZeroed",
    "PhysicallyContiguous",
    "NoKmdAccess",
    "SharedDisplayable",
    Bit("NoImplicitSynchronization", 22),
)

HEAP_SIZE = "pStandardAllocation.ExistingHeapData.Size"
"""Path of the size of the caller's memory that a call creates allocations on."""

D3DKMT_CREATEALLOCATION = structure(
    "D3DKMT_CREATEALLOCATION",
    in_("hDevice", handle(DEVICE)),
    inout("hResource", handle(RESOURCE)),
    out("hGlobalShare", handle(GLOBAL_SHARE)),
    in_("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("PrivateRuntimeDataSize", UINT),
    Union(
        (
            in_("pStandardAllocation", Pointer(D3DKMT_CREATESTANDARDALLOCATION), Condition("Flags.StandardAllocation")),
            inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
        )
    ),
    in_("PrivateDriverDataSize", UINT),
    in_("NumAllocations", UINT),
    # Only the function determines which arm is in effect: elements of 40 bytes (x86: 24) for
    # D3DKMTCreateAllocation, of 96 (x86: 56) for D3DKMTCreateAllocation2.
    Union(
        (
            inout("pAllocationInfo", Pointer(D3DDDI_ALLOCATIONINFO, "NumAllocations")),
            inout("pAllocationInfo2", Pointer(D3DDDI_ALLOCATIONINFO2, "NumAllocations")),
        ),
        by_call=True,
    ),
    inout("Flags", D3DKMT_CREATEALLOCATIONFLAGS),
    in_("hPrivateRuntimeResourceHandle", nt_handle(RUNTIME_HANDLE)),
)

D3DKMT_DESTROYALLOCATION = structure(
    "D3DKMT_DESTROYALLOCATION",
    in_("hDevice", handle(DEVICE)),
    in_("hResource", handle(RESOURCE)),
    in_("phAllocationList", Pointer(handle(ALLOCATION), "AllocationCount")),
    in_("AllocationCount", UINT),
)

D3DDDICB_DESTROYALLOCATION2FLAGS = flags(
    "D3DDDICB_DESTROYALLOCATION2FLAGS", "AssumeNotInUse", "SynchronousDestroy", Bit("SystemUseOnly", 31)
)

D3DKMT_DESTROYALLOCATION2 = structure(
    "D3DKMT_DESTROYALLOCATION2",
    in_("hDevice", handle(DEVICE)),
    in_("hResource", handle(RESOURCE)),
    in_("phAllocationList", Pointer(handle(ALLOCATION), "AllocationCount")),
    in_("AllocationCount", UINT),
    in_("Flags", D3DDDICB_DESTROYALLOCATION2FLAGS),
)

D3DKMT_SETALLOCATIONPRIORITY = structure(
    "D3DKMT_SETALLOCATIONPRIORITY",
    in_("hDevice", handle(DEVICE)),
    in_("hResource", handle(RESOURCE)),
    in_("phAllocationList", Pointer(handle(ALLOCATION), "AllocationCount")),
    in_("AllocationCount", UINT),
    # With hResource set, there is one priority although AllocationCount is 0 (documentation).
    in_("pPriorities", Pointer(UINT, Length("AllocationCount", minimum=1))),
)

D3DKMT_GETALLOCATIONPRIORITY = structure(
    "D3DKMT_GETALLOCATIONPRIORITY",
    in_("hDevice", handle(DEVICE)),
    in_("hResource", handle(RESOURCE)),
    in_("phAllocationList", Pointer(handle(ALLOCATION), "AllocationCount")),
    in_("AllocationCount", UINT),
    out("pPriorities", Pointer(UINT, Length("AllocationCount", minimum=1))),
)

D3DKMT_ALLOCATIONRESIDENCYSTATUS = enum(
    "D3DKMT_ALLOCATIONRESIDENCYSTATUS",
    D3DKMT_ALLOCATIONRESIDENCYSTATUS_RESIDENTINGPUMEMORY=1,
    D3DKMT_ALLOCATIONRESIDENCYSTATUS_RESIDENTINSHAREDMEMORY=2,
    D3DKMT_ALLOCATIONRESIDENCYSTATUS_NOTRESIDENT=3,
)

D3DKMT_QUERYALLOCATIONRESIDENCY = structure(
    "D3DKMT_QUERYALLOCATIONRESIDENCY",
    in_("hDevice", handle(DEVICE)),
    in_("hResource", handle(RESOURCE)),
    in_("phAllocationList", Pointer(handle(ALLOCATION), "AllocationCount")),
    in_("AllocationCount", UINT),
    # With hResource set, there is one status although AllocationCount is 0 (documentation).
    out("pResidencyStatus", Pointer(D3DKMT_ALLOCATIONRESIDENCYSTATUS, Length("AllocationCount", minimum=1))),
)

D3DDDI_SEGMENTPREFERENCE = flags(
    "D3DDDI_SEGMENTPREFERENCE",
    Bit("SegmentId0", 0, 5),
    Bit("Direction0", 5),
    Bit("SegmentId1", 6, 5),
    Bit("Direction1", 11),
    Bit("SegmentId2", 12, 5),
    Bit("Direction2", 17),
    Bit("SegmentId3", 18, 5),
    Bit("Direction3", 23),
    Bit("SegmentId4", 24, 5),
    Bit("Direction4", 29),
    Bit("Reserved", 30, 2),
)

D3DDDI_UPDATEALLOCPROPERTY_FLAGS = flags("D3DDDI_UPDATEALLOCPROPERTY_FLAGS", "AccessedPhysically", "Unmoveable")

D3DDDI_UPDATEALLOCPROPERTY = structure(
    "D3DDDI_UPDATEALLOCPROPERTY",
    in_("hPagingQueue", handle(PAGING_QUEUE)),
    in_("hAllocation", handle(ALLOCATION)),
    in_("SupportedSegmentSet", UINT),
    in_("PreferredSegment", D3DDDI_SEGMENTPREFERENCE),
    in_("Flags", D3DDDI_UPDATEALLOCPROPERTY_FLAGS),
    out("PagingFenceValue", FENCE_UINT64, fence_handle="hPagingQueue"),
    in_(
        "PropertyMaskValue",
        flags(
            "D3DDDI_UPDATEALLOCPROPERTY.PropertyMaskValue",
            "SetAccessedPhysically",
            "SetSupportedSegmentSet",
            "SetPreferredSegment",
            "SetUnmoveable",
        ),
    ),
)

# Both functions create the same objects and return the same codes.
_NEW_RESOURCE = Creates(RESOURCE, "hResource", when=(Condition("Flags.CreateResource"),), within=("hDevice",))
_NEW_SHARE = Creates(
    GLOBAL_SHARE,
    "hGlobalShare",
    when=(
        Condition("Flags.CreateShared"),
        unless("Flags.NtSecuritySharing"),
    ),
    within=("hResource",),
)
_CREATE_STATUSES = (
    "STATUS_SUCCESS",
    "STATUS_DEVICE_REMOVED",
    "STATUS_GRAPHICS_NO_VIDEO_MEMORY",
    "STATUS_INVALID_HANDLE",
    "STATUS_INVALID_PARAMETER",
    "STATUS_NO_MEMORY",
)

CALLS = (
    CallSpec(
        "D3DKMTCreateAllocation",
        D3DKMT_CREATEALLOCATION,
        union_arms=("pAllocationInfo",),
        creates=(
            _NEW_RESOURCE,
            Creates(
                ALLOCATION,
                "pAllocationInfo[].hAllocation",
                within=(
                    "hResource",
                    "hDevice",
                ),
            ),
            _NEW_SHARE,
        ),
        statuses=_CREATE_STATUSES,
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateAllocation",
            "Microsoft documentation: D3DKMT_CREATEALLOCATION, D3DDDI_ALLOCATIONINFO",
            WINE_TESTS,
            WSL_KERNEL,
        ),
    ),
    CallSpec(
        "D3DKMTCreateAllocation2",
        D3DKMT_CREATEALLOCATION,
        union_arms=("pAllocationInfo2",),
        creates=(
            _NEW_RESOURCE,
            Creates(
                ALLOCATION,
                "pAllocationInfo2[].hAllocation",
                within=(
                    "hResource",
                    "hDevice",
                ),
            ),
            _NEW_SHARE,
        ),
        statuses=_CREATE_STATUSES,
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateAllocation2",
            "Microsoft documentation: D3DKMT_CREATEALLOCATION, D3DDDI_ALLOCATIONINFO2",
            WINE_TESTS,
            WSL_KERNEL,
        ),
    ),
    CallSpec(
        "D3DKMTDestroyAllocation",
        D3DKMT_DESTROYALLOCATION,
        destroys=(
            Destroys(RESOURCE, "hResource"),
            Destroys(ALLOCATION, "phAllocationList[]", when=(unless("hResource"),)),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroyAllocation",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTDestroyAllocation2",
        D3DKMT_DESTROYALLOCATION2,
        destroys=(
            Destroys(RESOURCE, "hResource"),
            Destroys(ALLOCATION, "phAllocationList[]", when=(unless("hResource"),)),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroyAllocation2",
            WINE_TESTS,
        ),
        may_block_when=(Condition("Flags.SynchronousDestroy"),),
    ),
    CallSpec(
        "D3DKMTSetAllocationPriority",
        D3DKMT_SETALLOCATIONPRIORITY,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSetAllocationPriority",
        ),
    ),
    CallSpec(
        "D3DKMTGetAllocationPriority",
        D3DKMT_GETALLOCATIONPRIORITY,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetAllocationPriority",
        ),
    ),
    CallSpec(
        "D3DKMTQueryAllocationResidency",
        D3DKMT_QUERYALLOCATIONRESIDENCY,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTQueryAllocationResidency",
        ),
    ),
    CallSpec(
        "D3DKMTUpdateAllocationProperty",
        D3DDDI_UPDATEALLOCPROPERTY,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTUpdateAllocationProperty",
        ),
    ),
)
