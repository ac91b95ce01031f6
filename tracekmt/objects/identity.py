"""Maps recorded handles, addresses and fence values to their live counterparts.

Values of a kind with a binding are never compared as numbers. An object is identified by the call that created it and
by the path of its handle in that call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracekmt.spec.types import Kind


@dataclass(eq=False, slots=True)
class Identity:
    """One object, or one range of addresses, of a recording.

    Attributes:
        kind: Kind of the handle or address.
        recorded: Recorded handle, or recorded base address of a range.
        index: Index of the call that created the object. None if it is older than the trace.
        path: Path of the handle in that call.
        live: Handle or base address on the replay target. None if the object does not exist there.
        cause: Index of the call whose difference is the reason why `live` is None.
        within: Objects whose destruction also destroys this one.
        size: Size of a range in bytes. 0 for a range without a known end.
        children: Objects that are destroyed with this one.
        adopted: True if the replay target did not make the call that created the object, and knows only its kind.
    """

    kind: Kind
    recorded: int
    index: int | None
    path: str
    live: int | None
    cause: int | None = None
    within: tuple[Identity, ...] = ()
    size: int = 0
    children: dict[Identity, None] = field(default_factory=dict)
    adopted: bool = False

    @property
    def is_unborn(self) -> bool:
        """True if the replay target does not know the state of the object."""
        return self.adopted or self.index is None

    def __str__(self) -> str:
        """Return the identity in the form of findings: "#17.hResource", or "ambient" if it is older than the trace."""
        return "ambient" if self.index is None else f"#{self.index}.{self.path}"

    def fence_owner(self) -> Identity:
        """Return the object that a fence value belongs to.

        A queue and its own fence are created by one call and share their values.
        """
        owner = self.within[0] if self.within else None
        return (
            owner.fence_owner() if owner is not None and owner.index is not None and owner.index == self.index else self
        )


class HandleMap:
    """Live objects at one point of a recording, by their recorded handles and by their live handles."""

    def __init__(self) -> None:
        # By the name of the kind's handle space, then by the handle.
        self._by_recorded: dict[str, dict[int, Identity]] = defaultdict(dict)
        self._by_live: dict[str, dict[int, Identity]] = defaultdict(dict)
        self._destroyed_by: dict[str, dict[int, int]] = defaultdict(dict)

    @property
    def by_space(self) -> Mapping[str, Mapping[int, Identity]]:
        """Live objects by the name of their handle space, then by their recorded handle."""
        return self._by_recorded

    def find(self, kind: Kind, handle: int) -> Identity | None:
        """Return the live object with a recorded handle."""
        return _find_in_spaces(self._by_recorded, kind, handle)

    def destroyed_by(self, kind: Kind, handle: int) -> int | None:
        """Return the index of the call that destroyed the object with a recorded handle.

        None for the handle of a live object and for an unknown handle.
        """
        if self.find(kind, handle) is not None:
            return None
        indexes = (self._destroyed_by[space].get(handle) for space in kind.spaces)
        return max((index for index in indexes if index is not None), default=None)

    def find_by_live_handle(self, kind: Kind, handle: int) -> Identity | None:
        """Return the object with a handle on the replay target."""
        return _find_in_spaces(self._by_live, kind, handle)

    def bind(self, identity: Identity) -> tuple[Identity | None, Identity | None]:
        """Add a created object.

        Returns:
            The objects that still had its recorded handle and its live handle. If only one of them is set, one handle
            of one side has become two of the other.
        """
        space = identity.kind.space.name
        same_recorded = self._by_recorded[space].get(identity.recorded)
        self._by_recorded[space][identity.recorded] = identity
        same_live = None
        if identity.live is not None:
            same_live = self._by_live[space].get(identity.live)
            self._by_live[space][identity.live] = identity
        _add_to_owners(identity)
        return same_recorded, same_live

    def destroy(self, identity: Identity, by: int) -> None:
        """Remove an object that the call with index `by` destroyed."""
        space = identity.kind.space.name
        if self._by_recorded[space].get(identity.recorded) is identity:
            del self._by_recorded[space][identity.recorded]
            self._destroyed_by[space][identity.recorded] = by
        if identity.live is not None and self._by_live[space].get(identity.live) is identity:
            del self._by_live[space][identity.live]

    def find_local(self, handle: int) -> Identity | None:
        """Return the live object with a recorded handle, of any kind with handles of one process."""
        for by_handle in self._by_recorded.values():
            identity = by_handle.get(handle)
            if identity is not None and not identity.kind.external:
                return identity
        return None

    def join(self, space: str, other: HandleMap) -> None:
        """Use the handles of another process in a handle space that all processes share."""
        self._by_recorded[space] = other._by_recorded[space]
        self._by_live[space] = other._by_live[space]
        self._destroyed_by[space] = other._destroyed_by[space]

    def live_objects(self) -> Iterator[Identity]:
        """Yield every object that is not destroyed."""
        for by_handle in self._by_recorded.values():
            yield from by_handle.values()


class _Range:
    """A range of a map.

    Attributes:
        identity: The range.
        key: Its first address, and the number of ranges added before.
        around: The innermost range that contained the first address when the range was added, or was added around it.
        is_live: False once the range is freed.
    """

    __slots__ = ("around", "identity", "is_live", "key")

    def __init__(self, identity: Identity, key: tuple[int, int], around: _Range | None) -> None:
        self.identity, self.key, self.around = identity, key, around
        self.is_live = True

    def contains(self, address: int) -> bool:
        """Return True if an address is in the range. A range without a size has its first address only."""
        return self.is_live and 0 <= address - self.identity.recorded < max(self.identity.size, 1)


class _RangeSpace:
    """Live ranges of one kind, by their first addresses."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int]] = []
        self._ranges: list[_Range] = []
        self._by_identity: dict[Identity, _Range] = {}
        self._added = 0

    def __iter__(self) -> Iterator[Identity]:
        return iter(list(self._by_identity))

    def find(self, address: int) -> _Range | None:
        """Return the range that contains an address and starts last."""
        position = bisect_left(self._keys, (address + 1, 0)) - 1
        found = self._ranges[position] if position >= 0 else None
        while found is not None and not found.contains(address):
            found = found.around
        return found

    def starting_between(self, start: int, end: int) -> list[_Range]:
        """Return the live ranges that start at an address from start up to end."""
        first, last = (bisect_left(self._keys, (address, 0)) for address in (start, end))
        return self._ranges[first:last]

    def add(self, identity: Identity) -> None:
        """Add a range. Ranges inside it know it from now on."""
        start = identity.recorded
        added = _Range(identity, (start, self._added), self.find(start))
        self._added += 1
        for inside in self.starting_between(start + 1, start + identity.size):
            outermost = inside
            while outermost.around is not None and outermost.around.key[0] > start:
                outermost = outermost.around
            outermost.around = added
        position = bisect_left(self._keys, added.key)
        self._keys.insert(position, added.key)
        self._ranges.insert(position, added)
        self._by_identity[identity] = added

    def remove(self, identity: Identity) -> None:
        """Remove a range, if it is live."""
        removed = self._by_identity.pop(identity, None)
        if removed is not None:
            removed.is_live = False
            position = bisect_left(self._keys, removed.key)
            del self._keys[position], self._ranges[position]


class RangeMap:
    """Live ranges of addresses. A range can be inside another one, for example a mapping in a reservation."""

    def __init__(self) -> None:
        self._spaces: dict[str, _RangeSpace] = {}  # by the name of the kind's space

    def find(self, kind: Kind, address: int) -> Identity | None:
        """Return the innermost range that contains a recorded address."""
        space = self._spaces.get(kind.space.name)
        found = None if space is None else space.find(address)
        return None if found is None else found.identity

    def find_freed(self, kind: Kind, address: int) -> list[Identity]:
        """Return the ranges that a call frees with a base address: the largest one there, and those inside it."""
        space = self._spaces.get(kind.space.name)
        if space is None:
            return []
        size = max((found.identity.size for found in space.starting_between(address, address + 1)), default=0)
        inside = [found.identity for found in space.starting_between(address, address + max(size, 1))]
        return [identity for identity in inside if identity.recorded + identity.size <= address + size]

    def live_objects(self) -> Iterator[Identity]:
        """Yield every range that is not freed."""
        for space in self._spaces.values():
            yield from space

    def bind(self, identity: Identity) -> None:
        """Add a created range."""
        self._spaces.setdefault(identity.kind.space.name, _RangeSpace()).add(identity)
        _add_to_owners(identity)

    def destroy(self, identity: Identity, by: int) -> None:
        """Remove a range that the call with index `by` freed."""
        space = self._spaces.get(identity.kind.space.name)
        if space is not None:
            space.remove(identity)


class Bindings:
    """Live counterparts of recorded values at one point of a recording.

    Attributes:
        handles: Objects.
        ranges: Ranges of addresses.
    """

    def __init__(self) -> None:
        self.handles = HandleMap()
        self.ranges = RangeMap()
        self._live_values: dict[tuple[Hashable, ...], Any] = {}
        self._missing: dict[tuple[Hashable, ...], int] = {}

    def find(self, kind: Kind, value: int) -> Identity | None:
        """Return the object or range that a recorded value refers to."""
        return self.ranges.find(kind, value) if kind.binding == "range" else self.handles.find(kind, value)

    def find_destroyed(self, kind: Kind, value: int) -> list[Identity]:
        """Return the object that a call destroys by its handle, or the ranges that it frees by their base address."""
        if kind.binding == "range":
            return self.ranges.find_freed(kind, value)
        identity = self.handles.find(kind, value)
        return [identity] if identity is not None and identity.recorded == value else []

    def translate(self, kind: Kind, value: Any, fence_owner: Identity | None = None) -> Any:
        """Return the live counterpart of a recorded address, fence value or LUID. An unbound value is its own."""
        if kind.binding == "range":
            identity = self.ranges.find(kind, value)
            return value if identity is None or identity.live is None else identity.live + value - identity.recorded
        return self._live_values.get(_value_key(kind, value, fence_owner), value)

    def bind_value(self, kind: Kind, value: Any, live: Any, fence_owner: Identity | None = None) -> Any:
        """Bind a recorded fence value or LUID to its live counterpart.

        Returns:
            The different live value that the recorded one is already bound to, if any. It stays bound.
        """
        if kind.binding not in ("fence", "per_machine"):
            return None
        bound = self._live_values.setdefault(_value_key(kind, value, fence_owner), live)
        return None if bound == live else bound

    def mark_missing(self, kind: Kind, value: Any, fence_owner: Identity | None, cause: int) -> None:
        """Mark a recorded value as missing on the replay target.

        Args:
            kind: Kind of the value.
            value: Recorded value.
            fence_owner: Object that a fence value belongs to.
            cause: Index of the call whose difference is the reason.
        """
        self._missing.setdefault(_value_key(kind, value, fence_owner), cause)

    def inherit_missing(self, older: Bindings) -> None:
        """Adopt the missing objects and values of the bindings of a restarted target.

        The restarted target has created all other objects again.
        """
        recreated = {(identity.index, identity.path): identity for identity in self.live_objects()}
        for identity in list(older.live_objects()):
            if identity.live is None:
                self.bind(identity)
        for (space, older_owner, plain_value), cause in older._missing.items():
            owner = older_owner
            if isinstance(older_owner, Identity):
                owner = recreated.get((older_owner.index, older_owner.path), older_owner)
            self._missing[space, owner, plain_value] = cause

    def cause(self, kind: Kind, value: Any, fence_owner: Identity | None = None) -> int | None:
        """Return the index of the call whose difference is the reason why a recorded value is missing.

        None for a value that is bound or was never returned by a call.
        """
        if kind.binding == "range":
            identity = self.ranges.find(kind, value)
            return identity.cause if identity is not None and identity.live is None else None
        key = _value_key(kind, value, fence_owner)
        return None if key in self._live_values else self._missing.get(key)

    def bind(self, identity: Identity) -> tuple[Identity | None, Identity | None]:
        """Add a created object or range. Return the objects that still had its handles (see `HandleMap.bind`)."""
        if identity.kind.binding != "range":
            return self.handles.bind(identity)
        self.ranges.bind(identity)
        return None, None

    def live_objects(self) -> Iterator[Identity]:
        """Yield every object and range that is not destroyed."""
        yield from self.handles.live_objects()
        yield from self.ranges.live_objects()

    def destroy(self, identity: Identity, by: int) -> list[Identity]:
        """Remove an object or range, and everything within it.

        Args:
            identity: The object or range.
            by: Index of the call that destroyed it.

        Returns:
            Everything that was removed.
        """
        destroyed: list[Identity] = []
        remaining = [identity]
        while remaining:
            current = remaining.pop()
            (self.ranges if current.kind.binding == "range" else self.handles).destroy(current, by)
            destroyed.append(current)
            remaining += reversed(current.children)
            current.children = {}
            for owner in current.within:
                owner.children.pop(current, None)
        return destroyed


def _add_to_owners(identity: Identity) -> None:
    for owner in identity.within:
        owner.children[identity] = None


def _find_in_spaces(by_space: Mapping[str, Mapping[int, Identity]], kind: Kind, handle: int) -> Identity | None:
    for space in kind.spaces:
        handles = by_space.get(space)  # a search adds no space: their order counts
        identity = None if handles is None else handles.get(handle)
        if identity is not None:
            return identity
    return None


def _value_key(kind: Kind, value: Any, fence_owner: Identity | None) -> tuple[Hashable, ...]:
    plain_value = tuple(sorted(value.items())) if isinstance(value, dict) else value
    return kind.space, fence_owner.fence_owner() if fence_owner is not None else None, plain_value
