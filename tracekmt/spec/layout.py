"""Offsets and sizes by the rule of Microsoft's compilers: natural alignment, in x86 too (64-bit integers at 8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from tracekmt.spec.types import (
    POINTER_SIZE,
    Abi,
    Address,
    Array,
    Bytes,
    Enum,
    Field,
    Flags,
    Integer,
    Overlay,
    Pointer,
    Struct,
    Type,
)


@dataclass(frozen=True)
class Slot:
    """Where one field lies; `overlay` is the union that it is an arm of."""

    field: Field
    offset: int
    size: int
    overlay: Overlay | None = None


@dataclass(frozen=True)
class Layout:
    """A structure in one ABI: its size and alignment in bytes, its fields in declaration order."""

    struct: Struct
    abi: Abi
    size: int
    align: int
    slots: tuple[Slot, ...]

    def slot(self, name: str) -> Slot:
        """The place of one field; KeyError where there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Slot]:
        return {slot.field.name: slot for slot in self.slots}


def measure(type_: Type, abi: Abi) -> tuple[int, int]:
    """Size and alignment of a type, in bytes."""
    match type_:
        case Integer(size=size):
            size = size or POINTER_SIZE[abi]
            return size, size
        case Enum() | Flags():
            return 4, 4
        case Address() | Pointer() | Bytes():
            return POINTER_SIZE[abi], POINTER_SIZE[abi]
        case Array(of=of, count=count):
            size, align = measure(of, abi)
            return size * count, align
        case Struct():
            layout = lay_out(type_, abi)
            return layout.size, layout.align
    raise TypeError(type_)


@lru_cache(maxsize=4096)
def lay_out(struct: Struct, abi: Abi) -> Layout:
    """The layout of a structure, computed once per ABI."""
    slots: list[Slot] = []
    end, widest = 0, 1
    for member in struct.members:
        overlay = member if isinstance(member, Overlay) else None
        arms = member.arms if isinstance(member, Overlay) else (member,)
        sizes = [measure(arm.type, abi) for arm in arms]
        align = max(align for _, align in sizes)
        offset = _round_up(end, align)
        slots += [Slot(arm, offset, size, overlay) for arm, (size, _) in zip(arms, sizes, strict=True)]
        end = offset + max(size for size, _ in sizes)
        widest = max(widest, align)
    return Layout(struct, abi, _round_up(end, widest), widest, tuple(slots))


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
