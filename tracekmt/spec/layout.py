"""Offsets and sizes by the rule of Microsoft's compilers: natural alignment, in x86 too (64-bit integers at 8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from tracekmt.spec import types as t


@dataclass(frozen=True)
class Slot:
    """Where one field lies. overlay: the unnamed union that it is in; arm: the arm there that it is, or is part of;
    inner: of a union within that arm, the arm that it is."""

    field: t.Field
    offset: int
    size: int
    overlay: t.Union | None = None
    arm: t.Field | None = None
    inner: t.Field | None = None


@dataclass(frozen=True)
class FieldLocation:
    """Where a path leads inside a structure: the bytes, and of a bit its mask."""

    type: t.Type
    offset: int
    size: int
    mask: int | None = None


@dataclass(frozen=True, eq=False)
class Layout:
    """A structure in one ABI: its size and alignment in bytes, and its members in declaration order: the slots of one
    field, or of all arms of an unnamed union."""

    struct: t.Struct
    abi: t.Abi
    size: int
    align: int
    members: tuple[tuple[Slot, ...], ...]
    _places: dict[str, FieldLocation] = field(default_factory=dict)
    _spans: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Every field."""
        return tuple(slot for member in self.members for slot in member)

    def slot(self, name: str) -> Slot:
        """The place of one field; KeyError where there is none."""
        return self._by_name[name]

    def place(self, path: str) -> FieldLocation:
        """Where a path through structures that lie in this one leads: "Info.Type", "Info.Flags.Shared". KeyError
        where it leads nowhere."""
        if path not in self._places:
            self._places[path] = self._find(path)
        return self._places[path]

    def span(self, path: str) -> tuple[int, int, int]:
        """The same as numbers: where it begins and ends, and the mask of what is read there."""
        if path not in self._spans:
            place = self.place(path)
            mask = -1 if place.mask is None else place.mask
            self._spans[path] = place.offset, place.offset + place.size, mask
        return self._spans[path]

    @cached_property
    def _by_name(self) -> dict[str, Slot]:
        return {slot.field.name: slot for slot in self.slots}

    def _find(self, path: str) -> FieldLocation:
        name, _, rest = path.partition(".")
        slot = self.slot(name)
        match slot.field.type:
            case t.Struct() as inner if rest:
                found = lay_out(inner, self.abi).place(rest)
                return FieldLocation(found.type, slot.offset + found.offset, found.size, found.mask)
            case t.Flags() as word if rest:
                return FieldLocation(word, slot.offset, slot.size, word.mask(rest))
            case _ if rest:
                raise KeyError(path)
            case type_:
                return FieldLocation(type_, slot.offset, slot.size)


def measure(type_: t.Type, abi: t.Abi) -> tuple[int, int]:
    """Size and alignment of a type, in bytes."""
    match type_:
        case t.Integer(size=size):
            size = size or t.POINTER_SIZE[abi]
            return size, size
        case t.Float(size=size) | t.Flags(size=size):
            return size, size
        case t.Enum() | t.StructSize():
            return 4, 4
        case t.Array(of=of, count=count):
            size, align = measure(of, abi)
            return size * count, align
        case t.ByteArray(size=size):
            return size, 1
        case t.WCharArray(count=count):
            return t.WCHAR_SIZE[abi] * count, t.WCHAR_SIZE[abi]
        case t.CountedString():
            return 2 * t.POINTER_SIZE[abi], t.POINTER_SIZE[abi]
        case t.Union(arms=arms):
            sizes = [measure(arm.type, abi) for arm in arms]
            align = max(align for _, align in sizes)
            return _round_up(max(size for size, _ in sizes), align), align
        case t.Struct():
            layout = lay_out(type_, abi)
            return layout.size, layout.align
    # What is left are the pointers.
    return t.POINTER_SIZE[abi], t.POINTER_SIZE[abi]


@lru_cache(maxsize=4096)
def lay_out(struct: t.Struct, abi: t.Abi) -> Layout:
    """The layout of a structure, computed once per ABI. Parameters have a word each."""
    members: list[tuple[Slot, ...]] = []
    end, widest = 0, t.POINTER_SIZE[abi] if struct.parameters else 1
    for member in struct.members:
        arms = member.arms if isinstance(member, t.Union) else (member,)
        sizes = [measure(arm.type, abi) for arm in arms]
        align = t.POINTER_SIZE[abi] if struct.parameters else min(max(a for _, a in sizes), struct.pack or 8)
        offset = _round_up(end, align)
        if isinstance(member, t.Union):
            members.append(tuple(slot for arm in arms for slot in _arm(member, arm, offset, abi)))
        else:
            members.append((Slot(member, offset, sizes[0][0]),))
        end = offset + max(size for size, _ in sizes)
        widest = max(widest, align)
    return Layout(struct, abi, _round_up(end, widest), widest, tuple(members))


def _arm(overlay: t.Union, arm: t.Field, offset: int, abi: t.Abi) -> list[Slot]:
    """An arm of an unnamed union: one field, or those of an unnamed structure."""
    if arm.name or not isinstance(arm.type, t.Struct):
        return [Slot(arm, offset, measure(arm.type, abi)[0], overlay, arm)]
    inside = lay_out(arm.type, abi).slots
    return [Slot(slot.field, offset + slot.offset, slot.size, overlay, arm, slot.arm) for slot in inside]


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
