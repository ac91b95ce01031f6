"""Shared objects: those that several processes and handles may refer to."""

from __future__ import annotations

from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_TYPE
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.gpu_queue import Fence

_PERIODIC = D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.number("D3DDDI_PERIODIC_MONITORED_FENCE")


class SharedObject:
    """An object that lives while it has references, independent of any one handle.

    Attributes:
        nt_shared: True if the object is shared by NT handles.
        references: Number of handles, NT objects and resources that keep the object alive.
        global_handle: Handle for other processes, 0 without one.
    """

    __slots__ = ("global_handle", "nt_shared", "references")

    def __init__(self, *, nt_shared: bool = False) -> None:
        self.nt_shared = nt_shared
        self.references = 0
        self.global_handle = 0


class AllocationMemory(SharedObject):
    """Memory of an allocation.

    Attributes:
        adapter: Adapter that the allocation was created on.
        private_data: Private data of the driver.
        video_size: Bytes of the adapter's own memory.
        shared_size: Bytes of the machine's memory that the adapter uses.
        system_size: Bytes of system memory: the kernel's own record, and the memory that the allocation pins.
        size_known: False if only a driver knows the sizes.
        caller_address: Address of the caller's own memory that the allocation uses, 0 without one.
        resident_count: Number of allocations of this memory that are on the residency list of a device.
        is_offered: True while the memory is offered. It does not count against the budget then.
        is_discarded: True if the contents were discarded while the memory was offered.
    """

    __slots__ = (
        "__weakref__",
        "adapter",
        "caller_address",
        "is_discarded",
        "is_offered",
        "private_data",
        "resident_count",
        "shared_size",
        "size_known",
        "system_size",
        "video_size",
    )

    def __init__(
        self,
        adapter: Adapter,
        private_data: bytes,
        video_size: int,
        shared_size: int,
        system_size: int,
        *,
        size_known: bool = True,
        caller_address: int = 0,
    ) -> None:
        super().__init__()
        self.size_known = size_known
        self.adapter, self.private_data = adapter, private_data
        self.video_size, self.shared_size, self.system_size = video_size, shared_size, system_size
        self.caller_address = caller_address
        self.resident_count = 0
        self.is_offered = self.is_discarded = False

    @property
    def size(self) -> int:
        """Bytes of the allocation."""
        return self.video_size or self.shared_size


class ResourceState(SharedObject):
    """State of a resource, common to all processes that opened it.

    Attributes:
        adapter: Adapter that the resource was created on.
        shared: True if the resource was created with CreateShared.
        runtime_data: Private data of the runtime.
        driver_data: Private data of the driver.
        memories: Memory of each allocation of a shared resource, in order.
    """

    __slots__ = ("adapter", "driver_data", "memories", "runtime_data", "shared")

    def __init__(
        self, adapter: Adapter, *, shared: bool, nt_shared: bool, runtime_data: bytes, driver_data: bytes
    ) -> None:
        super().__init__(nt_shared=nt_shared)
        self.adapter, self.shared = adapter, shared
        self.runtime_data, self.driver_data = runtime_data, driver_data
        self.memories: list[AllocationMemory] = []


class SyncState(SharedObject):
    """State of a synchronization object.

    Attributes:
        type: Number of the D3DDDI_SYNCHRONIZATIONOBJECT_TYPE, 0 for an adopted object.
        flags: Names of the flags that it was created with.
        fence: Its value, if it is a fence.
        changed_elsewhere: True if the value may have changed in a way that the simulator does not play.
    """

    __slots__ = ("changed_elsewhere", "fence", "flags", "type")

    def __init__(
        self, type_: int, value: int = 0, *, nt_shared: bool = False, flags: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(nt_shared=nt_shared)
        self.type, self.flags = type_, flags
        self.fence = Fence(value)
        self.changed_elsewhere = type_ in (0, _PERIODIC)

    @property
    def is_certain(self) -> bool:
        """True if only calls of this process change the value."""
        return not (self.changed_elsewhere or self.nt_shared or self.global_handle)


class MutexState(SharedObject):
    """State of a keyed mutex.

    Attributes:
        key: Key with which the mutex can be acquired.
        runtime_data: Private data of the runtime.
        holder: Handle that has acquired the mutex and not released it, or None.
        fence_value: FenceValue of the last release. None if another process has released the mutex.
        abandoned: True after the destruction of a holder.
    """

    __slots__ = ("abandoned", "fence_value", "holder", "key", "runtime_data")

    def __init__(self, key: int, runtime_data: bytes = b"", *, nt_shared: bool = False) -> None:
        super().__init__(nt_shared=nt_shared)
        self.key, self.runtime_data = key, runtime_data
        self.holder: object | None = None
        self.fence_value: int | None = 0
        self.abandoned = False
