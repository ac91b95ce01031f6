"""Synchronization objects (mutexes, semaphores, fences, monitored fences): waits and signals on CPU and GPU."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    ADAPTER,
    CONTEXT,
    CPU_ADDRESS,
    CPU_POINTER,
    D3DDDI_VIDEO_PRESENT_TARGET_ID,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    EVENT,
    FENCE,
    FENCE_UINT64,
    GLOBAL_SHARE,
    GPU_ADDRESS,
    MONITORED_FENCE,
    OBJECT_ATTRIBUTES,
    SHARED_OBJECT,
    SYNC_OBJECT,
    handle,
    nt_handle,
)
from tracekmt.calls.sources import HEADER, WINE_TESTS
from tracekmt.spec.dsl import (
    BOOL,
    DWORD,
    UINT,
    UINT64,
    ULONG,
    enum,
    flags,
    in_,
    inout,
    is_one,
    out,
    structure,
    unless,
)
from tracekmt.spec.types import NEVER, Array, Bit, CallSpec, Condition, Creates, Destroys, Pointer, Union

FAMILY = "synchronization object"

D3DDDI_SYNCHRONIZATIONOBJECT_TYPE = enum(
    "D3DDDI_SYNCHRONIZATIONOBJECT_TYPE",
    D3DDDI_SYNCHRONIZATION_MUTEX=1,
    D3DDDI_SEMAPHORE=2,
    D3DDDI_FENCE=3,
    D3DDDI_CPU_NOTIFICATION=4,
    D3DDDI_MONITORED_FENCE=5,
    D3DDDI_PERIODIC_MONITORED_FENCE=6,
    D3DDDI_NATIVE_FENCE=7,
    D3DDDI_SYNCHRONIZATION_TYPE_LIMIT=8,
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO_SYNCHRONIZATIONMUTEX = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO.SynchronizationMutex",
    in_("InitialState", BOOL),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO_SEMAPHORE = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO.Semaphore",
    in_("MaxCount", UINT),
    in_("InitialCount", UINT),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO_RESERVED = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO.Reserved",
    in_("Reserved", Array(UINT, 16)),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO",
    in_("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE),
    Union(
        (
            in_(
                "SynchronizationMutex",
                D3DDDI_SYNCHRONIZATIONOBJECTINFO_SYNCHRONIZATIONMUTEX,
                is_one("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_SYNCHRONIZATION_MUTEX"),
            ),
            in_(
                "Semaphore",
                D3DDDI_SYNCHRONIZATIONOBJECTINFO_SEMAPHORE,
                is_one("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_SEMAPHORE"),
            ),
            in_("Reserved", D3DDDI_SYNCHRONIZATIONOBJECTINFO_RESERVED, NEVER),
        )
    ),
)

D3DKMT_CREATESYNCHRONIZATIONOBJECT = structure(
    "D3DKMT_CREATESYNCHRONIZATIONOBJECT",
    in_("hDevice", handle(DEVICE)),
    in_("Info", D3DDDI_SYNCHRONIZATIONOBJECTINFO),
    out("hSyncObject", handle(SYNC_OBJECT)),
)

D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS = flags(
    "D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS",
    "Shared",
    "NtSecuritySharing",
    "CrossAdapter",
    "TopOfPipeline",
    "NoSignal",
    "NoWait",
    "NoSignalMaxValueOnTdr",
    "NoGPUAccess",
    "SignalByKmd",
    Bit("Unused", 9),
    "UnwaitCpuWaitersOnlyOnDestroy",
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO2_SYNCHRONIZATIONMUTEX = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO2.SynchronizationMutex",
    in_("InitialState", BOOL),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO2_SEMAPHORE = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO2.Semaphore",
    in_("MaxCount", UINT),
    in_("InitialCount", UINT),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO2_FENCE = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO2.Fence",
    in_("FenceValue", UINT64),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO2_CPUNOTIFICATION = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO2.CPUNotification",
    in_("Event", nt_handle(EVENT)),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO2_MONITOREDFENCE = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO2.MonitoredFence",
    in_("InitialFenceValue", UINT64),
    out("FenceValueCPUVirtualAddress", CPU_POINTER),
    out("FenceValueGPUVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("EngineAffinity", UINT),
    in_("Padding", UINT),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO2_PERIODICMONITOREDFENCE = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO2.PeriodicMonitoredFence",
    in_("hAdapter", handle(ADAPTER)),
    in_("VidPnTargetId", D3DDDI_VIDEO_PRESENT_TARGET_ID),
    in_("Time", UINT64),
    out("FenceValueCPUVirtualAddress", CPU_POINTER),
    out("FenceValueGPUVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("EngineAffinity", UINT),
    in_("Padding", UINT),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO2_RESERVED = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO2.Reserved",
    in_("Reserved", Array(UINT64, 8)),
)

D3DDDI_SYNCHRONIZATIONOBJECTINFO2 = structure(
    "D3DDDI_SYNCHRONIZATIONOBJECTINFO2",
    in_("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE),
    in_("Flags", D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS),
    Union(
        (
            in_(
                "SynchronizationMutex",
                D3DDDI_SYNCHRONIZATIONOBJECTINFO2_SYNCHRONIZATIONMUTEX,
                is_one("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_SYNCHRONIZATION_MUTEX"),
            ),
            in_(
                "Semaphore",
                D3DDDI_SYNCHRONIZATIONOBJECTINFO2_SEMAPHORE,
                is_one("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_SEMAPHORE"),
            ),
            in_(
                "Fence",
                D3DDDI_SYNCHRONIZATIONOBJECTINFO2_FENCE,
                is_one("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_FENCE"),
            ),
            in_(
                "CPUNotification",
                D3DDDI_SYNCHRONIZATIONOBJECTINFO2_CPUNOTIFICATION,
                is_one("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_CPU_NOTIFICATION"),
            ),
            inout(
                "MonitoredFence",
                D3DDDI_SYNCHRONIZATIONOBJECTINFO2_MONITOREDFENCE,
                is_one("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_MONITORED_FENCE"),
            ),
            inout(
                "PeriodicMonitoredFence",
                D3DDDI_SYNCHRONIZATIONOBJECTINFO2_PERIODICMONITOREDFENCE,
                is_one("Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_PERIODIC_MONITORED_FENCE"),
            ),
            in_("Reserved", D3DDDI_SYNCHRONIZATIONOBJECTINFO2_RESERVED, NEVER),
        )
    ),
    out("SharedHandle", handle(GLOBAL_SHARE)),
)

D3DKMT_CREATESYNCHRONIZATIONOBJECT2 = structure(
    "D3DKMT_CREATESYNCHRONIZATIONOBJECT2",
    in_("hDevice", handle(DEVICE)),
    inout("Info", D3DDDI_SYNCHRONIZATIONOBJECTINFO2),
    out("hSyncObject", handle(SYNC_OBJECT)),
)

D3DKMT_OPENSYNCHRONIZATIONOBJECT = structure(
    "D3DKMT_OPENSYNCHRONIZATIONOBJECT",
    in_("hSharedHandle", handle(GLOBAL_SHARE)),
    out("hSyncObject", handle(SYNC_OBJECT)),
    in_("Reserved", Array(UINT64, 8)),
)

D3DKMT_DESTROYSYNCHRONIZATIONOBJECT = structure(
    "D3DKMT_DESTROYSYNCHRONIZATIONOBJECT",
    in_("hSyncObject", handle(SYNC_OBJECT)),
)

D3DKMT_WAITFORSYNCHRONIZATIONOBJECT = structure(
    "D3DKMT_WAITFORSYNCHRONIZATIONOBJECT",
    in_("hContext", handle(CONTEXT)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Array(handle(SYNC_OBJECT), 32, used="ObjectCount")),
)

D3DKMT_WAITFORSYNCHRONIZATIONOBJECT2_FENCE = structure(
    "D3DKMT_WAITFORSYNCHRONIZATIONOBJECT2.Fence",
    in_("FenceValue", UINT64),
)

D3DKMT_WAITFORSYNCHRONIZATIONOBJECT2 = structure(
    "D3DKMT_WAITFORSYNCHRONIZATIONOBJECT2",
    in_("hContext", handle(CONTEXT)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Array(handle(SYNC_OBJECT), 32, used="ObjectCount")),
    Union(
        (
            in_("Fence", D3DKMT_WAITFORSYNCHRONIZATIONOBJECT2_FENCE),
            in_("Reserved", Array(UINT64, 8), NEVER),
        )
    ),
)

D3DDDICB_SIGNALFLAGS = flags(
    "D3DDDICB_SIGNALFLAGS",
    "SignalAtSubmission",
    "EnqueueCpuEvent",
    "AllowFenceRewind",
    Bit("DXGK_SIGNAL_FLAG_INTERNAL0", 31),
)

D3DKMT_SIGNALSYNCHRONIZATIONOBJECT = structure(
    "D3DKMT_SIGNALSYNCHRONIZATIONOBJECT",
    in_("hContext", handle(CONTEXT)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Array(handle(SYNC_OBJECT), 32, used="ObjectCount")),
    in_("Flags", D3DDDICB_SIGNALFLAGS),
)

D3DKMT_SIGNALSYNCHRONIZATIONOBJECT2_FENCE = structure(
    "D3DKMT_SIGNALSYNCHRONIZATIONOBJECT2.Fence",
    in_("FenceValue", UINT64),
)

D3DKMT_SIGNALSYNCHRONIZATIONOBJECT2 = structure(
    "D3DKMT_SIGNALSYNCHRONIZATIONOBJECT2",
    in_("hContext", handle(CONTEXT)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Array(handle(SYNC_OBJECT), 32, used="ObjectCount")),
    in_("Flags", D3DDDICB_SIGNALFLAGS),
    in_("BroadcastContextCount", ULONG),
    in_("BroadcastContext", Array(handle(CONTEXT), 64, used="BroadcastContextCount")),
    Union(
        (
            in_("Fence", D3DKMT_SIGNALSYNCHRONIZATIONOBJECT2_FENCE),
            in_("CpuEventHandle", nt_handle(EVENT), Condition("Flags.EnqueueCpuEvent")),
            in_("Reserved", Array(UINT64, 8), NEVER),
        )
    ),
)

D3DDDI_WAITFORSYNCHRONIZATIONOBJECTFROMCPU_FLAGS = flags("D3DDDI_WAITFORSYNCHRONIZATIONOBJECTFROMCPU_FLAGS", "WaitAny")

D3DKMT_WAITFORSYNCHRONIZATIONOBJECTFROMCPU = structure(
    "D3DKMT_WAITFORSYNCHRONIZATIONOBJECTFROMCPU",
    in_("hDevice", handle(DEVICE)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    in_("FenceValueArray", Pointer(FENCE_UINT64, "ObjectCount"), fence_handle="ObjectHandleArray[]"),
    in_("hAsyncEvent", nt_handle(EVENT)),
    in_("Flags", D3DDDI_WAITFORSYNCHRONIZATIONOBJECTFROMCPU_FLAGS),
)

D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMCPU = structure(
    "D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMCPU",
    in_("hDevice", handle(DEVICE)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    in_("FenceValueArray", Pointer(FENCE_UINT64, "ObjectCount"), fence_handle="ObjectHandleArray[]"),
    in_("Flags", D3DDDICB_SIGNALFLAGS),
)

D3DKMT_WAITFORSYNCHRONIZATIONOBJECTFROMGPU = structure(
    "D3DKMT_WAITFORSYNCHRONIZATIONOBJECTFROMGPU",
    in_("hContext", handle(CONTEXT)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    # The kind of the objects decides: monitored fences have an array of values, fences a single value.
    Union(
        (
            in_(
                "MonitoredFenceValueArray",
                Pointer(FENCE_UINT64, "ObjectCount"),
                Condition("ObjectHandleArray", kind=MONITORED_FENCE),
                fence_handle="ObjectHandleArray[]",
            ),
            in_(
                "FenceValue",
                FENCE_UINT64,
                Condition("ObjectHandleArray", kind=FENCE),
                fence_handle="ObjectHandleArray[]",
            ),
            in_("Reserved", Array(UINT64, 8), NEVER),
        )
    ),
)

D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMGPU = structure(
    "D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMGPU",
    in_("hContext", handle(CONTEXT)),
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    Union(
        (
            in_("MonitoredFenceValueArray", Pointer(FENCE_UINT64, "ObjectCount"), fence_handle="ObjectHandleArray[]"),
            in_("Reserved", Array(UINT64, 8), NEVER),
        )
    ),
)

D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMGPU2 = structure(
    "D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMGPU2",
    in_("ObjectCount", UINT),
    in_("ObjectHandleArray", Pointer(handle(SYNC_OBJECT), "ObjectCount")),
    in_("Flags", D3DDDICB_SIGNALFLAGS),
    in_("BroadcastContextCount", ULONG),
    in_("BroadcastContextArray", Pointer(handle(CONTEXT), "BroadcastContextCount")),
    Union(
        (
            in_(
                "FenceValue",
                FENCE_UINT64,
                Condition("ObjectHandleArray", kind=FENCE),
                fence_handle="ObjectHandleArray[]",
            ),
            in_("CpuEventHandle", nt_handle(EVENT), Condition("Flags.EnqueueCpuEvent")),
            in_(
                "MonitoredFenceValueArray",
                Pointer(FENCE_UINT64, "ObjectCount"),
                Condition("ObjectHandleArray", kind=MONITORED_FENCE),
                fence_handle="ObjectHandleArray[]",
            ),
            in_("Reserved", Array(UINT64, 8), NEVER),
        )
    ),
)

D3DKMT_OPENSYNCOBJECTFROMNTHANDLE = structure(
    "D3DKMT_OPENSYNCOBJECTFROMNTHANDLE",
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    out("hSyncObject", handle(SYNC_OBJECT)),
)

D3DKMT_OPENSYNCOBJECTFROMNTHANDLE2_MONITOREDFENCE = structure(
    "D3DKMT_OPENSYNCOBJECTFROMNTHANDLE2.MonitoredFence",
    out("FenceValueCPUVirtualAddress", CPU_POINTER),
    out("FenceValueGPUVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("EngineAffinity", UINT),
)

D3DKMT_OPENSYNCOBJECTFROMNTHANDLE2 = structure(
    "D3DKMT_OPENSYNCOBJECTFROMNTHANDLE2",
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    in_("hDevice", handle(DEVICE)),
    in_("Flags", D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS),
    out("hSyncObject", handle(SYNC_OBJECT)),
    Union(
        (
            inout("MonitoredFence", D3DKMT_OPENSYNCOBJECTFROMNTHANDLE2_MONITOREDFENCE),
            in_("Reserved", Array(UINT64, 8), NEVER),
        )
    ),
)

D3DKMT_OPENSYNCOBJECTNTHANDLEFROMNAME = structure(
    "D3DKMT_OPENSYNCOBJECTNTHANDLEFROMNAME",
    in_("dwDesiredAccess", DWORD),
    in_("pObjAttrib", Pointer(OBJECT_ATTRIBUTES)),
    out("hNtHandle", nt_handle(SHARED_OBJECT)),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateSynchronizationObject",
        D3DKMT_CREATESYNCHRONIZATIONOBJECT,
        creates=(Creates(SYNC_OBJECT, "hSyncObject", within=("hDevice",)),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateSynchronizationObject, D3DDDI_SYNCHRONIZATIONOBJECTINFO",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTCreateSynchronizationObject2",
        D3DKMT_CREATESYNCHRONIZATIONOBJECT2,
        creates=(
            Creates(
                MONITORED_FENCE,
                "hSyncObject",
                when=(
                    is_one(
                        "Info.Type",
                        D3DDDI_SYNCHRONIZATIONOBJECT_TYPE,
                        "D3DDDI_MONITORED_FENCE",
                        "D3DDDI_PERIODIC_MONITORED_FENCE",
                    ),
                ),
                within=("hDevice",),
            ),
            Creates(
                FENCE,
                "hSyncObject",
                when=(is_one("Info.Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_FENCE"),),
                within=("hDevice",),
            ),
            Creates(
                SYNC_OBJECT,
                "hSyncObject",
                when=(
                    is_one(
                        "Info.Type",
                        D3DDDI_SYNCHRONIZATIONOBJECT_TYPE,
                        "D3DDDI_FENCE",
                        "D3DDDI_MONITORED_FENCE",
                        "D3DDDI_PERIODIC_MONITORED_FENCE",
                        negate=True,
                    ),
                ),
                within=("hDevice",),
            ),
            Creates(
                GLOBAL_SHARE,
                "Info.SharedHandle",
                when=(
                    Condition("Info.Flags.Shared"),
                    unless("Info.Flags.NtSecuritySharing"),
                ),
                within=("hSyncObject",),
            ),
            Creates(
                CPU_ADDRESS,
                "Info.MonitoredFence.FenceValueCPUVirtualAddress",
                when=(is_one("Info.Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_MONITORED_FENCE"),),
                within=("hSyncObject",),
            ),
            Creates(
                GPU_ADDRESS,
                "Info.MonitoredFence.FenceValueGPUVirtualAddress",
                when=(is_one("Info.Type", D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, "D3DDDI_MONITORED_FENCE"),),
                within=("hSyncObject",),
            ),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
            "STATUS_INVALID_HANDLE",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCreateSynchronizationObject2",
            "Microsoft documentation: D3DDDI_SYNCHRONIZATIONOBJECTINFO2, D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenSynchronizationObject",
        D3DKMT_OPENSYNCHRONIZATIONOBJECT,
        creates=(Creates(SYNC_OBJECT, "hSyncObject"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenSynchronizationObject",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTDestroySynchronizationObject",
        D3DKMT_DESTROYSYNCHRONIZATIONOBJECT,
        destroys=(Destroys(SYNC_OBJECT, "hSyncObject"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTDestroySynchronizationObject",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTWaitForSynchronizationObject",
        D3DKMT_WAITFORSYNCHRONIZATIONOBJECT,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTWaitForSynchronizationObject",
        ),
    ),
    CallSpec(
        "D3DKMTWaitForSynchronizationObject2",
        D3DKMT_WAITFORSYNCHRONIZATIONOBJECT2,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTWaitForSynchronizationObject2",
        ),
    ),
    CallSpec(
        "D3DKMTSignalSynchronizationObject",
        D3DKMT_SIGNALSYNCHRONIZATIONOBJECT,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSignalSynchronizationObject",
        ),
    ),
    CallSpec(
        "D3DKMTSignalSynchronizationObject2",
        D3DKMT_SIGNALSYNCHRONIZATIONOBJECT2,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSignalSynchronizationObject2",
        ),
    ),
    CallSpec(
        "D3DKMTWaitForSynchronizationObjectFromCpu",
        D3DKMT_WAITFORSYNCHRONIZATIONOBJECTFROMCPU,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "STATUS_ACCESS_DENIED",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTWaitForSynchronizationObjectFromCpu",
            "Microsoft documentation: D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS",
        ),
        may_block_when=(unless("hAsyncEvent"),),
    ),
    CallSpec(
        "D3DKMTSignalSynchronizationObjectFromCpu",
        D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMCPU,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_ACCESS_DENIED",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSignalSynchronizationObjectFromCpu",
            "Microsoft documentation: D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS",
        ),
    ),
    CallSpec(
        "D3DKMTWaitForSynchronizationObjectFromGpu",
        D3DKMT_WAITFORSYNCHRONIZATIONOBJECTFROMGPU,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTWaitForSynchronizationObjectFromGpu",
        ),
    ),
    CallSpec(
        "D3DKMTSignalSynchronizationObjectFromGpu",
        D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMGPU,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSignalSynchronizationObjectFromGpu",
        ),
    ),
    CallSpec(
        "D3DKMTSignalSynchronizationObjectFromGpu2",
        D3DKMT_SIGNALSYNCHRONIZATIONOBJECTFROMGPU2,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSignalSynchronizationObjectFromGpu2",
        ),
    ),
    CallSpec(
        "D3DKMTOpenSyncObjectFromNtHandle",
        D3DKMT_OPENSYNCOBJECTFROMNTHANDLE,
        creates=(Creates(SYNC_OBJECT, "hSyncObject"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "STATUS_INVALID_HANDLE",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenSyncObjectFromNtHandle",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenSyncObjectFromNtHandle2",
        D3DKMT_OPENSYNCOBJECTFROMNTHANDLE2,
        creates=(
            Creates(MONITORED_FENCE, "hSyncObject", within=("hDevice",)),
            Creates(CPU_ADDRESS, "MonitoredFence.FenceValueCPUVirtualAddress", within=("hSyncObject",)),
            Creates(GPU_ADDRESS, "MonitoredFence.FenceValueGPUVirtualAddress", within=("hSyncObject",)),
        ),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "STATUS_INVALID_HANDLE",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenSyncObjectFromNtHandle2",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenSyncObjectNtHandleFromName",
        D3DKMT_OPENSYNCOBJECTNTHANDLEFROMNAME,
        creates=(Creates(SHARED_OBJECT, "hNtHandle"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenSyncObjectNtHandleFromName",
        ),
    ),
)
