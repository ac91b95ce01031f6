"""What a description is made of: plain data that says how an interface's memory looks and what it means.

Offsets are never written by hand; `layout` computes them from these types. Conditions and lengths are references
to fields, never code.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Abi = Literal["x64", "x86", "wsl"]
"""Windows' two, and that of native Linux processes: x64 with a WCHAR of four bytes (libdxg; Intel's driver for WSL)."""

ABIS: tuple[Abi, ...] = ("x64", "x86")
POINTER_SIZE: dict[Abi, int] = {"x64": 8, "x86": 4, "wsl": 8}
WCHAR_SIZE: dict[Abi, int] = {"x64": 2, "x86": 2, "wsl": 4}
Direction = Literal["in", "out", "inout", "unknown"]


Binding = Literal["handle", "range", "fence", "per_machine", "literal"]
"""How the values of a kind are bound in a replay, and compared:

handle: one to one while the object lives, and compared so: by identity, and by being null or live. range: to the
range that a call handed out, as an offset in it; compared by being null, and by that offset. fence: the values that a
call handed out, one to one for each object; values that the caller chose pass as they are. machine: one to one for
good, since they belong to the machine and not to a call. name: passed on as they are, and compared as numbers.
"""


@dataclass(frozen=True)
class Kind:
    """What a value stands for, when it is more than a number: a replay has to bind it, a diff to compare it by that.

    dies_with: the kinds whose destruction also ends this one, nearest first.
    base: the kind that this one is a sort of; both share one space of values.
    any_of: a value is of one of these kinds, which only the objects themselves can tell.
    external: values may come from, and end in, interfaces that are not recorded; one never seen born is passed on.
    """

    name: str
    binding: Binding = "handle"
    dies_with: tuple[Kind, ...] = ()
    base: Kind | None = None
    any_of: tuple[Kind, ...] = ()
    external: bool = False

    def __hash__(self) -> int:
        return hash(self.name)  # what it leads to need not be walked

    @property
    def space(self) -> Kind:
        """The kind in whose space its values lie."""
        return self.base.space if self.base else self

    @cached_property
    def spaces(self) -> tuple[str, ...]:
        """The names of the spaces that a value of it may lie in; last its own, for what nobody saw born."""
        return tuple(each.space.name for each in (*self.any_of, self))


@dataclass(frozen=True)
class Integer:
    """A number of `size` bytes; None is the size of a pointer. `hexadecimal` is how people read it."""

    name: str
    size: int | None
    signed: bool = False
    hexadecimal: bool = False
    kind: Kind | None = None


@dataclass(frozen=True)
class Float:
    """A floating point number of 4 or 8 bytes."""

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
        """The number of a name; KeyError where there is none."""
        return dict(self.members)[name]


@dataclass(frozen=True)
class Bit:
    """A run of bits in a word. direction: where it is not that of the whole word. opaque: only the driver or the memory
    manager can say what it will be. when, unless: a bit of the word that must be set, or clear, for the run to have
    this name."""

    name: str
    position: int
    width: int = 1
    direction: Direction | None = None
    opaque: bool = False
    when: str = ""
    unless: str = ""


@dataclass(frozen=True)
class Flags:
    """A word of named bits, of `size` bytes; what no bit names is reserved. A word with a field wider than one bit
    names all of its bits."""

    name: str
    bits: tuple[Bit, ...]
    size: int = 4

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def has_bitfields(self) -> bool:
        """Whether a field is wider than one bit; the word is then told field by field."""
        return any(bit.width > 1 for bit in self.bits)

    def mask(self, name: str) -> int:
        """The mask of one named bit or run of bits; KeyError where there is none."""
        bit = self._by_name[name]
        return ((1 << bit.width) - 1) << bit.position

    def low(self, name: str) -> int:
        """The position of the lowest bit of a name."""
        return self._by_name[name].position

    def in_effect(self, word: int) -> Iterator[Bit]:
        """The bits by the names that they have in a word."""
        for bit in self.bits:
            if (not bit.when or word & self.mask(bit.when)) and not (bit.unless and word & self.mask(bit.unless)):
                yield bit

    @cached_property
    def _by_name(self) -> dict[str, Bit]:
        return {bit.name: bit for bit in self.bits}


@dataclass(frozen=True)
class Address:
    """A pointer whose memory is not described: it has no length, or is not the caller's to read."""

    name: str
    kind: Kind | None = None


@dataclass(frozen=True)
class Length:
    """A length: a field, by its path in the structure at hand or, `up` steps outwards, in the one that led to it;
    `plus` more than it says, and `least` at least. behind: the field is a pointer, and the length is the 32-bit number
    behind it."""

    path: str
    add: int = 0
    parent: int = 0
    deref: bool = False
    minimum: int = 0


LengthRef = typing.Union[str, Length]  # noqa: UP007 (evaluated in 3.10); a path alone is Length(path)


@dataclass(frozen=True)
class Pointer:
    """A pointer to one `to`, or, with `count`, to as many as that says when the call is entered."""

    to: Type
    count: LengthRef | None = None


@dataclass(frozen=True)
class Bytes:
    """A pointer to as many bytes as `length` says. `opaque`: only a driver can answer in it. moves: the call itself
    sets pointer and length, to a part of another buffer that it was given."""

    length: LengthRef
    opaque: bool = False
    set_by_call: bool = False


@dataclass(frozen=True)
class WString:
    """A pointer to WCHARs: to as many as `length` says, or up to a zero."""

    name: str
    length: LengthRef | None = None


@dataclass(frozen=True)
class RawWindow:
    """A pointer to memory of unknown size, of which at most `size` bytes are looked at."""

    name: str
    size: int


@dataclass(frozen=True)
class Payload:
    """A pointer to `length` bytes whose form follows from the field `by`: one of the `cases` (value of the field, its
    name, what is in the buffer), plain bytes otherwise. A buffer may be shorter or longer than its structure."""

    length: LengthRef
    by: str
    cases: tuple[tuple[int, str, Type], ...]


@dataclass(frozen=True)
class VariableRecords:
    """A pointer to records that follow each other in a buffer of `length` bytes: as many as the field `number` says
    after the call, each as long as its own field `size` says."""

    to: Struct
    length: LengthRef
    number: str
    size: str


@dataclass(frozen=True)
class Array:
    """`count` elements in place, of which as many mean something as the field `used` says, all without it."""

    of: Type
    count: int
    used: str | None = None


@dataclass(frozen=True)
class ByteArray:
    """`size` bytes in place. tail: in a payload, everything from here to the end of the buffer."""

    name: str
    size: int
    tail: bool = False


@dataclass(frozen=True)
class WCharArray:
    """`count` WCHARs in place, up to a zero. tail: in a payload, everything from here to the end."""

    count: int
    tail: bool = False


@dataclass(frozen=True)
class CountedString:
    """A string in place as its length in bytes, its capacity in bytes, both of 16 bits, and a pointer to its UTF-16."""

    name: str


@dataclass(frozen=True)
class StructSize:
    """A 32-bit field that holds the size of its own structure, and is told only where it holds something else."""

    name: str


@dataclass(frozen=True)
class Condition:
    """A condition: a field ("Type", "Info.Type"), or a bit of a flag word ("Flags.CreateResource"), is set, equals a
    value, or is one of several. Conditions are about what the call was entered with.

    parent: 0 looks in the structure at hand, 1 in the one that led to it.
    kind: the field holds, or leads to, handles; the first of them is of this kind, as the objects themselves tell.
    """

    path: str
    equals: int | None = None
    negate: bool = False
    parent: int = 0
    kind: Kind | None = None
    any_of: tuple[int, ...] = ()


NEVER = Condition("", negate=True)
"""The condition of an arm that only keeps room free."""


@dataclass(frozen=True)
class Field:
    """A named member. `when` says, inside a union, in which case this arm is the one in effect. of: a fence value's
    object, as the path of its handle."""

    name: str
    type: Type
    direction: Direction
    when: Condition | None = None
    fence_handle: str | None = None


@dataclass(frozen=True)
class Union:
    """A union: its arms lie at one offset. Unnamed it is a member of a structure, and its arms are fields of that;
    named it is the type of a field.

    The first arm whose `when` holds is in effect, one without a `when` otherwise; without such an arm nothing is in
    effect, and the union is told as its bytes. `by_call` leaves the choice to the call (its `arms`); `open` says that
    no source tells which arm is in effect. An arm without a name is an unnamed structure, whose fields are told as
    those of the structure around the union.
    """

    arms: tuple[Field, ...]
    by_call: bool = False
    name: str = ""
    open: bool = False


@dataclass(frozen=True, eq=False)
class Struct:
    """A structure in declaration order. Compared and hashed as the object it is, which keeps look-ups cheap.

    kind: what the whole of it stands for. parameters: the members are a function's parameters, each in a word of its
    own. pack: the widest alignment that its members may have, where the header limits it.
    """

    name: str
    members: tuple[Field | Union, ...]
    kind: Kind | None = None
    parameters: bool = False
    pack: int | None = None

    def fields(self) -> Iterator[Field]:
        """Every field, the arms of unions included."""
        for member in self.members:
            for field in member.arms if isinstance(member, Union) else (member,):
                if field.name or not isinstance(field.type, Struct):
                    yield field
                else:
                    yield from field.type.fields()

    def has(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return name in self._by_name

    def field(self, name: str) -> Field:
        """One field by name; KeyError where there is none."""
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


@dataclass(frozen=True)
class Creates:
    """A value of `kind` is born at `path` when the call succeeds and every `when` holds.

    within: paths of the handles that own it, the first that is not null.
    size: of a range, the path of its length, in units of `unit` bytes; without it the range has no known end.
    """

    kind: Kind
    path: str
    when: tuple[Condition, ...] = ()
    within: tuple[str, ...] = ()
    size: str | None = None
    unit: int = 1


@dataclass(frozen=True)
class Destroys:
    """The value at `path` ends when the call succeeds and every `when` holds."""

    kind: Kind
    path: str
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, eq=False)
class CallSpec:
    """One function: its argument, what it makes and ends, and where that is known from.

    argument: the structure that the single parameter points to, or the parameters themselves.
    union_arms: the fields in effect of those unions that leave the choice to the call.
    statuses: the codes that the sources name for it.
    may_block_when: the conditions under which it may wait for others; none for always, None for never.
    undescribed_memory: memory that it reads or writes although nothing in the argument leads there.
    side_effect: what making it again would do to the machine, and to others' programs there; empty for what concerns its
    own process alone.
    raw: nobody has described it; its arguments are kept as they are.
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
    """A length in its long form."""
    return Length(length) if isinstance(length, str) else length


def length_of(type_: Type) -> Length | None:
    """What says how much a pointer leads to; None where it is one thing, or no pointer."""
    length = type_.count if isinstance(type_, Pointer) else getattr(type_, "length", None)
    return None if length is None else count_of(length)
