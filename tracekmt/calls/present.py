"""Presenting, and what the compositor is told about it."""

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
    inout,
    into,
    is_one,
    out,
    parameters,
    structure,
    unless,
)
from tracekmt.spec.types import Array, Bit, Blob, Bytes, Call, Count, Creates, Integer, Overlay, Pointer, Records, When

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
    Bit("Video", 0),
    Bit("RestrictedContent", 1),
    Bit("ClipToView", 2),
    Bit("StereoPreferRight", 3),
    Bit("TemporaryMono", 4),
    Bit("FlipRestart", 5),
    Bit("HDRMetaDataChanged", 6),
    Bit("AlphaMode", 7, 2),
    Bit("SignalLimitOnTokenCompletion", 9),
    Bit("YCbCrFlags", 10, 3),
    Bit("IndependentFlip", 13),
    Bit("IndependentFlipStage", 14, 2),
    Bit("IndependentFlipReleaseCount", 16, 2),
    Bit("IndependentFlipForceNotifyDwm", 18),
    Bit("UseCustomDuration", 19),
    Bit("IndependentFlipRequestDwmConfirm", 20),
    Bit("IndependentFlipCandidate", 21),
    Bit("IndependentFlipCheckNeeded", 22),
    Bit("IndependentFlipTrueImmediate", 23),
    Bit("IndependentFlipRequestDwmExit", 24),
    Bit("CompSurfaceNotifiedEarly", 25),
    Bit("IndependentFlipDoNotFlip", 26),
    Bit("RequirePairedToken", 27),
    Bit("VariableRefreshOverrideEligible", 28),
    Bit("Reserved", 29, 3),
)

D3DDDI_ROTATION = enum(
    "D3DDDI_ROTATION", D3DDDI_ROTATION_IDENTITY=1, D3DDDI_ROTATION_90=2, D3DDDI_ROTATION_180=3, D3DDDI_ROTATION_270=4
)

D3DKMT_SCATTERBLT = structure(
    "D3DKMT_SCATTERBLT",
    inout("hLogicalSurfaceDestination", ULONG64),
    inout("hDestinationCompSurfDWM", Integer("LONG64", 8, signed=True)),
    inout("DestinationCompositionBindingId", UINT64),
    inout("SourceRect", RECT),
    inout("DestinationOffset", POINT),
)

D3DKMT_SCATTERBLTS = structure(
    "D3DKMT_SCATTERBLTS",
    inout("NumBlts", UINT),
    inout("Blts", Array(D3DKMT_SCATTERBLT, 12, used="NumBlts")),
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
    inout("Rects", Array(RECT, 16, used="NumRects")),
)

D3DDDI_HDR_METADATA_TYPE = enum(
    "D3DDDI_HDR_METADATA_TYPE",
    D3DDDI_HDR_METADATA_TYPE_NONE=0,
    D3DDDI_HDR_METADATA_TYPE_HDR10=1,
    D3DDDI_HDR_METADATA_TYPE_HDR10PLUS=2,
)

D3DDDI_HDR_METADATA_HDR10 = structure(
    "D3DDDI_HDR_METADATA_HDR10",
    inout("RedPrimary", Array(UINT16, 2)),
    inout("GreenPrimary", Array(UINT16, 2)),
    inout("BluePrimary", Array(UINT16, 2)),
    inout("WhitePoint", Array(UINT16, 2)),
    inout("MaxMasteringLuminance", UINT),
    inout("MinMasteringLuminance", UINT),
    inout("MaxContentLightLevel", UINT16),
    inout("MaxFrameAverageLightLevel", UINT16),
)

D3DDDI_HDR_METADATA_HDR10PLUS = structure("D3DDDI_HDR_METADATA_HDR10PLUS", inout("Data", Blob("BYTE", 72)))

D3DKMT_FLIPMODEL_PRESENTHISTORYTOKEN = structure(
    "D3DKMT_FLIPMODEL_PRESENTHISTORYTOKEN",
    inout("FenceValue", UINT64),
    inout("hLogicalSurface", ULONG64),
    inout("dxgContext", Integer("D3DKMT_UINT_PTR", None)),
    inout("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    inout("SwapChainIndex", UINT),
    inout("PresentLimitSemaphoreId", UINT64),
    inout("FlipInterval", D3DDDI_FLIPINTERVAL_TYPE),
    inout("Flags", D3DKMT_FLIPMODEL_PRESENTHISTORYTOKENFLAGS),
    inout("hCompSurf", Integer("LONG64", 8, signed=True)),
    inout("compSurfLuid", LUID),
    inout("confirmationCookie", UINT64),
    inout("CompositionSyncKey", UINT64),
    inout("RemainingTokens", UINT),
    inout("ScrollRect", RECT),
    inout("ScrollOffset", POINT),
    inout("PresentCount", UINT),
    inout("RevealColor", Array(FLOAT, 4)),
    inout("Rotation", D3DDDI_ROTATION),
    # No source says when which is in effect.
    Overlay(
        (
            inout("ScatterBlts", D3DKMT_SCATTERBLTS),
            group(
                inout("hSyncObject", nt_handle(SHARED_OBJECT)),
                inout("HDRMetaDataType", D3DDDI_HDR_METADATA_TYPE),
                Overlay(
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
    inout("Transform", Array(FLOAT, 6)),
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
        Overlay(
            (
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
                    Integer("D3DKMT_VISTABLTMODEL_PRESENTHISTORYTOKEN", 8),
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
    into("SourcePoint", POINT),
    into("DestRect", RECT),
)

D3DKMT_PRESENT_RGNS = structure(
    "D3DKMT_PRESENT_RGNS",
    into("DirtyRectCount", UINT),
    into("pDirtyRects", Pointer(RECT, "DirtyRectCount")),
    into("MoveRectCount", UINT),
    into("pMoveRects", Pointer(D3DKMT_MOVE_RECT, "MoveRectCount")),
)

D3DKMT_PRESENT = structure(
    "D3DKMT_PRESENT",
    Overlay(
        (
            into("hDevice", handle(DEVICE_OR_CONTEXT), When("hDevice", kind=DEVICE)),
            into("hContext", handle(DEVICE_OR_CONTEXT)),
        )
    ),
    into("hWindow", nt_handle(WINDOW, "HWND")),
    into("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    into("hSource", handle(ALLOCATION)),
    into("hDestination", handle(ALLOCATION)),
    into("Color", UINT),
    into("DstRect", RECT),
    into("SrcRect", RECT),
    into("SubRectCnt", UINT),
    into("pSrcSubRects", Pointer(RECT, "SubRectCnt")),
    into("PresentCount", UINT),
    into("FlipInterval", D3DDDI_FLIPINTERVAL_TYPE),
    into("Flags", D3DKMT_PRESENTFLAGS),
    into("BroadcastContextCount", ULONG),
    into("BroadcastContext", Array(handle(CONTEXT), 64, used="BroadcastContextCount")),
    into("PresentLimitSemaphore", nt_handle(SEMAPHORE)),
    into("PresentHistoryToken", D3DKMT_PRESENTHISTORYTOKEN),
    into("pPresentRegions", Pointer(D3DKMT_PRESENT_RGNS)),
    Overlay(
        (
            into("hAdapter", handle(ADAPTER)),
            into("hIndirectContext", handle(CONTEXT), When("Flags.PresentIndirect")),
        )
    ),
    into("Duration", UINT),
    into("BroadcastSrcAllocation", Pointer(handle(ALLOCATION), "BroadcastContextCount")),
    into("BroadcastDstAllocation", Pointer(handle(ALLOCATION), "BroadcastContextCount")),
    into("PrivateDriverDataSize", UINT),
    into("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    out("bOptimizeForComposition", BOOLEAN),
)

D3DKMT_SUBMITPRESENTTOHWQUEUE = structure(
    "D3DKMT_SUBMITPRESENTTOHWQUEUE",
    into("hHwQueues", Pointer(handle(HW_QUEUE), Count("PrivatePresentData.BroadcastContextCount", plus=1))),
    inout("PrivatePresentData", D3DKMT_PRESENT),
)

D3DKMT_SUBMITPRESENTBLTTOHWQUEUE = structure(
    "D3DKMT_SUBMITPRESENTBLTTOHWQUEUE",
    into("hHwQueue", handle(HW_QUEUE)),
    into("HwQueueProgressFenceId", FENCE_UINT64, of="hHwQueue"),
    inout("PrivatePresentData", D3DKMT_PRESENT),
)

D3DKMT_GETPRESENTHISTORY = structure(
    "D3DKMT_GETPRESENTHISTORY",
    into("hAdapter", handle(ADAPTER)),
    into("ProvidedSize", UINT),
    out("WrittenSize", UINT),
    # Each token says how long it is; the next one follows it.
    out("pTokens", Records(D3DKMT_PRESENTHISTORYTOKEN, "ProvidedSize", "NumTokens", "TokenSize")),
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
    into("Flags", UINT),
    into("SrcRect", RECT),
    into("DstRect", RECT),
    into("ClipRect", RECT),
    into("Rotation", D3DDDI_ROTATION),
    into("Blend", D3DKMT_MULTIPLANE_OVERLAY_BLEND),
    into("DirtyRectCount", UINT),
    into("pDirtyRects", Pointer(RECT, "DirtyRectCount")),
    into("ColorSpace", D3DDDI_COLOR_SPACE_TYPE),
    into("StretchQuality", DXGKMT_MULTIPLANE_OVERLAY_STRETCH_QUALITY),
    into("SDRWhiteLevel", UINT),
)

D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE3 = structure(
    "D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE3",
    into("LayerIndex", UINT),
    into("hResource", handle(RESOURCE)),
    into("CompSurfaceLuid", LUID),
    into("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    into("pPlaneAttributes", Pointer(D3DKMT_MULTIPLANE_OVERLAY_ATTRIBUTES3)),
)

D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_FLAGS = flags(
    "D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_FLAGS", "VerticalFlip", "HorizontalFlip"
)

D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION = structure(
    "D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION",
    into("Flags", D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_FLAGS),
    into("SrcRect", RECT),
    into("DstRect", RECT),
    into("Rotation", D3DDDI_ROTATION),
)

D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_WITH_SOURCE = structure(
    "D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_WITH_SOURCE",
    into("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    into("PostComposition", D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION),
)

D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO = flags(
    "D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO",
    Bit("FailingPlane", 0, 4),
    Bit("TryAgain", 4),
    Bit("Reserved", 5, 27),
)

D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT3 = structure(
    "D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT3",
    into("hAdapter", handle(ADAPTER)),
    into("hDevice", handle(DEVICE)),
    into("PlaneCount", UINT),
    into("ppOverlayPlanes", Pointer(Pointer(D3DKMT_CHECK_MULTIPLANE_OVERLAY_PLANE3), "PlaneCount")),
    into("PostCompositionCount", UINT),
    into(
        "ppPostComposition",
        Pointer(Pointer(D3DKMT_MULTIPLANE_OVERLAY_POST_COMPOSITION_WITH_SOURCE), "PostCompositionCount"),
    ),
    out("Supported", BOOL),
    out("ReturnInfo", D3DKMT_CHECK_MULTIPLANE_OVERLAY_SUPPORT_RETURN_INFO),
)

CALLS = (
    Call(
        "D3DKMTPresent",
        D3DKMT_PRESENT,
        disturbs="draws where the recorded window's number leads there",
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
        blocks=(unless("Flags.FlipDoNotWait"),),
    ),
    Call(
        "D3DKMTSubmitPresentToHwQueue",
        D3DKMT_SUBMITPRESENTTOHWQUEUE,
        disturbs="draws where the recorded window's number leads there",
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitPresentToHwQueue",
        ),
    ),
    Call(
        "D3DKMTSubmitPresentBltToHwQueue",
        D3DKMT_SUBMITPRESENTBLTTOHWQUEUE,
        disturbs="draws where the recorded window's number leads there",
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitPresentBltToHwQueue",
        ),
    ),
    Call(
        "D3DKMTGetPresentHistory",
        D3DKMT_GETPRESENTHISTORY,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetPresentHistory",
        ),
    ),
    Call(
        "D3DKMTCheckMultiPlaneOverlaySupport3",
        D3DKMT_CHECKMULTIPLANEOVERLAYSUPPORT3,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCheckMultiPlaneOverlaySupport3",
        ),
    ),
    Call(
        "D3DKMTGetPresentQueueEvent",
        parameters(
            "D3DKMTGetPresentQueueEvent", into("hAdapter", handle(ADAPTER)), out("phEvent", Pointer(nt_handle(EVENT)))
        ),
        creates=(Creates(EVENT, "phEvent"),),
        statuses=("STATUS_SUCCESS",),
        sources=(HEADER,),
    ),
    Call(
        "D3DKMTCheckExclusiveOwnership",
        parameters("D3DKMTCheckExclusiveOwnership"),
        statuses=(),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCheckExclusiveOwnership",
        ),
        returns="BOOLEAN",
    ),
    Call(
        "D3DKMTReleaseProcessVidPnSourceOwners",
        parameters("D3DKMTReleaseProcessVidPnSourceOwners", into("hProcess", nt_handle(PROCESS))),
        disturbs="takes the outputs from whoever has them",
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTReleaseProcessVidPnSourceOwners",
        ),
    ),
)
