"""Offsets and sizes by the rule of Microsoft's compilers: natural alignment, in x86 too (64-bit integers at 8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never


@dataclass(frozen=True)
class Slot:
    """A field with its location in a structure.

    Attributes:
        field: The field.
        offset: Offset in the structure, in bytes.
        size: Size in bytes.
        union: The unnamed union that contains the field.
        arm: The arm of that union that is the field or contains it.
        inner: The arm of a union inside that arm, if the field is one.
    """

    field: t.Field
    offset: int
    size: int
    union: t.Union | None = None
    arm: t.Field | None = None
    inner: t.Field | None = None


@dataclass(frozen=True)
class FieldLocation:
    """Location of a path inside a structure.

    Attributes:
        type: Type of the field. For a bit, that of its flag word.
        offset: Offset in the outer structure, in bytes.
        size: Size in bytes.
        mask: Mask of a bit in its word. None for a whole field.
    """

    type: t.Type
    offset: int
    size: int
    mask: int | None = None


@dataclass(frozen=True, eq=False)
class Layout:
    """Layout of a structure in one ABI.

    Attributes:
        struct: The structure.
        abi: The ABI.
        size: Size in bytes.
        align: Alignment in bytes.
        members: Members in declaration order. Each has the slot of one field, or of all arms of an unnamed union.
    """

    struct: t.Struct
    abi: t.Abi
    size: int
    align: int
    members: tuple[tuple[Slot, ...], ...]
    _locations: dict[str, FieldLocation] = field(default_factory=dict)
    _spans: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of all fields."""
        return tuple(slot for member in self.members for slot in member)

    def slot(self, name: str) -> Slot:
        """Return the slot of a field. Raise KeyError for an unknown name."""
        return self._by_name[name]

    def locate(self, path: str) -> FieldLocation:
        """Return the location of a path through nested structures: "Info.Type", "Info.Flags.Shared".

        Raises:
            KeyError: There is no such field or bit.
        """
        if path not in self._locations:
            self._locations[path] = self._find(path)
        return self._locations[path]

    def span(self, path: str) -> tuple[int, int, int]:
        """Return the location of a path as its first byte, the byte behind it, and the mask of its bits."""
        if path not in self._spans:
            location = self.locate(path)
            mask = -1 if location.mask is None else location.mask
            self._spans[path] = location.offset, location.offset + location.size, mask
        return self._spans[path]

    @cached_property
    def _by_name(self) -> dict[str, Slot]:
        return {slot.field.name: slot for slot in self.slots}

    def _find(self, path: str) -> FieldLocation:
        name, _, rest = path.partition(".")
        slot = self.slot(name)
        type_ = slot.field.type
        if not rest:
            return FieldLocation(type_, slot.offset, slot.size)
        if isinstance(type_, t.Struct):
            inner = lay_out(type_, self.abi).locate(rest)
            return FieldLocation(inner.type, slot.offset + inner.offset, inner.size, inner.mask)
        if isinstance(type_, t.Flags):
            return FieldLocation(type_, slot.offset, slot.size, type_.mask(rest))
        raise KeyError(path)


def measure(type_: t.Type, abi: t.Abi) -> tuple[int, int]:
    """Return the size and alignment of a type, in bytes."""
    match type_:
        case t.Integer(size=size):
            size = size or t.POINTER_SIZE[abi]
            return size, size
        case t.Float(size=size):
            return size, size
        case t.Flags(size=size, align=align):
            return size, align or size
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
        case _ if isinstance(type_, (t.Address, *t.POINTER_TYPES)):
            return t.POINTER_SIZE[abi], t.POINTER_SIZE[abi]
        case _:
            return assert_never(type_)


@lru_cache(maxsize=4096)
def lay_out(struct: t.Struct, abi: t.Abi) -> Layout:
    """Return the layout of a structure, computed once per ABI. Each parameter of a function has a separate word."""
    members: list[tuple[Slot, ...]] = []
    end, widest = 0, t.POINTER_SIZE[abi] if struct.parameters else 1
    for member in struct.members:
        arms = member.arms if isinstance(member, t.Union) else (member,)
        sizes = [measure(arm.type, abi) for arm in arms]
        natural_align = max(align for _, align in sizes)
        align = t.POINTER_SIZE[abi] if struct.parameters else min(natural_align, struct.pack or 8)
        offset = _round_up(end, align)
        if isinstance(member, t.Union):
            members.append(tuple(slot for arm in arms for slot in _arm_slots(member, arm, offset, abi)))
        else:
            members.append((Slot(member, offset, sizes[0][0]),))
        end = offset + max(size for size, _ in sizes)
        widest = max(widest, align)
    return Layout(struct, abi, _round_up(end, widest), widest, tuple(members))


def _arm_slots(union: t.Union, arm: t.Field, offset: int, abi: t.Abi) -> list[Slot]:
    """Return the slots of an arm of an unnamed union: one, or those of the fields of an unnamed structure."""
    if arm.name or not isinstance(arm.type, t.Struct):
        return [Slot(arm, offset, measure(arm.type, abi)[0], union, arm)]
    inner_slots = lay_out(arm.type, abi).slots
    return [Slot(slot.field, offset + slot.offset, slot.size, union, arm, slot.arm) for slot in inner_slots]


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
