"""The value form in JSON. What a type's form is, is found once; a structure keeps the forms of its fields."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from operator import or_
from typing import Any

from tracekmt.codec.values import Unreadable, arm_of, member_type
from tracekmt.spec import types as t
from tracekmt.spec.paths import element

Form = Callable[[Any], Any]


def to_json(struct: t.Struct, value: Any) -> Any:
    """A decoded argument as what stands in JSON."""
    if not isinstance(value, Mapping):
        return _absent(value)
    forms = _forms(struct)
    told = {}
    for name, each in value.items():
        form = forms.get(name)
        # What a payload holds, and what no field has the name of, only its neighbours tell.
        told[name] = form(each) if form is not None else json_form(member_type(struct, value, name), each)
    return told


def json_form(type_: t.Type, value: Any) -> Any:
    """One value of a type as what stands in JSON."""
    return _form(type_)(value)


@lru_cache(maxsize=4096)
def _forms(struct: t.Struct) -> dict[str, Form]:
    return {field.name: _form(field.type) for field in struct.fields() if not isinstance(field.type, t.Payload)}


def _form(type_: t.Type) -> Form:
    inner, many = element(type_)
    form = _plain(inner)
    if type_ is inner and isinstance(inner, (t.Integer, t.Flags, t.Enum, t.ByteArray)):
        return form  # what lies in place is always there

    def one(value: Any) -> Any:
        return _absent(value) if value is None or type(value) is Unreadable else form(value)

    def each(value: Any) -> Any:
        return [one(item) for item in value] if type(value) is list else one(value)

    return each if many else one


def _absent(value: Unreadable | None) -> Any:
    if value is None:
        return None
    read = {"read": value.data.hex()} if value.data else {}
    return {"unreadable": f"0x{value.address:x}", **read}


def _plain(type_: t.Type) -> Form:
    """The form of a value that is there."""
    match type_:
        case t.Struct():
            return lambda value: to_json(type_, value)
        case t.Union():
            return lambda value: {name: json_form(arm_of(type_, name).type, each) for name, each in value.items()}
        case t.Bytes() | t.RawWindow() | t.Payload() | t.ByteArray():
            return bytes.hex
        case t.WString() | t.WCharArray() | t.CountedString():
            return str
        case t.Integer(hexadecimal=True) | t.Address():
            return lambda value: f"0x{value:x}"
        case t.Integer(size=1 | 2 | 4) | t.StructSize():
            return int
        case t.Integer():
            return str  # the declared type decides: what may be 64 bits wide is a string in both ABIs
        case t.Float():
            return lambda value: value if math.isfinite(value) else str(value)
        case t.Enum():
            return lambda value: value.name if isinstance(value, enum.IntEnum) else value
        case t.Flags():
            return _flags(type_)
    raise TypeError(type_)


def _flags(type_: t.Flags) -> Form:
    masks = [(bit.name, type_.mask(bit.name)) for bit in type_.bits]
    every = reduce(or_, (mask for _, mask in masks), 0)

    def form(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: int(number) for name, number in value.items()}
        number = int(value)
        rest = number & ~every
        named = [name for name, mask in masks if number & mask] if number else []
        return [*named, f"0x{rest:x}"] if rest else named

    return form
