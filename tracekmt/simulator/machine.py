"""The machine that the simulator plays, and the processes on it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from tracekmt.errors import UsageError
from tracekmt.simulator.handles import GlobalHandles, HandleTable
from tracekmt.simulator.objects import Adapter, Allocation, Device, OpenAdapter, Resource


@dataclass
class Machine:
    """What the processes share. system_memory: bytes for the kernel's own records and for the memory that
    allocations pin; None is as much as anyone asks for."""

    adapters: list[Adapter]
    system_memory: int | None = None
    system_memory_used: int = 0
    shares: GlobalHandles = field(default_factory=GlobalHandles)
    # Calls may come from many threads; the kernel's own locks are not modelled, one call is answered after another.
    lock: threading.Lock = field(default_factory=threading.Lock)

    def adapter(self, luid: tuple[int, int]) -> Adapter | None:
        """The adapter with a LUID, given as (LowPart, HighPart)."""
        return next((adapter for adapter in self.adapters if adapter.luid == luid), None)

    def settings(self) -> dict[str, Any]:
        """What a like machine is made of: the keywords of Simulator."""
        return {
            "adapters": [adapter.settings() for adapter in self.adapters],
            "system_memory": self.system_memory,
        }


class Process:
    """A process on a machine: its handles, and what becomes of the objects behind them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.handles = HandleTable()

    def adopt(self, kind: str, device: int = 0, resource: int = 0) -> int:
        """A handle to an object that was made before anyone looked, for a trace that begins in the middle.

        kind: "adapter", "device", "resource" or "allocation"; the latter two belong to the device with the handle
        given, an allocation also to the resource, if one is given. UsageError for what cannot be adopted.
        """
        if kind == "adapter":
            return self.handles.add(OpenAdapter(self.machine.adapters[0]))
        if kind == "device":
            return self.handles.add(Device(self.machine.adapters[0]))
        owner = self.handles.get(device, Device)
        if owner is None:
            raise UsageError(f"a {kind} cannot be adopted without the device that it belongs to")
        if kind == "resource":
            group = Resource(owner, shared=False)
            handle = self.handles.add(group)
            owner.resources[handle] = group
            return handle
        if kind == "allocation":
            within = self.handles.get(resource, Resource)
            member = Allocation(owner, within, 0, 0)
            handle = self.handles.add(member)
            owner.allocations[handle] = member
            if within is not None:
                within.allocations[handle] = member
            return handle
        raise UsageError(f"a {kind} cannot be adopted")

    def destroy_resource(self, device: Device, handle: int) -> None:
        """End a resource of a device and everything in it."""
        resource = device.resources.pop(handle)
        for member in list(resource.allocations):
            self.destroy_allocation(device, member)
        if resource.global_share:
            self.machine.shares.remove(resource.global_share)
        self.handles.remove(handle)

    def destroy_allocation(self, device: Device, handle: int) -> None:
        """End an allocation of a device and give back its memory."""
        gone: Allocation = device.allocations.pop(handle)
        if gone.resource is not None:
            del gone.resource.allocations[handle]
        device.adapter.video_memory_used -= gone.video_memory
        self.machine.system_memory_used -= gone.system_memory
        self.handles.remove(handle)
