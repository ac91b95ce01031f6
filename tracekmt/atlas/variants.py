"""Fields of inputs that no description tells, by function: valid ones, and ones that break a rule in several fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tracekmt.atlas.objects import DATA, EVENT_NAME, HEAP, NAME, PAGES, RESOURCE_NAME, SECTION_NAME
from tracekmt.calls.nt_calls import CURRENT_PROCESS
from tracekmt.simulator.model.nt_handles import ALL_ACCESS

Handles = Mapping[str, list[int]]
ABSENT = object()
"""Mark of a field that the inputs do not have."""

_ALLOCATION = {"pPrivateDriverData": DATA}
_UNREADABLE = {"pPrivateRuntimeData": None, "PrivateRuntimeDataSize": 4}
_TOO_MANY = 0x682AB
_RUNTIME = {"pPrivateRuntimeData": DATA[:4]}


def _creations(elements: str) -> Callable[[Handles], list[dict[str, Any]]]:
    def variants(handles: Handles) -> list[dict[str, Any]]:
        plain = {"hResource": 0, elements: [_ALLOCATION], "pStandardAllocation": ABSENT}
        standard = {**plain, **HEAP, elements: [{"pSystemMem": 0x10000}]}
        of_section = {**standard, "Flags": ["StandardAllocation", "ExistingSection"]}
        return [
            plain,
            standard,
            {**plain, "Flags": ["CreateResource", "CreateShared"]},
            {**plain, "hResource": handles["resource"][0]},
            {**standard, "pStandardAllocation": {**HEAP["pStandardAllocation"], "Flags": 1}},
            {**standard, elements: [{}]},
            {**standard, elements: [{"pSystemMem": 0x10010}]},
            {**of_section, elements: [{}]},
            {**of_section, elements: [{"hSection": handles["event"][0]}]},
            {**plain, **_UNREADABLE},
            {**plain, elements: None, "NumAllocations": _TOO_MANY},
        ]

    return variants


def _one(**fields: Any) -> Callable[[Handles], list[dict[str, Any]]]:
    return lambda handles: [fields]


def _with_lists(handles: Handles) -> list[dict[str, Any]]:
    return [{"pResources": ABSENT}, {"HandleList": ABSENT, "pResources": handles["resource"][:1]}]


def _destructions(handles: Handles) -> list[dict[str, Any]]:
    own, shared, alone = handles["allocation"][:3]
    lists: tuple[list[int], ...] = ([alone], [alone, alone], [own, alone], [shared], [])
    missing = {"hResource": 0, "phAllocationList": ABSENT, "AllocationCount": 1}
    return [*({"hResource": 0, "phAllocationList": each} for each in lists), missing]


def _openings(elements: str) -> Callable[[Handles], list[dict[str, Any]]]:
    valid = {**_RUNTIME, "pTotalPrivateDriverDataBuffer": bytes(64)}
    without_list = {**valid, elements: ABSENT, "NumAllocations": 1}
    return lambda handles: [valid, without_list, {**valid, "pTotalPrivateDriverDataBuffer": bytes(8)}, _RUNTIME]


def _openings_by_nt_handle(handles: Handles) -> list[dict[str, Any]]:
    (valid, *others), elements = _openings("pOpenAllocationInfo2")(handles), "pOpenAllocationInfo2"
    shared = {"hNtHandle": handles["shared resource"][0], elements: [{}]}
    bundle = {"hNtHandle": handles["shared bundle"][0], elements: [{}], "pTotalPrivateDriverDataBuffer": bytes(64)}
    return [{**valid, **shared}, bundle, *({**shared, **other} for other in others)]


def _mutex_uses(handles: Handles) -> list[dict[str, Any]]:
    return [{"hKeyedMutex": handles["held mutex"][0]}, {"hKeyedMutex": handles["keyed mutex"][0]}]


def _acquisitions(handles: Handles) -> list[dict[str, Any]]:
    return [{}, {"hKeyedMutex": handles["held mutex"][0], "pTimeout": 0}]


_WRONG_OWNER = {"pType": [99], "pVidPnSourceId": [0], "VidPnSourceCount": 1}
_IN_USE = {"BaseAddress": 0x10000, "Size": 0x10000}
_BEHIND = {"BaseAddress": (1 << 64) - 0x10000, "Size": 0x20000}

VARIANTS: Mapping[str, Callable[[Handles], list[dict[str, Any]]]] = {
    "D3DKMTOpenAdapterFromLuid": lambda handles: [
        {"AdapterLuid": {"LowPart": low, "HighPart": 0}} for low in (1, 0x1EADBEC0)
    ],
    "D3DKMTCreateAllocation": _creations("pAllocationInfo"),
    "D3DKMTCreateAllocation2": _creations("pAllocationInfo2"),
    "D3DKMTQueryAllocationResidency": lambda handles: [{"hResource": 0}, {"phAllocationList": ABSENT}],
    "D3DKMTOfferAllocations": _with_lists,
    "D3DKMTReclaimAllocations": _with_lists,
    "D3DKMTReclaimAllocations2": _with_lists,
    "D3DKMTQueryAdapterInfo": lambda handles: [
        {"Type": "KMTQAITYPE_ADAPTERTYPE", "pPrivateDriverData": 0},
        {"Type": "KMTQAITYPE_ADAPTERTYPE", "pPrivateDriverData": None, "PrivateDriverDataSize": 4},
        {"Type": "KMTQAITYPE_ADAPTERTYPE", "pPrivateDriverData": 0, "PrivateDriverDataSize": 2},
    ],
    "D3DKMTOpenKeyedMutex": lambda handles: [{"hSharedHandle": handles["shared mutex"][0]}],
    "D3DKMTOpenKeyedMutex2": lambda handles: [
        {"hSharedHandle": handles["shared mutex"][0]},
        {"hSharedHandle": handles["mutex with data"][0], "pPrivateRuntimeData": bytes(4)},
    ],
    "D3DKMTOpenKeyedMutexFromNtHandle": lambda handles: [
        {"hNtHandle": handles["shared bundle"][0], "pPrivateRuntimeData": data} for data in (bytes(8), bytes(4))
    ],
    "D3DKMTOpenResourceFromNtHandle": _openings_by_nt_handle,
    "D3DKMTEnumAdapters2": lambda handles: [{}, {"NumAdapters": 0, "pAdapters": [{}]}],
    "D3DKMTEnumAdapters3": lambda handles: [{}, {"NumAdapters": 0, "pAdapters": [{}]}],
    "D3DKMTCreateDCFromMemory": _one(pMemory=0x10000, Format="D3DDDIFMT_X8R8G8B8", Width=1, Height=1, Pitch=4),
    "NtDuplicateObject": lambda handles: [
        {"SourceProcessHandle": process, "SourceHandle": handles["event"][0]} for process in (CURRENT_PROCESS[0], 0)
    ],
    "NtCreateEvent": lambda handles: [{"ObjectAttributes": {"ObjectName": name}} for name in (NAME, EVENT_NAME)],
    "D3DKMTReleaseKeyedMutex": _mutex_uses,
    "D3DKMTReleaseKeyedMutex2": _mutex_uses,
    "D3DKMTAcquireKeyedMutex": _acquisitions,
    "D3DKMTAcquireKeyedMutex2": _acquisitions,
    "D3DKMTDestroyAllocation": _destructions,
    "D3DKMTDestroyAllocation2": _destructions,
    "D3DKMTLock2": lambda handles: [{}, {"Flags": 1}],
    "D3DKMTEscape": lambda handles: [{}, dict.fromkeys(("hAdapter", "hDevice", "hContext"), ABSENT)],
    "D3DKMTReserveGpuVirtualAddress": lambda handles: [
        {"Size": 0x10000},
        _IN_USE,
        _BEHIND,
        {"Size": 0x100000, "MinimumAddress": 0x40000, "MaximumAddress": 0x80000},
    ],
    "D3DKMTUpdateGpuVirtualAddress": lambda handles: [
        {"Operations": [{"OperationType": "D3DDDI_UPDATEGPUVIRTUALADDRESS_COPY", "Copy": addresses}]}
        for addresses in (
            {"SourceAddress": 0x10000, "SizeInBytes": 0x1000, "DestAddress": 0x20000},
            {"SourceAddress": 1 << 40, "SizeInBytes": 0x1000, "DestAddress": 0x20000},
        )
    ],
    "D3DKMTFreeGpuVirtualAddress": lambda handles: [{"BaseAddress": 0x10000, "Size": 0x30000}, _IN_USE],
    "D3DKMTMapGpuVirtualAddress": lambda handles: [
        {"SizeInPages": 1},
        {"SizeInPages": 1, "BaseAddress": 0x20010},
        {"SizeInPages": 1 << 40},
        {"SizeInPages": 1, "OffsetInPages": 1 << 40},
        {"SizeInPages": 2, "BaseAddress": (1 << 64) - 0x1000},
        {"SizeInPages": 16, "BaseAddress": 0x38000},
    ],
    "NtCreateSection": lambda handles: [
        {**PAGES, "MaximumSize": 65536, "ObjectAttributes": {"ObjectName": name}, "FileHandle": ABSENT}
        for name in (EVENT_NAME, SECTION_NAME)
    ],
    "D3DKMTSetVidPnSourceOwner": lambda handles: [{}, _WRONG_OWNER],
    "D3DKMTSetVidPnSourceOwner1": lambda handles: [{}, {"Version0": {"hDevice": handles["device"][0], **_WRONG_OWNER}}],
    "D3DKMTSetVidPnSourceOwner2": lambda handles: [
        {},
        {"Version1": {"Version0": {"hDevice": handles["device"][0], **_WRONG_OWNER}}},
    ],
    "D3DKMTOpenNtHandleFromName": lambda handles: [
        {"pObjAttrib": {"ObjectName": name}, "dwDesiredAccess": 1} for name in (RESOURCE_NAME, NAME)
    ],
    "D3DKMTOpenSynchronizationObject": lambda handles: [{"hSharedHandle": handles["shared semaphore"][0]}],
    "D3DKMTOpenResource": _openings("pOpenAllocationInfo"),
    "D3DKMTOpenResource2": _openings("pOpenAllocationInfo2"),
    "D3DKMTGetRuntimeData": _one(pRuntimeData=DATA[:4]),
    "D3DKMTCreateSynchronizationObject": lambda handles: [
        {"Info": {"Type": "D3DDDI_SEMAPHORE", "Semaphore": {"MaxCount": 2, "InitialCount": 1}}},
        {"Info": {"Type": "D3DDDI_FENCE"}},
    ],
    "D3DKMTCreateSynchronizationObject2": lambda handles: [
        {"Info": {"Type": "D3DDDI_MONITORED_FENCE"}},
        {"Info": {"Type": "D3DDDI_SEMAPHORE", "Semaphore": {"MaxCount": 2, "InitialCount": 1}}},
        {"Info": {"Type": "D3DDDI_MONITORED_FENCE", "Flags": ["Shared", "NtSecuritySharing"]}},
    ],
    "D3DKMTSubmitCommand": lambda handles: [
        {"BroadcastContext": handles["context"][:1], "HistoryBufferArray": ABSENT, "WrittenPrimaries": primaries}
        for primaries in (ABSENT, handles["allocation"][:1])
    ],
    "D3DKMTSubmitCommandToHwQueue": lambda handles: [
        {"WrittenPrimaries": ABSENT},
        {"WrittenPrimaries": handles["allocation"][:1]},
    ],
    "D3DKMTSetGammaRamp": _one(pGammaRampRgb256x3x16=ABSENT),
    "D3DKMTRender": _one(hDevice=ABSENT),
    "D3DKMTShareObjects": lambda handles: [
        {"hObjects": handles["sync object"][1:2], "pObjectAttributes": attributes, "dwDesiredAccess": ALL_ACCESS}
        for attributes in ({}, {"ObjectName": NAME})
    ],
    "D3DKMTOpenSyncObjectNtHandleFromName": lambda handles: [
        {"pObjAttrib": {"ObjectName": name}, "dwDesiredAccess": ALL_ACCESS} for name in (NAME, EVENT_NAME)
    ],
    "D3DKMTQueryVideoMemoryInfo": lambda handles: [
        {"hProcess": process} for process in (0, *handles["limited process"])
    ],
    "D3DKMTChangeVideoMemoryReservation": lambda handles: [
        *({"hProcess": process} for process in (0, *handles["limited process"])),
        {"hProcess": 0, "Reservation": 1 << 50},
    ],
    "D3DKMTSignalSynchronizationObjectFromCpu": _one(FenceValueArray=[1]),
    "D3DKMTWaitForSynchronizationObjectFromCpu": _one(FenceValueArray=[0]),
}
