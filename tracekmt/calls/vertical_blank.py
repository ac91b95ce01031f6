"""Vertical blanks: waits for them, and the scan line."""

from __future__ import annotations

from tracekmt.calls.kinds import ADAPTER, D3DDDI_VIDEO_PRESENT_SOURCE_ID, DEVICE, EVENT, handle, nt_handle
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import BOOLEAN, UINT, in_, out, structure
from tracekmt.spec.types import Array, CallSpec, Creates, Pointer

FAMILY = "vertical blank"

D3DKMT_WAITFORVERTICALBLANKEVENT = structure(
    "D3DKMT_WAITFORVERTICALBLANKEVENT",
    in_("hAdapter", handle(ADAPTER)),
    in_("hDevice", handle(DEVICE)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
)

D3DKMT_WAITFORVERTICALBLANKEVENT2 = structure(
    "D3DKMT_WAITFORVERTICALBLANKEVENT2",
    in_("hAdapter", handle(ADAPTER)),
    in_("hDevice", handle(DEVICE)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("NumObjects", UINT),
    in_("ObjectHandleArray", Array(nt_handle(EVENT, "D3DKMT_PTR_TYPE"), 8, used="NumObjects")),
)

D3DKMT_GETSCANLINE = structure(
    "D3DKMT_GETSCANLINE",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("InVerticalBlank", BOOLEAN),
    out("ScanLine", UINT),
)

D3DKMT_SETSYNCREFRESHCOUNTWAITTARGET = structure(
    "D3DKMT_SETSYNCREFRESHCOUNTWAITTARGET",
    in_("hAdapter", handle(ADAPTER)),
    in_("hDevice", handle(DEVICE)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("TargetSyncRefreshCount", UINT),
)

D3DKMT_GETVERTICALBLANKEVENT = structure(
    "D3DKMT_GETVERTICALBLANKEVENT",
    in_("hAdapter", handle(ADAPTER)),
    in_("hDevice", handle(DEVICE)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("phEvent", Pointer(nt_handle(EVENT, "D3DKMT_PTR_TYPE"))),
)

CALLS = (
    CallSpec(
        "D3DKMTWaitForVerticalBlankEvent",
        D3DKMT_WAITFORVERTICALBLANKEVENT,
        may_block_when=(),
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTWaitForVerticalBlankEvent"),
    ),
    CallSpec(
        "D3DKMTWaitForVerticalBlankEvent2",
        D3DKMT_WAITFORVERTICALBLANKEVENT2,
        may_block_when=(),
        statuses=("STATUS_SUCCESS", "STATUS_WAIT_1", "STATUS_WAIT_2", "STATUS_WAIT_3", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTWaitForVerticalBlankEvent2"),
    ),
    CallSpec(
        "D3DKMTGetScanLine",
        D3DKMT_GETSCANLINE,
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetScanLine"),
    ),
    CallSpec(
        "D3DKMTSetSyncRefreshCountWaitTarget",
        D3DKMT_SETSYNCREFRESHCOUNTWAITTARGET,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetSyncRefreshCountWaitTarget"),
    ),
    CallSpec(
        "D3DKMTGetDWMVerticalBlankEvent",
        D3DKMT_GETVERTICALBLANKEVENT,
        creates=(Creates(EVENT, "phEvent"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetDWMVerticalBlankEvent"),
    ),
)
