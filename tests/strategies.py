"""Random values for described arguments, in the value form, such that encoding and decoding gives them back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tracekmt.spec.types import (
    POINTER_SIZE,
    Abi,
    Address,
    Array,
    Bytes,
    Call,
    Enum,
    Flags,
    Integer,
    Overlay,
    Pointer,
    Struct,
    Type,
    When,
)

Outer = list[tuple[Struct, dict[str, Any]]]


def arguments(call: Call, abi: Abi) -> st.SearchStrategy[dict[str, Any]]:
    """Values of a call's whole argument; lengths are left out."""
    return st.composite(lambda draw: _struct(draw, call.argument, abi, call.arms, []))()


def _struct(draw: Any, struct: Struct, abi: Abi, arms: tuple[str, ...], outer: Outer) -> dict[str, Any]:
    values: dict[str, Any] = {}
    here = [(struct, values), *outer]
    lengths = {name for field in struct.fields() if (name := _length(field.type))}
    plain = [member for member in struct.members if not isinstance(member, Overlay)]
    # Words first: conditions are about them.
    for field in sorted(plain, key=lambda field: not isinstance(field.type, (Integer, Enum, Flags))):
        if field.name not in lengths:
            values[field.name] = _value(draw, field.type, abi, arms, here)
    for member in struct.members:
        if isinstance(member, Overlay):
            arm = next(
                arm
                for arm in member.arms
                if (arm.name in arms if member.by_call else arm.when is None or _holds(arm.when, here))
            )
            values[arm.name] = _value(draw, arm.type, abi, arms, here)
    return values


def _value(draw: Any, type_: Type, abi: Abi, arms: tuple[str, ...], outer: Outer) -> Any:
    match type_:
        case Integer(size=size, signed=signed):
            bits = 8 * (size or POINTER_SIZE[abi])
            return draw(
                st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)
            )
        case Enum():
            return draw(st.integers(0, 5))
        case Flags():
            return draw(st.integers(0, 0xFFFFFFFF))
        case Address():
            return draw(st.none() | st.integers(1, (1 << 8 * POINTER_SIZE[abi]) - 1))
        case Bytes():
            return draw(st.none() | st.binary(min_size=1, max_size=40))
        case Pointer(to=to, count=None):
            return draw(st.none()) if draw(st.booleans()) else _value(draw, to, abi, arms, outer)
        case Pointer(to=to):
            return [_value(draw, to, abi, arms, outer) for _ in range(draw(st.integers(1, 3)))]
        case Array(of=of, count=count):
            return [_value(draw, of, abi, arms, outer) for _ in range(count)]
        case Struct():
            return _struct(draw, type_, abi, arms, outer)
    raise TypeError(type_)


def _length(type_: Type) -> str | None:
    return type_.length if isinstance(type_, Bytes) else type_.count if isinstance(type_, Pointer) else None


def _holds(when: When, values: Outer) -> bool:
    struct, fields = values[when.up]
    name, _, bit = when.path.partition(".")
    word = fields[name]
    if bit:
        flags = struct.field(name).type
        assert isinstance(flags, Flags)
        word &= flags.mask(bit)
    return bool(word == when.equals if when.equals is not None else word) == when.holds
