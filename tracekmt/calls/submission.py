"""Command submission: by the packet, by GPU address, to hardware queues."""

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
from tracekmt.spec.dsl import UINT, ULONG, ULONGLONG, enum, flags, group, inout, into, is_one, out, structure
from tracekmt.spec.types import Address, Array, Bytes, Call, Creates, Overlay, Pointer, When

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
    Overlay(
        (
            into("hDevice", handle(DEVICE_OR_CONTEXT), When("hDevice", kind=DEVICE)),
            into("hContext", handle(DEVICE_OR_CONTEXT)),
        )
    ),
    into("CommandOffset", UINT),
    into("CommandLength", UINT),
    into("AllocationCount", UINT),
    into("PatchLocationCount", UINT),
    # Out: the next buffer. In with Flags.RenderKm: the one to render.
    inout("pNewCommandBuffer", CPU_POINTER),
    inout("NewCommandBufferSize", UINT),
    inout("pNewAllocationList", Address("D3DDDI_ALLOCATIONLIST *", CPU_ADDRESS)),
    inout("NewAllocationListSize", UINT),
    out("pNewPatchLocationList", Address("D3DDDI_PATCHLOCATIONLIST *", CPU_ADDRESS)),
    inout("NewPatchLocationListSize", UINT),
    into("Flags", D3DKMT_RENDERFLAGS),
    into("PresentHistoryToken", ULONGLONG),
    into("BroadcastContextCount", ULONG),
    into("BroadcastContext", Array(handle(CONTEXT), 64, used="BroadcastContextCount")),
    out("QueuedBufferCount", ULONG),
    inout("NewCommandBuffer", D3DGPU_VIRTUAL_ADDRESS),
    into("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    into("PrivateDriverDataSize", UINT),
)

D3DKMT_SUBMITCOMMANDFLAGS = flags("D3DKMT_SUBMITCOMMANDFLAGS", "NullRendering", "PresentRedirected", "NoKmdAccess")

D3DKMT_SUBMITCOMMAND = structure(
    "D3DKMT_SUBMITCOMMAND",
    into("Commands", D3DGPU_VIRTUAL_ADDRESS),
    into("CommandLength", UINT),
    into("Flags", D3DKMT_SUBMITCOMMANDFLAGS),
    into("PresentHistoryToken", ULONGLONG),
    into("BroadcastContextCount", UINT),
    into("BroadcastContext", Array(handle(CONTEXT), 64, used="BroadcastContextCount")),
    into("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    into("PrivateDriverDataSize", UINT),
    into("NumPrimaries", UINT),
    into("WrittenPrimaries", Array(handle(ALLOCATION), 16, used="NumPrimaries")),
    into("NumHistoryBuffers", UINT),
    into("HistoryBufferArray", Pointer(handle(ALLOCATION), "NumHistoryBuffers")),
)

D3DKMT_SUBMITCOMMANDTOHWQUEUE = structure(
    "D3DKMT_SUBMITCOMMANDTOHWQUEUE",
    into("hHwQueue", handle(HW_QUEUE)),
    into("HwQueueProgressFenceId", FENCE_UINT64, of="hHwQueue"),
    into("CommandBuffer", D3DGPU_VIRTUAL_ADDRESS),
    into("CommandLength", UINT),
    into("PrivateDriverDataSize", UINT),
    into("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    into("NumPrimaries", UINT),
    into("WrittenPrimaries", Pointer(handle(ALLOCATION), "NumPrimaries")),
)

D3DKMT_SUBMITWAITFORSYNCOBJECTSTOHWQUEUE = structure(
    "D3DKMT_SUBMITWAITFORSYNCOBJECTSTOHWQUEUE",
    into("hHwQueue", handle(HW_QUEUE)),
    into("ObjectCount", UINT),
    into("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    into("FenceValueArray", Pointer(FENCE_UINT64, "ObjectCount"), of="ObjectHandleArray[]"),
)

D3DKMT_SUBMITSIGNALSYNCOBJECTSTOHWQUEUE = structure(
    "D3DKMT_SUBMITSIGNALSYNCOBJECTSTOHWQUEUE",
    into("Flags", D3DDDICB_SIGNALFLAGS),
    into("BroadcastHwQueueCount", ULONG),
    into("BroadcastHwQueueArray", Pointer(handle(HW_QUEUE), "BroadcastHwQueueCount")),
    into("ObjectCount", UINT),
    into("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    into("FenceValueArray", Pointer(FENCE_UINT64, "ObjectCount"), of="ObjectHandleArray[]"),
)

D3DKMT_QUEUEDLIMIT_TYPE = enum(
    "D3DKMT_QUEUEDLIMIT_TYPE", D3DKMT_SET_QUEUEDLIMIT_PRESENT=1, D3DKMT_GET_QUEUEDLIMIT_PRESENT=2
)

D3DKMT_SETQUEUEDLIMIT = structure(
    "D3DKMT_SETQUEUEDLIMIT",
    into("hDevice", handle(DEVICE)),
    into("Type", D3DKMT_QUEUEDLIMIT_TYPE),
    Overlay(
        (
            inout(
                "QueuedPresentLimit",
                UINT,
                is_one(
                    "Type", D3DKMT_QUEUEDLIMIT_TYPE, "D3DKMT_SET_QUEUEDLIMIT_PRESENT", "D3DKMT_GET_QUEUEDLIMIT_PRESENT"
                ),
            ),
            group(into("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID), into("QueuedPendingFlipLimit", UINT)),
        )
    ),
)

D3DKMT_WAITFORIDLE = structure(
    "D3DKMT_WAITFORIDLE",
    into("hDevice", handle(DEVICE)),
)

CALLS = (
    Call(
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
        unseen=("the command buffer and the lists handed out by D3DKMTCreateContext or the last D3DKMTRender",),
    ),
    Call(
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
        unseen=("the commands at the GPU address Commands",),
    ),
    Call(
        "D3DKMTSubmitCommandToHwQueue",
        D3DKMT_SUBMITCOMMANDTOHWQUEUE,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitCommandToHwQueue",
        ),
        unseen=("the commands at the GPU address CommandBuffer",),
    ),
    Call(
        "D3DKMTSubmitWaitForSyncObjectsToHwQueue",
        D3DKMT_SUBMITWAITFORSYNCOBJECTSTOHWQUEUE,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitWaitForSyncObjectsToHwQueue",
        ),
    ),
    Call(
        "D3DKMTSubmitSignalSyncObjectsToHwQueue",
        D3DKMT_SUBMITSIGNALSYNCOBJECTSTOHWQUEUE,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSubmitSignalSyncObjectsToHwQueue",
        ),
    ),
    Call(
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
    Call(
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
        blocks=(),
    ),
)
