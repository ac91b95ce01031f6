"""A process with an object of each kind that calls can create, written to a trace call by call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekmt.atlas.objects import DATA, EVENT_NAME, HEAP, NAME, PAGES, RESOURCE_NAME, SECTION_NAME
from tracekmt.atlas.scene import Scene
from tracekmt.calls import CALLS
from tracekmt.calls.nt_calls import CURRENT_PROCESS
from tracekmt.simulator import Simulator
from tracekmt.simulator.model.nt_handles import ALL_ACCESS
from tracekmt.trace.builder import Builder

_DESCRIPTIONS: tuple[tuple[str, Any], ...] = (
    ("KMTQAITYPE_ADAPTERREGISTRYINFO", {}),
    ("KMTQAITYPE_PHYSICALADAPTERDEVICEIDS", {}),
    ("KMTQAITYPE_DRIVERVERSION", 0),
    ("KMTQAITYPE_KMD_DRIVER_VERSION", {}),
    ("KMTQAITYPE_UMD_DRIVER_VERSION", {}),
)
"""Queries whose answers name the adapter and its driver, each with an empty buffer."""

RESERVED = range(0x10000, 0x40000)
"""GPU addresses that are reserved."""

_SYNCHRONIZE = 0x100000

_SHARED = ["CreateResource", "CreateShared"]
_NT_SHARED = [*_SHARED, "NtSecuritySharing"]


class World:
    """Makes calls on a simulator, and writes them to a trace.

    Attributes:
        simulator: The simulator.
        main: Valid objects of each kind.
        scenes: Objects in other states, such as those of a lost device.
        needs: Indexes of the calls that created an object and changed its state, by its handle.
        names: Index of the call that creates the object with a name.
        reservation: Index of the call that reserves GPU addresses.
        count: Number of calls in the trace.
    """

    def __init__(self, simulator: Simulator, builder: Builder) -> None:
        self.simulator, self._builder = simulator, builder
        self.main = self._scene = Scene()
        self.scenes: list[Scene] = []
        self.needs: dict[int, tuple[int, ...]] = {}
        self.names: dict[str, int] = {}
        self.reservation = -1
        self.count = 0

    def call(self, name: str, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
        """Make a call, and return its outputs."""
        result = self.simulator.call(name, inputs)
        self._builder.add(name, inputs, result.outputs, result.status.name)
        self.count += 1
        return result.outputs if isinstance(result.outputs, dict) else {}

    def build(self) -> None:
        """Open an adapter, and create the objects."""
        adapter = self._create("D3DKMTOpenAdapterFromLuid", "hAdapter", AdapterLuid={"LowPart": 1, "HighPart": 0})
        for kind, empty in _DESCRIPTIONS:
            self.call("D3DKMTQueryAdapterInfo", {"hAdapter": adapter, "Type": kind, "pPrivateDriverData": empty})
        device = self._create_device(adapter)
        self._create_mutexes()
        self._create_nt_objects()
        reserved = {"BaseAddress": RESERVED.start, "Size": len(RESERVED)}
        self.call("D3DKMTReserveGpuVirtualAddress", {"hPagingQueue": self._own("paging queue"), **reserved})
        self.reservation = self.count - 1
        self._create_states(adapter, device)

    def _create_states(self, adapter: int, device: int) -> None:
        """Create the objects of the further scenes."""
        self._begin_scene()
        lost = self._create_device(adapter)
        self.call("D3DKMTMarkDeviceAsError", {"hDevice": lost})
        mark = self.count - 1
        for handle in {handle for handles in self._scene.own.values() for handle in handles}:
            self.needs[handle] += (mark,)
        self._begin_scene()
        offered = self._create_allocation(device)
        list_ = {"HandleList": [offered], "Priority": "D3DKMT_OFFER_PRIORITY_LOW"}
        self.call("D3DKMTOfferAllocations", {"hDevice": device, **list_})
        self.needs[offered] += (self.count - 1,)
        self._begin_scene()
        context = {"hDevice": device, "ClientHint": "D3DKMT_CLIENTHINT_DX9"}
        self._create("D3DKMTCreateContext", "hContext", **context)
        self._create_heap(device)
        self._create_abandoned_mutex()

    def _begin_scene(self) -> None:
        self._scene = Scene(self.main.own)
        self.scenes.append(self._scene)

    def _own(self, kind: str) -> int:
        return self._scene.own[kind][0]

    def _add(self, kind: str, handle: int) -> int:
        """Add a handle that the last call returned."""
        self._scene.own[kind].append(handle)
        self.needs[handle] = (self.count - 1,)
        return handle

    def _create(self, name: str, output: str, **inputs: Any) -> int:
        handle = int(self.call(name, inputs)[output])
        kind = next(creates.kind for creates in CALLS[name].creates if creates.path == output)
        return self._add(kind.space.name, handle)

    def _create_device(self, adapter: int) -> int:
        """Create a device, and objects on it."""
        device = self._create("D3DKMTCreateDevice", "hDevice", hAdapter=adapter)
        for flags in (["CreateResource"], _SHARED, [], _NT_SHARED):
            self._create_allocation(device, *flags)
        self._create("D3DKMTCreatePagingQueue", "hPagingQueue", hDevice=device)
        self._create("D3DKMTCreateContextVirtual", "hContext", hDevice=device)
        hardware_context = self._create("D3DKMTCreateHwContext", "hHwContext", hDevice=device)
        self._create("D3DKMTCreateHwQueue", "hHwQueue", hHwContext=hardware_context)
        self._create_sync_objects(device)
        self.call("D3DKMTLock2", {"hDevice": device, "hAllocation": self._own("allocation")})
        return device

    def _create_allocation(self, device: int, *flags: str) -> int:
        inputs = {
            "hDevice": device,
            "pAllocationInfo2": [{"pPrivateDriverData": DATA}],
            "pPrivateRuntimeData": DATA[:4],
            "Flags": list(flags),
        }
        outputs = self.call("D3DKMTCreateAllocation2", inputs)
        if flags:
            self._add("nt resource" if "NtSecuritySharing" in flags else "resource", outputs["hResource"])
        if outputs["hGlobalShare"]:
            self._add("global share", outputs["hGlobalShare"])
        kind = "nt allocation" if "NtSecuritySharing" in flags else "allocation"
        return self._add(kind, outputs["pAllocationInfo2"][0]["hAllocation"])

    def _create_heap(self, device: int) -> None:
        """Create an allocation in memory of the program, whose size no driver decides."""
        inputs = {"hDevice": device, **HEAP, "pAllocationInfo2": [{"pSystemMem": 0x10000}]}
        outputs = self.call("D3DKMTCreateAllocation2", inputs)
        self._add("allocation", outputs["pAllocationInfo2"][0]["hAllocation"])

    def _create_sync_objects(self, device: int) -> None:
        for info in (
            {"Type": "D3DDDI_MONITORED_FENCE"},
            {"Type": "D3DDDI_MONITORED_FENCE", "Flags": ["Shared", "NtSecuritySharing"]},
            {"Type": "D3DDDI_FENCE"},
            {"Type": "D3DDDI_MONITORED_FENCE", "Flags": ["NoSignal"]},
            {"Type": "D3DDDI_MONITORED_FENCE", "Flags": ["NoWait"]},
            {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 8}},
        ):
            self._create("D3DKMTCreateSynchronizationObject2", "hSyncObject", hDevice=device, Info=info)
        semaphore = {"Type": "D3DDDI_SEMAPHORE", "Flags": ["Shared"], "Semaphore": {"MaxCount": 2, "InitialCount": 1}}
        outputs = self.call("D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": semaphore})
        self._add("sync object", outputs["hSyncObject"])
        self._add("shared semaphore", outputs["Info"]["SharedHandle"])

    def _create_mutexes(self) -> None:
        for use in ("shared mutex", "held mutex"):
            outputs = self.call("D3DKMTCreateKeyedMutex", {"InitialValue": 0})
            self._add("keyed mutex", outputs["hKeyedMutex"])
            self._add(use, outputs["hSharedHandle" if use == "shared mutex" else "hKeyedMutex"])
        self.call("D3DKMTAcquireKeyedMutex", {"hKeyedMutex": self._own("held mutex"), "Key": 0, "pTimeout": 0})
        self.needs[self._own("held mutex")] += (self.count - 1,)
        outputs = self.call("D3DKMTCreateKeyedMutex2", {"InitialValue": 0, "pPrivateRuntimeData": DATA[:8]})
        self._add("mutex with data", outputs["hSharedHandle"])

    def _create_abandoned_mutex(self) -> None:
        """Create a mutex with two handles, and destroy the one that holds it."""
        outputs = self.call("D3DKMTCreateKeyedMutex", {"InitialValue": 0})
        created = self.count - 1
        other = self._create("D3DKMTOpenKeyedMutex", "hKeyedMutex", hSharedHandle=outputs["hSharedHandle"])
        self.call("D3DKMTAcquireKeyedMutex", {"hKeyedMutex": outputs["hKeyedMutex"], "Key": 0, "pTimeout": 0})
        self.call("D3DKMTDestroyKeyedMutex", {"hKeyedMutex": outputs["hKeyedMutex"]})
        self.needs[other] = (created, *self.needs[other], self.count - 2, self.count - 1)

    def _create_nt_objects(self) -> None:
        """Share objects by NT handles, and create other NT objects."""
        fence = self.main.own["sync object"][1]
        self._share("shared fence", [fence], NAME)
        self._share("shared resource", self.main.own["nt resource"], RESOURCE_NAME)
        inputs = {"InitialValue": 0, "pPrivateRuntimeData": DATA[:8], "Flags": ["NtSecuritySharing"]}
        mutex = self.call("D3DKMTCreateKeyedMutex2", inputs)["hKeyedMutex"]
        self._share("shared bundle", [self._create_bundled_resource(), mutex, fence], "")
        named = {"DesiredAccess": ALL_ACCESS, "ObjectAttributes": {"ObjectName": EVENT_NAME}}
        self._add_nt("event", self.call("NtCreateEvent", named)["EventHandle"])
        self.names[EVENT_NAME] = self.count - 1
        named = {**named, "ObjectAttributes": {"ObjectName": SECTION_NAME}, "MaximumSize": 0x10000}
        self._add_nt("section", self.call("NtCreateSection", {**named, **PAGES})["SectionHandle"])
        self.names[SECTION_NAME] = self.count - 1
        closed = self.call("NtCreateEvent", {"DesiredAccess": ALL_ACCESS})["EventHandle"]
        self._add_nt("closed handle", closed)
        self.call("NtClose", {"Handle": closed})
        self.needs[closed] += (self.count - 1,)
        own = dict.fromkeys(("SourceProcessHandle", "SourceHandle", "TargetProcessHandle"), CURRENT_PROCESS[0])
        limited = self.call("NtDuplicateObject", {**own, "TargetHandle": 0, "DesiredAccess": _SYNCHRONIZE})
        self._add_nt("limited process", limited["TargetHandle"])

    def _add_nt(self, use: str, handle: int) -> None:
        self._scene.own[use].append(handle)
        self._add("nt handle", handle)

    def _create_bundled_resource(self) -> int:
        device = self.main.own["device"][0]
        inputs = {"hDevice": device, "pAllocationInfo2": [{"pPrivateDriverData": DATA}], "Flags": _NT_SHARED}
        return int(self.call("D3DKMTCreateAllocation2", inputs)["hResource"])

    def _share(self, use: str, objects: list[int], name: str) -> None:
        attributes = {"ObjectName": name} if name else {}
        inputs = {"hObjects": objects, "pObjectAttributes": attributes, "dwDesiredAccess": ALL_ACCESS}
        outputs = self.call("D3DKMTShareObjects", {**inputs, "phSharedNtHandle": 0})
        self._add_nt(use, outputs["phSharedNtHandle"])
        if name:
            self.names[name] = self.count - 1
