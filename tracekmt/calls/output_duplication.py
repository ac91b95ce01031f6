"""Output duplication: frames and pointers of a display that a program captures."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ADAPTER,
    ALLOCATION,
    CONTEXT,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    HW_QUEUE,
    POINT,
    SHARED_OBJECT,
    handle,
    nt_handle,
)
from tracekmt.calls.present import D3DKMT_PRESENT_RGNS
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import BOOL, LARGE_INTEGER, UINT, ULONG, enum, flags, in_, out, structure
from tracekmt.spec.types import Array, Bytes, CallSpec, Pointer

FAMILY = "output duplication"

D3DKMT_OUTPUTDUPL_KEYEDMUTEX = structure(
    "D3DKMT_OUTPUTDUPL_KEYEDMUTEX",
    in_("hSharedSurfaceNt", nt_handle(SHARED_OBJECT)),
)

D3DKMT_OUTPUTDUPLCREATIONFLAGS = flags("D3DKMT_OUTPUTDUPLCREATIONFLAGS", "CompositionUiCaptureOnly")

D3DKMT_CREATE_OUTPUTDUPL = structure(
    "D3DKMT_CREATE_OUTPUTDUPL",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("KeyedMutexCount", UINT),
    out("RequiredKeyedMutexCount", UINT),
    in_("KeyedMutexs", Array(D3DKMT_OUTPUTDUPL_KEYEDMUTEX, 3)),
    in_("Flags", D3DKMT_OUTPUTDUPLCREATIONFLAGS),
)

D3DKMT_DESTROY_OUTPUTDUPL = structure(
    "D3DKMT_DESTROY_OUTPUTDUPL",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("bDestroyAllContexts", BOOL),
)

D3DKMT_OUTPUTDUPL_POINTER_POSITION = structure(
    "D3DKMT_OUTPUTDUPL_POINTER_POSITION",
    out("Position", POINT),
    out("Visible", BOOL),
)

D3DKMT_OUTPUTDUPL_FRAMEINFO = structure(
    "D3DKMT_OUTPUTDUPL_FRAMEINFO",
    out("LastPresentTime", LARGE_INTEGER),
    out("LastMouseUpdateTime", LARGE_INTEGER),
    out("AccumulatedFrames", UINT),
    out("RectsCoalesced", BOOL),
    out("ProtectedContentMaskedOut", BOOL),
    out("PointerPosition", D3DKMT_OUTPUTDUPL_POINTER_POSITION),
    out("TotalMetadataBufferSize", UINT),
    out("PointerShapeBufferSize", UINT),
)

D3DKMT_OUTPUTDUPL_GET_FRAMEINFO = structure(
    "D3DKMT_OUTPUTDUPL_GET_FRAMEINFO",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("FrameInfo", D3DKMT_OUTPUTDUPL_FRAMEINFO),
)

D3DKMT_OUTPUTDUPL_METADATATYPE = enum(
    "D3DKMT_OUTPUTDUPL_METADATATYPE",
    D3DKMT_OUTPUTDUPL_METADATATYPE_DIRTY_RECTS=0,
    D3DKMT_OUTPUTDUPL_METADATATYPE_MOVE_RECTS=1,
)

D3DKMT_OUTPUTDUPL_METADATA = structure(
    "D3DKMT_OUTPUTDUPL_METADATA",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("Type", D3DKMT_OUTPUTDUPL_METADATATYPE),
    in_("BufferSizeSupplied", UINT),
    out("pBuffer", Bytes("BufferSizeSupplied")),
    out("BufferSizeRequired", UINT),
)

D3DKMT_OUTDUPL_POINTER_SHAPE_TYPE = enum(
    "D3DKMT_OUTDUPL_POINTER_SHAPE_TYPE",
    D3DKMT_OUTDUPL_POINTER_SHAPE_TYPE_MONOCHROME=1,
    D3DKMT_OUTDUPL_POINTER_SHAPE_TYPE_COLOR=2,
    D3DKMT_OUTDUPL_POINTER_SHAPE_TYPE_MASKED_COLOR=4,
)

D3DKMT_OUTDUPL_POINTER_SHAPE_INFO = structure(
    "D3DKMT_OUTDUPL_POINTER_SHAPE_INFO",
    out("Type", D3DKMT_OUTDUPL_POINTER_SHAPE_TYPE),
    out("Width", UINT),
    out("Height", UINT),
    out("Pitch", UINT),
    out("HotSpot", POINT),
)

D3DKMT_OUTPUTDUPL_GET_POINTER_SHAPE_DATA = structure(
    "D3DKMT_OUTPUTDUPL_GET_POINTER_SHAPE_DATA",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("BufferSizeSupplied", UINT),
    out("pShapeBuffer", Bytes("BufferSizeSupplied")),
    out("BufferSizeRequired", UINT),
    out("ShapeInfo", D3DKMT_OUTDUPL_POINTER_SHAPE_INFO),
)

D3DKMT_OUTPUTDUPL_RELEASE_FRAME = structure(
    "D3DKMT_OUTPUTDUPL_RELEASE_FRAME",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("NextKeyMutexIdx", UINT),
)

D3DKMT_OUTPUTDUPLPRESENTFLAGS = flags(
    "D3DKMT_OUTPUTDUPLPRESENTFLAGS",
    "ProtectedContentBlankedOut",
    "RemoteSession",
    "FullScreenPresent",
    "PresentIndirect",
)

D3DKMT_OUTPUTDUPLPRESENT = structure(
    "D3DKMT_OUTPUTDUPLPRESENT",
    in_("hContext", handle(CONTEXT)),
    in_("hSource", handle(ALLOCATION)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("BroadcastContextCount", ULONG),
    in_("BroadcastContext", Array(handle(CONTEXT), 64)),
    in_("PresentRegions", D3DKMT_PRESENT_RGNS),
    in_("Flags", D3DKMT_OUTPUTDUPLPRESENTFLAGS),
    in_("hIndirectContext", handle(CONTEXT)),
)

D3DKMT_OUTPUTDUPLPRESENTTOHWQUEUE = structure(
    "D3DKMT_OUTPUTDUPLPRESENTTOHWQUEUE",
    in_("hSource", handle(ALLOCATION)),
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    in_("BroadcastHwQueueCount", ULONG),
    in_("hHwQueues", Pointer(handle(HW_QUEUE), "BroadcastHwQueueCount")),
    in_("PresentRegions", D3DKMT_PRESENT_RGNS),
    in_("Flags", D3DKMT_OUTPUTDUPLPRESENTFLAGS),
    in_("hIndirectHwQueue", handle(HW_QUEUE)),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateOutputDupl",
        D3DKMT_CREATE_OUTPUTDUPL,
        side_effect="captures the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTCreateOutputDupl"),
    ),
    CallSpec(
        "D3DKMTDestroyOutputDupl",
        D3DKMT_DESTROY_OUTPUTDUPL,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTDestroyOutputDupl"),
    ),
    CallSpec(
        "D3DKMTOutputDuplGetFrameInfo",
        D3DKMT_OUTPUTDUPL_GET_FRAMEINFO,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTOutputDuplGetFrameInfo"),
    ),
    CallSpec(
        "D3DKMTOutputDuplGetMetaData",
        D3DKMT_OUTPUTDUPL_METADATA,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTOutputDuplGetMetaData"),
    ),
    CallSpec(
        "D3DKMTOutputDuplGetPointerShapeData",
        D3DKMT_OUTPUTDUPL_GET_POINTER_SHAPE_DATA,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTOutputDuplGetPointerShapeData"),
    ),
    CallSpec(
        "D3DKMTOutputDuplReleaseFrame",
        D3DKMT_OUTPUTDUPL_RELEASE_FRAME,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER", "STATUS_NOT_FOUND"),
        sources=(HEADER, "Microsoft documentation: D3DKMTOutputDuplReleaseFrame"),
    ),
    CallSpec(
        "D3DKMTOutputDuplPresent",
        D3DKMT_OUTPUTDUPLPRESENT,
        side_effect="shows an image on the display",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
            "STATUS_GRAPHICS_ALLOCATION_INVALID",
            "STATUS_GRAPHICS_GPU_EXCEPTION_ON_DEVICE",
        ),
        sources=(HEADER, "Microsoft documentation: D3DKMTOutputDuplPresent"),
    ),
    CallSpec(
        "D3DKMTOutputDuplPresentToHwQueue",
        D3DKMT_OUTPUTDUPLPRESENTTOHWQUEUE,
        side_effect="shows an image on the display",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTOutputDuplPresentToHwQueue"),
    ),
)
