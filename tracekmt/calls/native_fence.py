"""Native fences, whose values the GPU reads and writes itself."""

from __future__ import annotations

from tracekmt.calls.kinds import (
    CPU_ADDRESS,
    CPU_POINTER,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    GPU_ADDRESS,
    HW_QUEUE,
    MONITORED_FENCE,
    SHARED_OBJECT,
    handle,
    nt_handle,
)
from tracekmt.calls.sources import KIT_26100
from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS
from tracekmt.spec.dsl import UINT, UINT32, UINT64, enum, flags, in_, inout, out, structure
from tracekmt.spec.forms import since, until
from tracekmt.spec.types import ByteArray, Bytes, CallSpec, Creates

FAMILY = "native fences"

D3DDDI_NATIVEFENCE_TYPE = enum(
    "D3DDDI_NATIVEFENCE_TYPE",
    D3DDDI_NATIVEFENCE_TYPE_DEFAULT=0,
    D3DDDI_NATIVEFENCE_TYPE_INTRA_GPU=1,
)

D3DDDI_NATIVEFENCEMAPPING = structure(
    "D3DDDI_NATIVEFENCEMAPPING",
    out("CurrentValueCpuVa", CPU_POINTER),
    out("CurrentValueGpuVa", D3DGPU_VIRTUAL_ADDRESS),
    out("MonitoredValueGpuVa", D3DGPU_VIRTUAL_ADDRESS),
    since(26100, out("Reserved", ByteArray("BYTE", 32))),
)

D3DDDI_NATIVEFENCEINFO = structure(
    "D3DDDI_NATIVEFENCEINFO",
    in_("InitialFenceValue", UINT64),
    until(26100, inout("pPrivateDriverData", Bytes("PrivateDriverDataSize", opaque=True))),
    until(26100, in_("PrivateDriverDataSize", UINT)),
    in_("EngineAffinity", UINT),
    since(26100, in_("Type", D3DDDI_NATIVEFENCE_TYPE)),
    in_("Flags", D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS),
    until(26100, out("hSyncObject", handle(MONITORED_FENCE))),
    out("NativeFenceMapping", D3DDDI_NATIVEFENCEMAPPING),
    # Kit 28000 named the first word of what kit 26100 reserves.
    since(26100, in_("PhysicalAdapterIndex", UINT)),
    since(26100, in_("Reserved", ByteArray("BYTE", 24))),
)

D3DKMT_CREATENATIVEFENCE_FLAGS = flags("D3DKMT_CREATENATIVEFENCE_FLAGS")

D3DKMT_CREATENATIVEFENCE = structure(
    "D3DKMT_CREATENATIVEFENCE",
    in_("hDevice", handle(DEVICE)),
    since(26100, out("hSyncObject", handle(MONITORED_FENCE))),
    since(26100, inout("PrivateDriverData", ByteArray("BYTE", 64))),
    inout("Info", D3DDDI_NATIVEFENCEINFO),
    since(26100, in_("Flags", D3DKMT_CREATENATIVEFENCE_FLAGS)),
    since(26100, in_("Reserved", ByteArray("BYTE", 28))),
)

D3DKMT_OPENNATIVEFENCEFROMNTHANDLE = structure(
    "D3DKMT_OPENNATIVEFENCEFROMNTHANDLE",
    in_("hNtHandle", nt_handle(SHARED_OBJECT)),
    in_("hDevice", handle(DEVICE)),
    in_("EngineAffinity", UINT),
    in_("Flags", D3DDDI_SYNCHRONIZATIONOBJECT_FLAGS),
    out("hSyncObject", handle(MONITORED_FENCE)),
    out("NativeFenceMapping", D3DDDI_NATIVEFENCEMAPPING),
    since(26100, inout("PrivateDriverData", ByteArray("BYTE", 64))),
    since(26100, in_("Reserved", ByteArray("BYTE", 32))),
)

D3DKMT_GETNATIVEFENCELOGDETAIL_FLAGS = flags("D3DKMT_GETNATIVEFENCELOGDETAIL_FLAGS")

D3DKMT_GETNATIVEFENCELOGDETAIL = structure(
    "D3DKMT_GETNATIVEFENCELOGDETAIL",
    in_("hHwQueue", handle(HW_QUEUE)),
    in_("Flags", D3DKMT_GETNATIVEFENCELOGDETAIL_FLAGS),
    out("WaitLogNumberOfEntries", UINT32),
    out("SignalLogNumberOfEntries", UINT32),
    out("WaitLogGpuBaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    out("SignalLogGpuBaseAddress", D3DGPU_VIRTUAL_ADDRESS),
    in_("Reserved", ByteArray("BYTE", 64)),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateNativeFence",
        D3DKMT_CREATENATIVEFENCE,
        creates=(
            Creates(MONITORED_FENCE, "hSyncObject", within=("hDevice",)),
            Creates(
                CPU_ADDRESS, "Info.NativeFenceMapping.CurrentValueCpuVa", within=("hSyncObject", "Info.hSyncObject")
            ),
            Creates(
                GPU_ADDRESS, "Info.NativeFenceMapping.CurrentValueGpuVa", within=("hSyncObject", "Info.hSyncObject")
            ),
            Creates(
                GPU_ADDRESS, "Info.NativeFenceMapping.MonitoredValueGpuVa", within=("hSyncObject", "Info.hSyncObject")
            ),
            Creates(MONITORED_FENCE, "Info.hSyncObject", within=("hDevice",)),
        ),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTCreateNativeFence"),
    ),
    CallSpec(
        "D3DKMTOpenNativeFenceFromNtHandle",
        D3DKMT_OPENNATIVEFENCEFROMNTHANDLE,
        creates=(
            Creates(MONITORED_FENCE, "hSyncObject", within=("hDevice",)),
            Creates(CPU_ADDRESS, "NativeFenceMapping.CurrentValueCpuVa", within=("hSyncObject",)),
            Creates(GPU_ADDRESS, "NativeFenceMapping.CurrentValueGpuVa", within=("hSyncObject",)),
            Creates(GPU_ADDRESS, "NativeFenceMapping.MonitoredValueGpuVa", within=("hSyncObject",)),
        ),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTOpenNativeFenceFromNtHandle"),
    ),
    CallSpec(
        "D3DKMTGetNativeFenceLogDetail",
        D3DKMT_GETNATIVEFENCELOGDETAIL,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTGetNativeFenceLogDetail"),
    ),
)
