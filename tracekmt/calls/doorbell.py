"""Doorbells: submission of work from user mode, without a call for each submission."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ALLOCATION,
    CPU_ADDRESS,
    CPU_POINTER,
    D3DGPU_VIRTUAL_ADDRESS,
    DOORBELL,
    GPU_ADDRESS,
    HW_CONTEXT,
    HW_QUEUE,
    MONITORED_FENCE,
    handle,
)
from tracekmt.calls.native_fence import D3DDDI_NATIVEFENCEMAPPING
from tracekmt.calls.sources import KIT_26100, KIT_28000
from tracekmt.spec.dsl import UINT, UINT32, flags, in_, inout, out, structure
from tracekmt.spec.forms import since, until
from tracekmt.spec.types import ByteArray, Bytes, CallSpec, Creates, Destroys

FAMILY = "doorbells"

D3DKMT_CREATE_DOORBELL_FLAGS = flags(
    "D3DKMT_CREATE_DOORBELL_FLAGS", "RequireSecondaryCpuVA", "ResizeRingBufferOperation"
)

D3DKMT_CREATE_DOORBELL = structure(
    "D3DKMT_CREATE_DOORBELL",
    in_("hHwQueue", handle(HW_QUEUE)),
    in_("hRingBuffer", handle(ALLOCATION)),
    in_("hRingBufferControl", handle(ALLOCATION)),
    in_("Flags", D3DKMT_CREATE_DOORBELL_FLAGS),
    in_("PrivateDriverDataSize", UINT),
    inout("PrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True)),
    out("DoorbellCPUVirtualAddress", CPU_POINTER),
    out("DoorbellSecondaryCPUVirtualAddress", CPU_POINTER),
    out("DoorbellStatusCPUVirtualAddress", CPU_POINTER),
    since(26100, out("HwQueueProgressFenceLastQueuedValueCPUVirtualAddress", CPU_POINTER)),
    since(26100, out("hDoorbell", handle(DOORBELL))),
)

D3DKMT_CONNECT_DOORBELL_FLAGS = flags("D3DKMT_CONNECT_DOORBELL_FLAGS")

D3DKMT_CONNECT_DOORBELL = structure(
    "D3DKMT_CONNECT_DOORBELL",
    until(26100, in_("hHwQueue", handle(HW_QUEUE))),
    since(26100, in_("hDoorbell", handle(DOORBELL))),
    in_("Flags", D3DKMT_CONNECT_DOORBELL_FLAGS),
)

D3DKMT_DESTROY_DOORBELL = structure(
    "D3DKMT_DESTROY_DOORBELL",
    until(26100, in_("hHwQueue", handle(HW_QUEUE))),
    since(26100, in_("hDoorbell", handle(DOORBELL))),
)

D3DKMT_NOTIFY_WORK_SUBMISSION_FLAGS = flags("D3DKMT_NOTIFY_WORK_SUBMISSION_FLAGS")

D3DKMT_NOTIFY_WORK_SUBMISSION = structure(
    "D3DKMT_NOTIFY_WORK_SUBMISSION",
    until(26100, in_("hHwQueue", handle(HW_QUEUE))),
    since(26100, in_("hDoorbell", handle(DOORBELL))),
    in_("Flags", D3DKMT_NOTIFY_WORK_SUBMISSION_FLAGS),
)

D3DDDI_CREATEHWQUEUEFORUSERMODESUBMISSION_FLAGS = flags("D3DDDI_CREATEHWQUEUEFORUSERMODESUBMISSION_FLAGS")

D3DDDI_NATIVEFENCELOGDETAIL = structure(
    "D3DDDI_NATIVEFENCELOGDETAIL",
    out("WaitLogNumberOfEntries", UINT32),
    out("SignalLogNumberOfEntries", UINT32),
    out("WaitLogGpuBaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    out("SignalLogGpuBaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("Reserved", ByteArray("BYTE", 64)),
)

D3DKMT_CREATEHWQUEUEFORUSERMODESUBMISSION = structure(
    "D3DKMT_CREATEHWQUEUEFORUSERMODESUBMISSION",
    in_("hHwContext", handle(HW_CONTEXT)),
    in_("Flags", D3DDDI_CREATEHWQUEUEFORUSERMODESUBMISSION_FLAGS),
    in_("hRingBuffer", handle(ALLOCATION)),
    in_("hRingBufferControl", handle(ALLOCATION)),
    inout("PrivateDriverData", ByteArray("BYTE", 64)),
    out("hHwQueue", handle(HW_QUEUE)),
    out("DoorbellStatusCpuVa", CPU_POINTER),
    out("hProgressFence", handle(MONITORED_FENCE)),
    out("ProgressFenceMapping", D3DDDI_NATIVEFENCEMAPPING),
    out("ProgressFenceLastQueuedValueCpuVa", CPU_POINTER),
    out("LogBufferInfo", D3DDDI_NATIVEFENCELOGDETAIL),
    in_("Reserved", ByteArray("BYTE", 64)),
)

D3DKMT_RESIZERINGBUFFER_FLAGS = flags("D3DKMT_RESIZERINGBUFFER_FLAGS")

D3DKMT_RESIZERINGBUFFER = structure(
    "D3DKMT_RESIZERINGBUFFER",
    in_("hHwQueue", handle(HW_QUEUE)),
    in_("hRingBuffer", handle(ALLOCATION)),
    in_("hRingBufferControl", handle(ALLOCATION)),
    in_("Flags", D3DKMT_RESIZERINGBUFFER_FLAGS),
    inout("PrivateDriverData", ByteArray("BYTE", 64)),
    in_("Reserved", ByteArray("BYTE", 64)),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateDoorbell",
        D3DKMT_CREATE_DOORBELL,
        creates=(
            Creates(DOORBELL, "hDoorbell", within=("hHwQueue",)),
            Creates(CPU_ADDRESS, "DoorbellCPUVirtualAddress", within=("hHwQueue",)),
            Creates(CPU_ADDRESS, "DoorbellSecondaryCPUVirtualAddress", within=("hHwQueue",)),
            Creates(CPU_ADDRESS, "DoorbellStatusCPUVirtualAddress", within=("hHwQueue",)),
            Creates(CPU_ADDRESS, "HwQueueProgressFenceLastQueuedValueCPUVirtualAddress", within=("hHwQueue",)),
        ),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTCreateDoorbell"),
    ),
    CallSpec(
        "D3DKMTConnectDoorbell",
        D3DKMT_CONNECT_DOORBELL,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTConnectDoorbell"),
    ),
    CallSpec(
        "D3DKMTDestroyDoorbell",
        D3DKMT_DESTROY_DOORBELL,
        destroys=(Destroys(DOORBELL, "hDoorbell"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTDestroyDoorbell"),
    ),
    CallSpec(
        "D3DKMTNotifyWorkSubmission",
        D3DKMT_NOTIFY_WORK_SUBMISSION,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTNotifyWorkSubmission"),
    ),
    CallSpec(
        "D3DKMTCreateHwQueueForUserModeSubmission",
        D3DKMT_CREATEHWQUEUEFORUSERMODESUBMISSION,
        creates=(
            Creates(HW_QUEUE, "hHwQueue", within=("hHwContext",)),
            Creates(MONITORED_FENCE, "hProgressFence", within=("hHwQueue",)),
            Creates(CPU_ADDRESS, "ProgressFenceMapping.CurrentValueCpuVa", within=("hProgressFence",)),
            Creates(GPU_ADDRESS, "ProgressFenceMapping.CurrentValueGpuVa", within=("hProgressFence",)),
            Creates(GPU_ADDRESS, "ProgressFenceMapping.MonitoredValueGpuVa", within=("hProgressFence",)),
            Creates(CPU_ADDRESS, "ProgressFenceLastQueuedValueCpuVa", within=("hHwQueue",)),
            Creates(CPU_ADDRESS, "DoorbellStatusCpuVa", within=("hHwQueue",)),
        ),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_28000,),
    ),
    CallSpec(
        "D3DKMTResizeRingBuffer",
        D3DKMT_RESIZERINGBUFFER,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_28000,),
    ),
)
