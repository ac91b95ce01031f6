"""GPU virtual addresses: reserve, map, update and free ranges."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ADAPTER,
    ALLOCATION,
    CONTEXT,
    D3DGPU_SIZE_T,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    FENCE_UINT64,
    GPU_ADDRESS,
    PAGING_QUEUE,
    QUEUE_OR_ADAPTER,
    SYNC_OBJECT,
    handle,
)
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import UINT, UINT64, enum, flags, in_, is_one, out, structure
from tracekmt.spec.types import PAGE_SIZE, CallSpec, Condition, Creates, Destroys, Integer, Pointer, Union

FAMILY = "gpu virtual address"

D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE = flags(
    "D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE", "Write", "Execute", "Zero", "NoAccess", "SystemUseOnly", size=8
)

D3DDDI_MAPGPUVIRTUALADDRESS = structure(
    "D3DDDI_MAPGPUVIRTUALADDRESS",
    in_("hPagingQueue", handle(PAGING_QUEUE)),
    in_("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("MinimumAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("MaximumAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("hAllocation", handle(ALLOCATION)),
    in_("OffsetInPages", D3DGPU_SIZE_T),
    in_("SizeInPages", D3DGPU_SIZE_T),
    in_("Protection", D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE),
    in_("DriverProtection", UINT64),
    in_("Reserved0", UINT),
    in_("Reserved1", UINT64),
    out("VirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    out("PagingFenceValue", FENCE_UINT64, fence_handle="hPagingQueue"),
)

D3DDDIGPUVIRTUALADDRESS_RESERVATION_TYPE = enum(
    "D3DDDIGPUVIRTUALADDRESS_RESERVATION_TYPE",
    D3DDDIGPUVIRTUALADDRESS_RESERVE_NO_ACCESS=0,
    D3DDDIGPUVIRTUALADDRESS_RESERVE_ZERO=1,
    D3DDDIGPUVIRTUALADDRESS_RESERVE_NO_COMMIT=2,
)

D3DDDI_RESERVEGPUVIRTUALADDRESS = structure(
    "D3DDDI_RESERVEGPUVIRTUALADDRESS",
    Union(
        (
            in_("hPagingQueue", handle(QUEUE_OR_ADAPTER)),
            in_("hAdapter", handle(QUEUE_OR_ADAPTER), Condition("hAdapter", kind=ADAPTER)),
        )
    ),
    in_("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("MinimumAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("MaximumAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("Size", D3DGPU_SIZE_T),
    Union(
        (
            in_("ReservationType", D3DDDIGPUVIRTUALADDRESS_RESERVATION_TYPE),
            in_("Reserved0", UINT),
        ),
        by_call=True,
    ),
    Union(
        (
            in_("DriverProtection", UINT64),
            in_("Reserved1", UINT64),
        ),
        by_call=True,
    ),
    out("VirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    Union(
        (
            out("PagingFenceValue", FENCE_UINT64, fence_handle="hPagingQueue"),
            in_("Reserved2", UINT64),
        ),
        by_call=True,
    ),
)

D3DKMT_FREEGPUVIRTUALADDRESS = structure(
    "D3DKMT_FREEGPUVIRTUALADDRESS",
    in_("hAdapter", handle(ADAPTER)),
    in_("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("Size", D3DGPU_SIZE_T),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE = enum(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE",
    D3DDDI_UPDATEGPUVIRTUALADDRESS_MAP=0,
    D3DDDI_UPDATEGPUVIRTUALADDRESS_UNMAP=1,
    D3DDDI_UPDATEGPUVIRTUALADDRESS_COPY=2,
    D3DDDI_UPDATEGPUVIRTUALADDRESS_MAP_PROTECT=3,
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_MAP = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION.Map",
    in_("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("SizeInBytes", D3DGPU_SIZE_T),
    in_("hAllocation", handle(ALLOCATION)),
    in_("AllocationOffsetInBytes", D3DGPU_SIZE_T),
    in_("AllocationSizeInBytes", D3DGPU_SIZE_T),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_MAPPROTECT = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION.MapProtect",
    in_("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("SizeInBytes", D3DGPU_SIZE_T),
    in_("hAllocation", handle(ALLOCATION)),
    in_("AllocationOffsetInBytes", D3DGPU_SIZE_T),
    in_("AllocationSizeInBytes", D3DGPU_SIZE_T),
    in_("Protection", D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE),
    in_("DriverProtection", UINT64),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_UNMAP = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION.Unmap",
    in_("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("SizeInBytes", D3DGPU_SIZE_T),
    in_("Protection", D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_COPY = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION.Copy",
    in_("SourceAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("SizeInBytes", D3DGPU_SIZE_T),
    in_("DestAddress", D3DGPU_VIRTUAL_ADDRESS),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION",
    in_("OperationType", D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE),
    Union(
        (
            in_(
                "Map",
                D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_MAP,
                is_one(
                    "OperationType", D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE, "D3DDDI_UPDATEGPUVIRTUALADDRESS_MAP"
                ),
            ),
            in_(
                "MapProtect",
                D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_MAPPROTECT,
                is_one(
                    "OperationType",
                    D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE,
                    "D3DDDI_UPDATEGPUVIRTUALADDRESS_MAP_PROTECT",
                ),
            ),
            in_(
                "Unmap",
                D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_UNMAP,
                is_one(
                    "OperationType",
                    D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE,
                    "D3DDDI_UPDATEGPUVIRTUALADDRESS_UNMAP",
                ),
            ),
            in_(
                "Copy",
                D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_COPY,
                is_one(
                    "OperationType",
                    D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE,
                    "D3DDDI_UPDATEGPUVIRTUALADDRESS_COPY",
                ),
            ),
        )
    ),
)

D3DKMT_UPDATEGPUVIRTUALADDRESS_FLAGS = flags("D3DKMT_UPDATEGPUVIRTUALADDRESS.Flags", "DoNotWait")

D3DKMT_UPDATEGPUVIRTUALADDRESS = structure(
    "D3DKMT_UPDATEGPUVIRTUALADDRESS",
    in_("hDevice", handle(DEVICE)),
    in_("hContext", handle(CONTEXT)),
    in_("hFenceObject", handle(SYNC_OBJECT)),
    in_("NumOperations", UINT),
    in_("Operations", Pointer(D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION, "NumOperations")),
    in_("Reserved0", Integer("D3DKMT_SIZE_T", None)),
    in_("Reserved1", UINT64),
    in_("FenceValue", FENCE_UINT64, fence_handle="hFenceObject"),
    in_("Flags", D3DKMT_UPDATEGPUVIRTUALADDRESS_FLAGS),
)

CALLS = (
    CallSpec(
        "D3DKMTMapGpuVirtualAddress",
        D3DDDI_MAPGPUVIRTUALADDRESS,
        creates=(Creates(GPU_ADDRESS, "VirtualAddress", within=("hAllocation",), size="SizeInPages", unit=PAGE_SIZE),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_PENDING",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTMapGpuVirtualAddress, D3DDDI_MAPGPUVIRTUALADDRESS",
        ),
    ),
    CallSpec(
        "D3DKMTReserveGpuVirtualAddress",
        D3DDDI_RESERVEGPUVIRTUALADDRESS,
        union_arms=("ReservationType", "DriverProtection", "PagingFenceValue"),
        creates=(Creates(GPU_ADDRESS, "VirtualAddress", size="Size"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTReserveGpuVirtualAddress, D3DDDI_RESERVEGPUVIRTUALADDRESS",
        ),
    ),
    CallSpec(
        "D3DKMTFreeGpuVirtualAddress",
        D3DKMT_FREEGPUVIRTUALADDRESS,
        destroys=(Destroys(GPU_ADDRESS, "BaseAddress"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTFreeGpuVirtualAddress",
        ),
    ),
    CallSpec(
        "D3DKMTUpdateGpuVirtualAddress",
        D3DKMT_UPDATEGPUVIRTUALADDRESS,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTUpdateGpuVirtualAddress",
        ),
        may_block_when=(),
    ),
)
