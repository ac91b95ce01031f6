"""Tracked workloads: periodic work with a deadline."""

from __future__ import annotations

from tracekmt.calls.kinds import CONTEXT, RESOURCE, handle
from tracekmt.calls.sources import LIBDXG
from tracekmt.spec.dsl import BOOL, INT64, UINT, UINT32, UINT64, ULONG, enum, flags, in_, out, structure
from tracekmt.spec.types import Array, CallSpec, Creates, Destroys, Kind, Pointer, Union

FAMILY = "tracked workloads"

TRACKED_WORKLOAD = Kind("tracked workload")

D3DKMT_TRACKEDWORKLOADDEADLINETYPE = enum(
    "D3DKMT_TRACKEDWORKLOADDEADLINETYPE",
    D3DKMT_TRACKEDWORKLOADDEADLINETYPE_ABSOLUTE=0,
    D3DKMT_TRACKEDWORKLOADDEADLINETYPE_VBLANK=1,
)

D3DKMT_TRACKEDWORKLOADFLAGS = flags("D3DKMT_TRACKEDWORKLOADFLAGS", "Periodic", "SimilarLoad")

D3DKMT_TRACKEDWORKLOADPOLICY = enum(
    "D3DKMT_TRACKEDWORKLOADPOLICY",
    D3DKMT_TRACKEDWORKLOADPOLICY_NORMAL=0,
    D3DKMT_TRACKEDWORKLOADPOLICY_ENERGY_EFFICIENT=1,
    D3DKMT_TRACKEDWORKLOADPOLICY_HIGH_SPEED=2,
)

D3DKMT_CREATETRACKEDWORKLOAD = structure(
    "D3DKMT_CREATETRACKEDWORKLOAD",
    in_("cbSize", ULONG),
    in_("ContextCount", ULONG),
    in_("ContextArray", Pointer(handle(CONTEXT), "ContextCount")),
    in_("DeadlineType", D3DKMT_TRACKEDWORKLOADDEADLINETYPE),
    in_("VidPnTargetId", UINT32),
    in_("Flags", D3DKMT_TRACKEDWORKLOADFLAGS),
    in_("Policy", D3DKMT_TRACKEDWORKLOADPOLICY),
    in_("MaxInstances", UINT),
    in_("MaxInstancePairs", UINT),
    in_("hResourceQueryTimestamps", handle(RESOURCE)),
    out("hTrackedWorkload", handle(TRACKED_WORKLOAD)),
)

D3DKMT_DESTROYTRACKEDWORKLOAD = structure(
    "D3DKMT_DESTROYTRACKEDWORKLOAD",
    in_("cbSize", ULONG),
    in_("hTrackedWorkload", handle(TRACKED_WORKLOAD)),
)

D3DKMT_TRACKEDWORKLOADDEADLINE = structure(
    "D3DKMT_TRACKEDWORKLOADDEADLINE",
    Union(
        (
            in_("VBlankOffsetHundredsNS", UINT64),
            in_("AbsoluteQPC", UINT64),
        ),
        open=True,  # by the DeadlineType that the workload was created with
    ),
)

D3DKMT_UPDATETRACKEDWORKLOAD = structure(
    "D3DKMT_UPDATETRACKEDWORKLOAD",
    in_("cbSize", ULONG),
    in_("hTrackedWorkload", handle(TRACKED_WORKLOAD)),
    in_("FinishDeadline", D3DKMT_TRACKEDWORKLOADDEADLINE),
    in_("BeginTrackedWorkloadIndex", UINT),
    in_("EndTrackedWorkloadIndex", UINT),
    in_("Resume", BOOL),
    in_("Suspend", BOOL),
    in_("PairID", UINT64),
    in_("FenceSubmissionValue", UINT64),
    in_("FenceCompletedValue", UINT64),
    in_("GPUTimestampFrequency", UINT64),
    in_("GPUCalibrationTimestamp", UINT64),
    in_("CPUCalibrationTimestamp", UINT64),
    in_("TimestampArray", Array(UINT64, 64)),
    out("TimestampArrayProcessed", BOOL),
)

D3DKMT_TRACKEDWORKLOAD_STATISTICS = structure(
    "D3DKMT_TRACKEDWORKLOAD_STATISTICS",
    out("Mean", INT64),
    out("Minimum", INT64),
    out("Maximum", INT64),
    out("Variance", INT64),
    out("Count", UINT64),
)

D3DKMT_TRACKEDWORKLOADSTATEFLAGS = flags("D3DKMT_TRACKEDWORKLOADSTATEFLAGS", "Saturated", "NotEnoughSamples")

D3DKMT_GETTRACKEDWORKLOADSTATISTICS = structure(
    "D3DKMT_GETTRACKEDWORKLOADSTATISTICS",
    in_("cbSize", ULONG),
    in_("hTrackedWorkload", handle(TRACKED_WORKLOAD)),
    in_("FenceCompletedValue", UINT64),
    in_("TimestampArray", Array(UINT64, 64)),
    out("TimestampArrayProcessed", BOOL),
    out("DeadlineOffsetHundredsNS", D3DKMT_TRACKEDWORKLOAD_STATISTICS),
    out("MissedDeadlines", UINT64),
    out("Flags", D3DKMT_TRACKEDWORKLOADSTATEFLAGS),
)

D3DKMT_RESETTRACKEDWORKLOADSTATISTICS = structure(
    "D3DKMT_RESETTRACKEDWORKLOADSTATISTICS",
    in_("cbSize", ULONG),
    in_("hTrackedWorkload", handle(TRACKED_WORKLOAD)),
)

D3DKMT_GETAVAILABLETRACKEDWORKLOADINDEX = structure(
    "D3DKMT_GETAVAILABLETRACKEDWORKLOADINDEX",
    in_("cbSize", ULONG),
    in_("hTrackedWorkload", handle(TRACKED_WORKLOAD)),
    in_("FenceCompletedValue", UINT64),
    in_("TimestampArray", Array(UINT64, 64)),
    out("AvailableTrackedWorkloadIndex", UINT),
    out("TimestampArrayProcessed", BOOL),
)

CALLS = (
    CallSpec(
        "D3DKMTCreateTrackedWorkload",
        D3DKMT_CREATETRACKEDWORKLOAD,
        creates=(Creates(TRACKED_WORKLOAD, "hTrackedWorkload"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(LIBDXG,),
    ),
    CallSpec(
        "D3DKMTDestroyTrackedWorkload",
        D3DKMT_DESTROYTRACKEDWORKLOAD,
        destroys=(Destroys(TRACKED_WORKLOAD, "hTrackedWorkload"),),
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(LIBDXG,),
    ),
    CallSpec(
        "D3DKMTUpdateTrackedWorkload",
        D3DKMT_UPDATETRACKEDWORKLOAD,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(LIBDXG,),
    ),
    CallSpec(
        "D3DKMTGetTrackedWorkloadStatistics",
        D3DKMT_GETTRACKEDWORKLOADSTATISTICS,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(LIBDXG,),
    ),
    CallSpec(
        "D3DKMTResetTrackedWorkloadStatistics",
        D3DKMT_RESETTRACKEDWORKLOADSTATISTICS,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(LIBDXG,),
    ),
    CallSpec(
        "D3DKMTGetAvailableTrackedWorkloadIndex",
        D3DKMT_GETAVAILABLETRACKEDWORKLOADINDEX,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(LIBDXG,),
    ),
)
