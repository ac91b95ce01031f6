"""Presenting, and the present history that the compositor reads."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ADAPTER,
    ALLOCATION,
    CONTEXT,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    DEVICE,
    DEVICE_OR_CONTEXT,
    EVENT,
    FENCE_UINT64,
    HW_QUEUE,
    LUID,
    POINT,
    PROCESS,
    RECT,
    RESOURCE,
    SEMAPHORE,
    SHARED_OBJECT,
    WINDOW,
    handle,
    nt_handle,
)
from tracekmt.calls.sources import HEADER
from tracekmt.spec import types as t
from tracekmt.spec.dsl import (
    BOOL,
    BOOLEAN,
    DWORD,
    FLOAT,
    UINT,
    UINT16,
    UINT64,
    ULONG,
    ULONG64,
    ULONGLONG,
    enum,
    flags,
    group,
    in_,
    inout,
    is_one,
    out,
    parameters,
    structure,
    unless,
)
from tracekmt.spec.forms import since, until

FAMILY = "present"

D3DDDI_FLIPINTERVAL_TYPE = enum(
    "D3DDDI_FLIPINTERVAL_TYPE",
    D3DDDI_FLIPINTERVAL_IMMEDIATE=0,
    D3DDDI_FLIPINTERVAL_ONE=1,
    D3DDDI_FLIPINTERVAL_TWO=2,
    D3DDDI_FLIPINTERVAL_THREE=3,
    D3DDDI_FLIPINTERVAL_FOUR=4,
    D3DDDI_FLIPINTERVAL_IMMEDIATE_ALLOW_TEARING=5,
)

D3DKMT_PRESENTFLAGS = flags(
    "D3DKMT_PRESENTFLAGS",
    "Blt",
    "ColorFill",
    "Flip",
    "FlipDoNotFlip",
    "FlipDoNotWait",
    "FlipRestart",
    "DstRectValid",
    "SrcRectValid",
    "RestrictVidPnSource",
    "SrcColorKey",
    "DstColorKey",
    "LinearToSrgb",
    "PresentCountValid",
    "Rotate",
    "PresentToBitmap",
    "RedirectedFlip",
    "RedirectedBlt",
    "FlipStereo",
    "FlipStereoTemporaryMono",
    "FlipStereoPreferRight",
    "BltStereoUseRight",
    "PresentHistoryTokenOnly",
    "PresentRegionsValid",
    "PresentDDA",
    "ProtectedContentBlankedOut",
    "RemoteSession",
    "CrossAdapter",
    "DurationValid",
    "PresentIndirect",
    "PresentHMD",
)

D3DKMT_PRESENT_MODEL = enum(
    "D3DKMT_PRESENT_MODEL",
    D3DKMT_PM_UNINITIALIZED=0,
    D3DKMT_PM_REDIRECTED_GDI=1,
    D3DKMT_PM_REDIRECTED_FLIP=2,
    D3DKMT_PM_REDIRECTED_BLT=3,
    D3DKMT_PM_REDIRECTED_VISTABLT=4,
    D3DKMT_PM_SCREENCAPTUREFENCE=5,
    D3DKMT_PM_REDIRECTED_GDI_SYSMEM=6,
    D3DKMT_PM_REDIRECTED_COMPOSITION=7,
    D3DKMT_PM_SURFACECOMPLETE=8,
    D3DKMT_PM_FLIPMANAGER=9,
)

D3DKMT_FLIPMODEL_PRESENTHISTORYTOKENFLAGS = flags(
    "D3DKMT_FLIPMODEL_PRESENTHISTORYTOKENFLAGS",
    t.Bit("Video", 0),
    t.Bit("RestrictedContent", 1),
    t.Bit("ClipToView", 2),
    t.Bit("StereoPreferRight", 3),
    t.Bit("TemporaryMono", 4),
    t.Bit("FlipRestart", 5),
    t.Bit("HDRMetaDataChanged", 6),
    t.Bit("AlphaMode", 7, 2),
    t.Bit("SignalLimitOnTokenCompletion", 9),
    t.Bit("YCbCrFlags", 10, 3),
    t.Bit("IndependentFlip", 13),
    t.Bit("IndependentFlipStage", 14, 2),
    t.Bit("IndependentFlipReleaseCount", 16, 2),
    t.Bit("IndependentFlipForceNotifyDwm", 18),
    t.Bit("UseCustomDuration", 19),
    t.Bit("IndependentFlipRequestDwmConfirm", 20),
    t.Bit("IndependentFlipCandidate", 21),
    t.Bit("IndependentFlipCheckNeeded", 22),
    t.Bit("IndependentFlipTrueImmediate", 23),
    t.Bit("IndependentFlipRequestDwmExit", 24),
    t.Bit("CompSurfaceNotifiedEarly", 25),
    t.Bit("IndependentFlipDoNotFlip", 26),
    t.Bit("RequirePairedToken", 27),
    t.Bit("VariableRefreshOverrideEligible", 28),
    t.Bit("VailToken", 29),
    t.Bit("Reserved", 30, 2),
)

D3DDDI_ROTATION = enum(
    "D3DDDI_ROTATION", D3DDDI_ROTATION_IDENTITY=1, D3DDDI_ROTATION_90=2, D3DDDI_ROTATION_180=3, D3DDDI_ROTATION_270=4
)

D3DKMT_SCATTERBLT = structure(
    "D3DKMT_SCATTERBLT",
    inout("hLogicalSurfaceDestination", ULONG64),
    inout("hDestinationCompSurfDWM", t.Integer("LONG64", 8, signed=True)),
    inout("DestinationCompositionBindingId", UINT64),
    inout("SourceRect", RECT),
    inout("DestinationOffset", POINT),
)

D3DKMT_SCATTERBLTS = structure(
    "D3DKMT_SCATTERBLTS",
    inout("NumBlts", UINT),
    inout("Blts", t.Array(D3DKMT_SCATTERBLT, 12, used="NumBlts")),
)

D3DDDI_COLOR_SPACE_TYPE = enum(
    "D3DDDI_COLOR_SPACE_TYPE",
    D3DDDI_COLOR_SPACE_RGB_FULL_G22_NONE_P709=0,
    D3DDDI_COLOR_SPACE_RGB_FULL_G10_NONE_P709=1,
    D3DDDI_COLOR_SPACE_RGB_STUDIO_G22_NONE_P709=2,
    D3DDDI_COLOR_SPACE_RGB_STUDIO_G22_NONE_P2020=3,
    D3DDDI_COLOR_SPACE_RESERVED=4,
    D3DDDI_COLOR_SPACE_YCBCR_FULL_G22_NONE_P709_X601=5,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G22_LEFT_P601=6,
    D3DDDI_COLOR_SPACE_YCBCR_FULL_G22_LEFT_P601=7,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G22_LEFT_P709=8,
    D3DDDI_COLOR_SPACE_YCBCR_FULL_G22_LEFT_P709=9,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G22_LEFT_P2020=10,
    D3DDDI_COLOR_SPACE_YCBCR_FULL_G22_LEFT_P2020=11,
    D3DDDI_COLOR_SPACE_RGB_FULL_G2084_NONE_P2020=12,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G2084_LEFT_P2020=13,
    D3DDDI_COLOR_SPACE_RGB_STUDIO_G2084_NONE_P2020=14,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G22_TOPLEFT_P2020=15,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G2084_TOPLEFT_P2020=16,
    D3DDDI_COLOR_SPACE_RGB_FULL_G22_NONE_P2020=17,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_GHLG_TOPLEFT_P2020=18,
    D3DDDI_COLOR_SPACE_YCBCR_FULL_GHLG_TOPLEFT_P2020=19,
    D3DDDI_COLOR_SPACE_RGB_STUDIO_G24_NONE_P709=20,
    D3DDDI_COLOR_SPACE_RGB_STUDIO_G24_NONE_P2020=21,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G24_LEFT_P709=22,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G24_LEFT_P2020=23,
    D3DDDI_COLOR_SPACE_YCBCR_STUDIO_G24_TOPLEFT_P2020=24,
    D3DDDI_COLOR_SPACE_CUSTOM=4294967295,
)

D3DKMT_DIRTYREGIONS = structure(
    "D3DKMT_DIRTYREGIONS",
    inout("NumRects", UINT),
    inout("Rects", t.Array(RECT, 16, used="NumRects")),
)

D3DDDI_HDR_METADATA_TYPE = enum(
    "D3DDDI_HDR_METADATA_TYPE",
    D3DDDI_HDR_METADATA_TYPE_NONE=0,
    D3DDDI_HDR_METADATA_TYPE_HDR10=1,
    D3DDDI_HDR_METADATA_TYPE_HDR10PLUS=2,
)

D3DDDI_HDR_METADATA_HDR10 = structure(
    "D3DDDI_HDR_METADATA_HDR10",
    inout("RedPrimary", t.Array(UINT16, 2)),
    inout("GreenPrimary", t.Array(UINT16, 2)),
    inout("BluePrimary", t.Array(UINT16, 2)),
    inout("WhitePoint", t.Array(UINT16, 2)),
    inout("MaxMasteringLuminance", UINT),
    inout("MinMasteringLuminance", UINT),
    inout("MaxContentLightLevel", UINT16),
    inout("MaxFrameAverageLightLevel", UINT16),
)

D3DDDI_HDR_METADATA_HDR10PLUS = structure("D3DDDI_HDR_METADATA_HDR10PLUS", inout("Data", t.ByteArray("BYTE", 72)))

D3DKMT_FLIPMODEL_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_FLIPMODEL_PRESENTHISTORYTOKEN",
    inout("FenceValue", UINT64),
    inout("hLogicalSurface", ULONG64),
    inout("dxgContext", t.Integer("D3DKMT_UINT_PTR", None)),
    inout("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    inout("SwapChainIndex", UINT),
    inout("PresentLimitSemaphoreId", UINT64),
    inout("FlipInterval", D3DDDI_FLIPINTERVAL_TYPE),
    inout("Flags", D3DKMT_FLIPMODEL_PRESENTHISTORYTOKENFLAGS),
    inout("hCompSurf", t.Integer("LONG64", 8, signed=True)),
    inout("compSurfLuid", LUID),
    inout("confirmationCookie", UINT64),
    inout("CompositionSyncKey", UINT64),
    until(26100, inout("RemainingTokens", UINT)),
    inout("ScrollRect", RECT),
    inout("ScrollOffset", POINT),
    inout("PresentCount", UINT),
    inout("RevealColor", t.Array(FLOAT, 4)),
    inout("Rotation", D3DDDI_ROTATION),
    # No source documents which arm is in effect.
    t.Union(
        (
            inout("ScatterBlts", D3DKMT_SCATTERBLTS),
            group(
                # The header's comment: NT handle to FlipEx fence.
                inout("hSyncObject", nt_handle(SHARED_OBJECT)),
                inout("HDRMetaDataType", D3DDDI_HDR_METADATA_TYPE),
                t.Union(
                    (
                        inout(
                            "HDRMetaDataHDR10",
                            D3DDDI_HDR_METADATA_HDR10,
                            is_one("HDRMetaDataType", D3DDDI_HDR_METADATA_TYPE, "D3DDDI_HDR_METADATA_TYPE_HDR10"),
                        ),
                        inout(
                            "HDRMetaDataHDR10Plus",
                            D3DDDI_HDR_METADATA_HDR10PLUS,
                            is_one("HDRMetaDataType", D3DDDI_HDR_METADATA_TYPE, "D3DDDI_HDR_METADATA_TYPE_HDR10PLUS"),
                        ),
                    )
                ),
            ),
        ),
        open=True,
    ),
    inout("InkCookie", UINT),
    inout("SourceRect", RECT),
    inout("DestWidth", UINT),
    inout("DestHeight", UINT),
    inout("TargetRect", RECT),
    inout("Transform", t.Array(FLOAT, 6)),
    inout("CustomDuration", UINT),
    inout("CustomDurationFlipInterval", D3DDDI_FLIPINTERVAL_TYPE),
    inout("PlaneIndex", UINT),
    inout("ColorSpace", D3DDDI_COLOR_SPACE_TYPE),
    inout("DirtyRegions", D3DKMT_DIRTYREGIONS),
)

D3DKMT_BLTMODEL_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_BLTMODEL_PRESENTHISTORYTOKEN",
    inout("hLogicalSurface", ULONG64),
    inout("hPhysicalSurface", ULONG64),
    inout("EventId", ULONG64),
    inout("DirtyRegions", D3DKMT_DIRTYREGIONS),
)

D3DKMT_GDIMODEL_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_GDIMODEL_PRESENTHISTORYTOKEN",
    inout("hLogicalSurface", ULONG64),
    inout("hPhysicalSurface", ULONG64),
    inout("ScrollRect", RECT),
    inout("ScrollOffset", POINT),
    inout("DirtyRegions", D3DKMT_DIRTYREGIONS),
)

D3DKMT_FENCE_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_FENCE_PRESENTHISTORYTOKEN",
    inout("Key", UINT64),
)

D3DKMT_GDIMODEL_SYSMEM_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_GDIMODEL_SYSMEM_PRESENTHISTORYTOKEN",
    inout("hlsurf", ULONG64),
    inout("dwDirtyFlags", DWORD),
    inout("uiCookie", UINT64),
)

D3DKMT_COMPOSITION_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_COMPOSITION_PRESENTHISTORYTOKEN",
    inout("hPrivateData", ULONG64),
)

D3DKMT_FLIPMANAGER_PRESENTHISTORYTOKEN_FLAGS = flags(
    "D3DKMT_FLIPMANAGER_PRESENTHISTORYTOKEN.Flags", "Discard", "PresentAt", "hPrivateDataIsPointer"
)

D3DKMT_FLIPMANAGER_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_FLIPMANAGER_PRESENTHISTORYTOKEN",
    inout("hPrivateData", ULONG64),
    inout("PresentAtQpc", ULONGLONG),
    inout("Flags", D3DKMT_FLIPMANAGER_PRESENTHISTORYTOKEN_FLAGS),
)

D3DKMT_SURFACECOMPLETE_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_SURFACECOMPLETE_PRESENTHISTORYTOKEN",
    inout("hLogicalSurface", ULONG64),
)

D3DKMT_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_PRESENTHISTORYTOKEN",
    inout("Model", D3DKMT_PRESENT_MODEL),
    inout("TokenSize", UINT),
    inout("CompositionBindingId", UINT64),
    inout(
        "Token",
        t.Union(
            (
                since(26100, inout("MaxSize", t.ByteArray("BYTE", 1064), t.NEVER)),
                inout(
                    "Flip",
                    D3DKMT_FLIPMODEL_PRESENTHISTORYTOKEN,
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_REDIRECTED_FLIP"),
                ),
                inout(
                    "Blt",
                    D3DKMT_BLTMODEL_PRESENTHISTORYTOKEN,
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_REDIRECTED_BLT"),
                ),
                inout(
                    "VistaBlt",
                    t.Integer("D3DKMT_VISTABLTMODEL_PRESENTHISTORYTOKEN", 8),
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_REDIRECTED_VISTABLT"),
                ),
                inout(
                    "Gdi",
                    D3DKMT_GDIMODEL_PRESENTHISTORYTOKEN,
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_REDIRECTED_GDI"),
                ),
                inout(
                    "Fence",
                    D3DKMT_FENCE_PRESENTHISTORYTOKEN,
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_SCREENCAPTUREFENCE"),
                ),
                inout(
                    "GdiSysMem",
                    D3DKMT_GDIMODEL_SYSMEM_PRESENTHISTORYTOKEN,
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_REDIRECTED_GDI_SYSMEM"),
                ),
                inout(
                    "Composition",
                    D3DKMT_COMPOSITION_PRESENTHISTORYTOKEN,
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_REDIRECTED_COMPOSITION"),
                ),
                inout(
                    "FlipManager",
                    D3DKMT_FLIPMANAGER_PRESENTHISTORYTOKEN,
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_FLIPMANAGER"),
                ),
                inout(
                    "SurfaceComplete",
                    D3DKMT_SURFACECOMPLETE_PRESENTHISTORYTOKEN,
                    is_one("Model", D3DKMT_PRESENT_MODEL, "D3DKMT_PM_SURFACECOMPLETE"),
                ),
            ),
            name="D3DKMT_PRESENTHISTORYTOKEN.Token",
        ),
    ),
)

D3DKMT_MOVE_RECT = structure(
    "D3DKMT_MOVE_RECT",
    in_("SourcePoint", POINT),
    in_("DestRect", RECT),
)

D3DKMT_PRESENT_RGNS = structure(
    "D3DKMT_PRESENT_RGNS",
    in_("DirtyRectCount", UINT),
    in_("pDirtyRects", t.Pointer(RECT, "DirtyRectCount")),
    in_("MoveRectCount", UINT),
    in_("pMoveRects", t.Pointer(D3DKMT_MOVE_RECT, "MoveRectCount")),
)

D3DKMT_PRESENT = structure(
    "D3DKMT_PRESENT",
    t.Union(
        (
            in_("hDevice", handle(DEVICE_OR_CONTEXT), t.Condition("hDevice", kind=DEVICE)),
            in_("hContext", handle(DEVICE_OR_CONTEXT)),
        )
    ),
    in_("hWindow", nt_handle(WINDOW, "HWND")),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("hSource", handle(ALLOCATION)),
    in_("hDestination", handle(ALLOCATION)),
    in_("Color", UINT),
    in_("DstRect", RECT),
    in_("SrcRect", RECT),
    in_("SubRectCnt", UINT),
    in_("pSrcSubRects", t.Pointer(RECT, "SubRectCnt")),
    in_("PresentCount", UINT),
    in_("FlipInterval", D3DDDI_FLIPINTERVAL_TYPE),
    in_("Flags", D3DKMT_PRESENTFLAGS),
    in_("BroadcastContextCount", ULONG),
    in_("BroadcastContext", t.Array(handle(CONTEXT), 64, used="BroadcastContextCount")),
    in_("PresentLimitSemaphore", nt_handle(SEMAPHORE)),
    in_("PresentHistoryToken", D3DKMT_PRESENTHISTORYTOKEN),
    in_("pPresentRegions", t.Pointer(D3DKMT_PRESENT_RGNS)),
    t.Union(
        (
            in_("hAdapter", handle(ADAPTER)),
            in_("hIndirectContext", handle(CONTEXT), t.Condition("Flags.PresentIndirect")),
        )
    ),
    in_("Duration", UINT),
    in_("BroadcastSrcAllocation", t.Pointer(handle(ALLOCATION), "BroadcastContextCount")),
    in_("BroadcastDstAllocation", t.Pointer(handle(ALLOCATION), "BroadcastContextCount")),
    in_("PrivateDriverDataSize", UINT),
    in_("pPrivateDriverData", t.Bytes("PrivateDriverDataSize", opaque=True)),
    out("bOptimizeForComposition", BOOLEAN),
)

D3DKMT_SUBMITPRESENTTOHWQUEUE = structure(
    "D3DKMT_SUBMITPRESENTTOHWQUEUE",
    in_("hHwQueues", t.Pointer(handle(HW_QUEUE), t.Length("PrivatePresentData.BroadcastContextCount", add=1))),
    inout("PrivatePresentData", D3DKMT_PRESENT),
)

D3DKMT_SUBMITPRESENTBLTTOHWQUEUE = structure(
    "D3DKMT_SUBMITPRESENTBLTTOHWQUEUE",
    in_("hHwQueue", handle(HW_QUEUE)),
    in_("HwQueueProgressFenceId", FENCE_UINT64, fence_handle="hHwQueue"),
    inout("PrivatePresentData", D3DKMT_PRESENT),
)

D3DKMT_GETPRESENTHISTORY = structure(
    "D3DKMT_GETPRESENTHISTORY",
    in_("hAdapter", handle(ADAPTER)),
    in_("ProvidedSize", UINT),
    out("WrittenSize", UINT),
    # Each token contains its size, and the next token follows it.
    out("pTokens", t.VariableRecords(D3DKMT_PRESENTHISTORYTOKEN, "ProvidedSize", "NumTokens", "TokenSize")),
    out("NumTokens", UINT),
)

D3DKMT_MULTIPLANE_OVERLAY_BLEND = enum(
    "D3DKMT_MULTIPLANE_OVERLAY_BLEND",
    D3DKMT_MULTIPLANE_OVERLAY_BLEND_OPAQUE=0,
    D3DKMT_MULTIPLANE_OVERLAY_BLEND_ALPHABLEND=1,
)

DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY = enum(
    "DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY",
    DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY_BILINEAR=1,
    DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY_HIGH=2,
)

D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES3 = structure(
    "D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES3",
    in_("Flags", UINT),
    in_("SrcRect", RECT),
    in_("DstRect", RECT),
    in_("ClipRect", RECT),
    in_("Rotation", D3DDDI_ROTATION),
    in_("Blend", D3DKMT_MULTIPLANE_OVERLAY_BLEND),
    in_("DirtyRectCount", UINT),
    in_("pDirtyRects", t.Pointer(RECT, "DirtyRectCount")),
    in_("ColorSpace", D3DDDI_COLOR_SPACE_TYPE),
    in_("StretchQuality", DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY),
    in_("SDRWhiteLevel", UINT),
)

D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE3 = structure(
    "D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE3",
    in_("LayerIndex", UINT),
    in_("hResource", handle(RESOURCE)),
    in_("CompSurfaceLuid", LUID),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("pPlaneAttributes", t.Pointer(D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES3)),
)

D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_FLAGS = flags(
    "D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_FLAGS", "VerticalFlip", "HorizontalFlip"
)

D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION = structure(
    "D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION",
    in_("Flags", D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_FLAGS),
    in_("SrcRect", RECT),
    in_("DstRect", RECT),
    in_("Rotation", D3DDDI_ROTATION),
)

D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_WITH_SOURCE = structure(
    "D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_WITH_SOURCE",
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("PostComposition", D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION),
)

D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO = flags(
    "D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO",
    t.Bit("FailingPlane", 0, 4),
    t.Bit("TryAgain", 4),
    t.Bit("Reserved", 5, 27),
)

D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT3 = structure(
    "D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT3",
    in_("hAdapter", handle(ADAPTER)),
    in_("hDevice", handle(DEVICE)),
    in_("PlaneCount", UINT),
    in_("ppOverlayPlanes", t.Pointer(t.Pointer(D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE3), "PlaneCount")),
    in_("PostCompositionCount", UINT),
    in_(
        "ppPostComposition",
        t.Pointer(t.Pointer(D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_WITH_SOURCE), "PostCompositionCount"),
    ),
    out("Supported", BOOL),
    out("ReturnInfo", D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO),
)

CALLS = (
    t.CallSpec(
        "D3DKMTPresent",
        D3DKMT_PRESENT,
        side_effect="draws in the window that has the recorded number",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
            "STATUS_GRAPHICS_ALLOCATION_INVALID",
            "STATUS_GRAPHICS_GPU_EXCEPTION_ON_DEVICE",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTPresent, D3DKMT_PRESENTFLAGS, D3DKMT_PRESENTHISTORYTOKEN",
        ),
        may_block_when=(unless("Flags.FlipDoNotWait"),),
    ),
    t.CallSpec(
        "D3DKMTSubmitPresentToHwQueue",
        D3DKMT_SUBMITPRESENTTOHWQUEUE,
        side_effect="draws in the window that has the recorded number",
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitPresentToHwQueue",
        ),
    ),
    t.CallSpec(
        "D3DKMTSubmitPresentBltToHwQueue",
        D3DKMT_SUBMITPRESENTBLTTOHWQUEUE,
        side_effect="draws in the window that has the recorded number",
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitPresentBltToHwQueue",
        ),
    ),
    t.CallSpec(
        "D3DKMTGetPresentHistory",
        D3DKMT_GETPRESENTHISTORY,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetPresentHistory",
        ),
    ),
    t.CallSpec(
        "D3DKMTCheckMultiPlaneOverlaySupport3",
        D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT3,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCheckMultiPlaneOverlaySupport3",
        ),
    ),
    t.CallSpec(
        "D3DKMTGetPresentQueueEvent",
        parameters(
            "D3DKMTGetPresentQueueEvent", in_("hAdapter", handle(ADAPTER)), out("phEvent", t.Pointer(nt_handle(EVENT)))
        ),
        creates=(t.Creates(EVENT, "phEvent"),),
        statuses=("STATUS_SUCCESS",),
        sources=(HEADER,),
    ),
    t.CallSpec(
        "D3DKMTCheckExclusiveOwnership",
        parameters("D3DKMTCheckExclusiveOwnership"),
        statuses=(),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCheckExclusiveOwnership",
        ),
        returns="BOOLEAN",
    ),
    t.CallSpec(
        "D3DKMTReleaseProcessVidPnSourceOwners",
        parameters("D3DKMTReleaseProcessVidPnSourceOwners", in_("hProcess", nt_handle(PROCESS))),
        side_effect="takes the outputs from their owners",
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTReleaseProcessVidPnSourceOwners",
        ),
    ),
)
