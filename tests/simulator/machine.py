"""Short calls of a simulator that has a device."""

from __future__ import annotations

from typing import Any

from tests.conftest import open_device
from tracekmt.simulator import Simulator
from tracekmt.simulator.simulator import CallResult

SENTINEL = 0x1EADBEED
RUNTIME, MUTEX_DATA = b"\x09\x08\x07\x06", bytes(range(20))
HEAP = {"Type": 1, "ExistingHeapData": {"Size": 0x10000}}


class Caller:
    """A process of a simulated machine, with an adapter handle and a device."""

    def __init__(self, simulator: Simulator, adapter: int, device: int) -> None:
        self.simulator, self.adapter, self.device = simulator, adapter, device

    def __call__(self, name: str, inputs: Any = None, **fields: Any) -> CallResult:
        prefix = "" if name.startswith("Nt") else "D3DKMT"
        return self.simulator.call(prefix + name, fields if inputs is None else inputs)

    def status(self, name: str, inputs: Any = None, **fields: Any) -> str:
        """Return the status of a call, without STATUS_."""
        return self(name, inputs, **fields).status.name.removeprefix("STATUS_")

    def outputs(self, name: str, **fields: Any) -> Any:
        """Return the outputs of a call that must succeed."""
        result = self(name, **fields)
        assert result.status == 0, result.rule
        return result.outputs

    def resource(self, *flags: str, **fields: Any) -> Any:
        """Create a resource with one standard allocation, and return the outputs."""
        return self.outputs(
            "CreateAllocation2",
            hDevice=self.device,
            pStandardAllocation=HEAP,
            pAllocationInfo2=[{"pSystemMem": 0x10000, "pPrivateDriverData": b"0123456789"}],
            pPrivateRuntimeData=RUNTIME,
            Flags=["StandardAllocation", "ExistingSysMem", "CreateResource", *flags],
            **fields,
        )

    def sync(self, type_: int = 1, *flags: str, **info_fields: Any) -> Any:
        """Create a synchronization object, and return the outputs."""
        info = {"Type": type_, "Flags": list(flags), "SharedHandle": SENTINEL, **info_fields}
        return self.outputs("CreateSynchronizationObject2", hDevice=self.device, hSyncObject=SENTINEL, Info=info)

    def share_objects(self, *objects: int, name: str | None = None, access: int = 0x20000) -> CallResult:
        """Call ShareObjects."""
        attributes = {"ObjectName": name} if name else {}
        return self("ShareObjects", hObjects=list(objects), pObjectAttributes=attributes, dwDesiredAccess=access)

    def nt_handle(self, *objects: int, name: str | None = None) -> int:
        """Share objects and return their NT handle."""
        result = self.share_objects(*objects, name=name)
        assert result.status == 0, result.rule
        handle = result.outputs["phSharedNtHandle"]
        assert isinstance(handle, int)
        assert handle
        assert not handle & 0xC0000000
        return handle

    def another_process(self) -> Caller:
        """Create another process on the machine, with its own device."""
        process = self.simulator.process()
        adapter = process.call("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}).outputs["hAdapter"]
        return Caller(process, adapter, process.call("D3DKMTCreateDevice", {"hAdapter": adapter}).outputs["hDevice"])


def new_caller(**settings: Any) -> Caller:
    """Create a machine with one process."""
    return Caller(*open_device(**settings))


def is_local(handle: int) -> bool:
    return bool(handle & 0xC0000000) and not handle & 0x3F


def is_global(handle: int) -> bool:
    return bool(handle & 0xC0000000) and handle & 0x3F == 2
