"""Features that the system and the driver support together."""

from __future__ import annotations

from tracekmt.calls.kinds import ADAPTER, handle
from tracekmt.calls.sources import KIT_26100, KIT_28000
from tracekmt.spec.dsl import UINT, UINT16, enum, flags, in_, out, structure
from tracekmt.spec.types import CallSpec, RawWindow

FAMILY = "features"

DXGK_FEATURE_ID = enum(
    "DXGK_FEATURE_ID",
    DXGK_FEATURE_HWSCH=0,
    DXGK_FEATURE_HWFLIPQUEUE=1,
    DXGK_FEATURE_LDA_GPUPV=2,
    DXGK_FEATURE_KMD_SIGNAL_CPU_EVENT=3,
    DXGK_FEATURE_USER_MODE_SUBMISSION=4,
    DXGK_FEATURE_SHARE_BACKING_STORE_WITH_KMD=5,
    DXGK_FEATURE_SAMPLE=31,
    DXGK_FEATURE_PAGE_BASED_MEMORY_MANAGER=32,
    DXGK_FEATURE_KERNEL_MODE_TESTING=33,
    DXGK_FEATURE_64K_PT_DEMOTION_FIX=34,
    DXGK_FEATURE_GPUPV_PRESENT_HWQUEUE=35,
    DXGK_FEATURE_GPUVAIOMMU=36,
    DXGK_FEATURE_NATIVE_FENCE=37,
    DXGK_FEATURE_QUERYSTATISTICS_EXTENSIONS=268435456,
    DXGK_FEATURE_RESERVE_GPUVA_ZERO_BASE_ADDRESS=268435457,
    DXGK_FEATURE_PER_PTE_PAGE_SIZE=268435458,
    DXGK_FEATURE_FENCE_SIGNAL_FROM_SWS_NODE=268435459,
    DXGK_FEATURE_EXTENDED_SEGMENT_FLAGS=38,
    DXGK_FEATURE_FAULT_AND_STALL=39,
    DXGK_FEATURE_SINGLE_ADAPTER_HYBRID_MODE=40,
    DXGK_FEATURE_SYNC_PRESENT_RENDER_HWQ_ONLY=41,
    DXGK_FEATURE_UNIFIED_SCHEDULING_MODEL=42,
    DXGK_FEATURE_NOTIFY_RESIDENCY2=43,
    DXGK_FEATURE_PROCESS_DEBUG_BLOB_COLLECTION=45,
    DXGK_FEATURE_PANEL_BUFFER_CONTROL=46,
    DXGK_FEATURE_SUPPRESSVSYNC_INTERRUPTS=268435460,
    DXGK_FEATURE_FEATURE_INTERFACE_EXTENSIONS=268435461,
    DXGK_FEATURE_READONLY_EXISTINGSYSMEM=268435462,
    DXGK_FEATURE_OPPORTUNISTIC_64KB_PAGES=268435463,
)

DXGK_ISFEATUREENABLED_RESULT = structure(
    "DXGK_ISFEATUREENABLED_RESULT",
    out("Version", UINT16),
    out(
        "Value",
        flags(
            "DXGK_ISFEATUREENABLED_RESULT.Value",
            "Enabled",
            "KnownFeature",
            "SupportedByDriver",
            "SupportedOnCurrentConfig",
            size=2,
        ),
    ),
)

D3DKMT_ISFEATUREENABLED = structure(
    "D3DKMT_ISFEATUREENABLED",
    in_("hAdapter", handle(ADAPTER)),
    in_("FeatureId", DXGK_FEATURE_ID),
    out("Result", DXGK_ISFEATUREENABLED_RESULT),
)

D3DKMT_QUERYFEATUREINTERFACE = structure(
    "D3DKMT_QUERYFEATUREINTERFACE",
    in_("hAdapter", handle(ADAPTER)),
    in_("FeatureId", DXGK_FEATURE_ID),
    out("Result", DXGK_ISFEATUREENABLED_RESULT),
    in_("InterfaceTableSize", UINT),
    # No source says if InterfaceTableSize counts bytes or functions.
    out("InterfaceTable", RawWindow("FARPROC *", 256)),
)

CALLS = (
    CallSpec(
        "D3DKMTIsFeatureEnabled",
        D3DKMT_ISFEATUREENABLED,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_26100, "Microsoft documentation: D3DKMTIsFeatureEnabled"),
    ),
    CallSpec(
        "D3DKMTQueryFeatureInterface",
        D3DKMT_QUERYFEATUREINTERFACE,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(KIT_28000,),
    ),
)
