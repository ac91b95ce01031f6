"""The value form in JSON. Each type has one conversion function, and each structure caches those of its fields."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from operator import or_
from typing import Any

from tracekmt.codec.values import Unreadable, arm_of, member_type
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.paths import element

ToJson = Callable[[Any], Any]
"""Converts a value of one type to its JSON form."""


def to_json(struct: t.Struct, value: Any) -> Any:
    """Convert a decoded argument to its JSON form."""
    if not isinstance(value, Mapping):
        return _absent_to_json(value)
    converters = _field_converters(struct)
    form = {}
    for name, field_value in value.items():
        convert = converters.get(name)
        # The types of a payload and of a member without a field depend on other members.
        form[name] = (
            convert(field_value) if convert is not None else json_form(member_type(struct, value, name), field_value)
        )
    return form


def json_form(type_: t.Type, value: Any) -> Any:
    """Convert a value of a type to its JSON form."""
    return _converter(type_)(value)


@lru_cache(maxsize=4096)
def _field_converters(struct: t.Struct) -> dict[str, ToJson]:
    return {field.name: _converter(field.type) for field in struct.fields() if not isinstance(field.type, t.Payload)}


def _converter(type_: t.Type) -> ToJson:
    inner, many = element(type_)
    convert = _present_converter(inner)
    if type_ is inner and isinstance(inner, (t.Integer, t.Flags, t.Enum, t.ByteArray)):
        return convert  # a value in place is never absent

    def convert_one(value: Any) -> Any:
        return _absent_to_json(value) if value is None or type(value) is Unreadable else convert(value)

    def convert_many(value: Any) -> Any:
        return [convert_one(item) for item in value] if type(value) is list else convert_one(value)

    return convert_many if many else convert_one


def _absent_to_json(value: Unreadable | None) -> Any:
    if value is None:
        return None
    read = {"read": value.data.hex()} if value.data else {}
    return {"unreadable": f"0x{value.address:x}", **read}


def _present_converter(type_: t.InnerType) -> ToJson:
    """Return the conversion of a value that is neither null nor unreadable."""
    match type_:
        case t.Struct():
            return lambda value: to_json(type_, value)
        case t.Union():
            return lambda value: {
                name: json_form(arm_of(type_, name).type, arm_value) for name, arm_value in value.items()
            }
        case t.Bytes() | t.RawWindow() | t.Payload() | t.ByteArray():
            return bytes.hex
        case t.WString() | t.WCharArray() | t.CountedString():
            return str
        case t.Integer(hexadecimal=True) | t.Address():
            return lambda value: f"0x{value:x}"
        case t.Integer(size=1 | 2 | 4) | t.StructSize():
            return int
        case t.Integer():
            return str  # a type that may have 64 bits is a string in every ABI
        case t.Float():
            return lambda value: value if math.isfinite(value) else str(value)
        case t.Enum():
            return lambda value: value.name if isinstance(value, enum.IntEnum) else value
        case t.Flags():
            return _flags(type_)
        case _:
            return assert_never(type_)


def _flags(type_: t.Flags) -> ToJson:
    masks = [(bit.name, type_.mask(bit.name)) for bit in type_.bits]
    all_bits = reduce(or_, (mask for _, mask in masks), 0)

    def convert(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: int(number) for name, number in value.items()}
        number = int(value)
        rest = number & ~all_bits
        names = [name for name, mask in masks if number & mask] if number else []
        return [*names, f"0x{rest:x}"] if rest else names

    return convert
