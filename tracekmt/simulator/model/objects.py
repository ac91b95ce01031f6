"""Objects behind handles: those of one process, and the shared objects that several processes may refer to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_TYPE
from tracekmt.codec.luid import Luid
from tracekmt.errors import UsageError
from tracekmt.text.units import parse_size

FIRST_LUID = Luid(1, 0)
"""LUID of an adapter whose settings have none."""

_SETTING_FORMS: dict[str, tuple[type, str]] = {
    "name": (str, "a string"),
    "device_name": (str, "a string"),
    "wddm": (int, "an integer"),
    "stops_after": (int, "an integer"),
}
_SETTINGS = {"luid", "video_memory", "shared_memory", *_SETTING_FORMS}


@dataclass
class Adapter:
    """A graphics adapter of the machine.

    Attributes:
        luid: Locally unique identifier.
        name: GDI name of its display.
        device_name: Path of its device interface, for D3DKMTOpenAdapterFromDeviceName.
        video_memory: Budget of dedicated memory in bytes. None is unlimited.
        shared_memory: Budget of the machine's memory that it may use, in bytes. None is unlimited.
        wddm: Version of the driver model times 1000, as D3DKMT_DRIVERVERSION counts.
        stops_after: Number of calls that it answers before it stops, as after a reset or an unplug. None is never.
        video_memory_used: Bytes of dedicated memory in use.
        shared_memory_used: Bytes of the machine's memory in use.
        call_count: Number of calls answered so far.
    """

    luid: Luid = FIRST_LUID
    name: str = r"\\.\DISPLAY1"
    device_name: str = r"\\?\PCI#VEN_0000&DEV_0000#0#{1ca05180-a699-450a-9a0c-de4fbe3ddd89}"
    video_memory: int | None = None
    shared_memory: int | None = None
    wddm: int = 3000
    stops_after: int | None = None
    video_memory_used: int = field(default=0, init=False)
    shared_memory_used: int = field(default=0, init=False)
    call_count: int = field(default=0, init=False)

    @property
    def stopped(self) -> bool:
        """True if the adapter has stopped."""
        return self.stops_after is not None and self.call_count >= self.stops_after

    def stop(self) -> None:
        """Stop the adapter now."""
        self.stops_after = 0

    def settings(self) -> dict[str, Any]:
        """Return the settings from which `parse_adapter` creates an equal adapter."""
        return {
            "luid": list(self.luid),
            "name": self.name,
            "device_name": self.device_name,
            "video_memory": self.video_memory,
            "shared_memory": self.shared_memory,
            "wddm": self.wddm,
            "stops_after": self.stops_after,
        }


def parse_adapter(settings: Any) -> Adapter:
    """Create an adapter from its settings.

    Args:
        settings: An adapter, or a table with any of the attributes of `Adapter`. A missing or None setting has its
            default. Sizes are bytes, or text such as "64MB".

    Raises:
        UsageError: A setting is unknown or invalid.
    """
    if isinstance(settings, Adapter):
        return settings
    if not isinstance(settings, dict):
        raise UsageError(f"invalid adapter: {str(settings)[:40]} (expected a table of settings)")
    for name in settings:
        if name not in _SETTINGS:
            raise UsageError(f"unknown adapter setting: {name} (expected one of {', '.join(sorted(_SETTINGS))})")
    values = {name: value for name, value in settings.items() if value is not None}
    luid = values.pop("luid", FIRST_LUID)
    if not isinstance(luid, (list, tuple)) or len(luid) != 2 or not all(isinstance(part, int) for part in luid):
        raise UsageError(f"invalid adapter luid: {str(luid)[:40]} (expected [LowPart, HighPart])")
    for name in {"video_memory", "shared_memory"} & values.keys():
        values[name] = parse_size(values[name])
    for name, (type_, form) in _SETTING_FORMS.items():
        if name in values and not isinstance(values[name], type_):
            raise UsageError(f"invalid adapter {name}: {str(values[name])[:40]} (expected {form})")
    return Adapter(luid=Luid(luid[0], luid[1]), **values)


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
    """

    __slots__ = ("adapter", "private_data", "shared_size", "system_size", "video_size")

    def __init__(
        self, adapter: Adapter, private_data: bytes, video_size: int, shared_size: int, system_size: int
    ) -> None:
        super().__init__()
        self.adapter, self.private_data = adapter, private_data
        self.video_size, self.shared_size, self.system_size = video_size, shared_size, system_size


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
        type: Number of the D3DDDI_SYNCHRONIZATIONOBJECT_TYPE.
        value: Current value of the fence.
    """

    __slots__ = ("type", "value")

    def __init__(self, type_: int, value: int = 0, *, nt_shared: bool = False) -> None:
        super().__init__(nt_shared=nt_shared)
        self.type, self.value = type_, value


class MutexState(SharedObject):
    """State of a keyed mutex.

    Attributes:
        key: Key with which the mutex can be acquired.
        runtime_data: Private data of the runtime.
        acquired: True from an acquire until the release.
    """

    __slots__ = ("acquired", "key", "runtime_data")

    def __init__(self, key: int, runtime_data: bytes = b"", *, nt_shared: bool = False) -> None:
        super().__init__(nt_shared=nt_shared)
        self.key, self.runtime_data = key, runtime_data
        self.acquired = False


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
    """A device."""

    kind = "device"

    __slots__ = ("adapter",)

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.adapter = adapter


class Resource(KernelObject):
    """A resource that a device created or opened."""

    kind = "resource"

    __slots__ = ("device", "state")

    def __init__(self, device: Device, state: ResourceState) -> None:
        super().__init__(state)
        self.device, self.state = device, state


class Allocation(KernelObject):
    """An allocation of a device, in a resource or without one."""

    kind = "allocation"

    __slots__ = ("device", "memory", "resource")

    def __init__(self, device: Device, resource: Resource | None, memory: AllocationMemory) -> None:
        super().__init__(memory)
        self.device, self.resource, self.memory = device, resource, memory


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


def make_bare_object(kind: str) -> KernelObject:
    """Create an object of which only the kind is known."""
    if kind in _SYNC_TYPES:
        return SyncObject(SyncState(_SYNC_TYPES[kind]))
    return KeyedMutex(MutexState(0)) if kind == KeyedMutex.kind else UnmodelledObject(kind)
