"""Fields of inputs that no description tells, by function: valid ones, and ones that break a rule in several fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tracekmt.atlas.objects import DATA, NAME
from tracekmt.simulator.model.nt_handles import ALL_ACCESS

Handles = Mapping[str, list[int]]
ABSENT = object()
"""Mark of a field that the inputs do not have."""

_ALLOCATION = {"pPrivateDriverData": DATA}
_HEAP = {"Type": "D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP", "ExistingHeapData": {"Size": 0x10000}}
_STANDARD = {"Flags": ["StandardAllocation", "ExistingSysMem"], "pStandardAllocation": _HEAP}


_RUNTIME = {"pPrivateRuntimeData": DATA[:4]}


def _creations(elements: str) -> Callable[[Handles], list[dict[str, Any]]]:
    def variants(handles: Handles) -> list[dict[str, Any]]:
        plain = {"hResource": 0, elements: [_ALLOCATION], "pStandardAllocation": ABSENT}
        standard = {**plain, **_STANDARD, elements: [{"pSystemMem": 0x10000}]}
        wrong_standards = (
            {**standard, "pStandardAllocation": {**_HEAP, "Flags": 1}},
            {**standard, elements: [{}]},
        )
        shared = {**plain, "Flags": ["CreateResource", "CreateShared"]}
        existing = {**plain, "hResource": handles["resource"][0]}
        return [plain, standard, shared, existing, *wrong_standards]

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


def _mutex_uses(handles: Handles) -> list[dict[str, Any]]:
    return [{"hKeyedMutex": handles["held mutex"][0]}, {"hKeyedMutex": handles["keyed mutex"][0]}]


def _acquisitions(handles: Handles) -> list[dict[str, Any]]:
    return [{}, {"hKeyedMutex": handles["held mutex"][0], "pTimeout": 0}]


_OWNERS: list[dict[str, Any]] = [{}, {"pType": [99], "pVidPnSourceId": [0], "VidPnSourceCount": 1}]
_IN_USE = {"BaseAddress": 0x10000, "Size": 0x10000}
_BEHIND = {"BaseAddress": (1 << 64) - 0x10000, "Size": 0x20000}

VARIANTS: Mapping[str, Callable[[Handles], list[dict[str, Any]]]] = {
    "D3DKMTOpenAdapterFromLuid": _one(AdapterLuid={"LowPart": 1, "HighPart": 0}),
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
    "D3DKMTOpenKeyedMutex2": lambda handles: [{"hSharedHandle": handles["shared mutex"][0]}],
    "D3DKMTReleaseKeyedMutex": _mutex_uses,
    "D3DKMTReleaseKeyedMutex2": _mutex_uses,
    "D3DKMTAcquireKeyedMutex": _acquisitions,
    "D3DKMTAcquireKeyedMutex2": _acquisitions,
    "D3DKMTDestroyAllocation": _destructions,
    "D3DKMTDestroyAllocation2": _destructions,
    "D3DKMTLock2": lambda handles: [{}, {"Flags": 1}],
    "D3DKMTEscape": lambda handles: [{}, dict.fromkeys(("hAdapter", "hDevice", "hContext"), ABSENT)],
    "D3DKMTReserveGpuVirtualAddress": lambda handles: [{"Size": 0x10000}, _IN_USE, _BEHIND],
    "D3DKMTFreeGpuVirtualAddress": lambda handles: [{"BaseAddress": 0x10000, "Size": 0x30000}, _IN_USE],
    "D3DKMTMapGpuVirtualAddress": lambda handles: [
        {"SizeInPages": 1},
        {"SizeInPages": 1, "BaseAddress": 0x20010},
        {"SizeInPages": 1 << 40},
        {"SizeInPages": 1, "OffsetInPages": 1 << 40},
        {"SizeInPages": 2, "BaseAddress": (1 << 64) - 0x1000},
        {"SizeInPages": 16, "BaseAddress": 0x38000},
    ],
    "NtCreateSection": _one(MaximumSize=65536),
    "D3DKMTSetVidPnSourceOwner": lambda handles: _OWNERS,
    "D3DKMTSetVidPnSourceOwner1": lambda handles: _OWNERS,
    "D3DKMTSetVidPnSourceOwner2": lambda handles: _OWNERS,
    "D3DKMTOpenNtHandleFromName": lambda handles: [{"pObjAttrib": {"ObjectName": NAME}, "dwDesiredAccess": 1}],
    "D3DKMTOpenSynchronizationObject": lambda handles: [{"hSharedHandle": handles["shared semaphore"][0]}],
    "D3DKMTOpenResource": _openings("pOpenAllocationInfo"),
    "D3DKMTOpenResource2": _openings("pOpenAllocationInfo2"),
    "D3DKMTGetRuntimeData": _one(pRuntimeData=DATA[:4]),
    "D3DKMTCreateSynchronizationObject": _one(
        Info={"Type": "D3DDDI_SEMAPHORE", "Semaphore": {"MaxCount": 2, "InitialCount": 1}}
    ),
    "D3DKMTCreateSynchronizationObject2": lambda handles: [
        {"Info": {"Type": "D3DDDI_MONITORED_FENCE"}},
        {"Info": {"Type": "D3DDDI_SEMAPHORE", "Semaphore": {"MaxCount": 2, "InitialCount": 1}}},
        {"Info": {"Type": "D3DDDI_MONITORED_FENCE", "Flags": ["Shared", "NtSecuritySharing"]}},
    ],
    "D3DKMTSubmitCommand": lambda handles: [
        {"BroadcastContextCount": 1, "BroadcastContext": handles["context"][:1], "HistoryBufferArray": ABSENT}
    ],
    "D3DKMTSubmitCommandToHwQueue": _one(WrittenPrimaries=ABSENT),
    "D3DKMTShareObjects": lambda handles: [
        {"hObjects": handles["sync object"][1:2], "pObjectAttributes": attributes, "dwDesiredAccess": ALL_ACCESS}
        for attributes in ({}, {"ObjectName": NAME})
    ],
    "D3DKMTOpenSyncObjectNtHandleFromName": _one(dwDesiredAccess=ALL_ACCESS, pObjAttrib={"ObjectName": NAME}),
    "D3DKMTQueryVideoMemoryInfo": _one(hProcess=0),
    "D3DKMTChangeVideoMemoryReservation": _one(hProcess=0),
    "D3DKMTSignalSynchronizationObjectFromCpu": _one(FenceValueArray=[1]),
    "D3DKMTWaitForSynchronizationObjectFromCpu": _one(FenceValueArray=[0]),
}
