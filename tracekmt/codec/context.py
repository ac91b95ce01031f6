"""A structure while it is decoded or encoded: the source of its conditions and lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from tracekmt.codec.values import union_key
from tracekmt.spec.layout import Layout, Slot, lay_out
from tracekmt.spec.types import NEVER, Condition, Field, Kind, Length, Union

KindOf = Callable[[int], "Kind | None"]
"""Returns the kind of the object that a handle refers to, or None if it is unknown."""

KindAt = Callable[["StructContext", str], "Kind | None"]
"""Returns the kind of the first handle at a path of a structure, or None if it is unknown."""


@dataclass(frozen=True)
class UndecidedUnion:
    """An unnamed union without an arm in effect.

    Attributes:
        key: Name of the union in decoded values.
        slots: The slots of all arms.
        is_decidable: True if it is known that no arm is in effect, False if an unknown arm may be.
    """

    key: str
    slots: tuple[Slot, ...]
    is_decidable: bool

    @property
    def offset(self) -> int:
        """The offset of the union in its structure, in bytes."""
        return min(slot.offset for slot in self.slots)

    @property
    def size(self) -> int:
        """The size of the union in bytes, without trailing padding."""
        return max(slot.offset + slot.size for slot in self.slots) - self.offset


class StructContext:
    """A structure that is being decoded or encoded.

    Attributes:
        layout: Layout of the structure.
        data: Its bytes.
        before: Its bytes when the call was entered. The same object as `data` if the call has not returned.
        outer: The structure that contains or points to this one.
        kind_at: Returns the kind of a handle, for unions that depend on it.
    """

    __slots__ = ("before", "data", "kind_at", "layout", "outer")

    def __init__(
        self, layout: Layout, data: bytes, before: bytes, outer: StructContext | None, kind_at: KindAt | None = None
    ) -> None:
        self.layout = layout
        self.data = data
        self.before = before
        self.outer = outer
        self.kind_at = kind_at

    def enclosing(self, steps: int) -> StructContext:
        """Return the structure `steps` outwards."""
        context = self
        for _ in range(steps):
            assert context.outer is not None
            context = context.outer
        return context

    def number(self, path: str) -> tuple[int, int]:
        """Return the number in a field at enter, and now."""
        start, end, mask = self.layout.span(path)
        now = int.from_bytes(self.data[start:end], "little") & mask
        return now if self.before is self.data else int.from_bytes(self.before[start:end], "little") & mask, now

    def holds(self, condition: Condition) -> bool | None:
        """Return True if a condition was true when the call was entered. None if that depends on unknown objects."""
        if not condition.path and condition == NEVER:
            return False
        context = self.enclosing(condition.parent) if condition.parent else self
        if condition.kind is not None:
            kind = context.kind_at(context, condition.path) if context.kind_at else None
            return None if kind is None else (kind == condition.kind) != condition.negate
        start, end, mask = context.layout.span(condition.path)
        value = int.from_bytes(context.before[start:end], "little") & mask
        if condition.any_of:
            return (value in condition.any_of) != condition.negate
        return (value == condition.equals if condition.equals is not None else value != 0) != condition.negate

    def count(self, length: Length, deref: Callable[[int], int] = lambda address: 0) -> tuple[int, int]:
        """Return a length at enter, and now.

        Args:
            length: The length to read.
            deref: Reads the 32-bit number at an address.
        """
        before, now = self.enclosing(length.parent).number(length.path)
        if length.deref:
            before, now = deref(before), deref(now)
        return max(before + length.add, length.minimum), max(now + length.add, length.minimum)

    def arm(self, union: Union, arms: tuple[str, ...]) -> Field | None:
        """Return the arm in effect. None if there is none, or it cannot be decided.

        Args:
            union: A union of this structure.
            arms: The arms in effect of unions that leave the choice to the call.
        """
        if union.open:
            return None
        if union.by_call:
            return next((arm for arm in union.arms if arm.name in arms), None)
        in_effect = (arm for arm in union.arms if arm.when is not None and self.holds(arm.when))
        return next(in_effect, next((arm for arm in union.arms if arm.when is None), None))

    def is_decidable(self, union: Union) -> bool:
        """Return True if it is known which arm is in effect, or that none is."""
        return not union.open and all(arm.when is None or self.holds(arm.when) is not None for arm in union.arms)


@lru_cache(maxsize=512)
def unions(layout: Layout) -> dict[Slot, str]:
    """Return the unnamed unions of a structure: the first slot of each, and its name in decoded values."""
    pairs = zip(layout.members, lay_out(layout.struct, "x64").members, strict=True)
    return {member[0]: union_key(x64) for member, x64 in pairs if member[0].union is not None}


def in_effect(context: StructContext, arms: tuple[str, ...]) -> Iterator[Slot | UndecidedUnion]:
    """Iterate over the fields of a structure, without union arms that are not in effect."""
    for member in context.layout.members:
        union = member[0].union
        if union is None:
            yield member[0]
            continue
        arm = context.arm(union, arms)
        if arm is None:
            yield UndecidedUnion(unions(context.layout)[member[0]], member, context.is_decidable(union))
        else:
            yield from (slot for slot in member if slot.arm is arm)
