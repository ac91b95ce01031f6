"""Short forms of the description types, and the integer types of Microsoft's headers."""

from __future__ import annotations

from tracekmt.spec.types import Bit, Condition, Enum, Field, Flags, Float, Integer, Struct, Type, Union


def unless(path: str, *, parent: int = 0) -> Condition:
    """Create the condition that a field or bit is not set."""
    return Condition(path, negate=True, parent=parent)


def structure(name: str, *members: Field | Union, pack: int | None = None) -> Struct:
    """Create a structure from its members in declaration order."""
    return Struct(name, members, pack=pack)


def is_one(path: str, type_: Enum, *names: str, negate: bool = False) -> Condition:
    """Create the condition that a field has one of the named values of its enumeration."""
    numbers = tuple(type_.number(name) for name in names)
    return Condition(path, numbers[0], negate) if len(numbers) == 1 else Condition(path, None, negate, any_of=numbers)


def parameters(name: str, *members: Field) -> Struct:
    """Create the parameters of a function that does not take a single structure."""
    return Struct(name, members, parameters=True)


def flags(name: str, *names: str | Bit, size: int = 4, align: int = 0) -> Flags:
    """Create a flag word. Names get consecutive bits from bit 0 on, or from the end of the preceding Bit."""
    bits: list[Bit] = []
    position = 0
    for item in names:
        bit = item if isinstance(item, Bit) else Bit(item, position)
        bits.append(bit)
        position = bit.position + bit.width
    return Flags(name, tuple(bits), size, align)


def enum(name: str, **members: int) -> Enum:
    """Create an enumeration."""
    return Enum(name, tuple(members.items()))


def in_(name: str, type_: Type, when: Condition | None = None, fence_handle: str | None = None) -> Field:
    """Create a field that the call reads."""
    return Field(name, type_, "in", when, fence_handle)


def out(name: str, type_: Type, when: Condition | None = None, fence_handle: str | None = None) -> Field:
    """Create a field that the call writes."""
    return Field(name, type_, "out", when, fence_handle)


def inout(name: str, type_: Type, when: Condition | None = None, fence_handle: str | None = None) -> Field:
    """Create a field that the call reads and writes."""
    return Field(name, type_, "inout", when, fence_handle)


def group(*members: Field | Union, when: Condition | None = None) -> Field:
    """Create an unnamed structure as the arm of a union."""
    return Field("", Struct("", members), "inout", when)


def unknown(name: str, type_: Type, when: Condition | None = None) -> Field:
    """Create a field whose direction no source documents."""
    return Field(name, type_, "unknown", when)


UCHAR = Integer("UCHAR", 1)
BYTE = Integer("BYTE", 1)
BOOLEAN = Integer("BOOLEAN", 1)
USHORT = Integer("USHORT", 2)
UINT16 = Integer("UINT16", 2)
UINT = Integer("UINT", 4)
ULONG = Integer("ULONG", 4)
DWORD = Integer("DWORD", 4)
UINT32 = Integer("UINT32", 4)
INT = Integer("INT", 4, signed=True)
LONG = Integer("LONG", 4, signed=True)
BOOL = Integer("BOOL", 4, signed=True)
UINT64 = Integer("UINT64", 8)
ULONG64 = Integer("ULONG64", 8)
ULONGLONG = Integer("ULONGLONG", 8)
INT64 = Integer("INT64", 8, signed=True)
LONGLONG = Integer("LONGLONG", 8, signed=True)
LARGE_INTEGER = Integer("LARGE_INTEGER", 8, signed=True)
SIZE_T = Integer("SIZE_T", None)
ULONG_PTR = Integer("ULONG_PTR", None)
FLOAT = Float("FLOAT", 4)
