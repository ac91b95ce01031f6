"""A simulator with a device, and calls that say only what matters."""

from __future__ import annotations

from typing import Any

from tests.conftest import open_device
from tracekmt.simulator import Simulator
from tracekmt.simulator.simulator import CallResult

SENTINEL = 0x1EADBEED
RUNTIME, MUTEX_DATA = b"\x09\x08\x07\x06", bytes(range(20))
HEAP = {"Type": 1, "ExistingHeapData": {"Size": 0x10000}}


class Played:
    """One process of a simulated machine."""

    def __init__(self, simulator: Simulator, adapter: int, device: int) -> None:
        self.simulator, self.adapter, self.device = simulator, adapter, device

    def __call__(self, name: str, inputs: Any = None, **fields: Any) -> CallResult:
        prefix = "" if name.startswith("Nt") else "D3DKMT"
        return self.simulator.call(prefix + name, fields if inputs is None else inputs)

    def status(self, name: str, inputs: Any = None, **fields: Any) -> str:
        """How a call ends, without STATUS_."""
        return self(name, inputs, **fields).status.name.removeprefix("STATUS_")

    def made(self, name: str, **fields: Any) -> Any:
        """The outputs of a call that succeeds."""
        outcome = self(name, **fields)
        assert outcome.status == 0, outcome.rule
        return outcome.outputs

    def resource(self, *flags: str, **fields: Any) -> Any:
        """A resource with one standard allocation."""
        return self.made(
            "CreateAllocation2",
            hDevice=self.device,
            pStandardAllocation=HEAP,
            pAllocationInfo2=[{"pSystemMem": 0x10000, "pPrivateDriverData": b"0123456789"}],
            pPrivateRuntimeData=RUNTIME,
            Flags=["StandardAllocation", "ExistingSysMem", "CreateResource", *flags],
            **fields,
        )

    def sync(self, kind: int = 1, *flags: str, **more: Any) -> Any:
        """A synchronization object."""
        info = {"Type": kind, "Flags": list(flags), "SharedHandle": SENTINEL, **more}
        return self.made("CreateSynchronizationObject2", hDevice=self.device, hSyncObject=SENTINEL, Info=info)

    def share(self, *objects: int, name: str | None = None, access: int = 0x20000) -> CallResult:
        """ShareObjects."""
        attributes = {"ObjectName": name} if name else {}
        return self("ShareObjects", hObjects=list(objects), pObjectAttributes=attributes, dwDesiredAccess=access)

    def shared(self, *objects: int, name: str | None = None) -> int:
        """The NT handle of objects that can be shared."""
        outcome = self.share(*objects, name=name)
        assert outcome.status == 0, outcome.rule
        handle = outcome.outputs["phSharedNtHandle"]
        assert isinstance(handle, int)
        assert handle
        assert not handle & 0xC0000000
        return handle

    def another(self) -> Played:
        """Another process of the machine, with a device of its own."""
        process = self.simulator.process()
        adapter = process.call("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}).outputs["hAdapter"]
        return Played(process, adapter, process.call("D3DKMTCreateDevice", {"hAdapter": adapter}).outputs["hDevice"])


def play(**settings: Any) -> Played:
    """A fresh machine."""
    return Played(*open_device(**settings))


def is_local(handle: int) -> bool:
    return bool(handle & 0xC0000000) and not handle & 0x3F


def is_global(handle: int) -> bool:
    return bool(handle & 0xC0000000) and handle & 0x3F == 2
