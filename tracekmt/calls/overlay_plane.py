"""Multi-plane overlays: several allocations that the display combines."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ADAPTER,
    ALLOCATION,
    CONTEXT,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    DEVICE,
    DEVICE_OR_CONTEXT,
    LUID,
    MONITORED_FENCE,
    RECT,
    RESOURCE,
    fence,
    handle,
)
from tracekmt.calls.present import (
    D3DDDI_COLOR_SPACE_TYPE,
    D3DDDI_FLIPINTERVAL_TYPE,
    D3DDDI_HDR_METADATA_TYPE,
    D3DDDI_ROTATION,
    D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO,
    D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES3,
    D3DKMT_MULTIPLANE_OVERLAY_BLEND,
    D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION,
    D3DKMT_PRESENTFLAGS,
    DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY,
)
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import BOOL, FLOAT, UINT, ULONG, enum, flags, in_, out, structure
from tracekmt.spec.forms import since
from tracekmt.spec.types import Array, Bytes, CallSpec, Condition, Pointer, Union

FAMILY = "multi-plane overlays"

D3DKMT_MULTIPLANE_OVERLAY_VIDEO_FRAME_FORMAT = enum(
    "D3DKMT_MULTIPLANE_OVERLAY_VIDEO_FRAME_FORMAT",
    D3DKMT_MULIIPLANE_OVERLAY_VIDEO_FRAME_FORMAT_PROGRESSIVE=0,
    D3DKMT_MULTIPLANE_OVERLAY_VIDEO_FRAME_FORMAT_INTERLACED_TOP_FIELD_FIRST=1,
    D3DKMT_MULTIPLANE_OVERLAY_VIDEO_FRAME_FORMAT_INTERLACED_BOTTOM_FIELD_FIRST=2,
)

D3DKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT = enum(
    "D3DKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT",
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT_MONO=0,
    D3DKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT_HORIZONTAL=1,
    D3DKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT_VERTICAL=2,
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT_SEPARATE=3,
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT_MONO_OFFSET=4,
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT_ROW_INTERLEAVED=5,
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT_COLUMN_INTERLEAVED=6,
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT_CHECKERBOARD=7,
)

DXGKMT_MULTIPLANE_OVERLAY_STEREO_FLIP_MODE = enum(
    "DXGKMT_MULTIPLANE_OVERLAY_STEREO_FLIP_MODE",
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FLIP_NONE=0,
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FLIP_FRAME0=1,
    DXGKMT_MULTIPLANE_OVERLAY_STEREO_FLIP_FRAME1=2,
)

D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES = structure(
    "D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES",
    in_("Flags", UINT),
    in_("SrcRect", RECT),
    in_("DstRect", RECT),
    in_("ClipRect", RECT),
    in_("Rotation", D3DDDI_ROTATION),
    in_("Blend", D3DKMT_MULTIPLANE_OVERLAY_BLEND),
    in_("DirtyRectCount", UINT),
    in_("pDirtyRects", Pointer(RECT, "DirtyRectCount")),
    in_("VideoFrameFormat", D3DKMT_MULTIPLANE_OVERLAY_VIDEO_FRAME_FORMAT),
    in_("YCbCrFlags", UINT),
    in_("StereoFormat", D3DKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT),
    in_("StereoLeftViewFrame0", BOOL),
    in_("StereoBaseViewFrame0", BOOL),
    in_("StereoFlipMode", DXGKMT_MULTIPLANE_OVERLAY_STEREO_FLIP_MODE),
    in_("StretchQuality", DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY),
)

D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE = structure(
    "D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE",
    in_("hResource", handle(RESOURCE)),
    in_("CompSurfaceLuid", LUID),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("PlaneAttributes", D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES),
)

D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT = structure(
    "D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT",
    in_("hDevice", handle(DEVICE)),
    in_("PlaneCount", UINT),
    in_("pOverlayPlanes", Pointer(D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE, "PlaneCount")),
    out("Supported", BOOL),
    out("ReturnInfo", D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO),
)

D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES2 = structure(
    "D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES2",
    in_("Flags", UINT),
    in_("SrcRect", RECT),
    in_("DstRect", RECT),
    in_("ClipRect", RECT),
    in_("Rotation", D3DDDI_ROTATION),
    in_("Blend", D3DKMT_MULTIPLANE_OVERLAY_BLEND),
    in_("DirtyRectCount", UINT),
    in_("pDirtyRects", Pointer(RECT, "DirtyRectCount")),
    in_("VideoFrameFormat", D3DKMT_MULTIPLANE_OVERLAY_VIDEO_FRAME_FORMAT),
    in_("ColorSpace", D3DDDI_COLOR_SPACE_TYPE),
    in_("StereoFormat", D3DKMT_MULTIPLANE_OVERLAY_STEREO_FORMAT),
    in_("StereoLeftViewFrame0", BOOL),
    in_("StereoBaseViewFrame0", BOOL),
    in_("StereoFlipMode", DXGKMT_MULTIPLANE_OVERLAY_STEREO_FLIP_MODE),
    in_("StretchQuality", DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY),
    in_("Reserved1", UINT),
)

D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE2 = structure(
    "D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE2",
    in_("LayerIndex", UINT),
    in_("hResource", handle(RESOURCE)),
    in_("CompSurfaceLuid", LUID),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("PlaneAttributes", D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES2),
)

D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT2 = structure(
    "D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT2",
    in_("hAdapter", handle(ADAPTER)),
    in_("hDevice", handle(DEVICE)),
    in_("PlaneCount", UINT),
    in_("pOverlayPlanes", Pointer(D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE2, "PlaneCount")),
    out("Supported", BOOL),
    out("ReturnInfo", D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO),
)

D3DKMT_MULTIPLANE_OVERLAY = structure(
    "D3DKMT_MULTIPLANE_OVERLAY",
    in_("LayerIndex", UINT),
    in_("Enabled", BOOL),
    in_("hAllocation", handle(ALLOCATION)),
    in_("PlaneAttributes", D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES),
)

D3DKMT_PRESENT_MULTIPLANE_OVERLAY = structure(
    "D3DKMT_PRESENT_MULTIPLANE_OVERLAY",
    Union(
        (
            in_("hDevice", handle(DEVICE_OR_CONTEXT), Condition("hDevice", kind=DEVICE)),
            in_("hContext", handle(DEVICE_OR_CONTEXT)),
        ),
    ),
    in_("BroadcastContextCount", ULONG),
    in_("BroadcastContext", Array(handle(CONTEXT), 64)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("PresentCount", UINT),
    in_("FlipInterval", D3DDDI_FLIPINTERVAL_TYPE),
    in_("Flags", D3DKMT_PRESENTFLAGS),
    in_("PresentPlaneCount", UINT),
    in_("pPresentPlanes", Pointer(D3DKMT_MULTIPLANE_OVERLAY, "PresentPlaneCount")),
    in_("Duration", UINT),
)

D3DKMT_MULTIPLANE_OVERLAY2 = structure(
    "D3DKMT_MULTIPLANE_OVERLAY2",
    in_("LayerIndex", UINT),
    in_("Enabled", BOOL),
    in_("hAllocation", handle(ALLOCATION)),
    in_("PlaneAttributes", D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES2),
)

D3DKMT_PRESENT_MULTIPLANE_OVERLAY2 = structure(
    "D3DKMT_PRESENT_MULTIPLANE_OVERLAY2",
    in_("hAdapter", handle(ADAPTER)),
    Union(
        (
            in_("hDevice", handle(DEVICE_OR_CONTEXT), Condition("hDevice", kind=DEVICE)),
            in_("hContext", handle(DEVICE_OR_CONTEXT)),
        ),
    ),
    in_("BroadcastContextCount", ULONG),
    in_("BroadcastContext", Array(handle(CONTEXT), 64)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("PresentCount", UINT),
    in_("FlipInterval", D3DDDI_FLIPINTERVAL_TYPE),
    in_("Flags", D3DKMT_PRESENTFLAGS),
    in_("PresentPlaneCount", UINT),
    in_("pPresentPlanes", Pointer(D3DKMT_MULTIPLANE_OVERLAY2, "PresentPlaneCount")),
    in_("Duration", UINT),
)

D3DKMT_PRESENT_MULTIPLANE_OVERLAY_FLAGS = flags(
    "D3DKMT_PRESENT_MULTIPLANE_OVERLAY_FLAGS",
    "FlipStereo",
    "FlipStereoTemporaryMono",
    "FlipStereoPreferRight",
    "FlipDoNotWait",
    "FlipDoNotFlip",
    "FlipRestart",
    "DurationValid",
    "HDRMetaDataValid",
    "HMD",
    "TrueImmediate",
    "FromDDisplay",
    "IndirectDisplay",
)

D3DKMT_PLANE_SPECIFIC_INPUT_FLAGS = flags("D3DKMT_PLANE_SPECIFIC_INPUT_FLAGS", "Enabled")

D3DKMT_MULTIPLANE_OVERLAY3 = structure(
    "D3DKMT_MULTIPLANE_OVERLAY3",
    in_("LayerIndex", UINT),
    in_("InputFlags", D3DKMT_PLANE_SPECIFIC_INPUT_FLAGS),
    in_("FlipInterval", D3DDDI_FLIPINTERVAL_TYPE),
    in_("MaxImmediateFlipLine", UINT),
    in_("AllocationCount", UINT),
    in_("pAllocationList", Pointer(handle(ALLOCATION), "AllocationCount")),
    in_("DriverPrivateDataSize", UINT),
    in_("pDriverPrivateData", Bytes("DriverPrivateDataSize", opaque=True)),
    in_("pPlaneAttributes", Pointer(D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES3)),
    since(22000, in_("hFlipToFence", handle(MONITORED_FENCE))),
    since(22000, in_("hFlipAwayFence", handle(MONITORED_FENCE))),
    since(22000, fence("FlipToFenceValue", "hFlipToFence")),
    since(22000, fence("FlipAwayFenceValue", "hFlipAwayFence")),
)

D3DKMT_PRESENT_MULTIPLANE_OVERLAY3 = structure(
    "D3DKMT_PRESENT_MULTIPLANE_OVERLAY3",
    in_("hAdapter", handle(ADAPTER)),
    in_("ContextCount", UINT),
    in_("pContextList", Pointer(handle(CONTEXT), "ContextCount")),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("PresentCount", UINT),
    in_("Flags", D3DKMT_PRESENT_MULTIPLANE_OVERLAY_FLAGS),
    in_("PresentPlaneCount", UINT),
    in_("ppPresentPlanes", Pointer(Pointer(D3DKMT_MULTIPLANE_OVERLAY3), "PresentPlaneCount")),
    in_("pPostComposition", Pointer(D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION)),
    in_("Duration", UINT),
    in_("HDRMetaDataType", D3DDDI_HDR_METADATA_TYPE),
    in_("HDRMetaDataSize", UINT),
    in_("pHDRMetaData", Bytes("HDRMetaDataSize")),
    since(20348, in_("BoostRefreshRateMultiplier", UINT)),
)

D3DKMT_MULTIPLANE_OVERLAY_CAPS = flags(
    "D3DKMT_MULTIPLANE_OVERLAY_CAPS",
    "Rotation",
    "RotationWithoutIndependentFlip",
    "VerticalFlip",
    "HorizontalFlip",
    "StretchRGB",
    "StretchYUV",
    "BilinearFilter",
    "HighFilter",
    "Shared",
    "Immediate",
    "Plane0ForVirtualModeOnly",
    "Version3DDISupport",
)

D3DKMT_GET_MULTIPLANE_OVERLAY_CAPS = structure(
    "D3DKMT_GET_MULTIPLANE_OVERLAY_CAPS",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("MaxPlanes", UINT),
    out("MaxRGBPlanes", UINT),
    out("MaxYUVPlanes", UINT),
    out("OverlayCaps", D3DKMT_MULTIPLANE_OVERLAY_CAPS),
    out("MaxStretchFactor", FLOAT),
    out("MaxShrinkFactor", FLOAT),
)

D3DKMT_GET_POST_COMPOSITION_CAPS = structure(
    "D3DKMT_GET_POST_COMPOSITION_CAPS",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("MaxStretchFactor", FLOAT),
    out("MaxShrinkFactor", FLOAT),
)

CALLS = (
    CallSpec(
        "D3DKMTCheckMultiPlaneOverlaySupport",
        D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCheckMultiPlaneOverlaySupport"),
    ),
    CallSpec(
        "D3DKMTCheckMultiPlaneOverlaySupport2",
        D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT2,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCheckMultiPlaneOverlaySupport2"),
    ),
    CallSpec(
        "D3DKMTPresentMultiPlaneOverlay",
        D3DKMT_PRESENT_MULTIPLANE_OVERLAY,
        side_effect="shows an image on the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTPresentMultiPlaneOverlay"),
    ),
    CallSpec(
        "D3DKMTPresentMultiPlaneOverlay2",
        D3DKMT_PRESENT_MULTIPLANE_OVERLAY2,
        side_effect="shows an image on the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTPresentMultiPlaneOverlay2"),
    ),
    CallSpec(
        "D3DKMTPresentMultiPlaneOverlay3",
        D3DKMT_PRESENT_MULTIPLANE_OVERLAY3,
        side_effect="shows an image on the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTPresentMultiPlaneOverlay3"),
    ),
    CallSpec(
        "D3DKMTGetMultiPlaneOverlayCaps",
        D3DKMT_GET_MULTIPLANE_OVERLAY_CAPS,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetMultiPlaneOverlayCaps"),
    ),
    CallSpec(
        "D3DKMTGetPostCompositionCaps",
        D3DKMT_GET_POST_COMPOSITION_CAPS,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTGetPostCompositionCaps"),
    ),
)
