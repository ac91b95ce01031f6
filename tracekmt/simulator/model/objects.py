"""What handles lead to: objects of one process, and what several of them, in several processes, may share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracekmt.calls.sync import D3DDDI_SYNCHRONIZATIONOBJECT_TYPE
from tracekmt.codec.luid import Luid
from tracekmt.errors import UsageError
from tracekmt.text.units import parse_size


@dataclass
class Adapter:
    """A graphics adapter of the machine.

    video_memory: bytes of its own, shared_memory: of the machine's that it may use; None is as much as anyone asks for.
    device_name: the path of its interface, for D3DKMTOpenAdapterFromDeviceName. wddm: the driver model times 1000, as
    D3DKMT_DRIVERVERSION counts. stops_after: the calls it answers before it is stopped, as a device that is reset or
    unplugged; None is never.
    """

    luid: Luid = Luid(1, 0)
    name: str = r"\\.\DISPLAY1"
    device_name: str = r"\\?\PCI#VEN_0000&DEV_0000#0#{1ca05180-a699-450a-9a0c-de4fbe3ddd89}"
    video_memory: int | None = None
    shared_memory: int | None = None
    wddm: int = 3000
    stops_after: int | None = None
    video_memory_used: int = field(default=0, init=False)
    shared_memory_used: int = field(default=0, init=False)
    calls: int = field(default=0, init=False)

    @property
    def stopped(self) -> bool:
        """Whether the adapter has been stopped."""
        return self.stops_after is not None and self.calls >= self.stops_after

    def stop(self) -> None:
        """Stop the adapter now."""
        self.stops_after = 0

    def settings(self) -> dict[str, Any]:
        """What `adapter_from` makes a like adapter of."""
        return {
            "luid": list(self.luid),
            "name": self.name,
            "device_name": self.device_name,
            "video_memory": self.video_memory,
            "shared_memory": self.shared_memory,
            "wddm": self.wddm,
            "stops_after": self.stops_after,
        }


def adapter_from(settings: Any) -> Adapter:
    """An adapter from its settings, any of which may be missing; UsageError names what is wrong."""
    if isinstance(settings, Adapter):
        return settings
    if not isinstance(settings, dict):
        raise UsageError(f"an adapter is a table of settings, not {str(settings)[:40]}")
    known = {"luid", "name", "device_name", "video_memory", "shared_memory", "wddm", "stops_after"}
    for name in settings:
        if name not in known:
            raise UsageError(f"adapter: {name} is no setting; known are {', '.join(sorted(known))}")
    values = {name: value for name, value in settings.items() if value is not None}
    luid = values.pop("luid", (1, 0))
    if not isinstance(luid, (list, tuple)) or len(luid) != 2 or not all(isinstance(part, int) for part in luid):
        raise UsageError(f"adapter: luid is [LowPart, HighPart], not {str(luid)[:40]}")
    for name in {"video_memory", "shared_memory"} & values.keys():
        values[name] = parse_size(values[name])
    for name, wanted in (("name", str), ("device_name", str), ("wddm", int), ("stops_after", int)):
        if name in values and not isinstance(values[name], wanted):
            raise UsageError(f"adapter: {name} is no {wanted.__name__}: {str(values[name])[:40]}")
    return Adapter(luid=Luid(luid[0], luid[1]), **values)


class SharedObject:
    """What outlives any one handle to it, as long as somebody holds it. global_share: its handle for other processes,
    0 without. nt: it is shared by NT handles."""

    __slots__ = ("global_share", "holders", "nt")

    def __init__(self, *, nt: bool = False) -> None:
        self.nt = nt
        self.holders = 0
        self.global_share = 0


class AllocationMemory(SharedObject):
    """The memory of an allocation. video, shared: bytes of the adapter's own memory, and of the machine's that it uses.
    system: what the kernel keeps of it, and what is pinned. data: the driver's private data."""

    __slots__ = ("adapter", "data", "shared", "system", "video")

    def __init__(self, adapter: Adapter, data: bytes, video: int, shared: int, system: int) -> None:
        super().__init__()
        self.adapter, self.data = adapter, data
        self.video, self.shared, self.system = video, shared, system


class ResourceState(SharedObject):
    """A group of allocations, and what its maker said of it."""

    __slots__ = ("adapter", "backings", "driver_data", "runtime_data", "shared")

    def __init__(self, adapter: Adapter, *, shared: bool, nt: bool, runtime_data: bytes, driver_data: bytes) -> None:
        super().__init__(nt=nt)
        self.adapter, self.shared = adapter, shared
        self.runtime_data, self.driver_data = runtime_data, driver_data
        self.backings: list[AllocationMemory] = []


class SyncState(SharedObject):
    """A synchronization object. value: what its fence has reached."""

    __slots__ = ("type", "value")

    def __init__(self, type_: int, value: int = 0, *, nt: bool = False) -> None:
        super().__init__(nt=nt)
        self.type, self.value = type_, value


class MutexState(SharedObject):
    """A keyed mutex: who acquires it with `key` may have it, unless it is held."""

    __slots__ = ("held", "key", "runtime_data")

    def __init__(self, key: int, runtime_data: bytes = b"", *, nt: bool = False) -> None:
        super().__init__(nt=nt)
        self.key, self.runtime_data = key, runtime_data
        self.held = False


class KernelObject:
    """An object of one process. It ends with any of its parents. holds: what it shares with others."""

    kind = ""

    __slots__ = ("children", "handle", "holds", "parents")

    def __init__(self, *holds: SharedObject) -> None:
        self.handle = 0
        self.parents: tuple[KernelObject, ...] = ()
        self.children: dict[int, KernelObject] = {}
        self.holds = holds


class OpenAdapter(KernelObject):
    """One opening of an adapter; each has a handle of its own."""

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
    """A resource of a device, made or opened there."""

    kind = "resource"

    __slots__ = ("body", "device")

    def __init__(self, device: Device, body: ResourceState) -> None:
        super().__init__(body)
        self.device, self.body = device, body


class Allocation(KernelObject):
    """An allocation of a device, in a resource or by itself."""

    kind = "allocation"

    __slots__ = ("backing", "device", "resource")

    def __init__(self, device: Device, resource: Resource | None, backing: AllocationMemory) -> None:
        super().__init__(backing)
        self.device, self.resource, self.backing = device, resource, backing


class SyncObject(KernelObject):
    """A synchronization object, made or opened."""

    kind = "sync object"

    __slots__ = ("body",)

    def __init__(self, body: SyncState) -> None:
        super().__init__(body)
        self.body = body


class KeyedMutex(KernelObject):
    """A keyed mutex, made or opened."""

    kind = "keyed mutex"

    __slots__ = ("body",)

    def __init__(self, body: MutexState) -> None:
        super().__init__(body)
        self.body = body


class UnmodelledObject(KernelObject):
    """An object of a kind that no rule knows."""

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
    """An object of a kind of which nothing else is known."""
    if kind in _SYNC_TYPES:
        return SyncObject(SyncState(_SYNC_TYPES[kind]))
    return KeyedMutex(MutexState(0)) if kind == KeyedMutex.kind else UnmodelledObject(kind)
