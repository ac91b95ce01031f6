"""What handles lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracekmt.errors import UsageError
from tracekmt.sizes import parse_size


@dataclass
class Adapter:
    """A graphics adapter of the machine.

    video_memory: bytes; None is as much as anyone asks for. wddm: the driver model times 1000, as
    D3DKMT_DRIVERVERSION counts. stops_after: the calls it answers before it is stopped, as a device that is reset or
    unplugged; None is never.
    """

    luid: tuple[int, int] = (1, 0)
    name: str = r"\\.\DISPLAY1"
    video_memory: int | None = None
    wddm: int = 3000
    stops_after: int | None = None
    video_memory_used: int = field(default=0, init=False)
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
            "video_memory": self.video_memory,
            "wddm": self.wddm,
            "stops_after": self.stops_after,
        }


def adapter_from(settings: Any) -> Adapter:
    """An adapter from its settings, any of which may be missing; UsageError names what is wrong."""
    if isinstance(settings, Adapter):
        return settings
    if not isinstance(settings, dict):
        raise UsageError(f"an adapter is a table of settings, not {str(settings)[:40]}")
    known = {"luid", "name", "video_memory", "wddm", "stops_after"}
    for name in settings:
        if name not in known:
            raise UsageError(f"adapter: {name} is no setting; known are {', '.join(sorted(known))}")
    values = {name: value for name, value in settings.items() if value is not None}
    luid = values.pop("luid", (1, 0))
    if not isinstance(luid, (list, tuple)) or len(luid) != 2 or not all(isinstance(part, int) for part in luid):
        raise UsageError(f"adapter: luid is [LowPart, HighPart], not {str(luid)[:40]}")
    if "video_memory" in values:
        values["video_memory"] = parse_size(values["video_memory"])
    for name, wanted in (("name", str), ("wddm", int), ("stops_after", int)):
        if name in values and not isinstance(values[name], wanted):
            raise UsageError(f"adapter: {name} is no {wanted.__name__}: {str(values[name])[:40]}")
    return Adapter(luid=(luid[0], luid[1]), **values)


@dataclass(eq=False)
class OpenAdapter:
    """One opening of an adapter; each has a handle of its own."""

    adapter: Adapter


@dataclass(eq=False)
class Device:
    """A device and what lives in it, by handle."""

    adapter: Adapter
    resources: dict[int, Resource] = field(default_factory=dict)
    allocations: dict[int, Allocation] = field(default_factory=dict)


@dataclass(eq=False)
class Resource:
    """A group of allocations. global_share is its share handle, 0 without."""

    device: Device
    shared: bool
    global_share: int = 0
    allocations: dict[int, Allocation] = field(default_factory=dict)


@dataclass(eq=False)
class Allocation:
    """An allocation and the bytes that it takes of either memory."""

    device: Device
    resource: Resource | None
    video_memory: int
    system_memory: int
