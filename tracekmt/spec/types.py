"""The types of a description: plain data for the memory layout and the meaning of a call's argument.

Offsets are never written by hand: `layout` computes them from these types. Conditions and lengths are references to
fields, never code.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeGuard

from tracekmt.spec.dispatch import assert_never

Abi = Literal["x64", "x86", "wsl"]
"""The two ABIs of Windows, and that of native Linux processes on WSL.

The latter is x64 with a WCHAR of four bytes (libdxg, Intel's driver for WSL).
"""

ABIS: tuple[Abi, ...] = ("x64", "x86")
POINTER_SIZE: dict[Abi, int] = {"x64": 8, "x86": 4, "wsl": 8}
PAGE_SIZE = 4096
"""Bytes of a page, the unit of sizes in pages such as SizeInPages (d3dukmdt.h)."""

WCHAR_SIZE: dict[Abi, int] = {"x64": 2, "x86": 2, "wsl": 4}
Direction = Literal["in", "out", "inout", "unknown"]


Binding = Literal["handle", "range", "fence", "per_machine", "literal"]
"""Rules by which a replay binds the values of a kind, and a diff compares them.

handle: Bound one to one while the object lives. Compared by identity, and by being null or live.
range: Bound to a range that a call returned, by the offset in that range. Compared by being null, and by that offset.
fence: Values that a call returned are bound one to one for each object. Values that the caller chose stay unchanged.
per_machine: Bound one to one for the whole trace, because the values belong to the machine and not to a call.
literal: Passed unchanged, and compared as numbers.
"""


_VARYING_KINDS = ("time", "process id", "thread id")


@dataclass(frozen=True)
class Kind:
    """The sort of object or range that a value refers to. A replay binds such values, and a diff compares the objects.

    Attributes:
        dies_with: Kinds whose destruction also destroys this one, nearest first.
        base: More general kind. Both share one space of values.
        any_of: Kinds one of which a value has. Only the live objects decide which.
        external: Values may be created and destroyed by interfaces that are not recorded. A replay passes a value
            whose creation was not recorded unchanged.
    """

    name: str
    binding: Binding = "handle"
    dies_with: tuple[Kind, ...] = ()
    base: Kind | None = None
    any_of: tuple[Kind, ...] = ()
    external: bool = False

    def __hash__(self) -> int:
        return hash(self.name)  # the default would hash every kind in dies_with too

    @cached_property
    def space(self) -> Kind:
        """The kind whose space of values this kind shares."""
        return self.base.space if self.base else self

    @cached_property
    def owner_spaces(self) -> frozenset[str]:
        """Names of the spaces of the kinds whose destruction also destroys this one."""
        return frozenset(kind.spaces[-1] for kind in self.dies_with)

    @property
    def varies(self) -> bool:
        """True if a value differs between two runs of a program, and says nothing else."""
        return self.name in _VARYING_KINDS

    @cached_property
    def spaces(self) -> tuple[str, ...]:
        """Names of the spaces that may contain a value. The kind's own is last, for values of unrecorded creation.

        Equal names are one string, so that the core need not compare them.
        """
        return tuple(sys.intern(kind.space.name) for kind in (*self.any_of, self))


@dataclass(frozen=True)
class Integer:
    """An integer.

    Attributes:
        name: Name of the type in Microsoft's headers.
        size: Size in bytes. None means the size of a pointer.
        signed: The integer has a sign.
        hexadecimal: Print the integer in hexadecimal.
        kind: Kind of the object or range that the integer refers to.
    """

    name: str
    size: int | None
    signed: bool = False
    hexadecimal: bool = False
    kind: Kind | None = None


@dataclass(frozen=True)
class Float:
    """A floating-point number of 4 or 8 bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Enum:
    """A 32-bit enumeration."""

    name: str
    members: tuple[tuple[str, int], ...]

    def __hash__(self) -> int:
        return hash(self.name)

    def number(self, name: str) -> int:
        """Return the number of a name. Raise KeyError for an unknown name."""
        return dict(self.members)[name]


@dataclass(frozen=True)
class Bit:
    """A bit field of a word.

    Attributes:
        name: Name of the field.
        position: Its lowest bit.
        width: Number of bits.
        direction: Direction, if it differs from that of the whole word.
        opaque: Only the driver or the memory manager determines the value.
        when: Bit of the word that must be set for the field to have this name.
        unless: Bit of the word that must be clear for the field to have this name.
    """

    name: str
    position: int
    width: int = 1
    direction: Direction | None = None
    opaque: bool = False
    when: str = ""
    unless: str = ""


@dataclass(frozen=True)
class Flags:
    """A word of `size` bytes with named bits. Bits without a name are reserved.

    A word with a field wider than one bit names all of its bits.

    Attributes:
        name: Name of the type in the header.
        bits: The bit fields.
        size: Size in bytes.
        align: Alignment in bytes, 0 for the size. Two UINTs of bits in the header are one word here, aligned to 4.
    """

    name: str
    bits: tuple[Bit, ...]
    size: int = 4
    align: int = 0

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def has_bitfields(self) -> bool:
        """True if a field is wider than one bit. The value form then lists the fields of the word."""
        return any(bit.width > 1 for bit in self.bits)

    def mask(self, name: str) -> int:
        """Return the mask of a named bit field. Raise KeyError for an unknown name."""
        bit = self._by_name[name]
        return ((1 << bit.width) - 1) << bit.position

    def low(self, name: str) -> int:
        """Return the position of the lowest bit of a named bit field."""
        return self._by_name[name].position

    def in_effect(self, word: int) -> Iterator[Bit]:
        """Iterate over the bit fields whose names apply to a word."""
        for bit in self.bits:
            if (not bit.when or word & self.mask(bit.when)) and not (bit.unless and word & self.mask(bit.unless)):
                yield bit

    @cached_property
    def _by_name(self) -> dict[str, Bit]:
        return {bit.name: bit for bit in self.bits}


@dataclass(frozen=True)
class Address:
    """A pointer whose memory is not described: it has no length, or the caller may not read it."""

    name: str
    kind: Kind | None = None


@dataclass(frozen=True)
class Length:
    """A length that a field holds.

    Attributes:
        path: Path of the field in the structure that `parent` selects.
        add: Number added to the field's value.
        parent: Steps outwards: 0 is the structure of the counted field, 1 the structure that points to that one.
        deref: The field is a pointer to the length, a 32-bit number.
        minimum: Smallest value of the length.
    """

    path: str
    add: int = 0
    parent: int = 0
    deref: bool = False
    minimum: int = 0


LengthRef = typing.Union[str, Length]  # noqa: UP007 (evaluated in 3.10); a path alone is Length(path)


@dataclass(frozen=True)
class Pointer:
    """A pointer to one value of type `to`, or with `count` to an array. The count is read when the call is entered."""

    to: Type
    count: LengthRef | None = None


@dataclass(frozen=True)
class Bytes:
    """A pointer to `length` bytes.

    Attributes:
        length: Length of the buffer in bytes.
        opaque: Only a driver can write the contents.
        set_by_call: The call itself sets pointer and length, to a part of another buffer of its argument.
    """

    length: LengthRef
    opaque: bool = False
    set_by_call: bool = False


@dataclass(frozen=True)
class WString:
    """A pointer to `length` WCHARs, or to a string that ends at a zero."""

    name: str
    length: LengthRef | None = None


@dataclass(frozen=True)
class RawWindow:
    """A pointer to memory of unknown size, of which at most `size` bytes are read."""

    name: str
    size: int


@dataclass(frozen=True)
class Payload:
    """A pointer to `length` bytes whose type depends on another field.

    A buffer may be shorter or longer than its structure.

    Attributes:
        length: Length of the buffer in bytes.
        by: Name of the field that determines the type.
        cases: Value of that field, name of the value, and type of the buffer. Other values mean plain bytes.
    """

    length: LengthRef
    by: str
    cases: tuple[tuple[int, str, Type], ...]


@dataclass(frozen=True)
class VariableRecords:
    """A pointer to a buffer of consecutive records of different sizes.

    Attributes:
        to: Structure of a record.
        length: Length of the buffer in bytes.
        number: Name of the field with the number of records, read after the call.
        size: Name of the field of each record with its size in bytes.
    """

    to: Struct
    length: LengthRef
    number: str
    size: str


@dataclass(frozen=True)
class Array:
    """An array of `count` elements in place. The field `used` holds the number of valid ones (without it, all are)."""

    of: Type
    count: int
    used: str | None = None


@dataclass(frozen=True)
class ByteArray:
    """`size` bytes in place. A `tail` extends to the end of its buffer if it is part of a payload."""

    name: str
    size: int
    tail: bool = False


@dataclass(frozen=True)
class WCharArray:
    """`count` WCHARs in place, up to a zero. A `tail` extends to the end of its buffer if it is part of a payload."""

    count: int
    tail: bool = False


@dataclass(frozen=True)
class CountedString:
    """A string structure in place: 16-bit length and 16-bit capacity, both in bytes, and a pointer to UTF-16 text."""

    name: str


@dataclass(frozen=True)
class StructSize:
    """A 32-bit field with the size of its structure. The value form shows the field only if it holds another number."""

    name: str


@dataclass(frozen=True)
class Condition:
    """A condition on a field at enter: it is set, equals a value, or is one of several values.

    Attributes:
        path: Path of a field ("Type", "Info.Type") or of a bit of a flag word ("Flags.CreateResource").
        equals: Value to compare with. None means that the field must not be zero.
        negate: The opposite must be true.
        parent: Steps outwards: 0 is the structure of the conditional field, 1 the structure that points to that one.
        kind: Kind of the first handle in the field or behind its pointer. Only the live objects decide it.
        any_of: Values one of which the field must have.
    """

    path: str
    equals: int | None = None
    negate: bool = False
    parent: int = 0
    kind: Kind | None = None
    any_of: tuple[int, ...] = ()


NEVER = Condition("", negate=True)
"""The condition of an arm that only reserves space."""


@dataclass(frozen=True)
class Field:
    """A named member of a structure, or an arm of a union.

    Attributes:
        name: Name in the header. An unnamed arm is an unnamed structure.
        type: Type of the value.
        direction: Data flow of the call: read, written, both, or not documented.
        when: Condition under which an arm of a union is in effect.
        fence_handle: For a fence value, the path of the handle of its fence.
    """

    name: str
    type: Type
    direction: Direction
    when: Condition | None = None
    fence_handle: str | None = None


@dataclass(frozen=True)
class Union:
    """A union, whose arms all have one offset.

    An unnamed union is a member of a structure, and its arms are fields of that structure. A named union is the type of
    a field. An unnamed arm is an unnamed structure: its fields are fields of the structure around the union.

    The first arm whose condition is true is in effect. If there is none, the arm without a condition is. Without such
    an arm nothing is in effect, and the value form shows the bytes of the union.

    Attributes:
        arms: The alternatives.
        by_call: The function decides which arm is in effect (`CallSpec.union_arms`).
        name: Name of the type in the header, empty for an unnamed union.
        open: No source documents which arm is in effect.
    """

    arms: tuple[Field, ...]
    by_call: bool = False
    name: str = ""
    open: bool = False


@dataclass(frozen=True, eq=False)
class Struct:
    """A structure. It is compared and hashed by identity, which keeps look-ups cheap.

    Attributes:
        name: Name in the header.
        members: Fields and unnamed unions in declaration order.
        kind: Kind of the object that the whole structure refers to.
        parameters: The members are the parameters of a function, each in a pointer-sized word.
        pack: Largest alignment of a member in bytes, if the header limits it.
    """

    name: str
    members: tuple[Field | Union, ...]
    kind: Kind | None = None
    parameters: bool = False
    pack: int | None = None

    def fields(self) -> Iterator[Field]:
        """Iterate over all fields, including the arms of unnamed unions."""
        for member in self.members:
            for field in member.arms if isinstance(member, Union) else (member,):
                if field.name or not isinstance(field.type, Struct):
                    yield field
                else:
                    yield from field.type.fields()

    def has(self, name: str) -> bool:
        """Return True if the structure has a field of this name."""
        return name in self._by_name

    def field(self, name: str) -> Field:
        """Return a field by name. Raise KeyError for an unknown name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields()}


Type = typing.Union[  # noqa: UP007 (evaluated in 3.10)
    Integer,
    Float,
    Enum,
    Flags,
    Address,
    Pointer,
    Bytes,
    WString,
    RawWindow,
    Payload,
    VariableRecords,
    Array,
    ByteArray,
    WCharArray,
    CountedString,
    StructSize,
    Union,
    Struct,
]

PointerType = typing.Union[Pointer, Bytes, WString, RawWindow, Payload, VariableRecords]  # noqa: UP007
"""A pointer whose memory is described. `Address` and the pointer inside a `CountedString` do not count."""

LeafType = typing.Union[  # noqa: UP007
    Integer,
    Float,
    Enum,
    Flags,
    Address,
    ByteArray,
    WCharArray,
    StructSize,
    CountedString,
    Bytes,
    WString,
    RawWindow,
    Payload,
]
"""A single value: a type with neither fields nor elements."""

InnerType = typing.Union[LeafType, Struct, Union]  # noqa: UP007
"""A type that is neither a pointer to described elements nor an array."""

POINTER_TYPES = (Pointer, Bytes, WString, RawWindow, Payload, VariableRecords)
"""The classes of `PointerType`."""

PLAIN_TYPES = (Integer, Float, Enum, Flags, Address, ByteArray, WCharArray, StructSize)
"""The types that are nothing but their bytes in place: no inner types, no described memory elsewhere."""

LEAF_TYPES = (*PLAIN_TYPES, CountedString, Bytes, WString, RawWindow, Payload)
"""The classes of `LeafType`."""

INNER_TYPES = (Struct, Union, *LEAF_TYPES)
"""The classes of `InnerType`."""

_NOT_POINTER_TYPES = (*PLAIN_TYPES, Array, CountedString, Union, Struct)


@dataclass(frozen=True)
class Creates:
    """A successful call creates a value at `path` if all conditions are true.

    Attributes:
        kind: Kind of the value.
        path: Path of the field that returns it.
        when: The conditions.
        within: Paths of handles. The first that is not null is the owner of the new object.
        size: For a range, the path of its length in units of `unit` bytes. Without it the range has no known end.
        unit: Bytes per unit of `size`.
    """

    kind: Kind
    path: str
    when: tuple[Condition, ...] = ()
    within: tuple[str, ...] = ()
    size: str | None = None
    unit: int = 1


@dataclass(frozen=True)
class Destroys:
    """A successful call destroys the object of the value at `path` if all conditions are true."""

    kind: Kind
    path: str
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, eq=False)
class CallSpec:
    """The description of one function.

    Attributes:
        name: Name of the function.
        argument: The structure that its single parameter points to, or the parameters themselves.
        union_arms: Names of the arms in effect, for unions with `by_call`.
        creates: Values that a call creates.
        destroys: Values that a call destroys.
        statuses: Names of the status codes that the sources list for it.
        sources: Where the description comes from.
        may_block_when: Conditions under which a call may wait for other threads. Empty means always, None never.
        undescribed_memory: Memory that a call reads or writes although no field of the argument points there.
        side_effect: Effect of a replayed call on the machine and on other processes. Empty if it has none.
        returns: Type of the return value.
        raw: The function is not described. Its arguments are recorded unchanged.
    """

    name: str
    argument: Struct
    union_arms: tuple[str, ...] = ()
    creates: tuple[Creates, ...] = ()
    destroys: tuple[Destroys, ...] = ()
    statuses: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    may_block_when: tuple[Condition, ...] | None = None
    undescribed_memory: tuple[str, ...] = ()
    side_effect: str = ""
    returns: Literal["NTSTATUS", "BOOLEAN", "void"] = "NTSTATUS"
    raw: bool = False


def count_of(length: LengthRef) -> Length:
    """Convert a length given by its path alone to a Length."""
    return Length(length) if isinstance(length, str) else length


def length_of(type_: Type) -> Length | None:
    """Return the length of the memory behind a pointer. None if it is one value, or the type has no such memory."""
    if isinstance(type_, _NOT_POINTER_TYPES):
        return None
    match type_:
        case Pointer(count=length) | WString(length=length):
            return None if length is None else count_of(length)
        case Bytes(length=length) | Payload(length=length) | VariableRecords(length=length):
            return count_of(length)
        case RawWindow():
            return None
        case _:
            return assert_never(type_)


def is_described_pointer(type_: Type) -> TypeGuard[PointerType]:
    """Return True for a pointer whose memory is described."""
    if isinstance(type_, POINTER_TYPES):
        return True
    if isinstance(type_, _NOT_POINTER_TYPES):
        return False
    return assert_never(type_)


def kind_of(type_: Type) -> Kind | None:
    """Return the kind of a value of this type. A pointer or an array has none, whatever its elements are."""
    if isinstance(type_, (Integer, Address, Struct)):
        return type_.kind
    if isinstance(type_, (*POINTER_TYPES, *_NOT_POINTER_TYPES)):
        return None
    return assert_never(type_)
