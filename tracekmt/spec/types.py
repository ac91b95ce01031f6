"""What a description is made of: plain data that says how an interface's memory looks and what it means.

Offsets are never written by hand; `layout` computes them from these types. Conditions and lengths are references
to fields, never code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Union

Abi = Literal["x64", "x86"]
ABIS: tuple[Abi, ...] = ("x64", "x86")
POINTER_SIZE: dict[Abi, int] = {"x64": 8, "x86": 4}
Direction = Literal["in", "out", "inout", "unknown"]


@dataclass(frozen=True)
class Kind:
    """What a value stands for, when it is more than a number: a replay has to bind it, a diff to compare it by that.

    binding: "handle" values are bound one to one while their object lives; "address" and "name" values are passed on
    as they are and compared by being null or not.
    dies_with: the kinds whose destruction also ends this one, nearest first.
    """

    name: str
    binding: Literal["handle", "address", "name"] = "handle"
    dies_with: tuple[Kind, ...] = ()


@dataclass(frozen=True)
class Integer:
    """A number of `size` bytes; None is the size of a pointer. `hexadecimal` is how people read it."""

    name: str
    size: int | None
    signed: bool = False
    hexadecimal: bool = False
    kind: Kind | None = None


@dataclass(frozen=True)
class Enum:
    """A 32-bit enumeration."""

    name: str
    members: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Bit:
    """A run of bits in a flag word. `opaque`: only the driver or the memory manager can say what it will be."""

    name: str
    position: int
    width: int = 1
    direction: Direction = "in"
    opaque: bool = False


@dataclass(frozen=True)
class Flags:
    """A 32-bit word of named bits; what no bit names is reserved."""

    name: str
    bits: tuple[Bit, ...]

    def mask(self, name: str) -> int:
        """The mask of one named bit or run of bits."""
        for bit in self.bits:
            if bit.name == name:
                return ((1 << bit.width) - 1) << bit.position
        raise KeyError(name)


@dataclass(frozen=True)
class Address:
    """A pointer whose memory is not described: it has no length, or is not the caller's to read."""

    name: str
    kind: Kind | None = None


@dataclass(frozen=True)
class Pointer:
    """A pointer to one `to`, or, with `count`, to as many as that field says when the call is entered."""

    to: Type
    count: str | None = None


@dataclass(frozen=True)
class Bytes:
    """A pointer to bytes whose number is in the field `length`. `opaque`: only a driver can answer in it."""

    length: str
    opaque: bool = False


@dataclass(frozen=True)
class Array:
    """`count` elements in place."""

    of: Type
    count: int


@dataclass(frozen=True)
class When:
    """A condition: a field, or a bit of a flag word ("Flags.CreateResource"), is set or equals a value.

    up: 0 looks in the structure at hand, 1 in the one whose pointer led here.
    """

    path: str
    equals: int | None = None
    holds: bool = True
    up: int = 0


def unless(path: str, *, up: int = 0) -> When:
    """The condition that a field or bit is not set."""
    return When(path, holds=False, up=up)


@dataclass(frozen=True)
class Field:
    """A named member. `when` says, inside a union, in which case this arm is the one in effect."""

    name: str
    type: Type
    direction: Direction
    when: When | None = None


@dataclass(frozen=True)
class Overlay:
    """An unnamed union: its arms lie at one offset. The first arm whose `when` holds is in effect, one without a
    `when` otherwise; `by_call` leaves the choice to the call (its `arms`)."""

    arms: tuple[Field, ...]
    by_call: bool = False


@dataclass(frozen=True, eq=False)
class Struct:
    """A structure in declaration order. Compared and hashed as the object it is, which keeps look-ups cheap."""

    name: str
    members: tuple[Field | Overlay, ...]

    def fields(self) -> Iterator[Field]:
        """Every field, the arms of unions included."""
        for member in self.members:
            if isinstance(member, Overlay):
                yield from member.arms
            else:
                yield member

    def field(self, name: str) -> Field:
        """One field by name; KeyError where there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields()}


Type = Union[Integer, Enum, Flags, Address, Pointer, Bytes, Array, Struct]  # noqa: UP007 (evaluated in 3.10)


@dataclass(frozen=True)
class Creates:
    """A value of `kind` is born at `path` when the call succeeds and every `when` holds.

    within: paths of the handles that own it, the first that is not null.
    """

    kind: Kind
    path: str
    when: tuple[When, ...] = ()
    within: tuple[str, ...] = ()


@dataclass(frozen=True)
class Destroys:
    """The handle at `path` ends when the call succeeds and every `when` holds."""

    kind: Kind
    path: str
    when: tuple[When, ...] = ()


@dataclass(frozen=True, eq=False)
class Call:
    """One function: its argument, what it makes and ends, and where that is known from.

    argument: the structure that the single parameter points to.
    arms: the fields in effect of those unions that leave the choice to the call.
    statuses: the codes that the sources name for it.
    """

    name: str
    argument: Struct
    arms: tuple[str, ...] = ()
    creates: tuple[Creates, ...] = ()
    destroys: tuple[Destroys, ...] = ()
    statuses: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def structure(name: str, *members: Field | Overlay) -> Struct:
    """A structure, written as its members follow each other."""
    return Struct(name, members)


def flags(name: str, *names: str | Bit) -> Flags:
    """A flag word, its bits counted from bit 0 in the order of the names."""
    bits: list[Bit] = []
    position = 0
    for item in names:
        bit = item if isinstance(item, Bit) else Bit(item, position)
        bits.append(bit)
        position = bit.position + bit.width
    return Flags(name, tuple(bits))


def into(name: str, type_: Type, when: When | None = None) -> Field:
    """A field that the call reads."""
    return Field(name, type_, "in", when)


def out(name: str, type_: Type, when: When | None = None) -> Field:
    """A field that the call writes."""
    return Field(name, type_, "out", when)


def inout(name: str, type_: Type, when: When | None = None) -> Field:
    """A field that the call reads and writes."""
    return Field(name, type_, "inout", when)


UINT = Integer("UINT", 4)
ULONG = Integer("ULONG", 4)
DWORD = Integer("DWORD", 4)
LONG = Integer("LONG", 4, signed=True)
SIZE_T = Integer("SIZE_T", None)
ULONG_PTR = Integer("ULONG_PTR", None)
