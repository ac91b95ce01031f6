"""Ownership of video present sources, and their protection."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ADAPTER,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    DEVICE,
    LUID,
    PROCESS,
    SHARED_OBJECT,
    WINDOW,
    handle,
    nt_handle,
)
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import BOOL, UINT, enum, flags, in_, out, structure
from tracekmt.spec.types import CallSpec, Pointer

FAMILY = "source ownership"

D3DKMT_VIDPNSOURCEOWNER_TYPE = enum(
    "D3DKMT_VIDPNSOURCEOWNER_TYPE",
    D3DKMT_VIDPNSOURCEOWNER_UNOWNED=0,
    D3DKMT_VIDPNSOURCEOWNER_SHARED=1,
    D3DKMT_VIDPNSOURCEOWNER_EXCLUSIVE=2,
    D3DKMT_VIDPNSOURCEOWNER_EXCLUSIVEGDI=3,
    D3DKMT_VIDPNSOURCEOWNER_EMULATED=4,
)

D3DKMT_SETVIDPNSOURCEOWNER = structure(
    "D3DKMT_SETVIDPNSOURCEOWNER",
    in_("hDevice", handle(DEVICE)),
    in_("pType", Pointer(D3DKMT_VIDPNSOURCEOWNER_TYPE, "VidPnSourceCount")),
    in_("pVidPnSourceId", Pointer(D3DDDI_VIDEO_PRESENT_SOURCE_ID, "VidPnSourceCount")),
    in_("VidPnSourceCount", UINT),
)

D3DKMT_VIDPNSOURCEOWNER_FLAGS = flags(
    "D3DKMT_VIDPNSOURCEOWNER_FLAGS", "AllowOutputDuplication", "DisableDWMVirtualMode", "UseNtHandles"
)

D3DKMT_SETVIDPNSOURCEOWNER1 = structure(
    "D3DKMT_SETVIDPNSOURCEOWNER1",
    in_("Version0", D3DKMT_SETVIDPNSOURCEOWNER),
    in_("Flags", D3DKMT_VIDPNSOURCEOWNER_FLAGS),
)

D3DKMT_SETVIDPNSOURCEOWNER2 = structure(
    "D3DKMT_SETVIDPNSOURCEOWNER2",
    in_("Version1", D3DKMT_SETVIDPNSOURCEOWNER1),
    in_(
        "pVidPnSourceNtHandles",
        Pointer(nt_handle(SHARED_OBJECT, "D3DKMT_PTR_TYPE"), "Version1.Version0.VidPnSourceCount"),
    ),
)

D3DKMT_CHECKVIDPNEXCLUSIVEOWNERSHIP = structure(
    "D3DKMT_CHECKVIDPNEXCLUSIVEOWNERSHIP",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
)

D3DKMT_QUERYVIDPNEXCLUSIVEOWNERSHIP = structure(
    "D3DKMT_QUERYVIDPNEXCLUSIVEOWNERSHIP",
    in_("hProcess", nt_handle(PROCESS)),
    in_("hWindow", nt_handle(WINDOW, "HWND")),
    out("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("AdapterLuid", LUID),
    out("OwnerType", D3DKMT_VIDPNSOURCEOWNER_TYPE),
)

D3DKMT_CHECKOCCLUSION = structure(
    "D3DKMT_CHECKOCCLUSION",
    in_("hWindow", nt_handle(WINDOW, "HWND")),
)

D3DKMT_SETFSEBLOCKFLAGS = flags("D3DKMT_SETFSEBLOCKFLAGS", "Block")

D3DKMT_SETFSEBLOCK = structure(
    "D3DKMT_SETFSEBLOCK",
    in_("AdapterLuid", LUID),
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("Flags", D3DKMT_SETFSEBLOCKFLAGS),
)

D3DKMT_QUERYFSEFLAGS = flags("D3DKMT_QUERYFSEFLAGS", "Blocked")

D3DKMT_QUERYFSEBLOCK = structure(
    "D3DKMT_QUERYFSEBLOCK",
    in_("AdapterLuid", LUID),
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("Flags", D3DKMT_QUERYFSEFLAGS),
)

D3DKMT_SETVIDPNSOURCEHWPROTECTION = structure(
    "D3DKMT_SETVIDPNSOURCEHWPROTECTION",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("HwProtected", BOOL),
)

D3DKMT_SETHWPROTECTIONTEARDOWNRECOVERY = structure(
    "D3DKMT_SETHWPROTECTIONTEARDOWNRECOVERY",
    in_("hAdapter", handle(ADAPTER)),
    in_("Recovered", BOOL),
)

CALLS = (
    CallSpec(
        "D3DKMTSetVidPnSourceOwner",
        D3DKMT_SETVIDPNSOURCEOWNER,
        side_effect="takes a display from other programs",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_GRAPHICS_VIDPN_SOURCE_IN_USE",
            "STATUS_GRAPHICS_INVALID_VIDEO_PRESENT_SOURCE",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetVidPnSourceOwner"),
    ),
    CallSpec(
        "D3DKMTSetVidPnSourceOwner1",
        D3DKMT_SETVIDPNSOURCEOWNER1,
        side_effect="takes a display from other programs",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_GRAPHICS_VIDPN_SOURCE_IN_USE",
            "STATUS_GRAPHICS_INVALID_VIDEO_PRESENT_SOURCE",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetVidPnSourceOwner1"),
    ),
    CallSpec(
        "D3DKMTSetVidPnSourceOwner2",
        D3DKMT_SETVIDPNSOURCEOWNER2,
        side_effect="takes a display from other programs",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetVidPnSourceOwner2"),
    ),
    CallSpec(
        "D3DKMTCheckVidPnExclusiveOwnership",
        D3DKMT_CHECKVIDPNEXCLUSIVEOWNERSHIP,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_GRAPHICS_VIDPN_SOURCE_IN_USE",
            "STATUS_GRAPHICS_INVALID_VIDEO_PRESENT_SOURCE",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(HEADER, "Microsoft documentation: D3DKMTCheckVidPnExclusiveOwnership"),
    ),
    CallSpec(
        "D3DKMTQueryVidPnExclusiveOwnership",
        D3DKMT_QUERYVIDPNEXCLUSIVEOWNERSHIP,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTQueryVidPnExclusiveOwnership"),
    ),
    CallSpec(
        "D3DKMTCheckOcclusion",
        D3DKMT_CHECKOCCLUSION,
        statuses=("STATUS_SUCCESS", "STATUS_GRAPHICS_PRESENT_OCCLUDED", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCheckOcclusion"),
    ),
    CallSpec(
        "D3DKMTSetFSEBlock",
        D3DKMT_SETFSEBLOCK,
        side_effect="may prevent full screen in other programs",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetFSEBlock"),
    ),
    CallSpec(
        "D3DKMTQueryFSEBlock",
        D3DKMT_QUERYFSEBLOCK,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTQueryFSEBlock"),
    ),
    CallSpec(
        "D3DKMTSetVidPnSourceHwProtection",
        D3DKMT_SETVIDPNSOURCEHWPROTECTION,
        side_effect="changes the protection of the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetVidPnSourceHwProtection"),
    ),
    CallSpec(
        "D3DKMTSetHwProtectionTeardownRecovery",
        D3DKMT_SETHWPROTECTIONTEARDOWNRECOVERY,
        side_effect="changes the protection of the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetHwProtectionTeardownRecovery"),
    ),
)
