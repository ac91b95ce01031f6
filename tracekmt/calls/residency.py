"""Residency: make allocations resident, evict them, and offer or reclaim their memory."""

from __future__ import annotations

from tracekmt.calls.kinds import ALLOCATION, DEVICE, FENCE_UINT64, PAGING_QUEUE, RESOURCE, handle
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import BOOL, UINT, UINT64, enum, flags, in_, inout, out, structure
from tracekmt.spec.types import CallSpec, Pointer, Union

FAMILY = "residency"

D3DDDI_MAKERESIDENT_FLAGS = flags("D3DDDI_MAKERESIDENT_FLAGS", "CantTrimFurther", "MustSucceed")

D3DDDI_MAKERESIDENT = structure(
    "D3DDDI_MAKERESIDENT",
    in_("hPagingQueue", handle(PAGING_QUEUE)),
    # In: length of the list. Out: number of allocations made resident.
    inout("NumAllocations", UINT),
    in_("AllocationList", Pointer(handle(ALLOCATION), "NumAllocations")),
    # Documented as an array, but ignored. Intel's compute runtime passes a pointer to a single number.
    in_("PriorityList", Pointer(UINT)),
    in_("Flags", D3DDDI_MAKERESIDENT_FLAGS),
    out("PagingFenceValue", FENCE_UINT64, fence_handle="hPagingQueue"),
    out("NumBytesToTrim", UINT64),
)

D3DDDI_EVICT_FLAGS = flags("D3DDDI_EVICT_FLAGS", "EvictOnlyIfNecessary", "NotWrittenTo")

D3DKMT_EVICT = structure(
    "D3DKMT_EVICT",
    in_("hDevice", handle(DEVICE)),
    in_("NumAllocations", UINT),
    in_("AllocationList", Pointer(handle(ALLOCATION), "NumAllocations")),
    in_("Flags", D3DDDI_EVICT_FLAGS),
    out("NumBytesToTrim", UINT64),
)

D3DKMT_OFFER_PRIORITY = enum(
    "D3DKMT_OFFER_PRIORITY",
    D3DKMT_OFFER_PRIORITY_LOW=1,
    D3DKMT_OFFER_PRIORITY_NORMAL=2,
    D3DKMT_OFFER_PRIORITY_HIGH=3,
    D3DKMT_OFFER_PRIORITY_AUTO=4,
)

D3DKMT_OFFER_FLAGS = flags("D3DKMT_OFFER_FLAGS", "OfferImmediately", "AllowDecommit")

D3DKMT_OFFERALLOCATIONS = structure(
    "D3DKMT_OFFERALLOCATIONS",
    in_("hDevice", handle(DEVICE)),
    in_("pResources", Pointer(handle(RESOURCE), "NumAllocations")),
    in_("HandleList", Pointer(handle(ALLOCATION), "NumAllocations")),
    in_("NumAllocations", UINT),
    in_("Priority", D3DKMT_OFFER_PRIORITY),
    in_("Flags", D3DKMT_OFFER_FLAGS),
)

D3DKMT_RECLAIMALLOCATIONS = structure(
    "D3DKMT_RECLAIMALLOCATIONS",
    in_("hDevice", handle(DEVICE)),
    in_("pResources", Pointer(handle(RESOURCE), "NumAllocations")),
    in_("HandleList", Pointer(handle(ALLOCATION), "NumAllocations")),
    out("pDiscarded", Pointer(BOOL, "NumAllocations")),
    in_("NumAllocations", UINT),
)

D3DDDI_RECLAIM_RESULT = enum(
    "D3DDDI_RECLAIM_RESULT",
    D3DDDI_RECLAIM_RESULT_OK=0,
    D3DDDI_RECLAIM_RESULT_DISCARDED=1,
    D3DDDI_RECLAIM_RESULT_NOT_COMMITTED=2,
)

D3DKMT_RECLAIMALLOCATIONS2 = structure(
    "D3DKMT_RECLAIMALLOCATIONS2",
    in_("hPagingQueue", handle(PAGING_QUEUE)),
    in_("NumAllocations", UINT),
    in_("pResources", Pointer(handle(RESOURCE), "NumAllocations")),
    in_("HandleList", Pointer(handle(ALLOCATION), "NumAllocations")),
    Union(
        (
            out("pDiscarded", Pointer(BOOL, "NumAllocations")),
            out("pResults", Pointer(D3DDDI_RECLAIM_RESULT, "NumAllocations")),
        ),
        by_call=True,
    ),
    out("PagingFenceValue", FENCE_UINT64, fence_handle="hPagingQueue"),
)

CALLS = (
    CallSpec(
        "D3DKMTMakeResident",
        D3DDDI_MAKERESIDENT,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_PENDING",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTMakeResident, D3DDDI_MAKERESIDENT",
            "intel/compute-runtime: how a real client calls it",
        ),
    ),
    CallSpec(
        "D3DKMTEvict",
        D3DKMT_EVICT,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTEvict",
        ),
    ),
    CallSpec(
        "D3DKMTOfferAllocations",
        D3DKMT_OFFERALLOCATIONS,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOfferAllocations",
        ),
    ),
    CallSpec(
        "D3DKMTReclaimAllocations",
        D3DKMT_RECLAIMALLOCATIONS,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTReclaimAllocations",
        ),
    ),
    CallSpec(
        "D3DKMTReclaimAllocations2",
        D3DKMT_RECLAIMALLOCATIONS2,
        union_arms=("pResults",),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTReclaimAllocations2",
        ),
    ),
)
