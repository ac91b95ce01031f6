"""Monitors: detection, power, colours and gamma."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ADAPTER,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    D3DDDI_VIDEO_PRESENT_TARGET_ID,
    DEVICE,
    LUID,
    handle,
)
from tracekmt.calls.sources import FUNCTION_POINTER, HEADER
from tracekmt.spec.dsl import BOOL, FLOAT, UINT, USHORT, enum, flags, in_, is_one, out, parameters, structure
from tracekmt.spec.types import Array, Bytes, CallSpec, Pointer, Union, WCharArray

FAMILY = "monitors"

D3DKMT_POLLDISPLAYCHILDREN = structure(
    "D3DKMT_POLLDISPLAYCHILDREN",
    in_("hAdapter", handle(ADAPTER)),
    # The bits are members of the structure. The name of the word is ours.
    in_(
        "Flags",
        flags(
            "D3DKMT_POLLDISPLAYCHILDREN.Flags",
            "NonDestructiveOnly",
            "SynchronousPolling",
            "DisableModeReset",
            "PollAllAdapters",
            "PollInterruptible",
        ),
    ),
)

D3DKMT_INVALIDATEACTIVEVIDPN = structure(
    "D3DKMT_INVALIDATEACTIVEVIDPN",
    in_("hAdapter", handle(ADAPTER)),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
)

D3DKMT_CHECKMONITORPOWERSTATE = structure(
    "D3DKMT_CHECKMONITORPOWERSTATE",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
)

D3DDDI_GAMMARAMP_TYPE = enum(
    "D3DDDI_GAMMARAMP_TYPE",
    D3DDDI_GAMMARAMP_UNINITIALIZED=0,
    D3DDDI_GAMMARAMP_DEFAULT=1,
    D3DDDI_GAMMARAMP_RGB256x3x16=2,
    D3DDDI_GAMMARAMP_DXGI_1=3,
    D3DDDI_GAMMARAMP_MATRIX_3x4=4,
    D3DDDI_GAMMARAMP_MATRIX_V2=5,
)

D3DDDI_GAMMA_RAMP_RGB256x3x16 = structure(
    "D3DDDI_GAMMA_RAMP_RGB256x3x16",
    in_("Red", Array(USHORT, 256)),
    in_("Green", Array(USHORT, 256)),
    in_("Blue", Array(USHORT, 256)),
)

D3DDDI_DXGI_RGB = structure(
    "D3DDDI_DXGI_RGB",
    in_("Red", FLOAT),
    in_("Green", FLOAT),
    in_("Blue", FLOAT),
)

D3DDDI_GAMMA_RAMP_DXGI_1 = structure(
    "D3DDDI_GAMMA_RAMP_DXGI_1",
    in_("Scale", D3DDDI_DXGI_RGB),
    in_("Offset", D3DDDI_DXGI_RGB),
    in_("GammaCurve", Array(D3DDDI_DXGI_RGB, 1025)),
)

D3DKMT_SETGAMMARAMP = structure(
    "D3DKMT_SETGAMMARAMP",
    in_("hDevice", handle(DEVICE)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("Type", D3DDDI_GAMMARAMP_TYPE),
    Union(
        (
            in_(
                "pGammaRampRgb256x3x16",
                Pointer(D3DDDI_GAMMA_RAMP_RGB256x3x16),
                is_one("Type", D3DDDI_GAMMARAMP_TYPE, "D3DDDI_GAMMARAMP_RGB256x3x16"),
            ),
            in_(
                "pGammaRampDXGI1",
                Pointer(D3DDDI_GAMMA_RAMP_DXGI_1),
                is_one("Type", D3DDDI_GAMMARAMP_TYPE, "D3DDDI_GAMMARAMP_DXGI_1"),
            ),
        ),
    ),
    in_("Size", UINT),
)

D3DKMT_ADJUSTFULLSCREENGAMMA = structure(
    "D3DKMT_ADJUSTFULLSCREENGAMMA",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("Scale", D3DDDI_DXGI_RGB),
    in_("Offset", D3DDDI_DXGI_RGB),
)

D3DKMDT_3X4_COLORSPACE_TRANSFORM = structure(
    "D3DKMDT_3X4_COLORSPACE_TRANSFORM",
    # The header has float[3][4].
    in_("ColorMatrix3x4", Array(FLOAT, 12)),
    in_("ScalarMultiplier", FLOAT),
    in_("LookupTable1D", Array(D3DDDI_DXGI_RGB, 4096)),
)

D3DKMT_SET_COLORSPACE_TRANSFORM = structure(
    "D3DKMT_SET_COLORSPACE_TRANSFORM",
    in_("AdapterLuid", LUID),
    in_("VidPnTargetId", D3DDDI_VIDEO_PRESENT_TARGET_ID),
    in_("Type", D3DDDI_GAMMARAMP_TYPE),
    in_("Size", UINT),
    Union(
        (
            in_(
                "pColorSpaceTransform",
                Pointer(D3DKMDT_3X4_COLORSPACE_TRANSFORM),
                is_one("Type", D3DDDI_GAMMARAMP_TYPE, "D3DDDI_GAMMARAMP_MATRIX_3x4"),
            ),
        ),
    ),
)

D3DKMT_QUERYREMOTEVIDPNSOURCEFROMGDIDISPLAYNAME = structure(
    "D3DKMT_QUERYREMOTEVIDPNSOURCEFROMGDIDISPLAYNAME",
    in_("DeviceName", WCharArray(32)),
    out("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
)

CALLS = (
    CallSpec(
        "D3DKMTPollDisplayChildren",
        D3DKMT_POLLDISPLAYCHILDREN,
        side_effect="may change the display mode",
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTPollDisplayChildren"),
    ),
    CallSpec(
        "D3DKMTInvalidateActiveVidPn",
        D3DKMT_INVALIDATEACTIVEVIDPN,
        side_effect="sets new display modes",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_GRAPHICS_INVALID_DISPLAY_ADAPTER",
            "STATUS_NO_MEMORY",
            "STATUS_NOT_SUPPORTED",
            "STATUS_DEVICE_REMOVED",
            "STATUS_GRAPHICS_NO_RECOMMENDED_FUNCTIONAL_VIDPN",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(HEADER, "Microsoft documentation: D3DKMTInvalidateActiveVidPn"),
    ),
    CallSpec(
        "D3DKMTCheckMonitorPowerState",
        D3DKMT_CHECKMONITORPOWERSTATE,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCheckMonitorPowerState"),
    ),
    CallSpec(
        "D3DKMTSetGammaRamp",
        D3DKMT_SETGAMMARAMP,
        side_effect="changes the colours of the display",
        statuses=("STATUS_SUCCESS", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetGammaRamp"),
    ),
    CallSpec(
        "D3DKMTAdjustFullscreenGamma",
        D3DKMT_ADJUSTFULLSCREENGAMMA,
        side_effect="changes the colours of the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTAdjustFullscreenGamma"),
    ),
    CallSpec(
        "D3DKMTSetMonitorColorSpaceTransform",
        D3DKMT_SET_COLORSPACE_TRANSFORM,
        side_effect="changes the colours of the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetMonitorColorSpaceTransform"),
    ),
    CallSpec(
        "D3DKMTQueryRemoteVidPnSourceFromGdiDisplayName",
        D3DKMT_QUERYREMOTEVIDPNSOURCEFROMGDIDISPLAYNAME,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTQueryRemoteVidPnSourceFromGdiDisplayName"),
    ),
    CallSpec(
        "D3DKMTSetStereoEnabled",
        parameters("D3DKMTSetStereoEnabled", in_("Enabled", BOOL)),
        side_effect="changes the display for all programs",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(FUNCTION_POINTER,),
    ),
)
