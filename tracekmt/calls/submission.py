"""Command submission: by command buffer, by GPU address, and to hardware queues."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ALLOCATION,
    CONTEXT,
    CPU_ADDRESS,
    CPU_POINTER,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    DEVICE_OR_CONTEXT,
    FENCE_UINT64,
    HW_QUEUE,
    SYNC_OBJECT,
    handle,
)
from tracekmt.calls.sources import HEADER
from tracekmt.calls.sync import D3DDDICB_SIGNALFLAGS
from tracekmt.spec.dsl import UINT, ULONG, ULONGLONG, enum, flags, group, in_, inout, is_one, out, structure
from tracekmt.spec.types import Address, Array, Bytes, CallSpec, Condition, Creates, Pointer, Union

FAMILY = "submission"

D3DKMT_RENDERFLAGS = flags(
    "D3DKMT_RENDERFLAGS",
    "ResizeCommandBuffer",
    "ResizeAllocationList",
    "ResizePatchLocationList",
    "NullRendering",
    "PresentRedirected",
    "RenderKm",
    "RenderKmReadback",
)

D3DKMT_RENDER = structure(
    "D3DKMT_RENDER",
    Union(
        (
            in_("hDevice", handle(DEVICE_OR_CONTEXT), Condition("hDevice", kind=DEVICE)),
            in_("hContext", handle(DEVICE_OR_CONTEXT)),
        )
    ),
    in_("CommandOffset", UINT),
    in_("CommandLength", UINT),
    in_("AllocationCount", UINT),
    in_("PatchLocationCount", UINT),
    # Out: the next buffer. In, with Flags.RenderKm: the buffer to render.
    inout("pNewCommandBuffer", CPU_POINTER),
    inout("NewCommandBufferSize", UINT),
    inout("pNewAllocationList", Address("D3DDDI_ALLOCATIONLIST *", CPU_ADDRESS)),
    inout("NewAllocationListSize", UINT),
    out("pNewPatchLocationList", Address("D3DDDI_PATCHLOCATIONLIST *", CPU_ADDRESS)),
    inout("NewPatchLocationListSize", UINT),
    in_("Flags", D3DKMT_RENDERFLAGS),
    in_("PresentHistoryToken", ULONGLONG),
    in_("BroadcastContextCount", ULONG),
    in_("BroadcastContext", Array(handle(CONTEXT), 64, used="BroadcastContextCount")),
    out("QueuedBufferCount", ULONG),
    inout("NewCommandBuffer", D3DGPU_VIRTUAL_ADDRESS),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
)

D3DKMT_SUBMITCOMMANDFLAGS = flags("D3DKMT_SUBMITCOMMANDFLAGS", "NullRendering", "PresentRedirected", "NoKmdAccess")

D3DKMT_SUBMITCOMMAND = structure(
    "D3DKMT_SUBMITCOMMAND",
    in_("Commands", D3DGPU_VIRTUAL_ADDRESS),
    in_("CommandLength", UINT),
    in_("Flags", D3DKMT_SUBMITCOMMANDFLAGS),
    in_("PresentHistoryToken", ULONGLONG),
    in_("BroadcastContextCount", UINT),
    in_("BroadcastContext", Array(handle(CONTEXT), 64, used="BroadcastContextCount")),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
    in_("NumPrimaries", UINT),
    in_("WrittenPrimaries", Array(handle(ALLOCATION), 16, used="NumPrimaries")),
    in_("NumHistoryBuffers", UINT),
    in_("HistoryBufferArray", Pointer(handle(ALLOCATION), "NumHistoryBuffers")),
)

D3DKMT_SUBMITCOMMANDTOHWQUEUE = structure(
    "D3DKMT_SUBMITCOMMANDTOHWQUEUE",
    in_("hHwQueue", handle(HW_QUEUE)),
    in_("HwQueueProgressFenceId", FENCE_UINT64, fence_handle="hHwQueue"),
    in_("CommandBuffer", D3DGPU_VIRTUAL_ADDRESS),
    in_("CommandLength", UINT),
    in_("PrivateDriverDataSize", UINT),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("NumPrimaries", UINT),
    in_("WrittenPrimaries", Pointer(handle(ALLOCATION), "NumPrimaries")),
)

D3DKMT_SUBMITWAITFORSYNCOBJECTSTOHWQUEUE = structure(
    "D3DKMT_SUBMITWAITFORSYNCOBJECTSTOHWQUEUE",
    in_("hHwQueue", handle(HW_QUEUE)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    in_("FenceValueArray", Pointer(FENCE_UINT64, "ObjectCount"), fence_handle="ObjectHandleArray[]"),
)

D3DKMT_SUBMITSIGNALSYNCOBJECTSTOHWQUEUE = structure(
    "D3DKMT_SUBMITSIGNALSYNCOBJECTSTOHWQUEUE",
    in_("Flags", D3DDDICB_SIGNALFLAGS),
    in_("BroadcastHwQueueCount", ULONG),
    in_("BroadcastHwQueueArray", Pointer(handle(HW_QUEUE), "BroadcastHwQueueCount")),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    in_("FenceValueArray", Pointer(FENCE_UINT64, "ObjectCount"), fence_handle="ObjectHandleArray[]"),
)

D3DKMT_QUEUEDLIMIT_TYPE = enum(
    "D3DKMT_QUEUEDLIMIT_TYPE", D3DKMT_SET_QUEUEDLIMIT_PRESENT=1, D3DKMT_GET_QUEUEDLIMIT_PRESENT=2
)

D3DKMT_SETQUEUEDLIMIT = structure(
    "D3DKMT_SETQUEUEDLIMIT",
    in_("hDevice", handle(DEVICE)),
    in_("Type", D3DKMT_QUEUEDLIMIT_TYPE),
    Union(
        (
            inout(
                "QueuedPresentLimit",
                UINT,
                is_one(
                    "Type", D3DKMT_QUEUEDLIMIT_TYPE, "D3DKMT_SET_QUEUEDLIMIT_PRESENT", "D3DKMT_GET_QUEUEDLIMIT_PRESENT"
                ),
            ),
            group(in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID), in_("QueuedPendingFlipLimit", UINT)),
        )
    ),
)

D3DKMT_WAITFORIDLE = structure(
    "D3DKMT_WAITFORIDLE",
    in_("hDevice", handle(DEVICE)),
)

CALLS = (
    CallSpec(
        "D3DKMTRender",
        D3DKMT_RENDER,
        creates=(Creates(CPU_ADDRESS, "pNewCommandBuffer", size="NewCommandBufferSize"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
            "STATUS_INVALID_HANDLE",
            "STATUS_PRIVILEGED_INSTRUCTION",
            "STATUS_ILLEGAL_INSTRUCTION",
            "STATUS_INVALID_USER_BUFFER",
            "STATUS_GRAPHICS_CANT_RENDER_LOCKED_ALLOCATION",
            "STATUS_GRAPHICS_ALLOCATION_INVALID",
            "STATUS_GRAPHICS_GPU_EXCEPTION_ON_DEVICE",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTRender, D3DKMT_RENDERFLAGS",
        ),
        undescribed_memory=(
            "the command buffer and the lists handed out by D3DKMTCreateContext or the last D3DKMTRender",
        ),
    ),
    CallSpec(
        "D3DKMTSubmitCommand",
        D3DKMT_SUBMITCOMMAND,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitCommand",
        ),
        undescribed_memory=("the commands at the GPU address Commands",),
    ),
    CallSpec(
        "D3DKMTSubmitCommandToHwQueue",
        D3DKMT_SUBMITCOMMANDTOHWQUEUE,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitCommandToHwQueue",
        ),
        undescribed_memory=("the commands at the GPU address CommandBuffer",),
    ),
    CallSpec(
        "D3DKMTSubmitWaitForSyncObjectsToHwQueue",
        D3DKMT_SUBMITWAITFORSYNCOBJECTSTOHWQUEUE,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitWaitForSyncObjectsToHwQueue",
        ),
    ),
    CallSpec(
        "D3DKMTSubmitSignalSyncObjectsToHwQueue",
        D3DKMT_SUBMITSIGNALSYNCOBJECTSTOHWQUEUE,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitSignalSyncObjectsToHwQueue",
        ),
    ),
    CallSpec(
        "D3DKMTSetQueuedLimit",
        D3DKMT_SETQUEUEDLIMIT,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSetQueuedLimit",
        ),
    ),
    CallSpec(
        "D3DKMTWaitForIdle",
        D3DKMT_WAITFORIDLE,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTWaitForIdle",
        ),
        may_block_when=(),
    ),
)
