"""Display modes, and the primary surface that all programs share."""

from __future__ import annotations

from tracekmt.calls.formats import D3DDDIFORMAT
from tracekmt.calls.kinds import ADAPTER, ALLOCATION, D3DDDI_VIDEO_PRESENT_SOURCE_ID, DEVICE, GLOBAL_SHARE, LUID, handle
from tracekmt.calls.present import D3DDDI_ROTATION
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import LONG, UINT, enum, flags, in_, inout, out, structure
from tracekmt.spec.types import Bit, CallSpec, Creates, Pointer

FAMILY = "display modes"

RECTL = structure("RECTL", in_("left", LONG), in_("top", LONG), in_("right", LONG), in_("bottom", LONG))

D3DDDI_RATIONAL = structure(
    "D3DDDI_RATIONAL",
    out("Numerator", UINT),
    out("Denominator", UINT),
)

D3DDDI_VIDEO_SIGNAL_SCANLINE_ORDERING = enum(
    "D3DDDI_VIDEO_SIGNAL_SCANLINE_ORDERING",
    D3DDDI_VSSLO_UNINITIALIZED=0,
    D3DDDI_VSSLO_PROGRESSIVE=1,
    D3DDDI_VSSLO_INTERLACED_UPPERFIELDFIRST=2,
    D3DDDI_VSSLO_INTERLACED_LOWERFIELDFIRST=3,
    D3DDDI_VSSLO_OTHER=255,
)

D3DKMDT_DISPLAYMODE_FLAGS = flags(
    "D3DKMDT_DISPLAYMODE_FLAGS",
    "ValidatedAgainstMonitorCaps",
    "RoundedFakeMode",
    # The header leaves the rest of the first word unnamed.
    Bit("Padding", 2, 30),
    Bit("ModePruningReason", 32, 4),
    "Stereo",
    "AdvancedScanCapable",
    "PreferredTiming",
    "PhysicalModeSupported",
    "VirtualRefreshRate",
    Bit("Reserved", 41, 23),
    size=8,
    align=4,
)

D3DKMT_DISPLAYMODE = structure(
    "D3DKMT_DISPLAYMODE",
    out("Width", UINT),
    out("Height", UINT),
    out("Format", D3DDDIFORMAT),
    out("IntegerRefreshRate", UINT),
    out("RefreshRate", D3DDDI_RATIONAL),
    out("ScanLineOrdering", D3DDDI_VIDEO_SIGNAL_SCANLINE_ORDERING),
    out("DisplayOrientation", D3DDDI_ROTATION),
    out("DisplayFixedOutput", UINT),
    out("Flags", D3DKMDT_DISPLAYMODE_FLAGS),
)

D3DKMT_GETDISPLAYMODELIST = structure(
    "D3DKMT_GETDISPLAYMODELIST",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("pModeList", Pointer(D3DKMT_DISPLAYMODE, "ModeCount")),
    inout("ModeCount", UINT),
)

D3DKMT_SETDISPLAYMODE_FLAGS = flags("D3DKMT_SETDISPLAYMODE_FLAGS", "PreserveVidPn", size=8, align=4)

D3DKMT_SETDISPLAYMODE = structure(
    "D3DKMT_SETDISPLAYMODE",
    in_("hDevice", handle(DEVICE)),
    in_("hPrimaryAllocation", handle(ALLOCATION)),
    in_("ScanLineOrdering", D3DDDI_VIDEO_SIGNAL_SCANLINE_ORDERING),
    in_("DisplayOrientation", D3DDDI_ROTATION),
    out("PrivateDriverFormatAttribute", UINT),
    in_("Flags", D3DKMT_SETDISPLAYMODE_FLAGS),
)

D3DKMT_MULTISAMPLEMETHOD = structure(
    "D3DKMT_MULTISAMPLEMETHOD",
    out("NumSamples", UINT),
    out("NumQualityLevels", UINT),
    out("Reserved", UINT),
)

D3DKMT_GETMULTISAMPLEMETHODLIST = structure(
    "D3DKMT_GETMULTISAMPLEMETHODLIST",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("Width", UINT),
    in_("Height", UINT),
    in_("Format", D3DDDIFORMAT),
    out("pMethodList", Pointer(D3DKMT_MULTISAMPLEMETHOD, "MethodCount")),
    inout("MethodCount", UINT),
)

D3DKMT_GETSHAREDPRIMARYHANDLE = structure(
    "D3DKMT_GETSHAREDPRIMARYHANDLE",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("hSharedPrimary", handle(GLOBAL_SHARE)),
)

D3DKMT_SETDISPLAYPRIVATEDRIVERFORMAT = structure(
    "D3DKMT_SETDISPLAYPRIVATEDRIVERFORMAT",
    in_("hDevice", handle(DEVICE)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("PrivateDriverFormatAttribute", UINT),
)

D3DKMT_SHAREDPRIMARYLOCKNOTIFICATION = structure(
    "D3DKMT_SHAREDPRIMARYLOCKNOTIFICATION",
    in_("AdapterLuid", LUID),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("LockRect", RECTL),
)

D3DKMT_SHAREDPRIMARYUNLOCKNOTIFICATION = structure(
    "D3DKMT_SHAREDPRIMARYUNLOCKNOTIFICATION",
    in_("AdapterLuid", LUID),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
)

CALLS = (
    CallSpec(
        "D3DKMTGetDisplayModeList",
        D3DKMT_GETDISPLAYMODELIST,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_BUFFER_TOO_SMALL",
            "STATUS_GRAPHICS_NO_AVAILABLE_VIDPN_TARGET",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetDisplayModeList"),
    ),
    CallSpec(
        "D3DKMTSetDisplayMode",
        D3DKMT_SETDISPLAYMODE,
        side_effect="changes the display mode",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_GRAPHICS_NOT_EXCLUSIVE_MODE_OWNER",
        ),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetDisplayMode"),
    ),
    CallSpec(
        "D3DKMTGetMultisampleMethodList",
        D3DKMT_GETMULTISAMPLEMETHODLIST,
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetMultisampleMethodList"),
    ),
    CallSpec(
        "D3DKMTGetSharedPrimaryHandle",
        D3DKMT_GETSHAREDPRIMARYHANDLE,
        creates=(Creates(GLOBAL_SHARE, "hSharedPrimary"),),
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetSharedPrimaryHandle"),
    ),
    CallSpec(
        "D3DKMTSetDisplayPrivateDriverFormat",
        D3DKMT_SETDISPLAYPRIVATEDRIVERFORMAT,
        side_effect="changes the display for all programs",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_GRAPHICS_NOT_EXCLUSIVE_MODE_OWNER",
            "STATUS_NOT_SUPPORTED",
            "STATUS_UNSUCCESSFUL",
        ),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetDisplayPrivateDriverFormat"),
    ),
    CallSpec(
        "D3DKMTSharedPrimaryLockNotification",
        D3DKMT_SHAREDPRIMARYLOCKNOTIFICATION,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSharedPrimaryLockNotification"),
    ),
    CallSpec(
        "D3DKMTSharedPrimaryUnLockNotification",
        D3DKMT_SHAREDPRIMARYUNLOCKNOTIFICATION,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSharedPrimaryUnLockNotification"),
    ),
)
