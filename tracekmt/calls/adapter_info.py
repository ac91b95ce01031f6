"""What D3DKMTQueryAdapterInfo is asked for: the structures in its buffer, by type.

Types and structures are matched by the enumeration's documentation page, and where that says nothing by their names in
d3dkmthk.h. Types that are not here are kept as bytes: KMTQAITYPE_UMDRIVERPRIVATE is the driver's own, the others hold
lists, or nothing that a source describes. All structures may be cut short by the caller's buffer."""

from __future__ import annotations

from tracekmt.calls.kinds import D3DDDI_VIDEO_PRESENT_SOURCE_ID, DEVICE, GUID, handle
from tracekmt.spec.shorthand import (
    BOOL,
    BOOLEAN,
    DWORD,
    LARGE_INTEGER,
    UCHAR,
    UINT,
    UINT32,
    UINT64,
    ULONG,
    ULONGLONG,
    enum,
    flags,
    inout,
    into,
    out,
    structure,
    unknown,
)
from tracekmt.spec.types import Bit, Blob, Characters, Count, Overlay, Pointer, Text, When

# Types of registry values (winnt.h).
NO_VALUE_TYPE, REG_SZ, REG_EXPAND_SZ, REG_DWORD, REG_MULTI_SZ, REG_QWORD = 0, 1, 2, 4, 7, 11

KMTUMDVERSION = enum(
    "KMTUMDVERSION",
    KMTUMDVERSION_DX9=0,
    KMTUMDVERSION_DX10=1,
    KMTUMDVERSION_DX11=2,
    KMTUMDVERSION_DX12=3,
    NUM_KMTUMDVERSIONS=4,
)

D3DKMT_UMDFILENAMEINFO = structure(
    "D3DKMT_UMDFILENAMEINFO",
    into("Version", KMTUMDVERSION),
    out("UmdFileName", Characters(260)),
)

D3DKMT_OPENGLINFO = structure(
    "D3DKMT_OPENGLINFO",
    out("UmdOpenGlIcdFileName", Characters(260)),
    out("Version", ULONG),
    into("Flags", ULONG),
)

D3DKMT_SEGMENTSIZEINFO = structure(
    "D3DKMT_SEGMENTSIZEINFO",
    out("DedicatedVideoMemorySize", ULONGLONG),
    out("DedicatedSystemMemorySize", ULONGLONG),
    out("SharedSystemMemorySize", ULONGLONG),
)

D3DKMT_FLIPINFOFLAGS = flags("D3DKMT_FLIPINFOFLAGS", "FlipInterval")

D3DKMT_FLIPQUEUEINFO = structure(
    "D3DKMT_FLIPQUEUEINFO",
    out("MaxHardwareFlipQueueLength", UINT),
    out("MaxSoftwareFlipQueueLength", UINT),
    out("FlipFlags", D3DKMT_FLIPINFOFLAGS),
)

D3DKMT_ADAPTERADDRESS = structure(
    "D3DKMT_ADAPTERADDRESS",
    out("BusNumber", UINT),
    out("DeviceNumber", UINT),
    out("FunctionNumber", UINT),
)

D3DKMT_WORKINGSETFLAGS = flags("D3DKMT_WORKINGSETFLAGS", "UseDefault")

D3DKMT_WORKINGSETINFO = structure(
    "D3DKMT_WORKINGSETINFO",
    unknown("Flags", D3DKMT_WORKINGSETFLAGS),
    unknown("MinimumWorkingSetPercentile", ULONG),
    unknown("MaximumWorkingSetPercentile", ULONG),
)

D3DKMT_ADAPTERREGISTRYINFO = structure(
    "D3DKMT_ADAPTERREGISTRYINFO",
    out("AdapterString", Characters(260)),
    out("BiosString", Characters(260)),
    out("DacType", Characters(260)),
    out("ChipType", Characters(260)),
)

D3DKMT_VIRTUALADDRESSFLAGS = flags("D3DKMT_VIRTUALADDRESSFLAGS", "VirtualAddressSupported")

D3DKMT_VIRTUALADDRESSINFO = structure(
    "D3DKMT_VIRTUALADDRESSINFO",
    out("VirtualAddressFlags", D3DKMT_VIRTUALADDRESSFLAGS),
)

QAI_DRIVERVERSION = enum(
    "QAI_DRIVERVERSION",
    KMT_DRIVERVERSION_WDDM_1_0=1000,
    KMT_DRIVERVERSION_WDDM_1_1_PRERELEASE=1102,
    KMT_DRIVERVERSION_WDDM_1_1=1105,
    KMT_DRIVERVERSION_WDDM_1_2=1200,
    KMT_DRIVERVERSION_WDDM_1_3=1300,
    KMT_DRIVERVERSION_WDDM_2_0=2000,
    KMT_DRIVERVERSION_WDDM_2_1=2100,
    KMT_DRIVERVERSION_WDDM_2_2=2200,
    KMT_DRIVERVERSION_WDDM_2_3=2300,
    KMT_DRIVERVERSION_WDDM_2_4=2400,
    KMT_DRIVERVERSION_WDDM_2_5=2500,
    KMT_DRIVERVERSION_WDDM_2_6=2600,
    KMT_DRIVERVERSION_WDDM_2_7=2700,
    KMT_DRIVERVERSION_WDDM_2_8=2800,
    KMT_DRIVERVERSION_WDDM_2_9=2900,
    KMT_DRIVERVERSION_WDDM_3_0=3000,
)

D3DKMT_ADAPTERTYPE = flags(
    "D3DKMT_ADAPTERTYPE",
    "RenderSupported",
    "DisplaySupported",
    "SoftwareDevice",
    "PostDevice",
    "HybridDiscrete",
    "HybridIntegrated",
    "IndirectDisplayDevice",
    "Paravirtualized",
    "ACGSupported",
    "SupportSetTimingsFromVidPn",
    "Detachable",
    "ComputeOnly",
    "Prototype",
    "RuntimePowerManagement",
)

D3DKMT_OUTPUTDUPLCONTEXTSCOUNT = structure(
    "D3DKMT_OUTPUTDUPLCONTEXTSCOUNT",
    into("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("OutputDuplicationCount", UINT),
)

D3DKMT_WDDM_1_2_CAPS = structure(
    "D3DKMT_WDDM_1_2_CAPS",
    # A structure that d3dkmthk.h takes from elsewhere; its layout is not among the facts at hand.
    out("PreemptionCaps", Blob("D3DKMDT_PREEMPTION_CAPS", 8)),
    out(
        "Value",
        flags(
            "D3DKMT_WDDM_1_2_CAPS.Value",
            "SupportNonVGA",
            "SupportSmoothRotation",
            "SupportPerEngineTDR",
            "SupportKernelModeCommandBuffer",
            "SupportCCD",
            "SupportSoftwareDeviceBitmaps",
            "SupportGammaRamp",
            "SupportHWCursor",
            "SupportHWVSync",
            "SupportSurpriseRemovalInHibernation",
        ),
    ),
)

D3DKMT_UMD_DRIVER_VERSION = structure(
    "D3DKMT_UMD_DRIVER_VERSION",
    out("DriverVersion", LARGE_INTEGER),
)

D3DKMT_DIRECTFLIP_SUPPORT = structure(
    "D3DKMT_DIRECTFLIP_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_MULTIPLANEOVERLAY_SUPPORT = structure(
    "D3DKMT_MULTIPLANEOVERLAY_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_DLIST_DRIVER_NAME = structure(
    "D3DKMT_DLIST_DRIVER_NAME",
    out("DListFileName", Characters(260)),
)

D3DKMT_WDDM_1_3_CAPS = flags(
    "D3DKMT_WDDM_1_3_CAPS",
    "SupportMiracast",
    "IsHybridIntegratedGPU",
    "IsHybridDiscreteGPU",
    "SupportPowerManagementPStates",
    "SupportVirtualModes",
    "SupportCrossAdapterResource",
)

D3DKMT_MULTIPLANEOVERLAY_HUD_SUPPORT = structure(
    "D3DKMT_MULTIPLANEOVERLAY_HUD_SUPPORT",
    into("VidPnSourceId", UINT),
    into("Update", BOOL),
    out("KernelSupported", BOOL),
    out("HudSupported", BOOL),
)

D3DKMT_WDDM_2_0_CAPS = flags(
    "D3DKMT_WDDM_2_0_CAPS",
    "Support64BitAtomics",
    "GpuMmuSupported",
    "IoMmuSupported",
    "FlipOverwriteSupported",
    "SupportContextlessPresent",
    "SupportSurpriseRemoval",
)

D3DKMT_NODEMETADATA = structure(
    "D3DKMT_NODEMETADATA",
    into("NodeOrdinalAndAdapterIndex", UINT),
    # A structure that d3dkmthk.h takes from elsewhere; its layout is not among the facts at hand.
    out("NodeData", Blob("DXGK_NODEMETADATA", 74)),
    pack=1,
)

D3DKMT_CPDRIVERNAME = structure(
    "D3DKMT_CPDRIVERNAME",
    out("ContentProtectionFileName", Characters(260)),
)

D3DKMT_XBOX = structure(
    "D3DKMT_XBOX",
    out("IsXBOX", BOOL),
)

D3DKMT_INDEPENDENTFLIP_SUPPORT = structure(
    "D3DKMT_INDEPENDENTFLIP_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_MIRACASTCOMPANIONDRIVERNAME = structure(
    "D3DKMT_MIRACASTCOMPANIONDRIVERNAME",
    out("MiracastCompanionDriverName", Characters(260)),
)

D3DKMT_PHYSICAL_ADAPTER_COUNT = structure(
    "D3DKMT_PHYSICAL_ADAPTER_COUNT",
    out("Count", UINT),
)

D3DKMT_DEVICE_IDS = structure(
    "D3DKMT_DEVICE_IDS",
    out("VendorID", UINT),
    out("DeviceID", UINT),
    out("SubVendorID", UINT),
    out("SubSystemID", UINT),
    out("RevisionID", UINT),
    out("BusType", UINT),
)

D3DKMT_QUERY_DEVICE_IDS = structure(
    "D3DKMT_QUERY_DEVICE_IDS",
    into("PhysicalAdapterIndex", UINT),
    out("DeviceIds", D3DKMT_DEVICE_IDS),
)

D3DKMT_DRIVERCAPS_EXT = flags("D3DKMT_DRIVERCAPS_EXT", "VirtualModeSupport", "Usb4MonitorSupport")

D3DKMT_MIRACAST_DRIVER_TYPE = enum(
    "D3DKMT_MIRACAST_DRIVER_TYPE",
    D3DKMT_MIRACAST_DRIVER_NOT_SUPPORTED=0,
    D3DKMT_MIRACAST_DRIVER_IHV=1,
    D3DKMT_MIRACAST_DRIVER_MS=2,
)

D3DKMT_QUERY_MIRACAST_DRIVER_TYPE = structure(
    "D3DKMT_QUERY_MIRACAST_DRIVER_TYPE",
    out("MiracastDriverType", D3DKMT_MIRACAST_DRIVER_TYPE),
)

D3DKMT_GPUMMU_CAPS_FLAGS = flags(
    "D3DKMT_GPUMMU_CAPS.Flags", "ReadOnlyMemorySupported", "NoExecuteMemorySupported", "CacheCoherentMemorySupported"
)

D3DKMT_GPUMMU_CAPS = structure(
    "D3DKMT_GPUMMU_CAPS",
    out("Flags", D3DKMT_GPUMMU_CAPS_FLAGS),
    out("VirtualAddressBitCount", UINT),
)

D3DKMT_QUERY_GPUMMU_CAPS = structure(
    "D3DKMT_QUERY_GPUMMU_CAPS",
    into("PhysicalAdapterIndex", UINT),
    out("Caps", D3DKMT_GPUMMU_CAPS),
)

D3DKMT_MULTIPLANEOVERLAY_DECODE_SUPPORT = structure(
    "D3DKMT_MULTIPLANEOVERLAY_DECODE_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_ISBADDRIVERFORHWPROTECTIONDISABLED = structure(
    "D3DKMT_ISBADDRIVERFORHWPROTECTIONDISABLED",
    out("Disabled", BOOL),
)

D3DKMT_MULTIPLANEOVERLAY_SECONDARY_SUPPORT = structure(
    "D3DKMT_MULTIPLANEOVERLAY_SECONDARY_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_INDEPENDENTFLIP_SECONDARY_SUPPORT = structure(
    "D3DKMT_INDEPENDENTFLIP_SECONDARY_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_PANELFITTER_SUPPORT = structure(
    "D3DKMT_PANELFITTER_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_PNP_KEY_TYPE = enum("D3DKMT_PNP_KEY_TYPE", D3DKMT_PNP_KEY_HARDWARE=1, D3DKMT_PNP_KEY_SOFTWARE=2)

D3DKMT_QUERY_PHYSICAL_ADAPTER_PNP_KEY = structure(
    "D3DKMT_QUERY_PHYSICAL_ADAPTER_PNP_KEY",
    into("PhysicalAdapterIndex", UINT),
    into("PnPKeyType", D3DKMT_PNP_KEY_TYPE),
    # Its length lies behind a pointer of its own.
    out("pDest", Text("WCHAR *", Count("pCchDest", behind=True))),
    inout("pCchDest", Pointer(UINT)),
)

D3DKMT_SEGMENTGROUPSIZEINFO = structure(
    "D3DKMT_SEGMENTGROUPSIZEINFO",
    into("PhysicalAdapterIndex", UINT32),
    out("LegacyInfo", D3DKMT_SEGMENTSIZEINFO),
    out("LocalMemory", ULONGLONG),
    out("NonLocalMemory", ULONGLONG),
    out("NonBudgetMemory", ULONGLONG),
)

D3DKMT_MPO3DDI_SUPPORT = structure(
    "D3DKMT_MPO3DDI_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_HWDRM_SUPPORT = structure(
    "D3DKMT_HWDRM_SUPPORT",
    out("Supported", BOOLEAN),
)

D3DKMT_MPOKERNELCAPS_SUPPORT = structure(
    "D3DKMT_MPOKERNELCAPS_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_MULTIPLANEOVERLAY_STRETCH_SUPPORT = structure(
    "D3DKMT_MULTIPLANEOVERLAY_STRETCH_SUPPORT",
    into("VidPnSourceId", UINT),
    into("Update", BOOL),
    out("Supported", BOOL),
)

D3DKMT_GET_DEVICE_VIDPN_OWNERSHIP_INFO = structure(
    "D3DKMT_GET_DEVICE_VIDPN_OWNERSHIP_INFO",
    into("hDevice", handle(DEVICE)),
    out("bFailedDwmAcquireVidPn", BOOLEAN),
)

D3DDDI_QUERYREGISTRY_TYPE = enum(
    "D3DDDI_QUERYREGISTRY_TYPE",
    D3DDDI_QUERYREGISTRY_SERVICEKEY=0,
    D3DDDI_QUERYREGISTRY_ADAPTERKEY=1,
    D3DDDI_QUERYREGISTRY_DRIVERSTOREPATH=2,
    D3DDDI_QUERYREGISTRY_DRIVERIMAGEPATH=3,
    D3DDDI_QUERYREGISTRY_MAX=4,
)

D3DDDI_QUERYREGISTRY_FLAGS = flags("D3DDDI_QUERYREGISTRY_FLAGS", "TranslatePath", "MutableValue")

D3DDDI_QUERYREGISTRY_STATUS = enum(
    "D3DDDI_QUERYREGISTRY_STATUS",
    D3DDDI_QUERYREGISTRY_STATUS_SUCCESS=0,
    D3DDDI_QUERYREGISTRY_STATUS_BUFFER_OVERFLOW=1,
    D3DDDI_QUERYREGISTRY_STATUS_FAIL=2,
    D3DDDI_QUERYREGISTRY_STATUS_MAX=3,
)

D3DDDI_QUERYREGISTRY_INFO = structure(
    "D3DDDI_QUERYREGISTRY_INFO",
    into("QueryType", D3DDDI_QUERYREGISTRY_TYPE),
    into("QueryFlags", D3DDDI_QUERYREGISTRY_FLAGS),
    into("ValueName", Characters(260)),
    into("ValueType", ULONG),
    into("PhysicalAdapterIndex", ULONG),
    out("OutputValueSize", ULONG),
    out("Status", D3DDDI_QUERYREGISTRY_STATUS),
    # The value lies in place, as long as the buffer; paths are asked for with value type 0.
    Overlay(
        (
            out("OutputDword", DWORD, When("ValueType", REG_DWORD)),
            out("OutputQword", UINT64, When("ValueType", REG_QWORD)),
            out(
                "OutputString",
                Characters(1, tail=True),
                When("ValueType", one_of=(NO_VALUE_TYPE, REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ)),
            ),
            out("OutputBinary", Blob("BYTE", 1, tail=True)),
        )
    ),
)

D3DKMT_KMD_DRIVER_VERSION = structure(
    "D3DKMT_KMD_DRIVER_VERSION",
    out("DriverVersion", LARGE_INTEGER),
)

D3DKMT_BLOCKLIST_INFO = structure(
    "D3DKMT_BLOCKLIST_INFO",
    unknown("Size", UINT),
    out("BlockList", Characters(1, tail=True)),
)

D3DKMT_QUERY_ADAPTER_UNIQUE_GUID = structure(
    "D3DKMT_QUERY_ADAPTER_UNIQUE_GUID",
    out("AdapterUniqueGUID", Characters(40)),
)

D3DKMT_NODE_PERFDATA = structure(
    "D3DKMT_NODE_PERFDATA",
    into("NodeOrdinal", UINT32),
    into("PhysicalAdapterIndex", UINT32),
    out("Frequency", ULONGLONG),
    out("MaxFrequency", ULONGLONG),
    out("MaxFrequencyOC", ULONGLONG),
    out("Voltage", ULONG),
    out("VoltageMax", ULONG),
    out("VoltageMaxOC", ULONG),
    out("MaxTransitionLatency", ULONGLONG),
)

D3DKMT_ADAPTER_PERFDATA = structure(
    "D3DKMT_ADAPTER_PERFDATA",
    into("PhysicalAdapterIndex", UINT32),
    out("MemoryFrequency", ULONGLONG),
    out("MaxMemoryFrequency", ULONGLONG),
    out("MaxMemoryFrequencyOC", ULONGLONG),
    out("MemoryBandwidth", ULONGLONG),
    out("PCIEBandwidth", ULONGLONG),
    out("FanRPM", ULONG),
    out("Power", ULONG),
    out("Temperature", ULONG),
    out("PowerStateOverride", UCHAR),
)

D3DKMT_ADAPTER_PERFDATACAPS = structure(
    "D3DKMT_ADAPTER_PERFDATACAPS",
    into("PhysicalAdapterIndex", UINT32),
    out("MaxMemoryBandwidth", ULONGLONG),
    out("MaxPCIEBandwidth", ULONGLONG),
    out("MaxFanRPM", ULONG),
    out("TemperatureMax", ULONG),
    out("TemperatureWarning", ULONG),
)

D3DKMT_GPUVERSION = structure(
    "D3DKMT_GPUVERSION",
    into("PhysicalAdapterIndex", UINT32),
    out("BiosVersion", Characters(32)),
    out("GpuArchitecture", Characters(32)),
)

D3DKMT_DRIVER_DESCRIPTION = structure(
    "D3DKMT_DRIVER_DESCRIPTION",
    out("DriverDescription", Characters(4096)),
)

D3DKMT_QUERY_SCANOUT_CAPS = structure(
    "D3DKMT_QUERY_SCANOUT_CAPS",
    into("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
    out("Caps", UINT),
)

D3DKMT_PARAVIRTUALIZATION = structure(
    "D3DKMT_PARAVIRTUALIZATION",
    out("SecureContainer", BOOLEAN),
)

D3DKMT_WDDM_2_7_CAPS = flags(
    "D3DKMT_WDDM_2_7_CAPS", "HwSchSupported", "HwSchEnabled", "HwSchEnabledByDefault", "IndependentVidPnVSyncControl"
)

KMT_DISPLAY_UMD_VERSION = enum("KMT_DISPLAY_UMD_VERSION", KMT_DISPLAY_UMDVERSION_1=0, NUM_KMT_DISPLAY_UMDVERSIONS=1)

D3DKMT_DISPLAY_UMD_FILENAMEINFO = structure(
    "D3DKMT_DISPLAY_UMD_FILENAMEINFO",
    into("Version", KMT_DISPLAY_UMD_VERSION),
    out("UmdFileName", Characters(260)),
)

DXGK_ENGINE_TYPE = enum(
    "DXGK_ENGINE_TYPE",
    DXGK_ENGINE_TYPE_OTHER=0,
    DXGK_ENGINE_TYPE_3D=1,
    DXGK_ENGINE_TYPE_VIDEO_DECODE=2,
    DXGK_ENGINE_TYPE_VIDEO_ENCODE=3,
    DXGK_ENGINE_TYPE_VIDEO_PROCESSING=4,
    DXGK_ENGINE_TYPE_SCENE_ASSEMBLY=5,
    DXGK_ENGINE_TYPE_COPY=6,
    DXGK_ENGINE_TYPE_OVERLAY=7,
    DXGK_ENGINE_TYPE_CRYPTO=8,
    DXGK_ENGINE_TYPE_MAX=9,
)

D3DKMT_TRACKEDWORKLOAD_SUPPORT = structure(
    "D3DKMT_TRACKEDWORKLOAD_SUPPORT",
    into("PhysicalAdapterIndex", UINT),
    into("EngineType", DXGK_ENGINE_TYPE),
    out("Support", BOOL),
    pack=1,
)

D3DKMT_HYBRID_DLIST_DLL_SUPPORT = structure(
    "D3DKMT_HYBRID_DLIST_DLL_SUPPORT",
    out("Supported", BOOL),
)

D3DKMT_DISPLAY_CAPS = flags("D3DKMT_DISPLAY_CAPS", "PreferPhysicallyContiguous", size=8)

D3DKMT_WDDM_2_9_CAPS = flags(
    "D3DKMT_WDDM_2_9_CAPS",
    Bit("HwSchSupportState", 0, 2),
    Bit("HwSchEnabled", 2),
    Bit("SelfRefreshMemorySupported", 3),
    Bit("Reserved", 4, 28),
)

D3DKMT_CROSSADAPTERRESOURCE_SUPPORT_TIER = enum(
    "D3DKMT_CROSSADAPTERRESOURCE_SUPPORT_TIER",
    D3DKMT_CROSSADAPTERRESOURCE_SUPPORT_TIER_NONE=0,
    D3DKMT_CROSSADAPTERRESOURCE_SUPPORT_TIER_COPY=1,
    D3DKMT_CROSSADAPTERRESOURCE_SUPPORT_TIER_TEXTURE=2,
    D3DKMT_CROSSADAPTERRESOURCE_SUPPORT_TIER_SCANOUT=3,
)

D3DKMT_CROSSADAPTERRESOURCE_SUPPORT = structure(
    "D3DKMT_CROSSADAPTERRESOURCE_SUPPORT",
    out("SupportTier", D3DKMT_CROSSADAPTERRESOURCE_SUPPORT_TIER),
)

D3DKMT_WDDM_3_0_CAPS = flags(
    "D3DKMT_WDDM_3_0_CAPS",
    Bit("HwFlipQueueSupportState", 0, 2),
    Bit("HwFlipQueueEnabled", 2),
    Bit("DisplayableSupported", 3),
    Bit("Reserved", 4, 28),
)

CASES = (
    (1, "KMTQAITYPE_UMDRIVERNAME", D3DKMT_UMDFILENAMEINFO),
    (2, "KMTQAITYPE_UMOPENGLINFO", D3DKMT_OPENGLINFO),
    (3, "KMTQAITYPE_GETSEGMENTSIZE", D3DKMT_SEGMENTSIZEINFO),
    (4, "KMTQAITYPE_ADAPTERGUID", GUID),
    (5, "KMTQAITYPE_FLIPQUEUEINFO", D3DKMT_FLIPQUEUEINFO),
    (6, "KMTQAITYPE_ADAPTERADDRESS", D3DKMT_ADAPTERADDRESS),
    (7, "KMTQAITYPE_SETWORKINGSETINFO", D3DKMT_WORKINGSETINFO),
    (8, "KMTQAITYPE_ADAPTERREGISTRYINFO", D3DKMT_ADAPTERREGISTRYINFO),
    (12, "KMTQAITYPE_VIRTUALADDRESSINFO", D3DKMT_VIRTUALADDRESSINFO),
    (13, "KMTQAITYPE_DRIVERVERSION", QAI_DRIVERVERSION),
    (15, "KMTQAITYPE_ADAPTERTYPE", D3DKMT_ADAPTERTYPE),
    (16, "KMTQAITYPE_OUTPUTDUPLCONTEXTSCOUNT", D3DKMT_OUTPUTDUPLCONTEXTSCOUNT),
    (17, "KMTQAITYPE_WDDM_1_2_CAPS", D3DKMT_WDDM_1_2_CAPS),
    (18, "KMTQAITYPE_UMD_DRIVER_VERSION", D3DKMT_UMD_DRIVER_VERSION),
    (19, "KMTQAITYPE_DIRECTFLIP_SUPPORT", D3DKMT_DIRECTFLIP_SUPPORT),
    (20, "KMTQAITYPE_MULTIPLANEOVERLAY_SUPPORT", D3DKMT_MULTIPLANEOVERLAY_SUPPORT),
    (21, "KMTQAITYPE_DLIST_DRIVER_NAME", D3DKMT_DLIST_DRIVER_NAME),
    (22, "KMTQAITYPE_WDDM_1_3_CAPS", D3DKMT_WDDM_1_3_CAPS),
    (23, "KMTQAITYPE_MULTIPLANEOVERLAY_HUD_SUPPORT", D3DKMT_MULTIPLANEOVERLAY_HUD_SUPPORT),
    (24, "KMTQAITYPE_WDDM_2_0_CAPS", D3DKMT_WDDM_2_0_CAPS),
    (25, "KMTQAITYPE_NODEMETADATA", D3DKMT_NODEMETADATA),
    (26, "KMTQAITYPE_CPDRIVERNAME", D3DKMT_CPDRIVERNAME),
    (27, "KMTQAITYPE_XBOX", D3DKMT_XBOX),
    (28, "KMTQAITYPE_INDEPENDENTFLIP_SUPPORT", D3DKMT_INDEPENDENTFLIP_SUPPORT),
    (29, "KMTQAITYPE_MIRACASTCOMPANIONDRIVERNAME", D3DKMT_MIRACASTCOMPANIONDRIVERNAME),
    (30, "KMTQAITYPE_PHYSICALADAPTERCOUNT", D3DKMT_PHYSICAL_ADAPTER_COUNT),
    (31, "KMTQAITYPE_PHYSICALADAPTERDEVICEIDS", D3DKMT_QUERY_DEVICE_IDS),
    (32, "KMTQAITYPE_DRIVERCAPS_EXT", D3DKMT_DRIVERCAPS_EXT),
    (33, "KMTQAITYPE_QUERY_MIRACAST_DRIVER_TYPE", D3DKMT_QUERY_MIRACAST_DRIVER_TYPE),
    (34, "KMTQAITYPE_QUERY_GPUMMU_CAPS", D3DKMT_QUERY_GPUMMU_CAPS),
    (35, "KMTQAITYPE_QUERY_MULTIPLANEOVERLAY_DECODE_SUPPORT", D3DKMT_MULTIPLANEOVERLAY_DECODE_SUPPORT),
    (36, "KMTQAITYPE_QUERY_HW_PROTECTION_TEARDOWN_COUNT", UINT),
    (37, "KMTQAITYPE_QUERY_ISBADDRIVERFORHWPROTECTIONDISABLED", D3DKMT_ISBADDRIVERFORHWPROTECTIONDISABLED),
    (38, "KMTQAITYPE_MULTIPLANEOVERLAY_SECONDARY_SUPPORT", D3DKMT_MULTIPLANEOVERLAY_SECONDARY_SUPPORT),
    (39, "KMTQAITYPE_INDEPENDENTFLIP_SECONDARY_SUPPORT", D3DKMT_INDEPENDENTFLIP_SECONDARY_SUPPORT),
    (40, "KMTQAITYPE_PANELFITTER_SUPPORT", D3DKMT_PANELFITTER_SUPPORT),
    (41, "KMTQAITYPE_PHYSICALADAPTERPNPKEY", D3DKMT_QUERY_PHYSICAL_ADAPTER_PNP_KEY),
    (42, "KMTQAITYPE_GETSEGMENTGROUPSIZE", D3DKMT_SEGMENTGROUPSIZEINFO),
    (43, "KMTQAITYPE_MPO3DDI_SUPPORT", D3DKMT_MPO3DDI_SUPPORT),
    (44, "KMTQAITYPE_HWDRM_SUPPORT", D3DKMT_HWDRM_SUPPORT),
    (45, "KMTQAITYPE_MPOKERNELCAPS_SUPPORT", D3DKMT_MPOKERNELCAPS_SUPPORT),
    (46, "KMTQAITYPE_MULTIPLANEOVERLAY_STRETCH_SUPPORT", D3DKMT_MULTIPLANEOVERLAY_STRETCH_SUPPORT),
    (47, "KMTQAITYPE_GET_DEVICE_VIDPN_OWNERSHIP_INFO", D3DKMT_GET_DEVICE_VIDPN_OWNERSHIP_INFO),
    (48, "KMTQAITYPE_QUERYREGISTRY", D3DDDI_QUERYREGISTRY_INFO),
    (49, "KMTQAITYPE_KMD_DRIVER_VERSION", D3DKMT_KMD_DRIVER_VERSION),
    (50, "KMTQAITYPE_BLOCKLIST_KERNEL", D3DKMT_BLOCKLIST_INFO),
    (51, "KMTQAITYPE_BLOCKLIST_RUNTIME", D3DKMT_BLOCKLIST_INFO),
    (52, "KMTQAITYPE_ADAPTERGUID_RENDER", GUID),
    (53, "KMTQAITYPE_ADAPTERADDRESS_RENDER", D3DKMT_ADAPTERADDRESS),
    (54, "KMTQAITYPE_ADAPTERREGISTRYINFO_RENDER", D3DKMT_ADAPTERREGISTRYINFO),
    (56, "KMTQAITYPE_DRIVERVERSION_RENDER", QAI_DRIVERVERSION),
    (57, "KMTQAITYPE_ADAPTERTYPE_RENDER", D3DKMT_ADAPTERTYPE),
    (58, "KMTQAITYPE_WDDM_1_2_CAPS_RENDER", D3DKMT_WDDM_1_2_CAPS),
    (59, "KMTQAITYPE_WDDM_1_3_CAPS_RENDER", D3DKMT_WDDM_1_3_CAPS),
    (60, "KMTQAITYPE_QUERY_ADAPTER_UNIQUE_GUID", D3DKMT_QUERY_ADAPTER_UNIQUE_GUID),
    (61, "KMTQAITYPE_NODEPERFDATA", D3DKMT_NODE_PERFDATA),
    (62, "KMTQAITYPE_ADAPTERPERFDATA", D3DKMT_ADAPTER_PERFDATA),
    (63, "KMTQAITYPE_ADAPTERPERFDATA_CAPS", D3DKMT_ADAPTER_PERFDATACAPS),
    (64, "KMTQUITYPE_GPUVERSION", D3DKMT_GPUVERSION),
    (65, "KMTQAITYPE_DRIVER_DESCRIPTION", D3DKMT_DRIVER_DESCRIPTION),
    (66, "KMTQAITYPE_DRIVER_DESCRIPTION_RENDER", D3DKMT_DRIVER_DESCRIPTION),
    (67, "KMTQAITYPE_SCANOUT_CAPS", D3DKMT_QUERY_SCANOUT_CAPS),
    (68, "KMTQAITYPE_PARAVIRTUALIZATION_RENDER", D3DKMT_PARAVIRTUALIZATION),
    (70, "KMTQAITYPE_WDDM_2_7_CAPS", D3DKMT_WDDM_2_7_CAPS),
    (71, "KMTQAITYPE_DISPLAY_UMDRIVERNAME", D3DKMT_DISPLAY_UMD_FILENAMEINFO),
    (72, "KMTQAITYPE_TRACKEDWORKLOAD_SUPPORT", D3DKMT_TRACKEDWORKLOAD_SUPPORT),
    (73, "KMTQAITYPE_HYBRID_DLIST_DLL_SUPPORT", D3DKMT_HYBRID_DLIST_DLL_SUPPORT),
    (74, "KMTQAITYPE_DISPLAY_CAPS", D3DKMT_DISPLAY_CAPS),
    (75, "KMTQAITYPE_WDDM_2_9_CAPS", D3DKMT_WDDM_2_9_CAPS),
    (76, "KMTQAITYPE_CROSSADAPTERRESOURCE_SUPPORT", D3DKMT_CROSSADAPTERRESOURCE_SUPPORT),
    (77, "KMTQAITYPE_WDDM_3_0_CAPS", D3DKMT_WDDM_3_0_CAPS),
)
