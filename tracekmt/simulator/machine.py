"""The machine that the simulator plays, and the processes on it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.errors import UsageError
from tracekmt.memory import Arena, Fault, Memory, Recorded
from tracekmt.ntstatus import Status, status
from tracekmt.simulator import adapter, allocation, device
from tracekmt.simulator.handles import GlobalHandles, HandleTable
from tracekmt.simulator.objects import Adapter, Allocation, Device, OpenAdapter, Resource, adapter_from
from tracekmt.simulator.request import UNREADABLE, Behaviour, Rule
from tracekmt.sizes import parse_size
from tracekmt.spec.types import Abi

BEHAVIOURS: dict[str, Behaviour] = {**adapter.BEHAVIOURS, **device.BEHAVIOURS, **allocation.BEHAVIOURS}
PROFILES = ("windows",)


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


@dataclass(frozen=True)
class Outcome:
    """How a call ended: its status, the whole argument after it (a dict, None for NULL), and the rule that refused it,
    if one did."""

    status: Status
    outputs: Any
    rule: Rule | None = None


class Simulator:
    """One process on a simulated machine.

    adapters: the machine's adapters, as tables of settings (luid, name, video_memory, wddm, stops_after); one with
    LUID (1, 0) by default. video_memory sets the budget of every adapter, system_memory the machine's; both take
    bytes or "64MB".
    """

    def __init__(
        self,
        profile: str = "windows",
        *,
        adapters: Sequence[Any] | None = None,
        video_memory: int | str | None = None,
        system_memory: int | str | None = None,
    ) -> None:
        if profile not in PROFILES:
            raise UsageError(f"{profile} is no profile of the simulator; there is {', '.join(PROFILES)}")
        made = [adapter_from(settings) for settings in adapters] if adapters else [Adapter()]
        if video_memory is not None:
            for each in made:
                each.video_memory = parse_size(video_memory)
        self.machine = Machine(made, None if system_memory is None else parse_size(system_memory))
        self.handles = HandleTable()

    def process(self) -> Simulator:
        """Another process on the same machine."""
        other = object.__new__(Simulator)
        other.machine = self.machine
        other.handles = HandleTable()
        return other

    def stop_adapter(self, luid: tuple[int, int] = (1, 0)) -> None:
        """Stop an adapter, as when it is reset or unplugged. UsageError where none has this LUID."""
        found = self.machine.adapter(luid)
        if found is None:
            raise UsageError(f"no adapter has the LUID {luid}")
        found.stop()

    def call(self, name: str, inputs: Any) -> Outcome:
        """Make a call with an argument in the value form; None is NULL. UsageError for what cannot be laid out."""
        call = CALLS.get(name)
        if call is None:
            raise UsageError(f"{name} is not described; tracekmt calls lists the functions that are")
        arena = Arena("x64", 1)
        address = codec.encode(call, "x64", arena, inputs)
        before = Recorded(arena.regions())
        rule = self.invoke(name, "x64", arena, address)
        answer = status(rule.status) if rule else Status(0)
        return Outcome(answer, codec.decode(call, "x64", arena, address, (before, address)), rule)

    def invoke(self, name: str, abi: Abi, memory: Memory, address: int) -> Rule | None:
        """Answer a call whose argument lies in memory: the rule that it breaks, or None where it succeeded and its
        outputs are written."""
        behaviour = BEHAVIOURS[name]
        if address == 0:
            return behaviour.null
        with self.machine.lock:
            try:
                request = behaviour.request(self, CALLS[name], abi, memory, address)
                broken = next((rule for rule in behaviour.rules if rule.broken(request)), None)
                if request.adapter is not None:
                    request.adapter.calls += 1
                if broken is None:
                    behaviour.effect(request)
            except Fault:
                return UNREADABLE
        return broken

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
