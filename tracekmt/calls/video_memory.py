"""Video memory: budgets, reservations, and requests to release memory."""

from __future__ import annotations

from tracekmt.calls.kinds import ADAPTER, DEVICE, LUID, PROCESS, TRIM_CALLBACK, handle, nt_handle
from tracekmt.calls.sources import HEADER, WINE_TESTS
from tracekmt.spec.dsl import UINT, UINT64, ULONG, enum, flags, in_, out, structure
from tracekmt.spec.types import Address, CallSpec, Creates, Destroys

FAMILY = "video memory"

D3DKMT_MEMORY_SEGMENT_GROUP = enum(
    "D3DKMT_MEMORY_SEGMENT_GROUP", D3DKMT_MEMORY_SEGMENT_GROUP_LOCAL=0, D3DKMT_MEMORY_SEGMENT_GROUP_NON_LOCAL=1
)

D3DKMT_QUERYVIDEOMEMORYINFO = structure(
    "D3DKMT_QUERYVIDEOMEMORYINFO",
    in_("hProcess", nt_handle(PROCESS)),
    in_("hAdapter", handle(ADAPTER)),
    in_("MemorySegmentGroup", D3DKMT_MEMORY_SEGMENT_GROUP),
    out("Budget", UINT64),
    out("CurrentUsage", UINT64),
    out("CurrentReservation", UINT64),
    out("AvailableForReservation", UINT64),
    in_("PhysicalAdapterIndex", UINT),
)

D3DKMT_CHANGEVIDEOMEMORYRESERVATION = structure(
    "D3DKMT_CHANGEVIDEOMEMORYRESERVATION",
    in_("hProcess", nt_handle(PROCESS)),
    in_("hAdapter", handle(ADAPTER)),
    in_("MemorySegmentGroup", D3DKMT_MEMORY_SEGMENT_GROUP),
    in_("Reservation", UINT64),
    in_("PhysicalAdapterIndex", UINT),
)

D3DKMT_QUERYPROCESSOFFERINFO = structure(
    "D3DKMT_QUERYPROCESSOFFERINFO",
    in_("cbSize", ULONG),
    in_("hProcess", nt_handle(PROCESS)),
    out("DecommitUniqueness", UINT64),
    out("DecommittableBytes", UINT64),
)

D3DKMT_TRIMPROCESSCOMMITMENT_FLAGS = flags("D3DKMT_TRIMPROCESSCOMMITMENT_FLAGS", "Lazy", "OnlyRepurposed")

D3DKMT_TRIMPROCESSCOMMITMENT = structure(
    "D3DKMT_TRIMPROCESSCOMMITMENT",
    in_("cbSize", ULONG),
    in_("hProcess", nt_handle(PROCESS)),
    in_("Flags", D3DKMT_TRIMPROCESSCOMMITMENT_FLAGS),
    in_("DecommitRequested", UINT64),
    out("NumBytesDecommitted", UINT64),
)

D3DKMT_REGISTERTRIMNOTIFICATION = structure(
    "D3DKMT_REGISTERTRIMNOTIFICATION",
    in_("AdapterLuid", LUID),
    in_("hDevice", handle(DEVICE)),
    # Code of the caller, which a replay cannot call.
    in_("Callback", Address("PFND3DKMT_TRIMNOTIFICATIONCALLBACK")),
    in_("Context", Address("void *")),
    out("Handle", nt_handle(TRIM_CALLBACK, "void *")),
)

D3DKMT_UNREGISTERTRIMNOTIFICATION = structure(
    "D3DKMT_UNREGISTERTRIMNOTIFICATION",
    # Documented as [out], but it is the handle that the registration returned.
    in_("Handle", nt_handle(TRIM_CALLBACK, "void *")),
    in_("Callback", Address("PFND3DKMT_TRIMNOTIFICATIONCALLBACK")),
)

CALLS = (
    CallSpec(
        "D3DKMTQueryVideoMemoryInfo",
        D3DKMT_QUERYVIDEOMEMORYINFO,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "STATUS_INVALID_HANDLE",
            "STATUS_ACCESS_DENIED",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTQueryVideoMemoryInfo",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTChangeVideoMemoryReservation",
        D3DKMT_CHANGEVIDEOMEMORYRESERVATION,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTChangeVideoMemoryReservation",
        ),
    ),
    CallSpec(
        "D3DKMTQueryProcessOfferInfo",
        D3DKMT_QUERYPROCESSOFFERINFO,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTQueryProcessOfferInfo",
        ),
    ),
    CallSpec(
        "D3DKMTTrimProcessCommitment",
        D3DKMT_TRIMPROCESSCOMMITMENT,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTTrimProcessCommitment",
        ),
    ),
    CallSpec(
        "D3DKMTRegisterTrimNotification",
        D3DKMT_REGISTERTRIMNOTIFICATION,
        creates=(Creates(TRIM_CALLBACK, "Handle", within=("hDevice",)),),
        side_effect="has the recorded address of a function called",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTRegisterTrimNotification",
        ),
    ),
    CallSpec(
        "D3DKMTUnregisterTrimNotification",
        D3DKMT_UNREGISTERTRIMNOTIFICATION,
        destroys=(Destroys(TRIM_CALLBACK, "Handle"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTUnregisterTrimNotification",
        ),
    ),
)
