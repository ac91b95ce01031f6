"""Overlays: planes of a display that show an allocation in front of the primary surface."""

from __future__ import annotations

from tracekmt.calls.kinds import ALLOCATION, D3DDDI_VIDEO_PRESENT_SOURCE_ID, DEVICE, handle
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import BOOLEAN, LONG, UINT, in_, out, structure
from tracekmt.spec.types import Bytes, CallSpec, Creates, Destroys, Kind

FAMILY = "overlays"

OVERLAY = Kind("overlay", dies_with=(DEVICE,))

D3DDDIRECT = structure(
    "D3DDDIRECT",
    in_("left", LONG),
    in_("top", LONG),
    in_("right", LONG),
    in_("bottom", LONG),
)

D3DDDI_KERNELOVERLAYINFO = structure(
    "D3DDDI_KERNELOVERLAYINFO",
    in_("hAllocation", handle(ALLOCATION)),
    in_("DstRect", D3DDDIRECT),
    in_("SrcRect", D3DDDIRECT),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
)

D3DKMT_CREATEOVERLAY = structure(
    "D3DKMT_CREATEOVERLAY",
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("hDevice", handle(DEVICE)),
    in_("OverlayInfo", D3DDDI_KERNELOVERLAYINFO),
    out("hOverlay", handle(OVERLAY)),
)

D3DKMT_UPDATEOVERLAY = structure(
    "D3DKMT_UPDATEOVERLAY",
    in_("hDevice", handle(DEVICE)),
    in_("hOverlay", handle(OVERLAY)),
    in_("OverlayInfo", D3DDDI_KERNELOVERLAYINFO),
)

D3DKMT_FLIPOVERLAY = structure(
    "D3DKMT_FLIPOVERLAY",
    in_("hDevice", handle(DEVICE)),
    in_("hOverlay", handle(OVERLAY)),
    in_("hSource", handle(ALLOCATION)),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
)

D3DKMT_DESTROYOVERLAY = structure(
    "D3DKMT_DESTROYOVERLAY",
    in_("hDevice", handle(DEVICE)),
    in_("hOverlay", handle(OVERLAY)),
)

D3DKMT_GETOVERLAYSTATE = structure(
    "D3DKMT_GETOVERLAYSTATE",
    in_("hDevice", handle(DEVICE)),
    in_("hOverlay", handle(OVERLAY)),
    out("OverlayEnabled", BOOLEAN),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateOverlay",
        D3DKMT_CREATEOVERLAY,
        creates=(Creates(OVERLAY, "hOverlay", within=("hDevice",)),),
        side_effect="shows a plane on the display",
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER", "STATUS_NO_MEMORY"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCreateOverlay"),
    ),
    CallSpec(
        "D3DKMTUpdateOverlay",
        D3DKMT_UPDATEOVERLAY,
        side_effect="shows a plane on the display",
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER", "STATUS_NO_MEMORY"),
        sources=(HEADER, "Microsoft documentation: D3DKMTUpdateOverlay"),
    ),
    CallSpec(
        "D3DKMTFlipOverlay",
        D3DKMT_FLIPOVERLAY,
        side_effect="shows a plane on the display",
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER", "STATUS_NO_MEMORY"),
        sources=(HEADER, "Microsoft documentation: D3DKMTFlipOverlay"),
    ),
    CallSpec(
        "D3DKMTDestroyOverlay",
        D3DKMT_DESTROYOVERLAY,
        destroys=(Destroys(OVERLAY, "hOverlay"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTDestroyOverlay"),
    ),
    CallSpec(
        "D3DKMTGetOverlayState",
        D3DKMT_GETOVERLAYSTATE,
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetOverlayState"),
    ),
)
