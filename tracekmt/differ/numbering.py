"""Numbers the objects that the values of calls refer to, while a trace is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekmt.codec import Unreadable
from tracekmt.differ.columns import DEAD, NO_BIRTH, NULL, UNKNOWN, Objects, mix_numbers
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.spec.types import CallSpec, Kind
from tracekmt.trace.call import BoundValue

_NO_OBJECT = ("fence", "literal")
"""Bindings of values that refer to no object."""

NOTHING_CREATED: Mapping[str, int] = {}


class Numbering:
    """The objects of a trace at one event.

    Attributes:
        objects: All objects so far.
        bindings: The live ones. The live counterpart of an object is its number.
    """

    def __init__(self, paths: dict[str, int]) -> None:
        """Begin without objects. `paths`: numbers of the paths of handles."""
        self.objects = Objects()
        self.bindings = Bindings()
        self._paths = paths
        self._values: dict[tuple[str, Any], int] = {}

    def path(self, path: str) -> int:
        """Return the number of a path."""
        return self._paths.setdefault(path, len(self._paths))

    def _number(self, spec: CallSpec, bound: BoundValue, *, may_adopt: bool) -> int:
        """Return the number of the object that a value refers to. Objects that are older than the trace are added."""
        kind, value = bound.kind, bound.value
        if not value:
            return NULL
        if kind is not None and kind.binding == "handle" and type(value) is int:  # most values
            found = self.bindings.handles.find(kind, value)
            if found is not None and found.live is not None:
                return found.live
        if kind is None or kind.binding in _NO_OBJECT or isinstance(value, Unreadable):
            return UNKNOWN
        if kind.binding == "per_machine":
            key = kind.space.name, tuple(value.items()) if isinstance(value, dict) else value
            if key not in self._values:
                self._values[key] = self.objects.add(NO_BIRTH, self.path(bound.path), value)
            return self._values[key]
        if kind.binding == "range" and any(destroys.path == bound.pattern for destroys in spec.destroys):
            # An address may begin several ranges. Freed are the largest and those in it, which may be gone already.
            freed = self.bindings.find_destroyed(kind, value)
            identity = max(freed, key=lambda freed_range: freed_range.size, default=None)
        else:
            identity = self.bindings.find(kind, value)
        if identity is None and kind.binding == "handle":
            unknown = self.number_unknown(kind, value)
            if unknown is not None or not may_adopt:
                return DEAD if unknown is None else unknown
            identity = self._adopt(kind, bound)
        number = UNKNOWN if identity is None or identity.live is None else identity.live
        # Where a caller places a range in a range that it has placed itself follows from its own addresses.
        return UNKNOWN if self.objects.chosen[number] and _places_ranges(spec) else number

    def find_foreign_range(self, kind: Kind, address: int) -> Identity | None:
        """Return the range at an address, unless the caller has chosen its place."""
        identity = self.bindings.ranges.find(kind, address)
        is_chosen = identity is not None and identity.live is not None and self.objects.chosen[identity.live]
        return None if is_chosen else identity

    def number_unknown(self, kind: Kind, handle: int) -> int | None:
        """Return the number for a handle without a live object of its kind. None if it may be older than the trace."""
        if kind.external:
            return UNKNOWN
        identity = self.bindings.handles.find_local(handle)
        if identity is not None:
            return UNKNOWN if identity.live is None else identity.live
        return None if self.bindings.handles.destroyed_by(kind, handle) is None else DEAD

    def _adopt(self, kind: Kind, bound: BoundValue) -> Identity:
        """Add an object that is older than the trace."""
        number = self.objects.add(NO_BIRTH, self.path(bound.path), bound.value)
        identity = Identity(kind, bound.value, None, bound.path, number)
        self.bindings.bind(identity)
        return identity

    def refer(
        self,
        position: int,
        spec: CallSpec,
        values: Sequence[BoundValue],
        created: Mapping[str, int] = NOTHING_CREATED,
        *,
        may_adopt: bool = True,
    ) -> tuple[list[int], int]:
        """Return the objects that values refer to, and a key of what the values say besides. A new range has no offset.

        Args:
            position: Position of the call.
            spec: Description of its function.
            values: Its bound inputs or outputs.
            created: Numbers of the objects that it created, by path.
            may_adopt: Add the objects of unknown handles, which are older than the trace.
        """
        objects, numbers = self.objects, list[int]()
        is_range, births, addresses = objects.is_range, objects.births, objects.values
        offsets: list[int] = []
        for bound in values:
            number = (created.get(bound.path) if created else 0) or self._number(spec, bound, may_adopt=may_adopt)
            numbers.append(number)
            is_offset = is_range[number] and births[number] != position
            offsets.append(bound.value - addresses[number] if is_offset else bool(bound.value))
        return numbers, mix_numbers(offsets)


def _places_ranges(spec: CallSpec) -> bool:
    return any(creates.kind.binding == "range" for creates in spec.creates)
