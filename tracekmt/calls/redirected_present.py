"""Presents that the compositor carries out, and presents that are cancelled."""

from __future__ import annotations

from tracekmt.calls.kinds import ALLOCATION, DEVICE, FENCE_ULONGLONG, LUID, RESOURCE, SYNC_OBJECT, handle
from tracekmt.calls.present import D3DKMT_PRESENTHISTORYTOKEN
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import UINT, UINT64, enum, flags, in_, inout, structure
from tracekmt.spec.types import Bytes, CallSpec

FAMILY = "redirected presents"

D3DKMT_PRESENT_REDIRECTEDS_FLAGS = flags("D3DKMT_PRESENT_REDIRECTEDS_FLAGS")

D3DKMT_PRESENT_REDIRECTED = structure(
    "D3DKMT_PRESENT_REDIRECTED",
    in_("hSyncObj", handle(SYNC_OBJECT)),
    in_("hDevice", handle(DEVICE)),
    in_("WaitedFenceValue", FENCE_ULONGLONG, fence_handle="hSyncObj"),
    in_("PresentHistoryToken", D3DKMT_PRESENTHISTORYTOKEN),
    in_("Flags", D3DKMT_PRESENT_REDIRECTEDS_FLAGS),
    in_("hSource", handle(ALLOCATION)),
    in_("PrivateDriverDataSize", UINT),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
)

D3DKMT_CANCEL_PRESENTS_FLAGS = flags("D3DKMT_CANCEL_PRESENTS_FLAGS", "NewVSyncInterruptState")

D3DKMT_CANCEL_PRESENTS_OPERATION = enum(
    "D3DKMT_CANCEL_PRESENTS_OPERATION",
    D3DKMT_CANCEL_PRESENTS_OPERATION_CANCEL_FROM=0,
    D3DKMT_CANCEL_PRESENTS_OPERATION_REPROGRAM_INTERRUPT=1,
)

D3DKMT_CANCEL_PRESENTS = structure(
    "D3DKMT_CANCEL_PRESENTS",
    in_("cbSize", UINT),
    in_("hDevice", handle(DEVICE)),
    in_("Flags", D3DKMT_CANCEL_PRESENTS_FLAGS),
    in_("Operation", D3DKMT_CANCEL_PRESENTS_OPERATION),
    in_("CancelFromPresentId", UINT64),
    in_("CompSurfaceLuid", LUID),
    in_("BindId", UINT64),
)

D3DDDI_GETRESOURCEPRESENTPRIVATEDRIVERDATA = structure(
    "D3DDDI_GETRESOURCEPRESENTPRIVATEDRIVERDATA",
    in_("hResource", handle(RESOURCE)),
    inout("PrivateDriverDataSize", UINT),
    inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
)

CALLS = (
    CallSpec(
        "D3DKMTPresentRedirected",
        D3DKMT_PRESENT_REDIRECTED,
        side_effect="shows an image on the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTPresentRedirected"),
    ),
    CallSpec(
        "D3DKMTCancelPresents",
        D3DKMT_CANCEL_PRESENTS,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER,),
    ),
    CallSpec(
        "D3DKMTGetResourcePresentPrivateDriverData",
        D3DDDI_GETRESOURCEPRESENTPRIVATEDRIVERDATA,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER", "STATUS_INVALID_BUFFER_SIZE"),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetResourcePresentPrivateDriverData"),
    ),
)
