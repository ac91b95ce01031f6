"""Statistics, clocks, and the states of devices and processes."""

from __future__ import annotations

from tracekmt.calls.adapter_info import (
    D3DKMT_ADAPTER_PERFDATA,
    D3DKMT_ADAPTER_PERFDATACAPS,
    D3DKMT_GPUVERSION,
    D3DKMT_NODE_PERFDATA,
)
from tracekmt.calls.context import D3DKMT_CLIENTHINT
from tracekmt.calls.kinds import (
    ADAPTER,
    D3DDDI_VIDEO_PRESENT_SOURCE_ID,
    D3DGPU_VIRTUAL_ADDRESS,
    DEVICE,
    LUID,
    PROCESS,
    TIME_LARGE_INTEGER,
    TIME_UINT,
    TIME_UINT64,
    TIME_ULONGLONG,
    handle,
    nt_handle,
)
from tracekmt.calls.sources import HEADER
from tracekmt.calls.video_memory import D3DKMT_MEMORY_SEGMENT_GROUP
from tracekmt.spec.dsl import (
    BOOLEAN,
    LONGLONG,
    UINT,
    UINT16,
    UINT32,
    UINT64,
    ULONG,
    ULONGLONG,
    enum,
    flags,
    in_,
    inout,
    is_one,
    out,
    parameters,
    structure,
)
from tracekmt.spec.types import Array, Bit, CallSpec, Pointer, Union

FAMILY = "statistics"

D3DKMT_SCHEDULINGPRIORITYCLASS = enum(
    "D3DKMT_SCHEDULINGPRIORITYCLASS",
    D3DKMT_SCHEDULINGPRIORITYCLASS_IDLE=0,
    D3DKMT_SCHEDULINGPRIORITYCLASS_BELOW_NORMAL=1,
    D3DKMT_SCHEDULINGPRIORITYCLASS_NORMAL=2,
    D3DKMT_SCHEDULINGPRIORITYCLASS_ABOVE_NORMAL=3,
    D3DKMT_SCHEDULINGPRIORITYCLASS_HIGH=4,
    D3DKMT_SCHEDULINGPRIORITYCLASS_REALTIME=5,
)

D3DKMT_QUERYSTATISTICS_TYPE = enum(
    "D3DKMT_QUERYSTATISTICS_TYPE",
    D3DKMT_QUERYSTATISTICS_ADAPTER=0,
    D3DKMT_QUERYSTATISTICS_PROCESS=1,
    D3DKMT_QUERYSTATISTICS_PROCESS_ADAPTER=2,
    D3DKMT_QUERYSTATISTICS_SEGMENT=3,
    D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT=4,
    D3DKMT_QUERYSTATISTICS_NODE=5,
    D3DKMT_QUERYSTATISTICS_PROCESS_NODE=6,
    D3DKMT_QUERYSTATISTICS_VIDPNSOURCE=7,
    D3DKMT_QUERYSTATISTICS_PROCESS_VIDPNSOURCE=8,
    D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP=9,
    D3DKMT_QUERYSTATISTICS_PHYSICAL_ADAPTER=10,
    D3DKMT_QUERYSTATISTICS_ADAPTER2=11,
    D3DKMT_QUERYSTATISTICS_SEGMENT2=12,
    D3DKMT_QUERYSTATISTICS_PROCESS_ADAPTER2=13,
    D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT2=14,
    D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP2=15,
    D3DKMT_QUERYSTATISTICS_SEGMENT_USAGE=16,
    D3DKMT_QUERYSTATISTICS_SEGMENT_GROUP_USAGE=17,
    D3DKMT_QUERYSTATISTICS_NODE2=18,
    D3DKMT_QUERYSTATISTICS_PROCESS_NODE2=19,
)

D3DKMT_QUERYSTATSTICS_REFERENCE_DMA_BUFFER = structure(
    "D3DKMT_QUERYSTATSTICS_REFERENCE_DMA_BUFFER",
    out("NbCall", ULONG),
    out("NbAllocationsReferenced", ULONG),
    out("MaxNbAllocationsReferenced", ULONG),
    out("NbNULLReference", ULONG),
    out("NbWriteReference", ULONG),
    out("NbRenamedAllocationsReferenced", ULONG),
    out("NbIterationSearchingRenamedAllocation", ULONG),
    out("NbLockedAllocationReferenced", ULONG),
    out("NbAllocationWithValidPrepatchingInfoReferenced", ULONG),
    out("NbAllocationWithInvalidPrepatchingInfoReferenced", ULONG),
    out("NbDMABufferSuccessfullyPrePatched", ULONG),
    out("NbPrimariesReferencesOverflow", ULONG),
    out("NbAllocationWithNonPreferredResources", ULONG),
    out("NbAllocationInsertedInMigrationTable", ULONG),
)

D3DKMT_QUERYSTATSTICS_RENAMING = structure(
    "D3DKMT_QUERYSTATSTICS_RENAMING",
    out("NbAllocationsRenamed", ULONG),
    out("NbAllocationsShrinked", ULONG),
    out("NbRenamedBuffer", ULONG),
    out("MaxRenamingListLength", ULONG),
    out("NbFailuresDueToRenamingLimit", ULONG),
    out("NbFailuresDueToCreateAllocation", ULONG),
    out("NbFailuresDueToOpenAllocation", ULONG),
    out("NbFailuresDueToLowResource", ULONG),
    out("NbFailuresDueToNonRetiredLimit", ULONG),
)

D3DKMT_QUERYSTATISTICS_COUNTER = structure(
    "D3DKMT_QUERYSTATISTICS_COUNTER",
    out("Count", ULONG),
    out("Bytes", ULONGLONG),
)

D3DKMT_QUERYSTATSTICS_PREPRATION = structure(
    "D3DKMT_QUERYSTATSTICS_PREPRATION",
    out("BroadcastStall", ULONG),
    out("NbDMAPrepared", ULONG),
    out("NbDMAPreparedLongPath", ULONG),
    out("ImmediateHighestPreparationPass", ULONG),
    out("AllocationsTrimmed", D3DKMT_QUERYSTATISTICS_COUNTER),
)

D3DKMT_QUERYSTATSTICS_PAGING_FAULT = structure(
    "D3DKMT_QUERYSTATSTICS_PAGING_FAULT",
    out("Faults", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("FaultsFirstTimeAccess", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("FaultsReclaimed", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("FaultsMigration", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("FaultsIncorrectResource", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("FaultsLostContent", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("FaultsEvicted", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("AllocationsMEM_RESET", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("AllocationsUnresetSuccess", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("AllocationsUnresetFail", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("AllocationsUnresetSuccessRead", ULONG),
    out("AllocationsUnresetFailRead", ULONG),
    out("Evictions", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("EvictionsDueToPreparation", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("EvictionsDueToLock", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("EvictionsDueToClose", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("EvictionsDueToPurge", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("EvictionsDueToSuspendCPUAccess", D3DKMT_QUERYSTATISTICS_COUNTER),
)

D3DKMT_QUERYSTATSTICS_PAGING_TRANSFER = structure(
    "D3DKMT_QUERYSTATSTICS_PAGING_TRANSFER",
    out("BytesFilled", ULONGLONG),
    out("BytesDiscarded", ULONGLONG),
    out("BytesMappedIntoAperture", ULONGLONG),
    out("BytesUnmappedFromAperture", ULONGLONG),
    out("BytesTransferredFromMdlToMemory", ULONGLONG),
    out("BytesTransferredFromMemoryToMdl", ULONGLONG),
    out("BytesTransferredFromApertureToMemory", ULONGLONG),
    out("BytesTransferredFromMemoryToAperture", ULONGLONG),
)

D3DKMT_QUERYSTATSTICS_SWIZZLING_RANGE = structure(
    "D3DKMT_QUERYSTATSTICS_SWIZZLING_RANGE",
    out("NbRangesAcquired", ULONG),
    out("NbRangesReleased", ULONG),
)

D3DKMT_QUERYSTATSTICS_LOCKS = structure(
    "D3DKMT_QUERYSTATSTICS_LOCKS",
    out("NbLocks", ULONG),
    out("NbLocksWaitFlag", ULONG),
    out("NbLocksDiscardFlag", ULONG),
    out("NbLocksNoOverwrite", ULONG),
    out("NbLocksNoReadSync", ULONG),
    out("NbLocksLinearization", ULONG),
    out("NbComplexLocks", ULONG),
)

D3DKMT_QUERYSTATSTICS_ALLOCATIONS = structure(
    "D3DKMT_QUERYSTATSTICS_ALLOCATIONS",
    out("Created", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("Destroyed", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("Opened", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("Closed", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("MigratedSuccess", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("MigratedFail", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("MigratedAbandoned", D3DKMT_QUERYSTATISTICS_COUNTER),
)

D3DKMT_QUERYSTATSTICS_TERMINATIONS = structure(
    "D3DKMT_QUERYSTATSTICS_TERMINATIONS",
    out("TerminatedShared", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("TerminatedNonShared", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("DestroyedShared", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("DestroyedNonShared", D3DKMT_QUERYSTATISTICS_COUNTER),
)

D3DKMT_QUERYSTATISTICS_ADAPTER_INFORMATION_FLAGS = flags(
    "D3DKMT_QUERYSTATISTICS_ADAPTER_INFORMATION_FLAGS",
    Bit("NumberOfMemoryGroups", 0, 2),
    Bit("SupportsDemotion", 2),
    Bit("Reserved", 3, 61),
    size=8,
)

D3DKMT_QUERYSTATISTICS_ADAPTER_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_ADAPTER_INFORMATION",
    out("NbSegments", ULONG),
    out("NodeCount", ULONG),
    out("VidPnSourceCount", ULONG),
    out("VSyncEnabled", ULONG),
    out("TdrDetectedCount", ULONG),
    out("ZeroLengthDmaBuffers", LONGLONG),
    out("RestartedPeriod", ULONGLONG),
    out("ReferenceDmaBuffer", D3DKMT_QUERYSTATSTICS_REFERENCE_DMA_BUFFER),
    out("Renaming", D3DKMT_QUERYSTATSTICS_RENAMING),
    out("Preparation", D3DKMT_QUERYSTATSTICS_PREPRATION),
    out("PagingFault", D3DKMT_QUERYSTATSTICS_PAGING_FAULT),
    out("PagingTransfer", D3DKMT_QUERYSTATSTICS_PAGING_TRANSFER),
    out("SwizzlingRange", D3DKMT_QUERYSTATSTICS_SWIZZLING_RANGE),
    out("Locks", D3DKMT_QUERYSTATSTICS_LOCKS),
    out("Allocations", D3DKMT_QUERYSTATSTICS_ALLOCATIONS),
    out("Terminations", D3DKMT_QUERYSTATSTICS_TERMINATIONS),
    out("Flags", D3DKMT_QUERYSTATISTICS_ADAPTER_INFORMATION_FLAGS),
    out("Reserved", Array(UINT64, 7)),
)

D3DKMT_QUERYSTATISTICS_PHYSICAL_ADAPTER_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PHYSICAL_ADAPTER_INFORMATION",
    out("AdapterPerfData", D3DKMT_ADAPTER_PERFDATA),
    out("AdapterPerfDataCaps", D3DKMT_ADAPTER_PERFDATACAPS),
    out("GpuVersion", D3DKMT_GPUVERSION),
)

D3DKMT_QUERYSTATISTICS_MEMORY = structure(
    "D3DKMT_QUERYSTATISTICS_MEMORY",
    out("TotalBytesEvicted", ULONGLONG),
    out("AllocsCommitted", ULONG),
    out("AllocsResident", ULONG),
)

D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION_POWERFLAGS = flags(
    "D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION.PowerFlags",
    "PreservedDuringStandby",
    "PreservedDuringHibernate",
    "PartiallyPreservedDuringHibernate",
    size=8,
)

D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION_SEGMENTPROPERTIES = flags(
    "D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION.SegmentProperties",
    "SystemMemory",
    "PopulatedByReservedDDRByFirmware",
    Bit("SegmentType", 2, 4),
    Bit("SegmentGroup", 6, 2),
    "FullyCPUVisible",
    Bit("Reserved", 9, 55),
    size=8,
)

D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION",
    out("CommitLimit", ULONGLONG),
    out("BytesCommitted", ULONGLONG),
    out("BytesResident", ULONGLONG),
    out("Memory", D3DKMT_QUERYSTATISTICS_MEMORY),
    out("Aperture", ULONG),
    out("TotalBytesEvictedByPriority", Array(ULONGLONG, 5)),
    out("SystemMemoryEndAddress", UINT64),
    out("PowerFlags", D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION_POWERFLAGS),
    out("SegmentProperties", D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION_SEGMENTPROPERTIES),
    out("Reserved", Array(UINT64, 5)),
)

D3DKMT_QUERYSTATISTICS_PREEMPTION_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PREEMPTION_INFORMATION",
    out("PreemptionCounter", Array(ULONG, 16)),
)

D3DKMT_QUERYSTATISTICS_QUEUE_PACKET_TYPE_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_QUEUE_PACKET_TYPE_INFORMATION",
    out("PacketSubmited", ULONG),
    out("PacketCompleted", ULONG),
)

D3DKMT_QUERYSTATISTICS_DMA_PACKET_TYPE_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_DMA_PACKET_TYPE_INFORMATION",
    out("PacketSubmited", ULONG),
    out("PacketCompleted", ULONG),
    out("PacketPreempted", ULONG),
    out("PacketFaulted", ULONG),
)

D3DKMT_QUERYSTATISTICS_PACKET_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PACKET_INFORMATION",
    out("QueuePacket", Array(D3DKMT_QUERYSTATISTICS_QUEUE_PACKET_TYPE_INFORMATION, 8)),
    out("DmaPacket", Array(D3DKMT_QUERYSTATISTICS_DMA_PACKET_TYPE_INFORMATION, 4)),
)

D3DKMT_QUERYSTATISTICS_PROCESS_NODE_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PROCESS_NODE_INFORMATION",
    out("RunningTime", TIME_LARGE_INTEGER),
    out("ContextSwitch", ULONG),
    out("PreemptionStatistics", D3DKMT_QUERYSTATISTICS_PREEMPTION_INFORMATION),
    out("PacketStatistics", D3DKMT_QUERYSTATISTICS_PACKET_INFORMATION),
    out("Reserved", Array(UINT64, 8)),
)

D3DKMT_QUERYSTATISTICS_NODE_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_NODE_INFORMATION",
    out("GlobalInformation", D3DKMT_QUERYSTATISTICS_PROCESS_NODE_INFORMATION),
    out("SystemInformation", D3DKMT_QUERYSTATISTICS_PROCESS_NODE_INFORMATION),
    out("NodePerfData", D3DKMT_NODE_PERFDATA),
    out("Reserved", Array(UINT32, 3)),
)

D3DKMT_QUERYSTATISTICS_PROCESS_VIDPNSOURCE_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PROCESS_VIDPNSOURCE_INFORMATION",
    out("Frame", ULONG),
    out("CancelledFrame", ULONG),
    out("QueuedPresent", ULONG),
    out("Padding", UINT),
    out("IsVSyncEnabled", UINT64),
    out("VSyncOnTotalTimeMs", TIME_UINT64),
    out("VSyncOffKeepPhaseTotalTimeMs", TIME_UINT64),
    out("VSyncOffNoPhaseTotalTimeMs", TIME_UINT64),
    out("Reserved", Array(UINT64, 4)),
)

D3DKMT_QUERYSTATISTICS_VIDPNSOURCE_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_VIDPNSOURCE_INFORMATION",
    out("GlobalInformation", D3DKMT_QUERYSTATISTICS_PROCESS_VIDPNSOURCE_INFORMATION),
    out("SystemInformation", D3DKMT_QUERYSTATISTICS_PROCESS_VIDPNSOURCE_INFORMATION),
    out("Reserved", Array(UINT64, 8)),
)

D3DKMT_QUERYSTATISTICS_SYSTEM_MEMORY = structure(
    "D3DKMT_QUERYSTATISTICS_SYSTEM_MEMORY",
    out("BytesAllocated", ULONGLONG),
    out("BytesReserved", ULONGLONG),
    out("SmallAllocationBlocks", ULONG),
    out("LargeAllocationBlocks", ULONG),
    out("WriteCombinedBytesAllocated", ULONGLONG),
    out("WriteCombinedBytesReserved", ULONGLONG),
    out("CachedBytesAllocated", ULONGLONG),
    out("CachedBytesReserved", ULONGLONG),
    out("SectionBytesAllocated", ULONGLONG),
    out("SectionBytesReserved", ULONGLONG),
    out("BytesZeroed", ULONGLONG),
)

D3DKMT_QUERYSTATISTICS_PROCESS_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PROCESS_INFORMATION",
    out("NodeCount", ULONG),
    out("VidPnSourceCount", ULONG),
    out("SystemMemory", D3DKMT_QUERYSTATISTICS_SYSTEM_MEMORY),
    out("Reserved", Array(UINT64, 7)),
)

D3DKMT_QUERYSTATISTICS_DMA_BUFFER = structure(
    "D3DKMT_QUERYSTATISTICS_DMA_BUFFER",
    out("Size", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("AllocationListBytes", ULONG),
    out("PatchLocationListBytes", ULONG),
)

D3DKMT_QUERYSTATISTICS_COMMITMENT_DATA = structure(
    "D3DKMT_QUERYSTATISTICS_COMMITMENT_DATA",
    out("TotalBytesEvictedFromProcess", UINT64),
    out("BytesBySegmentPreference", Array(UINT64, 5)),
)

D3DKMT_QUERYSTATISTICS_POLICY = structure(
    "D3DKMT_QUERYSTATISTICS_POLICY",
    out("PreferApertureForRead", Array(ULONGLONG, 5)),
    out("PreferAperture", Array(ULONGLONG, 5)),
    out("MemResetOnPaging", ULONGLONG),
    out("RemovePagesFromWorkingSetOnPaging", ULONGLONG),
    out("MigrationEnabled", ULONGLONG),
)

D3DKMT_QUERYSTATISTICS_PROCESS_INTERFERENCE_COUNTERS = structure(
    "D3DKMT_QUERYSTATISTICS_PROCESS_INTERFERENCE_COUNTERS",
    out("InterferenceCount", Array(UINT64, 9)),
)

D3DKMT_QUERYSTATISTICS_PROCESS_ADAPTER_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PROCESS_ADAPTER_INFORMATION",
    out("NbSegments", ULONG),
    out("NodeCount", ULONG),
    out("VidPnSourceCount", ULONG),
    out("VirtualMemoryUsage", ULONG),
    out("DmaBuffer", D3DKMT_QUERYSTATISTICS_DMA_BUFFER),
    out("CommitmentData", D3DKMT_QUERYSTATISTICS_COMMITMENT_DATA),
    out("_Policy", D3DKMT_QUERYSTATISTICS_POLICY),
    out("ProcessInterferenceCounters", D3DKMT_QUERYSTATISTICS_PROCESS_INTERFERENCE_COUNTERS),
    out("ClientHint", D3DKMT_CLIENTHINT),
)

D3DKMT_QUERYSTATISTICS_VIDEO_MEMORY = structure(
    "D3DKMT_QUERYSTATISTICS_VIDEO_MEMORY",
    out("AllocsCommitted", ULONG),
    out("AllocsResidentInP", Array(D3DKMT_QUERYSTATISTICS_COUNTER, 5)),
    out("AllocsResidentInNonPreferred", D3DKMT_QUERYSTATISTICS_COUNTER),
    out("TotalBytesEvictedDueToPreparation", ULONGLONG),
)

D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_POLICY = structure(
    "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_POLICY",
    out("UseMRU", ULONGLONG),
)

D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_INFORMATION",
    out("BytesCommitted", ULONGLONG),
    out("MaximumWorkingSet", ULONGLONG),
    out("MinimumWorkingSet", ULONGLONG),
    out("NbReferencedAllocationEvictedInPeriod", ULONG),
    out("Padding", UINT),
    out("VideoMemory", D3DKMT_QUERYSTATISTICS_VIDEO_MEMORY),
    out("_Policy", D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_POLICY),
    out("Reserved", Array(UINT64, 8)),
)

D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP_INFORMATION = structure(
    "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP_INFORMATION",
    out("Budget", UINT64),
    out("Requested", UINT64),
    out("Usage", UINT64),
    out("Demoted", Array(UINT64, 5)),
)

D3DKMT_QUERYSTATISTICS_MEMORY_USAGE = structure(
    "D3DKMT_QUERYSTATISTICS_MEMORY_USAGE",
    out("AllocatedBytes", UINT64),
    out("FreeBytes", UINT64),
    out("ZeroBytes", UINT64),
    out("ModifiedBytes", UINT64),
    out("StandbyBytes", UINT64),
)

D3DKMT_QUERYSTATISTICS_RESULT = Union(
    (
        out(
            "AdapterInformation",
            D3DKMT_QUERYSTATISTICS_ADAPTER_INFORMATION,
            is_one(
                "Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_ADAPTER", "D3DKMT_QUERYSTATISTICS_ADAPTER2"
            ),
        ),
        out(
            "PhysAdapterInformation",
            D3DKMT_QUERYSTATISTICS_PHYSICAL_ADAPTER_INFORMATION,
            is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PHYSICAL_ADAPTER"),
        ),
        out(
            "SegmentInformation",
            D3DKMT_QUERYSTATISTICS_SEGMENT_INFORMATION,
            is_one(
                "Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_SEGMENT", "D3DKMT_QUERYSTATISTICS_SEGMENT2"
            ),
        ),
        out(
            "NodeInformation",
            D3DKMT_QUERYSTATISTICS_NODE_INFORMATION,
            is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_NODE", "D3DKMT_QUERYSTATISTICS_NODE2"),
        ),
        out(
            "VidPnSourceInformation",
            D3DKMT_QUERYSTATISTICS_VIDPNSOURCE_INFORMATION,
            is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_VIDPNSOURCE"),
        ),
        out(
            "ProcessInformation",
            D3DKMT_QUERYSTATISTICS_PROCESS_INFORMATION,
            is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS"),
        ),
        out(
            "ProcessAdapterInformation",
            D3DKMT_QUERYSTATISTICS_PROCESS_ADAPTER_INFORMATION,
            is_one(
                "Type",
                D3DKMT_QUERYSTATISTICS_TYPE,
                "D3DKMT_QUERYSTATISTICS_PROCESS_ADAPTER",
                "D3DKMT_QUERYSTATISTICS_PROCESS_ADAPTER2",
            ),
        ),
        out(
            "ProcessSegmentInformation",
            D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_INFORMATION,
            is_one(
                "Type",
                D3DKMT_QUERYSTATISTICS_TYPE,
                "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT",
                "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT2",
            ),
        ),
        out(
            "ProcessNodeInformation",
            D3DKMT_QUERYSTATISTICS_PROCESS_NODE_INFORMATION,
            is_one(
                "Type",
                D3DKMT_QUERYSTATISTICS_TYPE,
                "D3DKMT_QUERYSTATISTICS_PROCESS_NODE",
                "D3DKMT_QUERYSTATISTICS_PROCESS_NODE2",
            ),
        ),
        out(
            "ProcessVidPnSourceInformation",
            D3DKMT_QUERYSTATISTICS_PROCESS_VIDPNSOURCE_INFORMATION,
            is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_VIDPNSOURCE"),
        ),
        out(
            "ProcessSegmentGroupInformation",
            D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP_INFORMATION,
            is_one(
                "Type",
                D3DKMT_QUERYSTATISTICS_TYPE,
                "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP",
                "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP2",
            ),
        ),
        out(
            "SegmentUsageInformation",
            D3DKMT_QUERYSTATISTICS_MEMORY_USAGE,
            is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_SEGMENT_USAGE"),
        ),
        out(
            "SegmentGroupUsageInformation",
            D3DKMT_QUERYSTATISTICS_MEMORY_USAGE,
            is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_SEGMENT_GROUP_USAGE"),
        ),
    ),
    name="D3DKMT_QUERYSTATISTICS_RESULT",
)

D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT",
    in_("SegmentId", ULONG),
)

D3DKMT_QUERYSTATISTICS_QUERY_NODE = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_NODE",
    in_("NodeId", ULONG),
)

D3DKMT_QUERYSTATISTICS_QUERY_VIDPNSOURCE = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_VIDPNSOURCE",
    in_("VidPnSourceId", ULONG),
)

D3DKMT_QUERYSTATISTICS_QUERY_PHYSICAL_ADAPTER = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_PHYSICAL_ADAPTER",
    in_("PhysicalAdapterIndex", ULONG),
)

D3DKMT_QUERYSTATISTICS_QUERY_ADAPTER2 = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_ADAPTER2",
    in_("PhysicalAdapterIndex", UINT16),
)

D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT2 = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT2",
    in_("PhysicalAdapterIndex", UINT16),
    in_("SegmentId", UINT16),
)

D3DKMT_QUERYSTATISTICS_QUERY_PROCESS_SEGMENT_GROUP2 = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_PROCESS_SEGMENT_GROUP2",
    in_("PhysicalAdapterIndex", UINT16),
    in_("SegmentGroup", UINT16),
)

D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT_USAGE = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT_USAGE",
    in_("PhysicalAdapterIndex", UINT16),
    in_("SegmentId", UINT16),
)

D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT_GROUP_USAGE = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT_GROUP_USAGE",
    in_("PhysicalAdapterIndex", UINT16),
    in_("SegmentGroup", UINT16),
)

D3DKMT_QUERYSTATISTICS_QUERY_NODE2 = structure(
    "D3DKMT_QUERYSTATISTICS_QUERY_NODE2",
    in_("PhysicalAdapterIndex", UINT16),
    in_("NodeOrdinal", UINT16),
)

D3DKMT_QUERYSTATISTICS = structure(
    "D3DKMT_QUERYSTATISTICS",
    in_("Type", D3DKMT_QUERYSTATISTICS_TYPE),
    in_("AdapterLuid", LUID),
    in_("hProcess", nt_handle(PROCESS)),
    out("QueryResult", D3DKMT_QUERYSTATISTICS_RESULT),
    Union(
        (
            in_(
                "QuerySegment",
                D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_SEGMENT"),
            ),
            in_(
                "QueryProcessSegment",
                D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT"),
            ),
            in_(
                "QueryProcessSegmentGroup",
                D3DKMT_MEMORY_SEGMENT_GROUP,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP"),
            ),
            in_(
                "QueryNode",
                D3DKMT_QUERYSTATISTICS_QUERY_NODE,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_NODE"),
            ),
            in_(
                "QueryProcessNode",
                D3DKMT_QUERYSTATISTICS_QUERY_NODE,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_NODE"),
            ),
            in_(
                "QueryVidPnSource",
                D3DKMT_QUERYSTATISTICS_QUERY_VIDPNSOURCE,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_VIDPNSOURCE"),
            ),
            in_(
                "QueryProcessVidPnSource",
                D3DKMT_QUERYSTATISTICS_QUERY_VIDPNSOURCE,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_VIDPNSOURCE"),
            ),
            in_(
                "QueryPhysAdapter",
                D3DKMT_QUERYSTATISTICS_QUERY_PHYSICAL_ADAPTER,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PHYSICAL_ADAPTER"),
            ),
            in_(
                "QueryAdapter2",
                D3DKMT_QUERYSTATISTICS_QUERY_ADAPTER2,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_ADAPTER2"),
            ),
            in_(
                "QuerySegment2",
                D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT2,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_SEGMENT2"),
            ),
            in_(
                "QueryProcessAdapter2",
                D3DKMT_QUERYSTATISTICS_QUERY_ADAPTER2,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_ADAPTER2"),
            ),
            in_(
                "QueryProcessSegment2",
                D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT2,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT2"),
            ),
            in_(
                "QueryProcessSegmentGroup2",
                D3DKMT_QUERYSTATISTICS_QUERY_PROCESS_SEGMENT_GROUP2,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_SEGMENT_GROUP2"),
            ),
            in_(
                "QuerySegmentUsage",
                D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT_USAGE,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_SEGMENT_USAGE"),
            ),
            in_(
                "QuerySegmentGroupUsage",
                D3DKMT_QUERYSTATISTICS_QUERY_SEGMENT_GROUP_USAGE,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_SEGMENT_GROUP_USAGE"),
            ),
            in_(
                "QueryNode2",
                D3DKMT_QUERYSTATISTICS_QUERY_NODE2,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_NODE2"),
            ),
            in_(
                "QueryProcessNode2",
                D3DKMT_QUERYSTATISTICS_QUERY_NODE2,
                is_one("Type", D3DKMT_QUERYSTATISTICS_TYPE, "D3DKMT_QUERYSTATISTICS_PROCESS_NODE2"),
            ),
        )
    ),
)

DXGK_GPUCLOCKDATA_FLAGS = flags("DXGK_GPUCLOCKDATA_FLAGS", "ContextManagementProcessor")

DXGK_GPUCLOCKDATA = structure(
    "DXGK_GPUCLOCKDATA",
    out("GpuFrequency", ULONGLONG),
    out("GpuClockCounter", TIME_ULONGLONG),
    out("CpuClockCounter", TIME_ULONGLONG),
    out("Flags", DXGK_GPUCLOCKDATA_FLAGS),
    pack=1,
)

D3DKMT_QUERYCLOCKCALIBRATION = structure(
    "D3DKMT_QUERYCLOCKCALIBRATION",
    in_("hAdapter", handle(ADAPTER)),
    in_("NodeOrdinal", UINT32),
    in_("PhysicalAdapterIndex", UINT32),
    out("ClockData", DXGK_GPUCLOCKDATA),
    pack=1,
)

D3DKMT_DEVICESTATE_TYPE = enum(
    "D3DKMT_DEVICESTATE_TYPE",
    D3DKMT_DEVICESTATE_EXECUTION=1,
    D3DKMT_DEVICESTATE_PRESENT=2,
    D3DKMT_DEVICESTATE_RESET=3,
    D3DKMT_DEVICESTATE_PRESENT_DWM=4,
    D3DKMT_DEVICESTATE_PAGE_FAULT=5,
    D3DKMT_DEVICESTATE_PRESENT_QUEUE=6,
)

D3DKMT_DEVICEEXECUTION_STATE = enum(
    "D3DKMT_DEVICEEXECUTION_STATE",
    D3DKMT_DEVICEEXECUTION_ACTIVE=1,
    D3DKMT_DEVICEEXECUTION_RESET=2,
    D3DKMT_DEVICEEXECUTION_HUNG=3,
    D3DKMT_DEVICEEXECUTION_STOPPED=4,
    D3DKMT_DEVICEEXECUTION_ERROR_OUTOFMEMORY=5,
    D3DKMT_DEVICEEXECUTION_ERROR_DMAFAULT=6,
    D3DKMT_DEVICEEXECUTION_ERROR_DMAPAGEFAULT=7,
)

D3DKMT_PRESENT_STATS = structure(
    "D3DKMT_PRESENT_STATS",
    out("PresentCount", UINT),
    out("PresentRefreshCount", TIME_UINT),
    out("SyncRefreshCount", TIME_UINT),
    out("SyncQPCTime", TIME_LARGE_INTEGER),
    out("SyncGPUTime", TIME_LARGE_INTEGER),
)

D3DKMT_DEVICEPRESENT_STATE = structure(
    "D3DKMT_DEVICEPRESENT_STATE",
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("PresentStats", D3DKMT_PRESENT_STATS),
)

D3DKMT_DEVICERESET_STATE = flags("D3DKMT_DEVICERESET_STATE", "DesktopSwitched")

D3DKMT_PRESENT_STATS_DWM = structure(
    "D3DKMT_PRESENT_STATS_DWM",
    out("PresentCount", UINT),
    out("PresentRefreshCount", TIME_UINT),
    out("PresentQPCTime", TIME_LARGE_INTEGER),
    out("SyncRefreshCount", TIME_UINT),
    out("SyncQPCTime", TIME_LARGE_INTEGER),
    out("CustomPresentDuration", UINT),
)

D3DKMT_DEVICEPRESENT_STATE_DWM = structure(
    "D3DKMT_DEVICEPRESENT_STATE_DWM",
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("PresentStatsDWM", D3DKMT_PRESENT_STATS_DWM),
)

DXGK_RENDER_PIPELINE_STAGE = enum(
    "DXGK_RENDER_PIPELINE_STAGE",
    DXGK_RENDER_PIPELINE_STAGE_UNKNOWN=0,
    DXGK_RENDER_PIPELINE_STAGE_INPUT_ASSEMBLER=1,
    DXGK_RENDER_PIPELINE_STAGE_VERTEX_SHADER=2,
    DXGK_RENDER_PIPELINE_STAGE_GEOMETRY_SHADER=3,
    DXGK_RENDER_PIPELINE_STAGE_STREAM_OUTPUT=4,
    DXGK_RENDER_PIPELINE_STAGE_RASTERIZER=5,
    DXGK_RENDER_PIPELINE_STAGE_PIXEL_SHADER=6,
    DXGK_RENDER_PIPELINE_STAGE_OUTPUT_MERGER=7,
)

DXGK_PAGE_FAULT_FLAGS = enum(
    "DXGK_PAGE_FAULT_FLAGS",
    DXGK_PAGE_FAULT_WRITE=1,
    DXGK_PAGE_FAULT_FENCE_INVALID=2,
    DXGK_PAGE_FAULT_ADAPTER_RESET_REQUIRED=4,
    DXGK_PAGE_FAULT_ENGINE_RESET_REQUIRED=8,
    DXGK_PAGE_FAULT_FATAL_HARDWARE_ERROR=16,
    DXGK_PAGE_FAULT_IOMMU=32,
    DXGK_PAGE_FAULT_HW_CONTEXT_VALID=64,
    DXGK_PAGE_FAULT_PROCESS_HANDLE_VALID=128,
)

DXGK_FAULT_ERROR_CODE = flags(
    "DXGK_FAULT_ERROR_CODE",
    Bit("IsDeviceSpecificCode", 0),
    Bit("GeneralErrorCode", 1, 31, unless="IsDeviceSpecificCode"),
    Bit("DeviceSpecificCode", 1, 31, when="IsDeviceSpecificCode"),
)

D3DKMT_DEVICEPAGEFAULT_STATE = structure(
    "D3DKMT_DEVICEPAGEFAULT_STATE",
    out("FaultedPrimitiveAPISequenceNumber", UINT64),
    out("FaultedPipelineStage", DXGK_RENDER_PIPELINE_STAGE),
    out("FaultedBindTableEntry", UINT),
    out("PageFaultFlags", DXGK_PAGE_FAULT_FLAGS),
    out("FaultErrorCode", DXGK_FAULT_ERROR_CODE),
    out("FaultedVirtualAddress", D3DGPU_VIRTUAL_ADDRESS),
)

D3DKMT_DEVICEPRESENT_QUEUE_STATE = structure(
    "D3DKMT_DEVICEPRESENT_QUEUE_STATE",
    in_("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("bQueuedPresentLimitReached", BOOLEAN),
)

D3DKMT_GETDEVICESTATE = structure(
    "D3DKMT_GETDEVICESTATE",
    in_("hDevice", handle(DEVICE)),
    in_("StateType", D3DKMT_DEVICESTATE_TYPE),
    Union(
        (
            out(
                "ExecutionState",
                D3DKMT_DEVICEEXECUTION_STATE,
                is_one("StateType", D3DKMT_DEVICESTATE_TYPE, "D3DKMT_DEVICESTATE_EXECUTION"),
            ),
            inout(
                "PresentState",
                D3DKMT_DEVICEPRESENT_STATE,
                is_one("StateType", D3DKMT_DEVICESTATE_TYPE, "D3DKMT_DEVICESTATE_PRESENT"),
            ),
            out(
                "ResetState",
                D3DKMT_DEVICERESET_STATE,
                is_one("StateType", D3DKMT_DEVICESTATE_TYPE, "D3DKMT_DEVICESTATE_RESET"),
            ),
            inout(
                "PresentStateDWM",
                D3DKMT_DEVICEPRESENT_STATE_DWM,
                is_one("StateType", D3DKMT_DEVICESTATE_TYPE, "D3DKMT_DEVICESTATE_PRESENT_DWM"),
            ),
            out(
                "PageFaultState",
                D3DKMT_DEVICEPAGEFAULT_STATE,
                is_one("StateType", D3DKMT_DEVICESTATE_TYPE, "D3DKMT_DEVICESTATE_PAGE_FAULT"),
            ),
            inout(
                "PresentQueueState",
                D3DKMT_DEVICEPRESENT_QUEUE_STATE,
                is_one("StateType", D3DKMT_DEVICESTATE_TYPE, "D3DKMT_DEVICESTATE_PRESENT_QUEUE"),
            ),
        )
    ),
)

D3DKMT_DEVICE_ERROR_REASON = enum(
    "D3DKMT_DEVICE_ERROR_REASON",
    D3DKMT_DEVICE_ERROR_REASON_GENERIC=2147483648,
    D3DKMT_DEVICE_ERROR_REASON_DRIVER_ERROR=2147483654,
)

D3DKMT_MARKDEVICEASERROR = structure(
    "D3DKMT_MARKDEVICEASERROR",
    in_("hDevice", handle(DEVICE)),
    in_("Reason", D3DKMT_DEVICE_ERROR_REASON),
)

D3DKMT_GETPROCESSDEVICEREMOVALSUPPORT = structure(
    "D3DKMT_GETPROCESSDEVICEREMOVALSUPPORT",
    in_("hProcess", nt_handle(PROCESS)),
    in_("AdapterLuid", LUID),
    out("Support", BOOLEAN),
)

CALLS = (
    CallSpec(
        "D3DKMTQueryStatistics",
        D3DKMT_QUERYSTATISTICS,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTQueryStatistics",
        ),
    ),
    CallSpec(
        "D3DKMTQueryClockCalibration",
        D3DKMT_QUERYCLOCKCALIBRATION,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTQueryClockCalibration",
        ),
    ),
    CallSpec(
        "D3DKMTGetDeviceState",
        D3DKMT_GETDEVICESTATE,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetDeviceState",
        ),
    ),
    CallSpec(
        "D3DKMTMarkDeviceAsError",
        D3DKMT_MARKDEVICEASERROR,
        side_effect="loses a device, which the process that is named need not expect",
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTMarkDeviceAsError",
        ),
    ),
    CallSpec(
        "D3DKMTSetProcessSchedulingPriorityClass",
        parameters(
            "D3DKMTSetProcessSchedulingPriorityClass",
            in_("hProcess", nt_handle(PROCESS)),
            in_("Class", D3DKMT_SCHEDULINGPRIORITYCLASS),
        ),
        side_effect="may put its work before that of other programs",
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTSetProcessSchedulingPriorityClass",
        ),
    ),
    CallSpec(
        "D3DKMTGetProcessSchedulingPriorityClass",
        parameters(
            "D3DKMTGetProcessSchedulingPriorityClass",
            in_("hProcess", nt_handle(PROCESS)),
            out("pClass", Pointer(D3DKMT_SCHEDULINGPRIORITYCLASS)),
        ),
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetProcessSchedulingPriorityClass",
        ),
    ),
    CallSpec(
        "D3DKMTGetProcessDeviceRemovalSupport",
        D3DKMT_GETPROCESSDEVICEREMOVALSUPPORT,
        statuses=("STATUS_SUCCESS",),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTGetProcessDeviceRemovalSupport",
        ),
    ),
)
