"""The simulated machine, and the processes on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from tracekmt.codec.luid import Luid
from tracekmt.ntstatus import Status
from tracekmt.simulator.injection import InjectedFault, MachineChange
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.address_space import SPACE_END, AddressSpace
from tracekmt.simulator.model.allocation_size import SizeRule
from tracekmt.simulator.model.gpu_queue import Fence
from tracekmt.simulator.model.handles import UNIQUES, GlobalHandles, HandleTable
from tracekmt.simulator.model.memory_usage import MemoryUsage, count_resident, reclaim
from tracekmt.simulator.model.nt_handles import ALL_ACCESS, Name, NtHandleTable, NtObject
from tracekmt.simulator.model.objects import (
    Allocation,
    Device,
    DeviceObject,
    KernelObject,
    OpenAdapter,
    Resource,
    make_bare_object,
)
from tracekmt.simulator.model.shared_objects import (
    AllocationMemory,
    ResourceState,
    SharedObject,
)
from tracekmt.simulator.model.timeline import Timeline
from tracekmt.simulator.profile import Profile
from tracekmt.simulator.rule import ValidationRule
from tracekmt.spec.types import PAGE_SIZE

WDDM_2_0 = 2000
FIRST_PROCESS_ID = 0x1000
PROCESS_ID_STEP = 4
_CPU_ADDRESSES = 0x7FF000000000
_CPU32_ADDRESSES, _CPU32_END = 0x70000000, 0xF0000000
_GPU_ADDRESSES = SPACE_END
_LARGEST_RANGE = 1 << 40
"""Bytes kept free for a larger range, so that addresses stay within 64 bits."""

K = TypeVar("K", bound=KernelObject)


@dataclass
class Machine:
    """State that all processes of a machine share.

    Attributes:
        adapters: Graphics adapters.
        system_memory: Budget in bytes for the kernel's own records and for the memory that allocations pin. None is
            unlimited.
        uniques: Number of generations of a handle's slot.
        profile: Differences of the machine's system from Windows.
        drivers: Rules for the size of an allocation.
        list_capacity: Number of adapters that a function returns without a list, by the function's name.
        paging_is_pending: True if operations of paging queues return STATUS_PENDING, outside of a replay.
        device_error_flag: Flag of a failed MakeResident that puts the device in error.
        assumptions: Statuses by the setting of their rule, for rules whose status no source defines. STATUS_SUCCESS
            removes a rule. They are from the settings, or learned from a recording.
        known: Names of the settings whose state is known: "video_memory", "system_memory", "adapter". A replay takes
            the rest from the recording.
        system_memory_used: Bytes of system memory in use.
        global_handles: Handles that all processes may use.
        named_objects: NT objects with a name, by canonical name.
        processes: Live processes by id.
        waiting_count: Number of threads that wait on `lock` for other calls.
        next_process_id: Id of the next process.
        call_count: Number of calls made so far.
        call_index: Index of the current call.
        faults: Injected faults.
        changes: Changes of the machine that have not happened yet.
        rules: Validation rules of each function under this profile, filled by its first call.
        events: Events to signal: the id of the process, what is to come about before, and the signal.
        answer_query: Writes the outputs of a call that only a real machine can answer, and returns its status. None
            leaves the call as it is. A replay takes such outputs from the recording.
        created: Objects and NT handles that the current call created so far, each with its process.
    """

    adapters: list[Adapter]
    system_memory: int | None = None
    uniques: int = UNIQUES
    profile: Profile = field(kw_only=True)
    drivers: Sequence[SizeRule] = ()
    list_capacity: Mapping[str, Timeline[int]] = field(default_factory=dict)
    paging_is_pending: bool = False
    device_error_flag: str = "MustSucceed"
    assumptions: dict[str, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    system_memory_used: int = 0
    global_handles: GlobalHandles = field(default_factory=GlobalHandles)
    named_objects: dict[Name, NtObject] = field(default_factory=dict)
    processes: WeakValueDictionary[int, Process] = field(default_factory=WeakValueDictionary)
    # Calls may come from many threads. One call at a time is simulated: the kernel's own locks are not modelled.
    # Every call notifies the threads that wait for it, see `Simulator.invoke_after_wait`.
    lock: threading.Condition = field(default_factory=threading.Condition)
    waiting_count: int = 0
    next_process_id: int = FIRST_PROCESS_ID
    call_count: int = 0
    call_index: int = 0
    faults: list[InjectedFault] = field(default_factory=list)
    rules: dict[str, Sequence[ValidationRule]] = field(default_factory=dict)
    changes: list[MachineChange] = field(default_factory=list)
    events: list[tuple[int, Callable[[], bool], Callable[[], None]]] = field(default_factory=list)
    answer_query: Callable[[Any], Status | None] | None = None
    created: list[tuple[Process, KernelObject | int]] = field(default_factory=list)

    @property
    def present_adapters(self) -> list[Adapter]:
        """Adapters that calls can open."""
        return [adapter for adapter in self.adapters if not adapter.absent]

    def adapter(self, luid: Luid) -> Adapter | None:
        """Return the adapter with a LUID, or None."""
        return next((adapter for adapter in self.adapters if adapter.luid == luid), None)

    def apply(self, change: MachineChange) -> None:
        """Stop adapters, let them come back, or set a memory budget, according to an injected change."""
        match change.component:
            case "adapter":
                for adapter in self.adapters:
                    if change.luid in (None, adapter.luid):
                        self._change_adapter(adapter, change)
            case "device":
                for device in self._devices():
                    device.lose(change.execution_state)
            case "video_memory":
                for adapter in self.adapters:
                    adapter.video_memory = change.size
            case "system_memory":
                self.system_memory = change.size

    def _change_adapter(self, adapter: Adapter, change: MachineChange) -> None:
        if change.stops:
            adapter.stop()
            return
        self.restart(adapter)
        if change.new_luid is not None:
            adapter.luid = change.new_luid

    def signal_events(self) -> None:
        """Signal the events whose fences have reached their values."""
        over = [event for event in self.events if event[1]()]
        self.events = [event for event in self.events if event not in over]
        for _, _, signal in over:
            signal()

    def restart(self, adapter: Adapter) -> None:
        """Let a stopped adapter answer again. Its devices are lost, and stay lost."""
        for device in self._devices():
            if device.adapter is adapter and adapter.stopped:
                device.lose()
        adapter.stops_after = None

    def _devices(self) -> Iterator[Device]:
        for process in list(self.processes.values()):
            yield from (found for found in process.handles.objects() if isinstance(found, Device))

    def create_global_handle(self, shared_object: SharedObject) -> int:
        """Assign a global handle, valid while the shared object has references."""
        shared_object.global_handle = self.global_handles.add(shared_object)
        return shared_object.global_handle

    def add_reference(self, shared_object: SharedObject) -> None:
        """Add a reference. The first reference to allocation memory charges it to the budgets."""
        shared_object.references += 1
        if shared_object.references == 1 and isinstance(shared_object, AllocationMemory):
            self._charge(shared_object, 1)

    def remove_reference(self, shared_object: SharedObject) -> None:
        """Remove a reference. Without references, the shared object loses its global handle and its memory."""
        shared_object.references -= 1
        if shared_object.references:
            return
        if shared_object.global_handle:
            self.global_handles.remove(shared_object.global_handle)
            shared_object.global_handle = 0
        if isinstance(shared_object, AllocationMemory):
            reclaim(shared_object)
            self._charge(shared_object, -1)
        if isinstance(shared_object, ResourceState):
            for memory in shared_object.memories:
                self.remove_reference(memory)

    def commits_at_creation(self, adapter: Adapter) -> bool:
        """Return True if creation takes memory of the adapter, as before WDDM 2. Later, only resident memory counts."""
        return self.profile.commits_at_creation or adapter.wddm < WDDM_2_0

    def learn_size(self, memory: AllocationMemory, size: int) -> None:
        """Note the size of an allocation that only a driver knows: it has at least the bytes that a call maps."""
        if memory.size_known or size <= memory.size:
            return
        processes = list(self.processes.values())
        self._charge(memory, -1)
        for process in processes:
            process.memory.count(memory, -1)
        growth = size - memory.size
        if memory.shared_size:
            memory.shared_size += growth
            memory.system_size += growth
        else:
            memory.video_size += growth
        self._charge(memory, 1)
        for process in processes:
            process.memory.count(memory, 1)

    def _charge(self, memory: AllocationMemory, sign: int) -> None:
        if memory.resident_count:
            count_resident(memory, sign)
        memory.adapter.video_memory_used += sign * memory.video_size
        memory.adapter.shared_memory_used += sign * memory.shared_size
        self.system_memory_used += sign * memory.system_size

    def settings(self) -> dict[str, Any]:
        """Return the keywords of `Simulator` that create a machine with equal adapters and memory."""
        settings = {
            "adapters": [adapter.settings() for adapter in self.adapters],
            "system_memory": self.system_memory,
        }
        capacity = {name: timeline.to_setting() for name, timeline in self.list_capacity.items()}
        return {**settings, "list_capacity": capacity} if capacity else settings


class Process:
    """A process on a machine, with its handles.

    Attributes:
        machine: The machine that the process runs on.
        handles: Local handles of graphics objects.
        nt_handles: NT handles.
        id: Process id.
        memory: The memory that the process uses.
        reservations: Bytes of video memory that the process has reserved, by the keys of `MemoryUsage.bytes`.
        map_fence_memory: Maps 8 bytes of real memory for the value of a fence, and returns their address and a writer.
        signal_event: Signals an event of the program, by its handle. Without it, no event is signalled.
        map_allocation_memory: Returns the address at which the process finds the contents of an allocation.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.handles = HandleTable(machine.uniques)
        self.nt_handles = NtHandleTable()
        self.id = machine.next_process_id
        machine.next_process_id += PROCESS_ID_STEP
        machine.processes[self.id] = self
        self.memory = MemoryUsage(machine.commits_at_creation)
        self.reservations: dict[tuple[Luid, bool], int] = {}
        self.map_fence_memory: Callable[[Fence], tuple[int, Callable[[int], None]]] | None = None
        self.signal_event: Callable[[int], None] | None = None
        self.map_allocation_memory: Callable[[AllocationMemory], int] | None = None
        self._address_spaces: dict[Luid | None, AddressSpace] = {}
        self._next_addresses = {"cpu": _CPU_ADDRESSES, "cpu32": _CPU32_ADDRESSES, "gpu": _GPU_ADDRESSES}
        self._fence_value = 0

    def change_id(self, id_: int) -> None:
        """Give the process another id, such as that of a recorded process."""
        del self.machine.processes[self.id]
        self.id = id_
        self.machine.processes[id_] = self

    def find(self, handle: int, type_: type[K]) -> K | None:
        """Return the live object of a handle, None if it has another type."""
        return self.handles.get(handle, type_)

    def add(self, kernel_object: K, *parents: KernelObject | None) -> int:
        """Return a handle to a new object, which is destroyed with any of its parents."""
        kernel_object.handle = self.handles.add(kernel_object)
        self.machine.created.append((self, kernel_object))
        kernel_object.parents = tuple(parent for parent in parents if parent is not None)
        for parent in kernel_object.parents:
            parent.children[kernel_object.handle] = kernel_object
        for shared_object in kernel_object.shared_objects:
            self.machine.add_reference(shared_object)
            if isinstance(shared_object, AllocationMemory):
                self.memory.open(shared_object)
        return kernel_object.handle

    def destroy(self, kernel_object: KernelObject) -> None:
        """Destroy an object and its children."""
        kernel_object.on_destroy()
        if isinstance(kernel_object, Allocation):
            self.memory.set_resident_count(kernel_object, 0)
        for child in list(kernel_object.children.values()):
            if child.handle:
                self.destroy(child)
        for parent in kernel_object.parents:
            parent.children.pop(kernel_object.handle, None)
        self.handles.remove(kernel_object.handle)
        kernel_object.handle = 0
        self._remove_references(kernel_object)

    def _remove_references(self, kernel_object: KernelObject) -> None:
        for shared_object in kernel_object.shared_objects:
            self.machine.remove_reference(shared_object)
            if isinstance(shared_object, AllocationMemory):
                self.memory.close(shared_object)

    def address_space(self, adapter: Adapter | None) -> AddressSpace:
        """Return the GPU addresses of the process on an adapter, which may be unknown."""
        luid = None if adapter is None else adapter.luid
        address_space = self._address_spaces.get(luid)
        if address_space is None:
            address_space = self._address_spaces[luid] = AddressSpace()
        return address_space

    def reserve_addresses(self, space: str, size: int, pointer_size: int = 8) -> int:
        """Return the first address of an unused range.

        Args:
            space: "cpu" or "gpu".
            size: Size of the range in bytes.
            pointer_size: Bytes of a pointer, which a CPU address must fit.
        """
        space = "cpu32" if space == "cpu" and pointer_size == 4 else space
        address = self._next_addresses[space]
        pages = -(-min(max(size, 1), _LARGEST_RANGE) // PAGE_SIZE)
        if space == "cpu32" and address + pages * PAGE_SIZE > _CPU32_END:
            address = _CPU32_ADDRESSES  # a 32-bit process has few addresses, and unmaps what it does not use
        self._next_addresses[space] = address + pages * PAGE_SIZE
        return address

    def map_allocation(self, memory: AllocationMemory, size: int, pointer_size: int) -> int:
        """Return a CPU address for the contents of an allocation.

        Args:
            memory: Memory of the allocation. The caller's own memory stays where it is.
            size: Bytes of the range, where no real memory is mapped.
            pointer_size: Bytes of a pointer, which the address must fit.
        """
        if memory.caller_address:
            return memory.caller_address
        if self.map_allocation_memory is None:
            return self.reserve_addresses("cpu", size, pointer_size)
        return self.map_allocation_memory(memory)

    def map_fence(self, fence: Fence, pointer_size: int) -> int:
        """Return a CPU address at which the process can read the value of a fence."""
        if self.map_fence_memory is None:
            return self.reserve_addresses("cpu", 8, pointer_size)
        address, write = self.map_fence_memory(fence)
        write(fence.value)
        fence.mappings.append(write)
        return address

    def next_fence_value(self) -> int:
        """Return the next value of a queue's fence."""
        self._fence_value += 1
        return self._fence_value

    def exit(self) -> None:
        """End the process and close all its handles."""
        with self.machine.lock:
            self.machine.events = [event for event in self.machine.events if event[0] != self.id]
            for kernel_object in self.handles.objects():
                if isinstance(kernel_object, KernelObject) and kernel_object.handle:
                    self.destroy(kernel_object)
            for handle in list(self.nt_handles.entries):
                self.close_nt_handle(handle)
            self.machine.processes.pop(self.id, None)

    def close_nt_handle(self, handle: int) -> None:
        """Close an NT handle. The last handle to an object frees its name and removes its references."""
        nt_object = self.nt_handles.remove(handle)
        nt_object.handle_count -= 1
        if nt_object.handle_count:
            return
        if nt_object.name is not None and self.machine.named_objects.get(nt_object.name) is nt_object:
            del self.machine.named_objects[nt_object.name]
        for shared_object in nt_object.shared_objects:
            self.machine.remove_reference(shared_object)

    def open_nt_handle(self, nt_object: NtObject, access: int) -> int:
        """Open an NT handle to an object, with an access mask."""
        nt_object.handle_count += 1
        if nt_object.handle_count == 1:
            for shared_object in nt_object.shared_objects:
                self.machine.add_reference(shared_object)
            if nt_object.name is not None:
                self.machine.named_objects[nt_object.name] = nt_object
        handle = self.nt_handles.add(nt_object, access)
        self.machine.created.append((self, handle))
        return handle

    def undo(self, created: KernelObject | int) -> None:
        """Undo the creation of an object or an NT handle by a call that failed later."""
        if isinstance(created, int):
            self.close_nt_handle(created)
            return
        handle, created.handle = created.handle, 0
        for parent in created.parents:
            parent.children.pop(handle, None)
        self.handles.undo_add(handle)
        self._remove_references(created)

    def adopt(self, kind: str, device: int = 0, resource: int = 0) -> int:
        """Create an object that is older than the trace, or of another process or API, and return its handle.

        Args:
            kind: Name of the kind, as in the descriptions.
            device: Handle of the device that owns the object, 0 if it is unknown.
            resource: Handle of the resource that contains an allocation, 0 without one.
        """
        adapter = self.machine.adapters[0]
        if kind == "adapter":
            return self.add(OpenAdapter(adapter))
        if kind == "device":
            return self.add(Device(adapter))
        owner = self.find(device, Device)
        if kind not in ("resource", "allocation"):
            created = make_bare_object(kind)
            if isinstance(created, DeviceObject):
                created.device = owner
            return self.add(created, owner)
        if owner is not None:
            adapter = owner.adapter
        if kind == "resource":
            state = ResourceState(adapter, shared=False, nt_shared=False, runtime_data=b"", driver_data=b"")
            return self.add(Resource(owner, state), owner)
        parent = self.find(resource, Resource)
        memory = AllocationMemory(adapter, b"", 0, 0, 0, size_known=False)
        return self.add(Allocation(owner, parent, memory), owner, parent)

    def adopt_nt_handle(self, kind: str) -> int:
        """Open an NT handle to an object of another API, such as an event, and return the handle."""
        return self.open_nt_handle(NtObject(kind, is_foreign=True), ALL_ACCESS)

    def forget(self, handle: int) -> None:
        """Destroy an object or close an NT handle, if it is live."""
        kernel_object = self.find(handle, KernelObject)
        if kernel_object is not None:
            self.destroy(kernel_object)
        elif self.nt_handles.get(handle) is not None:
            self.close_nt_handle(handle)
