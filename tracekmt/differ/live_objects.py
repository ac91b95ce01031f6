"""The objects of a trace at one event, by the numbers that a comparison gives them.

The core keeps them where there is one, because it creates and destroys most of them while it reads events.
"""

from __future__ import annotations

from array import array
from typing import Any, Protocol

from tracekmt import core
from tracekmt.differ.columns import DEAD, NO_DEATH, Objects
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.spec.types import Kind

_LAST_ADDRESS = (1 << 64) - 1


class LiveObjects(Protocol):
    """All objects so far, and which of them are live. Of values, 64 bits count."""

    def add(self, birth: int, path: int, value: Any, *, is_range: bool = False, is_chosen: bool = False) -> int:
        """Add an object that no search finds yet. Return its number."""

    def bind(self, number: int, kind: Kind, owner: int | None, size: int = 0) -> None:
        """Let searches find an object.

        An older object with its handle was destroyed by an unrecorded call, with everything within it.

        Args:
            number: Number of the object.
            kind: Its kind.
            owner: Number of the object whose destruction also destroys this one.
            size: Size of a range in bytes. The range ends at the last address at most.
        """

    def origin(self, number: int) -> tuple[int, int]:
        """Return the birth of an object, and its handle or base address."""

    def is_chosen(self, number: int) -> bool:
        """Return True for a range at an address that the caller asked for."""

    def find(self, kind: Kind, value: int) -> int | None:
        """Return the live object with a handle, or the innermost range with an address."""

    def find_destroyed(self, kind: Kind, value: int) -> list[int]:
        """Return what a call destroys with a handle or a base address: of ranges the largest one first."""

    def find_unknown(self, kind: Kind, handle: int) -> int | None:
        """Return the number for a handle without a live object of its kind. None if it may be older than the trace.

        The handle may be that of another kind, among those with handles of one process.
        """

    def destroy(self, number: int, position: int) -> None:
        """Note that a call destroyed an object, and everything within it."""

    def take(self) -> Objects:
        """Return the columns of the objects. No other method may be called then."""


class LiveObjectsInPython:
    """Live objects without the core."""

    def __init__(self) -> None:
        self._objects = Objects()
        self._bindings = Bindings()
        # The live ones by number. The live counterpart of an object is its number.
        self._identities: dict[int, Identity] = {}

    def add(self, birth: int, path: int, value: Any, *, is_range: bool = False, is_chosen: bool = False) -> int:
        """See `LiveObjects.add`."""
        return self._objects.add(birth, path, value, is_range=is_range, is_chosen=is_chosen)

    def bind(self, number: int, kind: Kind, owner: int | None, size: int = 0) -> None:
        """See `LiveObjects.bind`."""
        birth, value = self.origin(number)
        within = (self._identities[owner],) if owner in self._identities else ()
        capped = max(min(size, _LAST_ADDRESS - value), 0) if size else 0
        self._identities[number] = identity = Identity(kind, value, birth, "", number, None, within, capped)
        older, _ = self._bindings.bind(identity)
        if older is not None:
            self._destroy(older, birth)

    def origin(self, number: int) -> tuple[int, int]:
        """See `LiveObjects.origin`."""
        objects = self._objects
        return objects.births[number], objects.values[number]

    def is_chosen(self, number: int) -> bool:
        """See `LiveObjects.is_chosen`."""
        return bool(self._objects.chosen[number])

    def find(self, kind: Kind, value: int) -> int | None:
        """See `LiveObjects.find`."""
        live, number = self._bindings, value & _LAST_ADDRESS
        identity = live.ranges.find(kind, number) if kind.binding == "range" else live.handles.find(kind, number)
        return None if identity is None else identity.live

    def find_destroyed(self, kind: Kind, value: int) -> list[int]:
        """See `LiveObjects.find_destroyed`."""
        if kind.binding != "range":
            number = self.find(kind, value)
            return [] if number is None else [number]
        found = self._bindings.find_destroyed(kind, value & _LAST_ADDRESS)
        largest = max((identity.size for identity in found), default=0)
        found.sort(key=lambda identity: identity.size < largest)
        return [identity.live for identity in found if identity.live is not None]

    def find_unknown(self, kind: Kind, handle: int) -> int | None:
        """See `LiveObjects.find_unknown`."""
        handles = self._bindings.handles
        number = handle & _LAST_ADDRESS
        identity = handles.find_local(number)
        if identity is not None:
            return identity.live
        return None if handles.destroyed_by(kind, number) is None else DEAD

    def destroy(self, number: int, position: int) -> None:
        """See `LiveObjects.destroy`."""
        identity, deaths = self._identities.get(number), self._objects.deaths
        for gone in [number] if identity is None else self._destroy(identity, position):
            if deaths[gone] == NO_DEATH:
                deaths[gone] = position

    def _destroy(self, identity: Identity, position: int) -> list[int]:
        gone = [each.live for each in self._bindings.destroy(identity, position) if each.live is not None]
        for number in gone:
            self._identities.pop(number, None)
        return gone

    def take(self) -> Objects:
        """See `LiveObjects.take`."""
        return self._objects


class LiveObjectsInCore:
    """Live objects in the core.

    Attributes:
        table: The objects, which the core's reader of a history changes too.
    """

    def __init__(self, native: core.Core) -> None:
        self.table = native.LiveObjects()

    def add(self, birth: int, path: int, value: Any, *, is_range: bool = False, is_chosen: bool = False) -> int:
        """See `LiveObjects.add`."""
        number: int = self.table.add(birth, path, value if isinstance(value, int) else 0, is_range, is_chosen)
        return number

    def bind(self, number: int, kind: Kind, owner: int | None, size: int = 0) -> None:
        """See `LiveObjects.bind`."""
        self.table.bind(number, kind.spaces[-1], kind.external, owner or 0, max(min(size, _LAST_ADDRESS), 0))

    def origin(self, number: int) -> tuple[int, int]:
        """See `LiveObjects.origin`."""
        birth, value, _ = self.table.row(number)
        return birth, value

    def is_chosen(self, number: int) -> bool:
        """See `LiveObjects.is_chosen`."""
        return bool(self.table.row(number)[2])

    def find(self, kind: Kind, value: int) -> int | None:
        """See `LiveObjects.find`."""
        if kind.binding == "range":
            return self.table.find_at(kind.spaces[-1], value) or None
        return self.table.find(kind.spaces, value) or None

    def find_destroyed(self, kind: Kind, value: int) -> list[int]:
        """See `LiveObjects.find_destroyed`."""
        if kind.binding == "range":
            freed: list[int] = self.table.find_freed(kind.spaces[-1], value)
            return freed
        number = self.find(kind, value)
        return [] if number is None else [number]

    def find_unknown(self, kind: Kind, handle: int) -> int | None:
        """See `LiveObjects.find_unknown`."""
        return self.table.find_unknown(kind.spaces, handle) or None

    def destroy(self, number: int, position: int) -> None:
        """See `LiveObjects.destroy`."""
        self.table.destroy(number, position)

    def take(self) -> Objects:
        """See `LiveObjects.take`."""
        births, paths, values, is_range, chosen, deaths = self.table.take()
        return Objects(
            births=array("q", births),
            paths=array("I", paths),
            values=array("Q", values),
            is_range=bytearray(is_range),
            chosen=bytearray(chosen),
            deaths=array("q", deaths),
        )


def live_objects() -> LiveObjects:
    """Return a collection without objects."""
    return LiveObjectsInPython() if core.CORE is None else LiveObjectsInCore(core.CORE)
