"""The machine that the simulator plays, and the processes on it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from tracekmt.codec.luid import Luid
from tracekmt.errors import UsageError
from tracekmt.simulator.injection import InjectedFault, MachineChange
from tracekmt.simulator.model.allocation_size import SizeRule
from tracekmt.simulator.model.handles import UNIQUES, GlobalHandles, HandleTable
from tracekmt.simulator.model.nt_handles import Name, NtObject, NtTable
from tracekmt.simulator.model.objects import (
    Adapter,
    Allocation,
    AllocationMemory,
    Device,
    KernelObject,
    OpenAdapter,
    Resource,
    ResourceState,
    SharedObject,
    make_bare_object,
)
from tracekmt.simulator.profile import Profile
from tracekmt.simulator.rule import ValidationRule

FIRST_PROCESS = 0x1000
PAGE = 4096
_CPU_ADDRESSES = 0x7FF000000000
_CPU32_ADDRESSES = 0x70000000
_GPU_ADDRESSES = 0x100000000

N = TypeVar("N", bound=KernelObject)


@dataclass
class Machine:
    """What the processes share. system_memory: bytes for the kernel's own records and for the memory that
    allocations pin; None is as much as anyone asks for."""

    adapters: list[Adapter]
    system_memory: int | None = None
    uniques: int = UNIQUES
    profile: Profile = field(kw_only=True)
    drivers: Sequence[SizeRule] = ()
    system_memory_used: int = 0
    shares: GlobalHandles = field(default_factory=GlobalHandles)
    names: dict[Name, NtObject] = field(default_factory=dict)
    processes: WeakValueDictionary[int, Process] = field(default_factory=WeakValueDictionary)
    # Calls may come from many threads; the kernel's own locks are not modelled, one call is answered after another.
    lock: threading.RLock = field(default_factory=threading.RLock)
    next_process: int = FIRST_PROCESS
    # Calls answered so far, and what is to fail or to change at some of them.
    calls: int = 0
    faults: list[InjectedFault] = field(default_factory=list)
    # The rules of the calls that were made, under this machine's profile.
    rules: dict[str, Sequence[ValidationRule]] = field(default_factory=dict)
    changes: list[MachineChange] = field(default_factory=list)
    # What the call that is being answered has made so far: objects, and NT handles.
    made: list[tuple[Process, KernelObject | int]] = field(default_factory=list)

    def adapter(self, luid: Luid) -> Adapter | None:
        """Return the adapter with a LUID, or None."""
        return next((adapter for adapter in self.adapters if adapter.luid == luid), None)

    def apply(self, change: MachineChange) -> None:
        """Stop the adapters or set a memory budget, as an injected change says."""
        match change.what:
            case "adapter":
                for adapter in self.adapters:
                    adapter.stop()
            case "video_memory":
                for adapter in self.adapters:
                    adapter.video_memory = change.size
            case "system_memory":
                self.system_memory = change.size

    def share(self, body: SharedObject) -> int:
        """Give a body a global handle, as long as somebody holds it."""
        body.global_share = self.shares.add(body)
        return body.global_share

    def hold(self, body: SharedObject) -> None:
        """One more holds it."""
        body.holders += 1
        if body.holders == 1 and isinstance(body, AllocationMemory):
            self._account(body, 1)

    def release(self, body: SharedObject) -> None:
        """One less holds it; with the last it is gone, and its memory is free."""
        body.holders -= 1
        if body.holders:
            return
        if body.global_share:
            self.shares.remove(body.global_share)
            body.global_share = 0
        if isinstance(body, AllocationMemory):
            self._account(body, -1)
        if isinstance(body, ResourceState):
            for backing in body.backings:
                self.release(backing)

    def _account(self, backing: AllocationMemory, sign: int) -> None:
        backing.adapter.video_memory_used += sign * backing.video
        backing.adapter.shared_memory_used += sign * backing.shared
        self.system_memory_used += sign * backing.system

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
        self.handles = HandleTable(machine.uniques)
        self.nt = NtTable()
        self.id = machine.next_process
        machine.next_process += 4
        machine.processes[self.id] = self
        # Bytes of each adapter's own memory (True), and of the machine's that it uses (False), for allocations here.
        self.usage: Counter[tuple[Luid, bool]] = Counter()
        self._held: Counter[AllocationMemory] = Counter()
        self._addresses = {"cpu": _CPU_ADDRESSES, "cpu32": _CPU32_ADDRESSES, "gpu": _GPU_ADDRESSES}
        self._fence = 0

    def find(self, handle: int, type_: type[N]) -> N | None:
        """The object of that type that a handle leads to."""
        return self.handles.get(handle, type_)

    def add(self, node: N, *parents: KernelObject | None) -> int:
        """A handle to a new object, which ends with any of its parents."""
        node.handle = self.handles.add(node)
        self.machine.made.append((self, node))
        node.parents = tuple(parent for parent in parents if parent is not None)
        for parent in node.parents:
            parent.children[node.handle] = node
        for body in node.holds:
            self.machine.hold(body)
            if isinstance(body, AllocationMemory):
                self._held[body] += 1
                if self._held[body] == 1:
                    self._use(body, 1)
        return node.handle

    def end(self, node: KernelObject) -> None:
        """End an object and everything that lives in it."""
        for child in list(node.children.values()):
            if child.handle:
                self.end(child)
        for parent in node.parents:
            parent.children.pop(node.handle, None)
        self.handles.remove(node.handle)
        node.handle = 0
        self._let_go(node)

    def _let_go(self, node: KernelObject) -> None:
        for body in node.holds:
            self.machine.release(body)
            if isinstance(body, AllocationMemory):
                self._held[body] -= 1
                if not self._held[body]:
                    del self._held[body]
                    self._use(body, -1)

    def _use(self, backing: AllocationMemory, sign: int) -> None:
        """Count the memory of an allocation, which may have been opened several times, once."""
        self.usage[backing.adapter.luid, True] += sign * backing.video
        self.usage[backing.adapter.luid, False] += sign * backing.shared

    def range(self, space: str, size: int, pointer_size: int = 8) -> int:
        """Addresses that nobody has: "cpu", which have to fit into a pointer, or "gpu"."""
        space = "cpu32" if space == "cpu" and pointer_size == 4 else space
        address = self._addresses[space]
        self._addresses[space] += -(-max(size, 1) // PAGE) * PAGE
        return address

    def fence(self) -> int:
        """The next value of a queue's fence."""
        self._fence += 1
        return self._fence

    def exit(self) -> None:
        """End the process: all of its handles are closed."""
        with self.machine.lock:
            for node in self.handles.all():
                if isinstance(node, KernelObject) and node.handle:
                    self.end(node)
            for handle in list(self.nt.handles):
                self.close(handle)
            self.machine.processes.pop(self.id, None)

    def close(self, handle: int) -> None:
        """Close an NT handle; with an object's last one its name is free, and what it shares is let go."""
        gone = self.nt.remove(handle)
        gone.handles -= 1
        if gone.handles:
            return
        if gone.name is not None and self.machine.names.get(gone.name) is gone:
            del self.machine.names[gone.name]
        for body in gone.holds:
            self.machine.release(body)

    def open(self, item: NtObject, access: int) -> int:
        """An NT handle to an object."""
        item.handles += 1
        if item.handles == 1:
            for body in item.holds:
                self.machine.hold(body)
            if item.name is not None:
                self.machine.names[item.name] = item
        handle = self.nt.add(item, access)
        self.machine.made.append((self, handle))
        return handle

    def undo(self, made: KernelObject | int) -> None:
        """Take back what a call has made that could not be handed over."""
        if isinstance(made, int):
            self.close(made)
            return
        handle, made.handle = made.handle, 0
        for parent in made.parents:
            parent.children.pop(handle, None)
        self.handles.take_back(handle)
        self._let_go(made)

    def adopt(self, kind: str, device: int = 0, resource: int = 0) -> int:
        """A handle to an object that was made before anyone looked, for a trace that begins in the middle.

        kind: as descriptions name it. What belongs to a device is made in the one with the handle given, an allocation
        also in the resource, if one is given. UsageError for what cannot be adopted.
        """
        adapter = self.machine.adapters[0]
        if kind == "adapter":
            return self.add(OpenAdapter(adapter))
        if kind == "device":
            return self.add(Device(adapter))
        owner = self.find(device, Device)
        if kind not in ("resource", "allocation"):
            return self.add(make_bare_object(kind), owner)
        if owner is None:
            raise UsageError(f"a {kind} cannot be adopted without the device that it belongs to")
        if kind == "resource":
            body = ResourceState(owner.adapter, shared=False, nt=False, runtime_data=b"", driver_data=b"")
            return self.add(Resource(owner, body), owner)
        within = self.find(resource, Resource)
        return self.add(Allocation(owner, within, AllocationMemory(owner.adapter, b"", 0, 0, 0)), owner, within)
