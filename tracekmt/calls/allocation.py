"""Allocations and the resources that group them."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ALLOCATION,
    CPU_POINTER,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    GLOBAL_SHARE,
    HANDLE,
    RESOURCE,
    RUNTIME_DEFINED_HANDLE,
    handle,
)
from tracekmt.spec.types import (
    SIZE_T,
    UINT,
    ULONG_PTR,
    Array,
    Bit,
    Bytes,
    Call,
    Creates,
    Destroys,
    Enum,
    Overlay,
    Pointer,
    When,
    flags,
    inout,
    into,
    out,
    structure,
    unless,
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
    # Set by the kernel when the memory came from zeroed pages: an output in a word of inputs.
    Bit("Zeroed", 14, direction="out", opaque=True),
    "WriteWatch",
    "StandardAllocation",
    "ExistingSection",
    "AllowNotZeroed",
    "PhysicallyContiguous",
    "NoKmdAccess",
    "SharedDisplayable",
)

D3DKMT_STANDARDALLOCATIONTYPE = Enum(
    "D3DKMT_STANDARDALLOCATIONTYPE",
    (
        ("D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP", 1),
        ("D3DKMT_STANDARDALLOCATIONTYPE_INTERNALBACKINGSTORE", 2),
        ("D3DKMT_STANDARDALLOCATIONTYPE_MAX", 3),
    ),
)

D3DKMT_CREATESTANDARDALLOCATIONFLAGS = flags("D3DKMT_CREATESTANDARDALLOCATIONFLAGS")

D3DKMT_STANDARDALLOCATION_EXISTINGHEAP = structure(
    "D3DKMT_STANDARDALLOCATION_EXISTINGHEAP",
    into("Size", SIZE_T),
)

D3DKMT_CREATESTANDARDALLOCATION = structure(
    "D3DKMT_CREATESTANDARDALLOCATION",
    into("Type", D3DKMT_STANDARDALLOCATIONTYPE),
    # A union of one arm in the header.
    Overlay((into("ExistingHeapData", D3DKMT_STANDARDALLOCATION_EXISTINGHEAP),)),
    into("Flags", D3DKMT_CREATESTANDARDALLOCATIONFLAGS),
)

D3DDDI_ALLOCATIONINFO_FLAGS = flags("D3DDDI_ALLOCATIONINFO.Flags", "Primary", "Stereo")

D3DDDI_ALLOCATIONINFO = structure(
    "D3DDDI_ALLOCATIONINFO",
    out("hAllocation", handle(ALLOCATION)),
    into("pSystemMem", CPU_POINTER),
    inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    into("PrivateDriverDataSize", UINT),
    into("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    into("Flags", D3DDDI_ALLOCATIONINFO_FLAGS),
)

D3DDDI_ALLOCATIONINFO2_FLAGS = flags("D3DDDI_ALLOCATIONINFO2.Flags", "Primary", "Stereo", "OverridePriority")

D3DDDI_ALLOCATIONINFO2 = structure(
    "D3DDDI_ALLOCATIONINFO2",
    out("hAllocation", handle(ALLOCATION)),
    Overlay(
        (
            into("hSection", HANDLE, When("Flags.ExistingSection", up=1)),
            into("pSystemMem", CPU_POINTER),
        )
    ),
    # In and out: the driver may rewrite the bytes, never their number (WSL's dxgkrnl copies them back).
    inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    into("PrivateDriverDataSize", UINT),
    into("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    into("Flags", D3DDDI_ALLOCATIONINFO2_FLAGS),
    out("GpuVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    Overlay((into("Priority", UINT, When("Flags.OverridePriority")), into("Unused", ULONG_PTR))),
    into("Reserved", Array(ULONG_PTR, 5)),
)

D3DKMT_CREATEALLOCATION = structure(
    "D3DKMT_CREATEALLOCATION",
    into("hDevice", handle(DEVICE)),
    inout("hResource", handle(RESOURCE)),
    out("hGlobalShare", handle(GLOBAL_SHARE)),
    into("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    into("PrivateRuntimeDataSize", UINT),
    Overlay(
        (
            into("pStandardAllocation", Pointer(D3DKMT_CREATESTANDARDALLOCATION), When("Flags.StandardAllocation")),
            inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
        )
    ),
    into("PrivateDriverDataSize", UINT),
    into("NumAllocations", UINT),
    # Which of the two the memory holds is known from the function alone: elements of 40 bytes (x86: 24) for
    # D3DKMTCreateAllocation, of 96 (x86: 56) for D3DKMTCreateAllocation2.
    Overlay(
        (
            inout("pAllocationInfo", Pointer(D3DDDI_ALLOCATIONINFO, "NumAllocations")),
            inout("pAllocationInfo2", Pointer(D3DDDI_ALLOCATIONINFO2, "NumAllocations")),
        ),
        by_call=True,
    ),
    inout("Flags", D3DKMT_CREATEALLOCATIONFLAGS),
    into("hPrivateRuntimeResourceHandle", RUNTIME_DEFINED_HANDLE),
)

D3DDDICB_DESTROYALLOCATION2FLAGS = flags(
    "D3DDDICB_DESTROYALLOCATION2FLAGS", "AssumeNotInUse", "SynchronousDestroy", Bit("SystemUseOnly", 31)
)

D3DKMT_DESTROYALLOCATION2 = structure(
    "D3DKMT_DESTROYALLOCATION2",
    into("hDevice", handle(DEVICE)),
    into("hResource", handle(RESOURCE)),
    into("phAllocationList", Pointer(handle(ALLOCATION), "AllocationCount")),
    into("AllocationCount", UINT),
    into("Flags", D3DDDICB_DESTROYALLOCATION2FLAGS),
)

CALLS = (
    Call(
        "D3DKMTCreateAllocation2",
        D3DKMT_CREATEALLOCATION,
        arms=("pAllocationInfo2",),
        creates=(
            Creates(RESOURCE, "hResource", when=(When("Flags.CreateResource"),), within=("hDevice",)),
            Creates(ALLOCATION, "pAllocationInfo2[].hAllocation", within=("hResource", "hDevice")),
            # With NtSecuritySharing the resource is shared by an NT handle that D3DKMTShareObjects makes.
            Creates(
                GLOBAL_SHARE,
                "hGlobalShare",
                when=(When("Flags.CreateShared"), unless("Flags.NtSecuritySharing")),
                within=("hResource",),
            ),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_GRAPHICS_NO_VIDEO_MEMORY",
            "STATUS_INVALID_HANDLE",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            "d3dkmthk.h and d3dukmdt.h, WDDM 3.0",
            "Microsoft documentation: D3DKMTCreateAllocation2, D3DKMT_CREATEALLOCATION, D3DDDI_ALLOCATIONINFO2",
            "Wine dlls/win32u/tests/d3dkmt.c, run on Windows: statuses, which outputs are written",
            "WSL2-Linux-Kernel drivers/hv/dxgkrnl: private data is copied back",
        ),
    ),
    Call(
        "D3DKMTDestroyAllocation2",
        D3DKMT_DESTROYALLOCATION2,
        destroys=(
            Destroys(RESOURCE, "hResource"),
            # With hResource set the list is ignored (documentation of D3DKMT_DESTROYALLOCATION2).
            Destroys(ALLOCATION, "phAllocationList[]", when=(unless("hResource"),)),
        ),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(
            "d3dkmthk.h, WDDM 3.0",
            "Microsoft documentation: D3DKMTDestroyAllocation2, D3DKMT_DESTROYALLOCATION2",
            "Wine dlls/win32u/tests/d3dkmt.c, run on Windows: unknown handles, empty lists",
        ),
    ),
)
