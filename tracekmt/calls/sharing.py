"""Resources shared between devices and processes: by global handle, by NT handle, by name."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ADAPTER,
    ALLOCATION,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    GLOBAL_SHARE,
    KEYED_MUTEX,
    LUID,
    OBJECT_ATTRIBUTES,
    PROCESS,
    PROCESS_ID,
    RESOURCE,
    SHAREABLE,
    SHARED_OBJECT,
    SYNC_OBJECT,
    handle,
    nt_handle,
)
from tracekmt.calls.sources import HEADER, WINE_TESTS, WSL_KERNEL
from tracekmt.spec.dsl import BOOLEAN, DWORD, UINT, ULONG_PTR, in_, inout, out, parameters, structure
from tracekmt.spec.types import Array, Bytes, CallSpec, Creates, Integer, Pointer, Union

FAMILY = "sharing"

D3DKMT_QUERYRESOURCEINFO = structure(
    "D3DKMT_QUERYRESOURCEINFO",
    in_("hDevice", handle(DEVICE)),
    in_("hGlobalShare", handle(GLOBAL_SHARE)),
    # Documented as an output, but Windows does not write it (Wine's conformance test).
    out("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    inout("PrivateRuntimeDataSize", UINT),
    out("TotalPrivateDriverDataSize", UINT),
    out("ResourcePrivateDriverDataSize", UINT),
    out("NumAllocations", UINT),
)

D3DKMT_QUERYRESOURCEINFOFROMNTHANDLE = structure(
    "D3DKMT_QUERYRESOURCEINFOFROMNTHANDLE",
    in_("hDevice", handle(DEVICE)),
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    out("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    inout("PrivateRuntimeDataSize", UINT),
    out("TotalPrivateDriverDataSize", UINT),
    out("ResourcePrivateDriverDataSize", UINT),
    out("NumAllocations", UINT),
)

D3DDDI_OPENALLOCATIONINFO = structure(
    "D3DDDI_OPENALLOCATIONINFO",
    out("hAllocation", handle(ALLOCATION)),
    # The call sets it to the allocation's part of pTotalPrivateDriverDataBuffer (WSL's dxgkrnl).
    out("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True, set_by_call=True)),
    out("PrivateDriverDataSize", UINT),
)

D3DDDI_OPENALLOCATIONINFO2 = structure(
    "D3DDDI_OPENALLOCATIONINFO2",
    out("hAllocation", handle(ALLOCATION)),
    # The call sets it to the allocation's part of pTotalPrivateDriverDataBuffer (WSL's dxgkrnl).
    out("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True, set_by_call=True)),
    out("PrivateDriverDataSize", UINT),
    out("GpuVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("Reserved", Array(ULONG_PTR, 6)),
)

D3DKMT_OPENRESOURCE = structure(
    "D3DKMT_OPENRESOURCE",
    in_("hDevice", handle(DEVICE)),
    in_("hGlobalShare", handle(GLOBAL_SHARE)),
    in_("NumAllocations", UINT),
    Union(
        (
            inout("pOpenAllocationInfo", Pointer(D3DDDI_OPENALLOCATIONINFO, "NumAllocations")),
            inout("pOpenAllocationInfo2", Pointer(D3DDDI_OPENALLOCATIONINFO2, "NumAllocations")),
        ),
        by_call=True,
    ),
    out("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("PrivateRuntimeDataSize", UINT),
    out("pResourcePrivateDriverData", Bytes("ResourcePrivateDriverDataSize", opaque=True)),
    in_("ResourcePrivateDriverDataSize", UINT),
    out("pTotalPrivateDriverDataBuffer", Bytes("TotalPrivateDriverDataBufferSize", opaque=True)),
    # In: capacity of the buffer. Out: bytes used.
    inout("TotalPrivateDriverDataBufferSize", UINT),
    out("hResource", handle(RESOURCE)),
)

D3DKMT_OPENRESOURCEFROMNTHANDLE = structure(
    "D3DKMT_OPENRESOURCEFROMNTHANDLE",
    in_("hDevice", handle(DEVICE)),
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    in_("NumAllocations", UINT),
    inout("pOpenAllocationInfo2", Pointer(D3DDDI_OPENALLOCATIONINFO2, "NumAllocations")),
    in_("PrivateRuntimeDataSize", UINT),
    out("pPrivateRuntimeData", Bytes("PrivateRuntimeDataSize")),
    in_("ResourcePrivateDriverDataSize", UINT),
    out("pResourcePrivateDriverData", Bytes("ResourcePrivateDriverDataSize", opaque=True)),
    inout("TotalPrivateDriverDataBufferSize", UINT),
    out("pTotalPrivateDriverDataBuffer", Bytes("TotalPrivateDriverDataBufferSize", opaque=True)),
    out("hResource", handle(RESOURCE)),
    out("hKeyedMutex", handle(KEYED_MUTEX)),
    in_("pKeyedMutexPrivateRuntimeData", Bytes("KeyedMutexPrivateRuntimeDataSize")),
    in_("KeyedMutexPrivateRuntimeDataSize", UINT),
    out("hSyncObject", handle(SYNC_OBJECT)),
)

D3DKMT_OPENNTHANDLEFROMNAME = structure(
    "D3DKMT_OPENNTHANDLEFROMNAME",
    in_("dwDesiredAccess", DWORD),
    in_("pObjAttrib", Pointer(OBJECT_ATTRIBUTES)),
    out("hNtHandle", nt_handle(SHARED_OBJECT)),
)

D3DKMT_GETSHAREDRESOURCEADAPTERLUID = structure(
    "D3DKMT_GETSHAREDRESOURCEADAPTERLUID",
    in_("hGlobalShare", handle(GLOBAL_SHARE)),
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    out("AdapterLuid", LUID),
)

D3DKMT_CHECKSHAREDRESOURCEACCESS = structure(
    "D3DKMT_CHECKSHAREDRESOURCEACCESS",
    in_("hResource", handle(RESOURCE)),
    in_("ClientPid", Integer("UINT", 4, kind=PROCESS_ID)),
)

D3DKMT_CONFIGURESHAREDRESOURCE = structure(
    "D3DKMT_CONFIGURESHAREDRESOURCE",
    in_("hDevice", handle(DEVICE)),
    in_("hResource", handle(RESOURCE)),
    in_("IsDwm", BOOLEAN),
    in_("hProcess", nt_handle(PROCESS)),
    in_("AllowAccess", BOOLEAN),
)

D3DKMT_GETRUNTIMEDATA = structure(
    "D3DKMT_GETRUNTIMEDATA",
    in_("hAdapter", handle(ADAPTER)),
    in_("hGlobalShare", handle(GLOBAL_SHARE)),
    out("pRuntimeData", Bytes("RuntimeDataSize")),
    in_("RuntimeDataSize", UINT),
)

CALLS = (
    CallSpec(
        "D3DKMTQueryResourceInfo",
        D3DKMT_QUERYRESOURCEINFO,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_INTEGER_OVERFLOW",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTQueryResourceInfo",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTQueryResourceInfoFromNtHandle",
        D3DKMT_QUERYRESOURCEINFOFROMNTHANDLE,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTQueryResourceInfoFromNtHandle",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenResource",
        D3DKMT_OPENRESOURCE,
        union_arms=("pOpenAllocationInfo",),
        creates=(
            Creates(RESOURCE, "hResource", within=("hDevice",)),
            Creates(
                ALLOCATION,
                "pOpenAllocationInfo[].hAllocation",
                within=(
                    "hResource",
                    "hDevice",
                ),
            ),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenResource",
            WINE_TESTS,
            WSL_KERNEL,
        ),
    ),
    CallSpec(
        "D3DKMTOpenResource2",
        D3DKMT_OPENRESOURCE,
        union_arms=("pOpenAllocationInfo2",),
        creates=(
            Creates(RESOURCE, "hResource", within=("hDevice",)),
            Creates(
                ALLOCATION,
                "pOpenAllocationInfo2[].hAllocation",
                within=(
                    "hResource",
                    "hDevice",
                ),
            ),
        ),
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenResource2",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenResourceFromNtHandle",
        D3DKMT_OPENRESOURCEFROMNTHANDLE,
        creates=(
            Creates(RESOURCE, "hResource", within=("hDevice",)),
            Creates(
                ALLOCATION,
                "pOpenAllocationInfo2[].hAllocation",
                within=(
                    "hResource",
                    "hDevice",
                ),
            ),
            Creates(KEYED_MUTEX, "hKeyedMutex"),
            Creates(SYNC_OBJECT, "hSyncObject", within=("hDevice",)),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
            "STATUS_ACCESS_VIOLATION",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenResourceFromNtHandle",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTShareObjects",
        parameters(
            "D3DKMTShareObjects",
            in_("cObjects", UINT),
            in_("hObjects", Pointer(handle(SHAREABLE), "cObjects")),
            in_("pObjectAttributes", Pointer(OBJECT_ATTRIBUTES)),
            in_("dwDesiredAccess", DWORD),
            out("phSharedNtHandle", Pointer(nt_handle(SHARED_OBJECT))),
        ),
        creates=(Creates(SHARED_OBJECT, "phSharedNtHandle"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTShareObjects",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenNtHandleFromName",
        D3DKMT_OPENNTHANDLEFROMNAME,
        creates=(Creates(SHARED_OBJECT, "hNtHandle"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "STATUS_OBJECT_NAME_NOT_FOUND",
            "STATUS_ACCESS_DENIED",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenNtHandleFromName",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTGetSharedResourceAdapterLuid",
        D3DKMT_GETSHAREDRESOURCEADAPTERLUID,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetSharedResourceAdapterLuid",
        ),
    ),
    CallSpec(
        "D3DKMTCheckSharedResourceAccess",
        D3DKMT_CHECKSHAREDRESOURCEACCESS,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCheckSharedResourceAccess",
        ),
    ),
    CallSpec(
        "D3DKMTConfigureSharedResource",
        D3DKMT_CONFIGURESHAREDRESOURCE,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTConfigureSharedResource",
        ),
    ),
    CallSpec(
        "D3DKMTGetRuntimeData",
        D3DKMT_GETRUNTIMEDATA,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetRuntimeData",
        ),
    ),
)
