"""A process with an object of each kind that calls can create, written to a trace call by call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tracekmt.atlas.objects import DATA, NAME
from tracekmt.calls import CALLS
from tracekmt.simulator import Simulator
from tracekmt.simulator.model.nt_handles import ALL_ACCESS
from tracekmt.spec.types import Kind
from tracekmt.trace.builder import Builder

_DESCRIPTIONS: tuple[tuple[str, Any], ...] = (
    ("KMTQAITYPE_ADAPTERREGISTRYINFO", {}),
    ("KMTQAITYPE_PHYSICALADAPTERDEVICEIDS", {}),
    ("KMTQAITYPE_DRIVERVERSION", 0),
    ("KMTQAITYPE_KMD_DRIVER_VERSION", {}),
    ("KMTQAITYPE_UMD_DRIVER_VERSION", {}),
)
"""Queries whose answers name the adapter and its driver, each with an empty buffer."""


class World:
    """Makes calls on a simulator, and writes them to a trace.

    Attributes:
        simulator: The simulator.
        handles: Live handles by the name of their kind.
        count: Number of calls in the trace.
    """

    def __init__(self, simulator: Simulator, builder: Builder) -> None:
        self.simulator, self._builder = simulator, builder
        self.handles: dict[str, list[int]] = defaultdict(list)
        self.count = 0

    def call(self, name: str, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
        """Make a call, and return its outputs."""
        result = self.simulator.call(name, inputs)
        self._builder.add(name, inputs, result.outputs, result.status.name)
        self.count += 1
        return result.outputs if isinstance(result.outputs, dict) else {}

    def of(self, kind: Kind) -> list[int]:
        """Return the live handles of a kind, or of its alternatives."""
        return [handle for space in kind.spaces for handle in self.handles.get(space, ())]

    def build(self) -> None:
        """Open an adapter, and create the objects."""
        adapter = self._create("OpenAdapterFromLuid", "hAdapter", AdapterLuid={"LowPart": 1, "HighPart": 0})
        for kind, empty in _DESCRIPTIONS:
            self.call("D3DKMTQueryAdapterInfo", {"hAdapter": adapter, "Type": kind, "pPrivateDriverData": empty})
        device = self._create("CreateDevice", "hDevice", hAdapter=adapter)
        self._create_allocations(device)
        queue = self._create("CreatePagingQueue", "hPagingQueue", hDevice=device)
        self._create("CreateContextVirtual", "hContext", hDevice=device)
        hardware_context = self._create("CreateHwContext", "hHwContext", hDevice=device)
        self._create("CreateHwQueue", "hHwQueue", hHwContext=hardware_context)
        self._create_sync_objects(device)
        self._share()
        self.call("D3DKMTReserveGpuVirtualAddress", {"hPagingQueue": queue, "BaseAddress": 0x10000, "Size": 0x30000})

    def _create(self, name: str, output: str, **inputs: Any) -> int:
        spec = CALLS[f"D3DKMT{name}"]
        outputs = self.call(spec.name, inputs)
        handle = outputs.get(output, 0)
        kind = next(creates.kind for creates in spec.creates if creates.path == output)
        self.handles[kind.name].append(handle)
        return int(handle)

    def _create_allocations(self, device: int) -> None:
        for flags in (["CreateResource"], ["CreateResource", "CreateShared"], []):
            inputs = {
                "hDevice": device,
                "pAllocationInfo2": [{"pPrivateDriverData": DATA}],
                "pPrivateRuntimeData": DATA[:4],
                "Flags": flags,
            }
            outputs = self.call("D3DKMTCreateAllocation2", inputs)
            self.handles["allocation"].append(outputs["pAllocationInfo2"][0]["hAllocation"])
            if flags:
                self.handles["resource"].append(outputs["hResource"])
            if "CreateShared" in flags:
                self.handles["global share"].append(outputs["hGlobalShare"])

    def _create_sync_objects(self, device: int) -> None:
        for info in (
            {"Type": "D3DDDI_MONITORED_FENCE"},
            {"Type": "D3DDDI_MONITORED_FENCE", "Flags": ["Shared", "NtSecuritySharing"]},
            {"Type": "D3DDDI_FENCE"},
            {"Type": "D3DDDI_MONITORED_FENCE", "Flags": ["NoSignal"]},
            {"Type": "D3DDDI_MONITORED_FENCE", "Flags": ["NoWait"]},
        ):
            outputs = self.call("D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": info})
            self.handles["sync object"].append(outputs["hSyncObject"])
        for use in ("shared mutex", "held mutex"):
            outputs = self.call("D3DKMTCreateKeyedMutex", {"InitialValue": 0})
            self.handles["keyed mutex"].append(outputs["hKeyedMutex"])
            self.handles[use].append(outputs["hSharedHandle" if use == "shared mutex" else "hKeyedMutex"])
        self.call("D3DKMTAcquireKeyedMutex", {"hKeyedMutex": self.handles["held mutex"][0], "Key": 0})
        semaphore = {"Type": "D3DDDI_SEMAPHORE", "Flags": ["Shared"], "Semaphore": {"MaxCount": 2, "InitialCount": 1}}
        outputs = self.call("D3DKMTCreateSynchronizationObject2", {"hDevice": device, "Info": semaphore})
        self.handles["sync object"].append(outputs["hSyncObject"])
        self.handles["shared semaphore"].append(outputs["Info"]["SharedHandle"])
        self.call("D3DKMTLock2", {"hDevice": device, "hAllocation": self.handles["allocation"][0]})

    def _share(self) -> None:
        inputs = {"hObjects": [self.handles["sync object"][1]], "pObjectAttributes": {"ObjectName": NAME}}
        outputs = self.call("D3DKMTShareObjects", {**inputs, "dwDesiredAccess": ALL_ACCESS, "phSharedNtHandle": 0})
        self.handles["nt handle"].append(outputs.get("phSharedNtHandle", 0))
