"""Fields of valid inputs that no description tells, by function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tracekmt.atlas.objects import DATA, NAME

Handles = Mapping[str, list[int]]
ABSENT = object()
"""Mark of a field that the inputs do not have."""

_ALLOCATION = {"pPrivateDriverData": DATA}
_HEAP = {"Type": "D3DKMT_STANDARDALLOCATIONTYPE_EXISTINGHEAP", "ExistingHeapData": {"Size": 0x10000}}
_STANDARD = {"Flags": ["StandardAllocation", "ExistingSysMem"], "pStandardAllocation": _HEAP}


def _creations(elements: str) -> Callable[[Handles], list[dict[str, Any]]]:
    def variants(handles: Handles) -> list[dict[str, Any]]:
        plain = {"hResource": 0, elements: [_ALLOCATION], "pStandardAllocation": ABSENT}
        standard = {**plain, **_STANDARD, elements: [{"pSystemMem": 0x10000}]}
        shared = {**plain, "Flags": ["CreateResource", "CreateShared"]}
        existing = {**plain, "hResource": handles["resource"][0]}
        return [plain, standard, shared, existing]

    return variants


def _one(**fields: Any) -> Callable[[Handles], list[dict[str, Any]]]:
    return lambda handles: [fields]


def _with_lists(handles: Handles) -> list[dict[str, Any]]:
    return [{"pResources": ABSENT}, {"HandleList": ABSENT, "pResources": handles["resource"][:1]}]


_RUNTIME = {"pPrivateRuntimeData": DATA[:4]}

VALID: Mapping[str, Callable[[Handles], list[dict[str, Any]]]] = {
    "D3DKMTOpenAdapterFromLuid": _one(AdapterLuid={"LowPart": 1, "HighPart": 0}),
    "D3DKMTCreateAllocation": _creations("pAllocationInfo"),
    "D3DKMTCreateAllocation2": _creations("pAllocationInfo2"),
    "D3DKMTQueryAllocationResidency": lambda handles: [{"hResource": 0}, {"phAllocationList": ABSENT}],
    "D3DKMTOfferAllocations": _with_lists,
    "D3DKMTReclaimAllocations": _with_lists,
    "D3DKMTReclaimAllocations2": _with_lists,
    "D3DKMTQueryAdapterInfo": _one(Type="KMTQAITYPE_ADAPTERTYPE", pPrivateDriverData=0),
    "D3DKMTOpenKeyedMutex": lambda handles: [{"hSharedHandle": handles["shared mutex"][0]}],
    "D3DKMTOpenKeyedMutex2": lambda handles: [{"hSharedHandle": handles["shared mutex"][0]}],
    "D3DKMTReleaseKeyedMutex": lambda handles: [{"hKeyedMutex": handles["held mutex"][0]}],
    "D3DKMTReleaseKeyedMutex2": lambda handles: [{"hKeyedMutex": handles["held mutex"][0]}],
    "D3DKMTOpenSynchronizationObject": lambda handles: [{"hSharedHandle": handles["shared semaphore"][0]}],
    "D3DKMTOpenResource": _one(**_RUNTIME),
    "D3DKMTOpenResource2": _one(**_RUNTIME),
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
        {"hObjects": handles["sync object"][1:2], "pObjectAttributes": {}, "dwDesiredAccess": 0x1FFFFF}
    ],
    "D3DKMTOpenSyncObjectNtHandleFromName": _one(dwDesiredAccess=0x1FFFFF, pObjAttrib={"ObjectName": NAME}),
    "D3DKMTQueryVideoMemoryInfo": _one(hProcess=0),
    "D3DKMTChangeVideoMemoryReservation": _one(hProcess=0),
    "D3DKMTSignalSynchronizationObjectFromCpu": _one(FenceValueArray=[1]),
    "D3DKMTWaitForSynchronizationObjectFromCpu": _one(FenceValueArray=[0]),
}
