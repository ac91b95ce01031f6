"""Contexts and hardware queues, which execute submitted work, and their priorities."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    CONTEXT,
    CPU_ADDRESS,
    CPU_POINTER,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    GPU_ADDRESS,
    HW_CONTEXT,
    HW_QUEUE,
    MONITORED_FENCE,
    SYNC_OBJECT,
    handle,
)
from tracekmt.calls.sources import HEADER
from tracekmt.spec.dsl import INT, UINT, enum, flags, in_, out, structure
from tracekmt.spec.types import Address, Bit, Bytes, CallSpec, Creates, Destroys

FAMILY = "context"

D3DDDI_CREATECONTEXTFLAGS = flags(
    "D3DDDI_CREATECONTEXTFLAGS",
    "NullRendering",
    "InitialData",
    "DisableGpuTimeout",
    "SynchronizationOnly",
    "HwQueueSupported",
    "NoKmdAccess",
    Bit("TestContext", 6),
)

D3DKMT_CLIENTHINT = enum(
    "D3DKMT_CLIENTHINT",
    D3DKMT_CLIENTHINT_UNKNOWN=0,
    D3DKMT_CLIENTHINT_OPENGL=1,
    D3DKMT_CLIENTHINT_CDD=2,
    D3DKMT_CLIENTHINT_OPENCL=3,
    D3DKMT_CLIENTHINT_VULKAN=4,
    D3DKMT_CLIENTHINT_CUDA=5,
    D3DKMT_CLIENTHINT_RESERVED=6,
    D3DKMT_CLIENTHINT_DX7=7,
    D3DKMT_CLIENTHINT_DX8=8,
    D3DKMT_CLIENTHINT_DX9=9,
    D3DKMT_CLIENTHINT_DX10=10,
    D3DKMT_CLIENTHINT_DX11=11,
    D3DKMT_CLIENTHINT_DX12=12,
    D3DKMT_CLIENTHINT_9ON12=13,
    D3DKMT_CLIENTHINT_11ON12=14,
    D3DKMT_CLIENTHINT_MFT_ENCODE=15,
    D3DKMT_CLIENTHINT_GLON12=16,
    D3DKMT_CLIENTHINT_CLON12=17,
    D3DKMT_CLIENTHINT_DML_TENSORFLOW=18,
    D3DKMT_CLIENTHINT_ONEAPI_LEVEL0=19,
    D3DKMT_CLIENTHINT_DML_PYTORCH=20,
    D3DKMT_CLIENTHINT_VKON12=21,
    D3DKMT_CLIENTHINT_FASTRPC=22,
    D3DKMT_CLIENTHINT_SNPE=23,
    D3DKMT_CLIENTHINT_QNN=24,
    D3DKMT_CLIENTHINT_VITIS=25,
    D3DKMT_CLIENTHINT_FFMPEG=26,
    D3DKMT_CLIENTHINT_OPEN_VINO=27,
    D3DKMT_CLIENTHINT_MAX=28,
)

D3DKMT_CREATECONTEXT = structure(
    "D3DKMT_CREATECONTEXT",
    in_("hDevice", handle(DEVICE)),
    in_("NodeOrdinal", UINT),
    in_("EngineAffinity", UINT),
    in_("Flags", D3DDDI_CREATECONTEXTFLAGS),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
    in_("ClientHint", D3DKMT_CLIENTHINT),
    out("hContext", handle(CONTEXT)),
    # D3DKMTRender reads the client's commands from this memory. This call only returns its address.
    out("pCommandBuffer", CPU_POINTER),
    out("CommandBufferSize", UINT),
    out("pAllocationList", Address("D3DDDI_ALLOCATIONLIST *", CPU_ADDRESS)),
    out("AllocationListSize", UINT),
    out("pPatchLocationList", Address("D3DDDI_PATCHLOCATIONLIST *", CPU_ADDRESS)),
    out("PatchLocationListSize", UINT),
    out("CommandBuffer", D3DGPU_VIRTUAL_ADDRESS),
)

D3DKMT_CREATECONTEXTVIRTUAL = structure(
    "D3DKMT_CREATECONTEXTVIRTUAL",
    in_("hDevice", handle(DEVICE)),
    in_("NodeOrdinal", UINT),
    in_("EngineAffinity", UINT),
    in_("Flags", D3DDDI_CREATECONTEXTFLAGS),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    in_("PrivateDriverDataSize", UINT),
    in_("ClientHint", D3DKMT_CLIENTHINT),
    out("hContext", handle(CONTEXT)),
)

D3DKMT_DESTROYCONTEXT = structure(
    "D3DKMT_DESTROYCONTEXT",
    in_("hContext", handle(CONTEXT)),
)

D3DKMT_SETCONTEXTSCHEDULINGPRIORITY = structure(
    "D3DKMT_SETCONTEXTSCHEDULINGPRIORITY",
    in_("hContext", handle(CONTEXT)),
    in_("Priority", INT),
)

D3DKMT_GETCONTEXTSCHEDULINGPRIORITY = structure(
    "D3DKMT_GETCONTEXTSCHEDULINGPRIORITY",
    in_("hContext", handle(CONTEXT)),
    out("Priority", INT),
)

D3DKMT_SETCONTEXTINPROCESSSCHEDULINGPRIORITY = structure(
    "D3DKMT_SETCONTEXTINPROCESSSCHEDULINGPRIORITY",
    in_("hContext", handle(CONTEXT)),
    in_("Priority", INT),
)

D3DKMT_GETCONTEXTINPROCESSSCHEDULINGPRIORITY = structure(
    "D3DKMT_GETCONTEXTINPROCESSSCHEDULINGPRIORITY",
    in_("hContext", handle(CONTEXT)),
    out("Priority", INT),
)

D3DDDI_CREATEHWCONTEXTFLAGS = flags("D3DDDI_CREATEHWCONTEXTFLAGS")

D3DKMT_CREATEHWCONTEXT = structure(
    "D3DKMT_CREATEHWCONTEXT",
    in_("hDevice", handle(DEVICE)),
    in_("NodeOrdinal", UINT),
    in_("EngineAffinity", UINT),
    in_("Flags", D3DDDI_CREATEHWCONTEXTFLAGS),
    in_("PrivateDriverDataSize", UINT),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    out("hHwContext", handle(HW_CONTEXT)),
)

D3DKMT_DESTROYHWCONTEXT = structure(
    "D3DKMT_DESTROYHWCONTEXT",
    in_("hHwContext", handle(HW_CONTEXT)),
)

D3DDDI_CREATEHWQUEUEFLAGS = flags(
    "D3DDDI_CREATEHWQUEUEFLAGS",
    "DisableGpuTimeout",
    "NoBroadcastSignal",
    "NoBroadcastWait",
    "NoKmdAccess",
    Bit("UserModeSubmission", 4),
    "NativeProgressFence",
    "TestQueue",
)

D3DKMT_CREATEHWQUEUE = structure(
    "D3DKMT_CREATEHWQUEUE",
    in_("hHwContext", handle(HW_CONTEXT)),
    in_("Flags", D3DDDI_CREATEHWQUEUEFLAGS),
    in_("PrivateDriverDataSize", UINT),
    in_("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    out("hHwQueue", handle(HW_QUEUE)),
    out("hHwQueueProgressFence", handle(SYNC_OBJECT)),
    out("HwQueueProgressFenceCPUVirtualAddress", CPU_POINTER),
    out("HwQueueProgressFenceGPUVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
)

D3DKMT_DESTROYHWQUEUE = structure(
    "D3DKMT_DESTROYHWQUEUE",
    in_("hHwQueue", handle(HW_QUEUE)),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateContext",
        D3DKMT_CREATECONTEXT,
        creates=(
            Creates(CONTEXT, "hContext", within=("hDevice",)),
            Creates(CPU_ADDRESS, "pCommandBuffer", within=("hDevice",), size="CommandBufferSize"),
            Creates(GPU_ADDRESS, "CommandBuffer", within=("hDevice",), size="CommandBufferSize"),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateContext",
        ),
    ),
    CallSpec(
        "D3DKMTCreateContextVirtual",
        D3DKMT_CREATECONTEXTVIRTUAL,
        creates=(Creates(CONTEXT, "hContext", within=("hDevice",)),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateContextVirtual",
        ),
    ),
    CallSpec(
        "D3DKMTDestroyContext",
        D3DKMT_DESTROYCONTEXT,
        destroys=(Destroys(CONTEXT, "hContext"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroyContext",
        ),
    ),
    CallSpec(
        "D3DKMTSetContextSchedulingPriority",
        D3DKMT_SETCONTEXTSCHEDULINGPRIORITY,
        side_effect="may put its work before that of other programs",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSetContextSchedulingPriority",
        ),
    ),
    CallSpec(
        "D3DKMTGetContextSchedulingPriority",
        D3DKMT_GETCONTEXTSCHEDULINGPRIORITY,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetContextSchedulingPriority",
        ),
    ),
    CallSpec(
        "D3DKMTSetContextInProcessSchedulingPriority",
        D3DKMT_SETCONTEXTINPROCESSSCHEDULINGPRIORITY,
        side_effect="may put its work before that of other programs",
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSetContextInProcessSchedulingPriority",
        ),
    ),
    CallSpec(
        "D3DKMTGetContextInProcessSchedulingPriority",
        D3DKMT_GETCONTEXTINPROCESSSCHEDULINGPRIORITY,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetContextInProcessSchedulingPriority",
        ),
    ),
    CallSpec(
        "D3DKMTCreateHwContext",
        D3DKMT_CREATEHWCONTEXT,
        creates=(Creates(HW_CONTEXT, "hHwContext", within=("hDevice",)),),
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateHwContext",
        ),
    ),
    CallSpec(
        "D3DKMTDestroyHwContext",
        D3DKMT_DESTROYHWCONTEXT,
        destroys=(Destroys(HW_CONTEXT, "hHwContext"),),
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroyHwContext",
        ),
    ),
    CallSpec(
        "D3DKMTCreateHwQueue",
        D3DKMT_CREATEHWQUEUE,
        creates=(
            Creates(HW_QUEUE, "hHwQueue", within=("hHwContext",)),
            Creates(MONITORED_FENCE, "hHwQueueProgressFence", within=("hHwQueue",)),
            Creates(CPU_ADDRESS, "HwQueueProgressFenceCPUVirtualAddress", within=("hHwQueueProgressFence",)),
            Creates(GPU_ADDRESS, "HwQueueProgressFenceGPUVirtualAddress", within=("hHwQueueProgressFence",)),
        ),
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateHwQueue",
        ),
    ),
    CallSpec(
        "D3DKMTDestroyHwQueue",
        D3DKMT_DESTROYHWQUEUE,
        destroys=(Destroys(HW_QUEUE, "hHwQueue"),),
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroyHwQueue",
        ),
    ),
)
