"""Numbers the objects that the values of calls refer to, while a trace is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tracekmt.codec import Unreadable
from tracekmt.differ.columns import DEAD, FIRST, NO_BIRTH, NULL, UNKNOWN, mix_numbers
from tracekmt.differ.live_objects import LiveObjects
from tracekmt.spec.types import CallSpec, Kind
from tracekmt.trace.call import BoundValue

_NO_OBJECT = ("fence", "literal")
"""Bindings of values that refer to no object."""

NOTHING_CREATED: Mapping[str, int] = {}


class Numbering:
    """Finds and adds the objects that values refer to.

    Attributes:
        live: The objects at one event.
    """

    def __init__(self, live: LiveObjects, paths: dict[str, int]) -> None:
        """Begin without objects. `paths`: numbers of the paths of handles."""
        self.live = live
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
            number = self.live.find(kind, value)
            if number is not None:
                return number
        if kind is None or kind.binding in _NO_OBJECT or isinstance(value, Unreadable):
            return UNKNOWN
        if kind.binding == "per_machine":
            key = kind.space.name, tuple(value.items()) if isinstance(value, dict) else value
            if key not in self._values:
                self._values[key] = self.live.add(NO_BIRTH, self.path(bound.path), value)
            return self._values[key]
        if kind.binding == "range":
            return self._number_address(spec, kind, bound)
        number = UNKNOWN if kind.external else self.live.find_unknown(kind, value)
        if number is None:
            number = self._adopt(kind, bound) if may_adopt else DEAD
        return number

    def _number_address(self, spec: CallSpec, kind: Kind, bound: BoundValue) -> int:
        if any(destroys.path == bound.pattern for destroys in spec.destroys):
            # An address may begin several ranges. Freed are the largest and those in it, which may be gone already.
            number = next(iter(self.live.find_destroyed(kind, bound.value)), None)
        else:
            number = self.live.find(kind, bound.value)
        if number is None:
            return UNKNOWN
        # Where a caller places a range in a range that it has placed itself follows from its own addresses.
        return UNKNOWN if _places_ranges(spec) and self.live.is_chosen(number) else number

    def _adopt(self, kind: Kind, bound: BoundValue) -> int:
        """Add an object that is older than the trace."""
        number = self.live.add(NO_BIRTH, self.path(bound.path), bound.value)
        self.live.bind(number, kind, None)
        return number

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
        numbers, offsets = list[int](), list[int]()
        for bound in values:
            number = (created.get(bound.path) if created else 0) or self._number(spec, bound, may_adopt=may_adopt)
            numbers.append(number)
            offset = int(bool(bound.value))
            if number >= FIRST and bound.kind is not None and bound.kind.binding == "range":
                birth, start = self.live.origin(number)
                offset = bound.value - start if birth != position else offset
            offsets.append(offset)
        return numbers, mix_numbers(offsets)


@lru_cache(maxsize=1024)
def _places_ranges(spec: CallSpec) -> bool:
    return any(creates.kind.binding == "range" for creates in spec.creates)
