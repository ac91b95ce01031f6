"""Adapters: open, enumerate, query and close."""

from __future__ import annotations

from tracekmt.calls.adapter_info import CASES
from tracekmt.calls.kinds import ADAPTER, D3DDDI_VIDEO_PRESENT_SOURCE_ID, LUID, WINDOW, handle, nt_handle
from tracekmt.calls.sources import HEADER, WINE_TESTS
from tracekmt.spec.dsl import BOOL, UINT, ULONG, enum, flags, in_, inout, out, parameters, structure
from tracekmt.spec.types import Array, CallSpec, Creates, Destroys, Payload, Pointer, WCharArray, WString

FAMILY = "adapter"

D3DKMT_OPENADAPTERFROMLUID = structure(
    "D3DKMT_OPENADAPTERFROMLUID",
    in_("AdapterLuid", LUID),
    # The header declares the argument const, but the call writes the handle into it (documentation: [out]).
    out("hAdapter", handle(ADAPTER)),
)

D3DKMT_OPENADAPTERFROMGDIDISPLAYNAME = structure(
    "D3DKMT_OPENADAPTERFROMGDIDISPLAYNAME",
    in_("DeviceName", WCharArray(32)),
    out("hAdapter", handle(ADAPTER)),
    out("AdapterLuid", LUID),
    out("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
)

D3DKMT_OPENADAPTERFROMHDC = structure(
    "D3DKMT_OPENADAPTERFROMHDC",
    in_("hDc", nt_handle(WINDOW, "HDC")),
    out("hAdapter", handle(ADAPTER)),
    out("AdapterLuid", LUID),
    out("VidPnSourceId", D3DDDI_VIDEO_PRESENT_SOURCE_ID),
)

D3DKMT_OPENADAPTERFROMDEVICENAME = structure(
    "D3DKMT_OPENADAPTERFROMDEVICENAME",
    in_("pDeviceName", WString("PCWSTR")),
    out("hAdapter", handle(ADAPTER)),
    out("AdapterLuid", LUID),
)

D3DKMT_ADAPTERINFO = structure(
    "D3DKMT_ADAPTERINFO",
    out("hAdapter", handle(ADAPTER)),
    out("AdapterLuid", LUID),
    out("NumOfSources", ULONG),
    out("bPrecisePresentRegionsPreferred", BOOL),
)

D3DKMT_ENUMADAPTERS = structure(
    "D3DKMT_ENUMADAPTERS",
    # Documented as [in], but the function enumerates adapters and writes their number here.
    out("NumAdapters", ULONG),
    out("Adapters", Array(D3DKMT_ADAPTERINFO, 16, used="NumAdapters")),
)

D3DKMT_ENUMADAPTERS2 = structure(
    "D3DKMT_ENUMADAPTERS2",
    # In: capacity of pAdapters. Out: number of adapters, or with pAdapters NULL an upper limit.
    inout("NumAdapters", ULONG),
    out("pAdapters", Pointer(D3DKMT_ADAPTERINFO, "NumAdapters")),
)

D3DKMT_ENUMADAPTERS_FILTER = flags(
    "D3DKMT_ENUMADAPTERS_FILTER", "IncludeComputeOnly", "IncludeDisplayOnly", "IncludeVirtualGpuOnly", size=8
)

D3DKMT_ENUMADAPTERS3 = structure(
    "D3DKMT_ENUMADAPTERS3",
    in_("Filter", D3DKMT_ENUMADAPTERS_FILTER),
    inout("NumAdapters", ULONG),
    out("pAdapters", Pointer(D3DKMT_ADAPTERINFO, "NumAdapters")),
)

D3DKMT_CLOSEADAPTER = structure(
    "D3DKMT_CLOSEADAPTER",
    in_("hAdapter", handle(ADAPTER)),
)

KMTQUERYADAPTERINFOTYPE = enum(
    "KMTQUERYADAPTERINFOTYPE",
    KMTQAITYPE_UMDRIVERPRIVATE=0,
    KMTQAITYPE_UMDRIVERNAME=1,
    KMTQAITYPE_UMOPENGLINFO=2,
    KMTQAITYPE_GETSEGMENTSIZE=3,
    KMTQAITYPE_ADAPTERGUID=4,
    KMTQAITYPE_FLIPQUEUEINFO=5,
    KMTQAITYPE_ADAPTERADDRESS=6,
    KMTQAITYPE_SETWORKINGSETINFO=7,
    KMTQAITYPE_ADAPTERREGISTRYINFO=8,
    KMTQAITYPE_CURRENTDISPLAYMODE=9,
    KMTQAITYPE_MODELIST=10,
    KMTQAITYPE_CHECKDRIVERUPDATESTATUS=11,
    KMTQAITYPE_VIRTUALADDRESSINFO=12,
    KMTQAITYPE_DRIVERVERSION=13,
    KMTQAITYPE_ADAPTERTYPE=15,
    KMTQAITYPE_OUTPUTDUPLCONTEXTSCOUNT=16,
    KMTQAITYPE_WDDM_1_2_CAPS=17,
    KMTQAITYPE_UMD_DRIVER_VERSION=18,
    KMTQAITYPE_DIRECTFLIP_SUPPORT=19,
    KMTQAITYPE_MULTIPLANEOVERLAY_SUPPORT=20,
    KMTQAITYPE_DLIST_DRIVER_NAME=21,
    KMTQAITYPE_WDDM_1_3_CAPS=22,
    KMTQAITYPE_MULTIPLANEOVERLAY_HUD_SUPPORT=23,
    KMTQAITYPE_WDDM_2_0_CAPS=24,
    KMTQAITYPE_NODEMETADATA=25,
    KMTQAITYPE_CPDRIVERNAME=26,
    KMTQAITYPE_XBOX=27,
    KMTQAITYPE_INDEPENDENTFLIP_SUPPORT=28,
    KMTQAITYPE_MIRACASTCOMPANIONDRIVERNAME=29,
    KMTQAITYPE_PHYSICALADAPTERCOUNT=30,
    KMTQAITYPE_PHYSICALADAPTERDEVICEIDS=31,
    KMTQAITYPE_DRIVERCAPS_EXT=32,
    KMTQAITYPE_QUERY_MIRACAST_DRIVER_TYPE=33,
    KMTQAITYPE_QUERY_GPUMMU_CAPS=34,
    KMTQAITYPE_QUERY_MULTIPLANEOVERLAY_DECODE_SUPPORT=35,
    KMTQAITYPE_QUERY_HW_PROTECTION_TEARDOWN_COUNT=36,
    KMTQAITYPE_QUERY_ISBADDRIVERFORHWPROTECTIONDISABLED=37,
    KMTQAITYPE_MULTIPLANEOVERLAY_SECONDARY_SUPPORT=38,
    KMTQAITYPE_INDEPENDENTFLIP_SECONDARY_SUPPORT=39,
    KMTQAITYPE_PANELFITTER_SUPPORT=40,
    KMTQAITYPE_PHYSICALADAPTERPNPKEY=41,
    KMTQAITYPE_GETSEGMENTGROUPSIZE=42,
    KMTQAITYPE_MPO3DDI_SUPPORT=43,
    KMTQAITYPE_HWDRM_SUPPORT=44,
    KMTQAITYPE_MPOKERNELCAPS_SUPPORT=45,
    KMTQAITYPE_MULTIPLANEOVERLAY_STRETCH_SUPPORT=46,
    KMTQAITYPE_GET_DEVICE_VIDPN_OWNERSHIP_INFO=47,
    KMTQAITYPE_QUERYREGISTRY=48,
    KMTQAITYPE_KMD_DRIVER_VERSION=49,
    KMTQAITYPE_BLOCKLIST_KERNEL=50,
    KMTQAITYPE_BLOCKLIST_RUNTIME=51,
    KMTQAITYPE_ADAPTERGUID_RENDER=52,
    KMTQAITYPE_ADAPTERADDRESS_RENDER=53,
    KMTQAITYPE_ADAPTERREGISTRYINFO_RENDER=54,
    KMTQAITYPE_CHECKDRIVERUPDATESTATUS_RENDER=55,
    KMTQAITYPE_DRIVERVERSION_RENDER=56,
    KMTQAITYPE_ADAPTERTYPE_RENDER=57,
    KMTQAITYPE_WDDM_1_2_CAPS_RENDER=58,
    KMTQAITYPE_WDDM_1_3_CAPS_RENDER=59,
    KMTQAITYPE_QUERY_ADAPTER_UNIQUE_GUID=60,
    KMTQAITYPE_NODEPERFDATA=61,
    KMTQAITYPE_ADAPTERPERFDATA=62,
    KMTQAITYPE_ADAPTERPERFDATA_CAPS=63,
    KMTQUITYPE_GPUVERSION=64,
    KMTQAITYPE_DRIVER_DESCRIPTION=65,
    KMTQAITYPE_DRIVER_DESCRIPTION_RENDER=66,
    KMTQAITYPE_SCANOUT_CAPS=67,
    KMTQAITYPE_DISPLAY_UMDRIVERNAME=71,
    KMTQAITYPE_PARAVIRTUALIZATION_RENDER=68,
    KMTQAITYPE_SERVICENAME=69,
    KMTQAITYPE_WDDM_2_7_CAPS=70,
    KMTQAITYPE_TRACKEDWORKLOAD_SUPPORT=72,
    KMTQAITYPE_HYBRID_DLIST_DLL_SUPPORT=73,
    KMTQAITYPE_DISPLAY_CAPS=74,
    KMTQAITYPE_WDDM_2_9_CAPS=75,
    KMTQAITYPE_CROSSADAPTERRESOURCE_SUPPORT=76,
    KMTQAITYPE_WDDM_3_0_CAPS=77,
    KMTQAITYPE_WSAUMDIMAGENAME=78,
    KMTQAITYPE_VGPUINTERFACEID=79,
    KMTQAITYPE_WDDM_3_1_CAPS=80,
    KMTQAITYPE_HYBRID_DLIST_DLL_MUX_SUPPORT=81,
)

D3DKMT_QUERYADAPTERINFO = structure(
    "D3DKMT_QUERYADAPTERINFO",
    in_("hAdapter", handle(ADAPTER)),
    in_("Type", KMTQUERYADAPTERINFOTYPE),
    inout("pPrivateDriverData", Payload("PrivateDriverDataSize", "Type", CASES)),
    in_("PrivateDriverDataSize", UINT),
)

D3DKMT_FLUSHHEAPTRANSITIONS = structure(
    "D3DKMT_FLUSHHEAPTRANSITIONS",
    in_("hAdapter", handle(ADAPTER)),
)

D3DKMT_SETSTABLEPOWERSTATE = structure(
    "D3DKMT_SETSTABLEPOWERSTATE",
    in_("hAdapter", handle(ADAPTER)),
    in_("Enabled", BOOL),
)

CALLS = (
    CallSpec(
        "D3DKMTOpenAdapterFromLuid",
        D3DKMT_OPENADAPTERFROMLUID,
        creates=(Creates(ADAPTER, "hAdapter"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenAdapterFromLuid",
        ),
    ),
    CallSpec(
        "D3DKMTOpenAdapterFromGdiDisplayName",
        D3DKMT_OPENADAPTERFROMGDIDISPLAYNAME,
        creates=(Creates(ADAPTER, "hAdapter"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "STATUS_UNSUCCESSFUL",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenAdapterFromGdiDisplayName",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTOpenAdapterFromHdc",
        D3DKMT_OPENADAPTERFROMHDC,
        creates=(Creates(ADAPTER, "hAdapter"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenAdapterFromHdc",
        ),
    ),
    CallSpec(
        "D3DKMTOpenAdapterFromDeviceName",
        D3DKMT_OPENADAPTERFROMDEVICENAME,
        creates=(Creates(ADAPTER, "hAdapter"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTOpenAdapterFromDeviceName",
        ),
    ),
    CallSpec(
        "D3DKMTEnumAdapters",
        D3DKMT_ENUMADAPTERS,
        creates=(Creates(ADAPTER, "Adapters[].hAdapter"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTEnumAdapters",
        ),
    ),
    CallSpec(
        "D3DKMTEnumAdapters2",
        D3DKMT_ENUMADAPTERS2,
        creates=(Creates(ADAPTER, "pAdapters[].hAdapter"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_BUFFER_TOO_SMALL",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTEnumAdapters2",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTEnumAdapters3",
        D3DKMT_ENUMADAPTERS3,
        creates=(Creates(ADAPTER, "pAdapters[].hAdapter"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_BUFFER_TOO_SMALL",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTEnumAdapters3",
        ),
    ),
    CallSpec(
        "D3DKMTCloseAdapter",
        D3DKMT_CLOSEADAPTER,
        destroys=(Destroys(ADAPTER, "hAdapter"),),
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_INVALID_PARAMETER",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTCloseAdapter",
            WINE_TESTS,
        ),
    ),
    CallSpec(
        "D3DKMTQueryAdapterInfo",
        D3DKMT_QUERYADAPTERINFO,
        statuses=(
            "STATUS_SUCCESS",
            "STATUS_DEVICE_REMOVED",
            "STATUS_INVALID_PARAMETER",
            "STATUS_NO_MEMORY",
        ),
        sources=(
            HEADER,
            "Microsoft documentation: D3DKMTQueryAdapterInfo, KMTQUERYADAPTERINFOTYPE",
        ),
    ),
    CallSpec(
        "D3DKMTCloseDxCoreDevice",
        parameters("D3DKMTCloseDxCoreDevice"),
        statuses=(),
        sources=("d3dkmthk.h of WSL (libdxg)",),
        returns="void",
    ),
    CallSpec(
        "D3DKMTFlushHeapTransitions",
        D3DKMT_FLUSHHEAPTRANSITIONS,
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTFlushHeapTransitions"),
    ),
    CallSpec(
        "D3DKMTSetStablePowerState",
        D3DKMT_SETSTABLEPOWERSTATE,
        side_effect="fixes the clock of the GPU for all programs",
        statuses=("STATUS_SUCCESS", "STATUS_INVALID_PARAMETER"),
        sources=(HEADER, "Microsoft documentation: D3DKMTSetStablePowerState"),
    ),
)
