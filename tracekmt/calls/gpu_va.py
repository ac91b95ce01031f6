"""GPU virtual addresses: reserving, mapping, updating, freeing ranges."""

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
from tracekmt.spec.dsl import UINT, UINT64, enum, flags, into, is_one, out, structure
from tracekmt.spec.types import Call, Creates, Destroys, Integer, Overlay, Pointer, When

D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE = flags(
    "D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE", "Write", "Execute", "Zero", "NoAccess", "SystemUseOnly", size=8
)

D3DDDI_MAPGPUVIRTUALADDRESS = structure(
    "D3DDDI_MAPGPUVIRTUALADDRESS",
    into("hPagingQueue", handle(PAGING_QUEUE)),
    into("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("MinimumAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("MaximumAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("hAllocation", handle(ALLOCATION)),
    into("OffsetInPages", D3DGPU_SIZE_T),
    into("SizeInPages", D3DGPU_SIZE_T),
    into("Protection", D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE),
    into("DriverProtection", UINT64),
    into("Reserved0", UINT),
    into("Reserved1", UINT64),
    out("VirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    out("PagingFenceValue", FENCE_UINT64, of="hPagingQueue"),
)

D3DDDIGPUVIRTUALADDRESS_RESERVATION_TYPE = enum(
    "D3DDDIGPUVIRTUALADDRESS_RESERVATION_TYPE",
    D3DDDIGPUVIRTUALADDRESS_RESERVE_NO_ACCESS=0,
    D3DDDIGPUVIRTUALADDRESS_RESERVE_ZERO=1,
    D3DDDIGPUVIRTUALADDRESS_RESERVE_NO_COMMIT=2,
)

D3DDDI_RESERVEGPUVIRTUALADDRESS = structure(
    "D3DDDI_RESERVEGPUVIRTUALADDRESS",
    Overlay(
        (
            into("hPagingQueue", handle(QUEUE_OR_ADAPTER)),
            into("hAdapter", handle(QUEUE_OR_ADAPTER), When("hAdapter", kind=ADAPTER)),
        )
    ),
    into("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("MinimumAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("MaximumAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("Size", D3DGPU_SIZE_T),
    Overlay(
        (
            into("ReservationType", D3DDDIGPUVIRTUALADDRESS_RESERVATION_TYPE),
            into("Reserved0", UINT),
        ),
        by_call=True,
    ),
    Overlay(
        (
            into("DriverProtection", UINT64),
            into("Reserved1", UINT64),
        ),
        by_call=True,
    ),
    out("VirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    Overlay(
        (
            out("PagingFenceValue", FENCE_UINT64, of="hPagingQueue"),
            into("Reserved2", UINT64),
        ),
        by_call=True,
    ),
)

D3DKMT_FREEGPUVIRTUALADDRESS = structure(
    "D3DKMT_FREEGPUVIRTUALADDRESS",
    into("hAdapter", handle(ADAPTER)),
    into("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("Size", D3DGPU_SIZE_T),
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
    into("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("SizeInBytes", D3DGPU_SIZE_T),
    into("hAllocation", handle(ALLOCATION)),
    into("AllocationOffsetInBytes", D3DGPU_SIZE_T),
    into("AllocationSizeInBytes", D3DGPU_SIZE_T),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_MAPPROTECT = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION.MapProtect",
    into("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("SizeInBytes", D3DGPU_SIZE_T),
    into("hAllocation", handle(ALLOCATION)),
    into("AllocationOffsetInBytes", D3DGPU_SIZE_T),
    into("AllocationSizeInBytes", D3DGPU_SIZE_T),
    into("Protection", D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE),
    into("DriverProtection", UINT64),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_UNMAP = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION.Unmap",
    into("BaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("SizeInBytes", D3DGPU_SIZE_T),
    into("Protection", D3DDDIGPUVIRTUALADDRESS_PROTECTION_TYPE),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_COPY = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION.Copy",
    into("SourceAddress", D3DGPU_VIRTUAL_ADDRESS),
    into("SizeInBytes", D3DGPU_SIZE_T),
    into("DestAddress", D3DGPU_VIRTUAL_ADDRESS),
)

D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION = structure(
    "D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION",
    into("OperationType", D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE),
    Overlay(
        (
            into(
                "Map",
                D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_MAP,
                is_one(
                    "OperationType", D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE, "D3DDDI_UPDATEGPUVIRTUALADDRESS_MAP"
                ),
            ),
            into(
                "MapProtect",
                D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_MAPPROTECT,
                is_one(
                    "OperationType",
                    D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE,
                    "D3DDDI_UPDATEGPUVIRTUALADDRESS_MAP_PROTECT",
                ),
            ),
            into(
                "Unmap",
                D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_UNMAP,
                is_one(
                    "OperationType",
                    D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION_TYPE,
                    "D3DDDI_UPDATEGPUVIRTUALADDRESS_UNMAP",
                ),
            ),
            into(
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
    into("hDevice", handle(DEVICE)),
    into("hContext", handle(CONTEXT)),
    into("hFenceObject", handle(SYNC_OBJECT)),
    into("NumOperations", UINT),
    into("Operations", Pointer(D3DDDI_UPDATEGPUVIRTUALADDRESS_OPERATION, "NumOperations")),
    into("Reserved0", Integer("D3DKMT_SIZE_T", None)),
    into("Reserved1", UINT64),
    into("FenceValue", FENCE_UINT64, of="hFenceObject"),
    into("Flags", D3DKMT_UPDATEGPUVIRTUALADDRESS_FLAGS),
)

CALLS = (
    Call(
        "D3DKMTMapGpuVirtualAddress",
        D3DDDI_MAPGPUVIRTUALADDRESS,
        creates=(Creates(GPU_ADDRESS, "VirtualAddress", within=("hAllocation",), size="SizeInPages", unit=4096),),
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
    Call(
        "D3DKMTReserveGpuVirtualAddress",
        D3DDDI_RESERVEGPUVIRTUALADDRESS,
        arms=("ReservationType", "DriverProtection", "PagingFenceValue"),
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
    Call(
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
    Call(
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
        blocks=(),
    ),
)
