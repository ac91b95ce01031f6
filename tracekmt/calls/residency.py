"""Residency: what has to be in memory, what may leave it, what is offered to others."""

from __future__ import annotations

from tracekmt.calls.kinds import ALLOCATION, DEVICE, FENCE_UINT64, PAGING_QUEUE, RESOURCE, handle
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import BOOL, UINT, UINT64, enum, flags, inout, into, out, structure
from tracekmt.spec.types import Call, Overlay, Pointer

D3DDDI_MAKERESIDENT_FLAGS = flags("D3DDDI_MAKERESIDENT_FLAGS", "CantTrimFurther", "MustSucceed")

D3DDDI_MAKERESIDENT = structure(
    "D3DDDI_MAKERESIDENT",
    into("hPagingQueue", handle(PAGING_QUEUE)),
    # In: the length of the list. Out: how many were made resident.
    inout("NumAllocations", UINT),
    into("AllocationList", Pointer(handle(ALLOCATION), "NumAllocations")),
    # Documented as an array, but ignored; real callers (Intel's compute runtime) point it at a single number.
    into("PriorityList", Pointer(UINT)),
    into("Flags", D3DDDI_MAKERESIDENT_FLAGS),
    out("PagingFenceValue", FENCE_UINT64, of="hPagingQueue"),
    out("NumBytesToTrim", UINT64),
)

D3DDDI_EVICT_FLAGS = flags("D3DDDI_EVICT_FLAGS", "EvictOnlyIfNecessary", "NotWrittenTo")

D3DKMT_EVICT = structure(
    "D3DKMT_EVICT",
    into("hDevice", handle(DEVICE)),
    into("NumAllocations", UINT),
    into("AllocationList", Pointer(handle(ALLOCATION), "NumAllocations")),
    into("Flags", D3DDDI_EVICT_FLAGS),
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
    into("hDevice", handle(DEVICE)),
    into("pResources", Pointer(handle(RESOURCE), "NumAllocations")),
    into("HandleList", Pointer(handle(ALLOCATION), "NumAllocations")),
    into("NumAllocations", UINT),
    into("Priority", D3DKMT_OFFER_PRIORITY),
    into("Flags", D3DKMT_OFFER_FLAGS),
)

D3DKMT_RECLAIMALLOCATIONS = structure(
    "D3DKMT_RECLAIMALLOCATIONS",
    into("hDevice", handle(DEVICE)),
    into("pResources", Pointer(handle(RESOURCE), "NumAllocations")),
    into("HandleList", Pointer(handle(ALLOCATION), "NumAllocations")),
    out("pDiscarded", Pointer(BOOL, "NumAllocations")),
    into("NumAllocations", UINT),
)

D3DDDI_RECLAIM_RESULT = enum(
    "D3DDDI_RECLAIM_RESULT",
    D3DDDI_RECLAIM_RESULT_OK=0,
    D3DDDI_RECLAIM_RESULT_DISCARDED=1,
    D3DDDI_RECLAIM_RESULT_NOT_COMMITTED=2,
)

D3DKMT_RECLAIMALLOCATIONS2 = structure(
    "D3DKMT_RECLAIMALLOCATIONS2",
    into("hPagingQueue", handle(PAGING_QUEUE)),
    into("NumAllocations", UINT),
    into("pResources", Pointer(handle(RESOURCE), "NumAllocations")),
    into("HandleList", Pointer(handle(ALLOCATION), "NumAllocations")),
    Overlay(
        (
            out("pDiscarded", Pointer(BOOL, "NumAllocations")),
            out("pResults", Pointer(D3DDDI_RECLAIM_RESULT, "NumAllocations")),
        ),
        by_call=True,
    ),
    out("PagingFenceValue", FENCE_UINT64, of="hPagingQueue"),
)

CALLS = (
    Call(
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
    Call(
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
    Call(
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
    Call(
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
    Call(
        "D3DKMTReclaimAllocations2",
        D3DKMT_RECLAIMALLOCATIONS2,
        arms=("pResults",),
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
