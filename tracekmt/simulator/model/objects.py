"""Objects behind the handles of one process."""

from __future__ import annotations

from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_TYPE
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.address_space import AddressSpace, Range
from tracekmt.simulator.model.gpu_queue import GpuQueue, signal
from tracekmt.simulator.model.shared_objects import AllocationMemory, MutexState, ResourceState, SharedObject, SyncState

ACTIVE, RESET = "D3DKMT_DEVICEEXECUTION_ACTIVE", "D3DKMT_DEVICEEXECUTION_RESET"
LAST_FENCE_VALUE = (1 << 64) - 1


class KernelObject:
    """An object of one process, destroyed with any of its parents.

    Attributes:
        kind: Name of the kind of its handle.
        handle: Handle of the object, 0 after its destruction.
        parents: Objects whose destruction destroys this one.
        children: Objects that have this one as a parent, by handle.
        shared_objects: Shared objects that this one keeps alive.
    """

    kind = ""

    __slots__ = ("children", "handle", "parents", "shared_objects")

    def on_destroy(self) -> None:
        """Update the shared objects before the object is destroyed."""

    def add_parent(self, parent: KernelObject) -> None:
        """Let a live object be destroyed with another one, too."""
        self.parents += (parent,)
        parent.children[self.handle] = self

    def __init__(self, *shared_objects: SharedObject) -> None:
        self.handle = 0
        self.parents: tuple[KernelObject, ...] = ()
        self.children: dict[int, KernelObject] = {}
        self.shared_objects = shared_objects


class OpenAdapter(KernelObject):
    """One opening of an adapter. Each opening has its own handle."""

    kind = "adapter"

    __slots__ = ("adapter",)

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.adapter = adapter


class Device(KernelObject):
    """A device.

    Attributes:
        adapter: Adapter of the device.
        execution_state: Name of its D3DKMT_DEVICEEXECUTION_STATE. A lost device stays lost, even if its adapter is
            back.
        owned_sources: D3DKMT_VIDPNSOURCEOWNER_TYPE of the video present sources that it owns.
    """

    kind = "device"

    __slots__ = ("adapter", "execution_state", "owned_sources")

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.adapter = adapter
        self.execution_state = ACTIVE
        self.owned_sources: dict[int, int] = {}

    @property
    def is_lost(self) -> bool:
        """True after the device was lost."""
        return self.execution_state != ACTIVE

    def lose(self, execution_state: str = RESET) -> None:
        """Lose the device. Its fences get their maximum, unless they were created with NoSignalMaxValueOnTdr."""
        if self.is_lost:
            return
        self.execution_state = execution_state
        for child in self.children.values():
            if isinstance(child, SyncObject) and "NoSignalMaxValueOnTdr" not in child.state.flags:
                child.state.fence.set_value(LAST_FENCE_VALUE)


class DeviceObject(KernelObject):
    """An object of a device.

    Attributes:
        device: The device. None for an object that is older than the trace, until a call names its device.
    """

    __slots__ = ("device",)

    def __init__(self, device: Device | None, *shared_objects: SharedObject) -> None:
        super().__init__(*shared_objects)
        self.device = device

    def is_on(self, device: Device | None) -> bool:
        """Return True if the object is of a device. An object of an unknown device is, and stays, of the first one."""
        if self.device is None and device is not None:
            self.device = device
            self.add_parent(device)
        return self.device is device


class Context(DeviceObject):
    """A context of a device, with the GPU work that was submitted to it.

    Attributes:
        queue: Work that was not executed.
        is_virtual: True for GPU addresses, False for patched addresses. None for a context that is older than the
            trace.
    """

    kind = "context"

    __slots__ = ("is_virtual", "queue")

    def __init__(self, device: Device | None) -> None:
        super().__init__(device)
        self.queue = GpuQueue()
        self.is_virtual: bool | None = None

    def on_destroy(self) -> None:
        """Drop the work that was not executed."""
        self.queue.operations.clear()


class HwQueue(Context):
    """A hardware queue of a hardware context.

    Attributes:
        progress_fence: Fence of the finished commands, None for a queue that is older than the trace.
    """

    kind = "hardware queue"

    __slots__ = ("progress_fence",)

    def __init__(self, device: Device | None) -> None:
        super().__init__(device)
        self.progress_fence: SyncState | None = None


class Resource(DeviceObject):
    """A resource that a device created or opened."""

    kind = "resource"

    __slots__ = ("state",)

    def __init__(self, device: Device | None, state: ResourceState) -> None:
        super().__init__(device, state)
        self.state = state


class Allocation(DeviceObject):
    """An allocation of a device, in a resource or without one.

    Attributes:
        resource: Its resource, or None.
        memory: Its memory.
        resident_count: Number of MakeResident calls without an Evict.
        lock_count: Number of locks without an unlock.
        locked_at: CPU address of the memory while it is locked, else 0.
        priority: Priority that a call has set, or None.
        mappings: GPU ranges that Map chose for the allocation, each with its address space.
    """

    kind = "allocation"

    __slots__ = ("lock_count", "locked_at", "mappings", "memory", "priority", "resident_count", "resource")

    def __init__(self, device: Device | None, resource: Resource | None, memory: AllocationMemory) -> None:
        super().__init__(device, memory)
        self.resource, self.memory = resource, memory
        self.resident_count = self.lock_count = self.locked_at = 0
        self.mappings: list[tuple[AddressSpace, Range]] = []
        self.priority: int | None = None

    def on_destroy(self) -> None:
        """Free the ranges of the mappings (Microsoft documentation: D3DKMTMapGpuVirtualAddress)."""
        for address_space, range_ in self.mappings:
            address_space.discard(range_)


class PagingQueue(DeviceObject):
    """A paging queue of a device.

    Attributes:
        fence_value: Fence value of the last operation.
        state: Its monitored fence, None for a queue that is older than the trace.
    """

    kind = "paging queue"

    __slots__ = ("fence_value", "state")

    def __init__(self, device: Device | None, state: SyncState | None = None) -> None:
        super().__init__(device)
        self.fence_value = 0
        self.state = state

    def next_fence_value(self) -> int:
        """Execute a new operation, and return its fence value."""
        self.fence_value += 1
        if self.state is not None:
            signal(self.state.fence, self.fence_value)
        return self.fence_value


class SyncObject(KernelObject):
    """A synchronization object that a process created or opened."""

    kind = "sync object"

    __slots__ = ("state",)

    def __init__(self, state: SyncState) -> None:
        super().__init__(state)
        self.state = state


class KeyedMutex(KernelObject):
    """A keyed mutex that a process created or opened."""

    kind = "keyed mutex"

    __slots__ = ("state",)

    def __init__(self, state: MutexState) -> None:
        super().__init__(state)
        self.state = state

    def on_destroy(self) -> None:
        """Abandon the mutex if this handle holds it."""
        if self.state.holder is self:
            self.state.holder, self.state.abandoned = None, True


class UnmodelledObject(KernelObject):
    """An object of a kind without rules."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind


_SYNC_TYPES = {
    "sync object": 0,
    "fence": D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.number("D3DDDI_FENCE"),
    "monitored fence": D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.number("D3DDDI_MONITORED_FENCE"),
}


_DEVICE_OBJECTS: dict[str, type[PagingQueue | Context]] = {
    type_.kind: type_ for type_ in (PagingQueue, Context, HwQueue)
}


def make_bare_object(kind: str) -> KernelObject:
    """Create an object of which only the kind is known."""
    if kind in _SYNC_TYPES:
        return SyncObject(SyncState(_SYNC_TYPES[kind]))
    if kind in _DEVICE_OBJECTS:
        return _DEVICE_OBJECTS[kind](None)
    return KeyedMutex(MutexState(0)) if kind == KeyedMutex.kind else UnmodelledObject(kind)
