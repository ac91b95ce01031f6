"""A structure on its way between bytes and values: what its conditions and lengths are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from tracekmt.codec.values import union_key
from tracekmt.spec.layout import Layout, Slot, lay_out
from tracekmt.spec.types import NEVER, Condition, Field, Kind, Length, Union

KindOf = Callable[[int], "Kind | None"]
"""What sort of object a handle leads to, as far as that is known."""

KindAt = Callable[["StructContext", str], "Kind | None"]


@dataclass(frozen=True)
class UndecidedUnion:
    """An unnamed union of which nothing says what it holds. key: the name that stands for it in values. certain: it is
    known that no arm is in effect."""

    key: str
    slots: tuple[Slot, ...]
    certain: bool

    @property
    def offset(self) -> int:
        """Where it begins."""
        return min(slot.offset for slot in self.slots)

    @property
    def size(self) -> int:
        """Its bytes, as far as a field has them."""
        return max(slot.offset + slot.size for slot in self.slots) - self.offset


class StructContext:
    """A structure being decoded or encoded: its bytes, those that it had when the call was entered, and the
    structure that led to it. kind_at: tells the kind of the handles at a path, where anybody can."""

    __slots__ = ("before", "data", "kind_at", "layout", "outer")

    def __init__(
        self, layout: Layout, data: bytes, before: bytes, outer: StructContext | None, kind_at: KindAt | None = None
    ) -> None:
        self.layout = layout
        self.data = data
        self.before = before
        self.outer = outer
        self.kind_at = kind_at

    def outwards(self, steps: int) -> StructContext:
        """The structure so many steps outwards."""
        frame = self
        for _ in range(steps):
            assert frame.outer is not None
            frame = frame.outer
        return frame

    def number(self, path: str) -> tuple[int, int]:
        """What a field said at enter, and says now."""
        start, end, mask = self.layout.span(path)
        now = int.from_bytes(self.data[start:end], "little") & mask
        return now if self.before is self.data else int.from_bytes(self.before[start:end], "little") & mask, now

    def holds(self, when: Condition) -> bool | None:
        """Whether a condition is true of what the call was entered with; None where only the objects can tell."""
        if when is NEVER or when == NEVER:
            return False
        frame = self.outwards(when.parent) if when.parent else self
        if when.kind is not None:
            found = frame.kind_at(frame, when.path) if frame.kind_at else None
            return None if found is None else (found == when.kind) != when.negate
        start, end, mask = frame.layout.span(when.path)
        value = int.from_bytes(frame.before[start:end], "little") & mask
        if when.any_of:
            return (value in when.any_of) != when.negate
        return (value == when.equals if when.equals is not None else value != 0) != when.negate

    def count(self, length: Length, behind: Callable[[int], int] = lambda address: 0) -> tuple[int, int]:
        """What a length said at enter, and says now; `behind` reads the number that a pointer leads to."""
        before, now = self.outwards(length.parent).number(length.path)
        if length.deref:
            before, now = behind(before), behind(now)
        return max(before + length.add, length.minimum), max(now + length.add, length.minimum)

    def arm(self, overlay: Union, arms: tuple[str, ...]) -> Field | None:
        """The arm in effect; None where none is, or nothing says which."""
        if overlay.open:
            return None
        if overlay.by_call:
            return next((field for field in overlay.arms if field.name in arms), None)
        held = (field for field in overlay.arms if field.when is not None and self.holds(field.when))
        return next(held, next((field for field in overlay.arms if field.when is None), None))

    def certain(self, overlay: Union) -> bool:
        """Whether it is known which arm is in effect, if any is."""
        return not overlay.open and all(arm.when is None or self.holds(arm.when) is not None for arm in overlay.arms)


@lru_cache(maxsize=512)
def unions(layout: Layout) -> dict[Slot, str]:
    """The unnamed unions of a structure by their first slots, with the names that stand for them in values."""
    pairs = zip(layout.members, lay_out(layout.struct, "x64").members, strict=True)
    return {member[0]: union_key(x64) for member, x64 in pairs if member[0].overlay is not None}


def in_effect(frame: StructContext, arms: tuple[str, ...]) -> Iterator[Slot | UndecidedUnion]:
    """The fields of a structure without the arms that are not in effect."""
    for member in frame.layout.members:
        overlay = member[0].overlay
        if overlay is None:
            yield member[0]
            continue
        arm = frame.arm(overlay, arms)
        if arm is None:
            yield UndecidedUnion(unions(frame.layout)[member[0]], member, frame.certain(overlay))
        else:
            yield from (slot for slot in member if slot.arm is arm)
