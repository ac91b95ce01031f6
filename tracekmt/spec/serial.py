"""Conversion of descriptions to plain data (JSON, msgpack) and back. A trace contains its descriptions."""

from __future__ import annotations

import dataclasses
import typing
from functools import cache
from types import UnionType
from typing import Any

from tracekmt.errors import DescriptionError
from tracekmt.spec import types
from tracekmt.spec.layout import lay_out
from tracekmt.spec.paths import structures

_CLASSES: dict[str, Any] = {
    name: value for name, value in vars(types).items() if isinstance(value, type) and dataclasses.is_dataclass(value)
}

# Trace format 1 fixed the names on the right before the types got their present ones. Files keep them.
_WIRE_CLASSES = {
    "ByteArray": "Blob",
    "CallSpec": "Call",
    "Condition": "When",
    "Length": "Count",
    "RawWindow": "Window",
    "StructSize": "OwnSize",
    "Union": "Overlay",
    "VariableRecords": "Records",
    "WCharArray": "Characters",
    "WString": "Text",
}
_WIRE_FIELDS = {
    "Bytes": {"set_by_call": "moves"},
    "CallSpec": {
        "may_block_when": "blocks",
        "side_effect": "disturbs",
        "undescribed_memory": "unseen",
        "union_arms": "arms",
    },
    "Condition": {"any_of": "one_of", "negate": "holds", "parent": "up"},
    "Field": {"fence_handle": "of"},
    "Length": {"add": "plus", "deref": "behind", "minimum": "least", "parent": "up"},
}
_WIRE_VALUES: dict[tuple[str, str], dict[Any, Any]] = {
    ("Condition", "negate"): {True: False, False: True},  # a file says "holds"
    ("Kind", "binding"): {"literal": "name", "per_machine": "machine"},
}
_CLASS_OF_WIRE = {_WIRE_CLASSES.get(name, name): name for name in _CLASSES}


def to_data(item: Any) -> Any:
    """Convert a description, or a part of one, to dicts, lists and scalars.

    The key "is" contains the name of a part's class. Fields with their default value are left out.

    Raises:
        DescriptionError: The part is not of the description language.
    """
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        name = type(item).__name__
        if _CLASSES.get(name) is not type(item):
            raise DescriptionError(f"unsupported type in a description: {name}")
        wire_fields = _WIRE_FIELDS.get(name, {})
        data = {"is": _WIRE_CLASSES.get(name, name)}
        for field in dataclasses.fields(item):
            value = getattr(item, field.name)
            if field.default is dataclasses.MISSING or value != field.default:
                wire_values = _WIRE_VALUES.get((name, field.name))
                value = wire_values.get(value, value) if wire_values else to_data(value)
                data[wire_fields.get(field.name, field.name)] = value
        return data
    if isinstance(item, tuple):
        return [to_data(part) for part in item]
    return item


def spec_from_data(data: object) -> types.CallSpec:
    """Convert the data of `to_data` back to a description.

    Raises:
        DescriptionError: The data is not a description.
    """
    try:
        spec = _build(types.CallSpec, data)
    except RecursionError:
        raise DescriptionError("a description is nested too deeply") from None
    assert isinstance(spec, types.CallSpec)
    return spec


def layouts_of(spec: types.CallSpec, abi: types.Abi) -> dict[str, list[Any]]:
    """Return the layout of every structure of an argument: name -> [size, [field, offset, size], ...]."""
    layouts = [lay_out(struct, abi) for struct in structures(spec.argument)]
    return {
        layout.struct.name: [layout.size, *([slot.field.name, slot.offset, slot.size] for slot in layout.slots)]
        for layout in layouts
    }


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, vars(types))


def _build(hint: Any, data: object) -> Any:
    """Convert data to the type of a type hint. Refuse any other data."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal and data in typing.get_args(hint):
        return data
    if origin is tuple and isinstance(data, (list, tuple)):
        hints = typing.get_args(hint)
        if len(hints) == 2 and hints[1] is Ellipsis:
            return tuple(_build(hints[0], item) for item in data)
        if len(hints) == len(data):
            return tuple(_build(item_hint, item) for item_hint, item in zip(hints, data, strict=True))
    if origin in (typing.Union, UnionType):
        choices = typing.get_args(hint)
        if data is None and type(None) in choices:
            return None
        if isinstance(data, dict):
            choices = tuple(choice for choice in choices if _wire_name(choice) == data.get("is"))
        else:
            choices = tuple(choice for choice in choices if _accepts(choice, data))
        if len(choices) == 1:
            return _build(choices[0], data)
    if dataclasses.is_dataclass(hint) and isinstance(data, dict) and data.get("is") == _wire_name(hint):
        return _build_part(data)
    if hint in (str, int, bool) and type(data) is hint:
        return data
    raise DescriptionError(f"invalid part in a description: {str(data)[:60]!r} (expected {_expected(hint)})")


def _accepts(choice: Any, data: object) -> bool:
    origin = typing.get_origin(choice)
    if origin is typing.Literal:
        return data in typing.get_args(choice)
    return isinstance(data, (list, tuple)) if origin is tuple else choice is type(data)


def _expected(hint: Any) -> str:
    choices = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, UnionType) else (hint,)
    return " or ".join(_wire_name(choice) or str(choice) for choice in choices)


def _wire_name(choice: Any) -> str:
    name = getattr(choice, "__name__", "")
    return _WIRE_CLASSES.get(name, name)


_LENGTHS = ("count", "size", "unit")


def _build_part(data: dict[Any, Any]) -> Any:
    wire_name = data.get("is")
    name = _CLASS_OF_WIRE.get(wire_name) if isinstance(wire_name, str) else None
    if name is None:
        raise DescriptionError(f"unknown part in a description: {str(wire_name)[:60]!r}")
    hints, wire_fields = _hints(_CLASSES[name]), _WIRE_FIELDS.get(name, {})
    arguments: dict[str, Any] = {}
    for field, hint in hints.items():
        key = wire_fields.get(field, field)
        if key in data:
            arguments[field] = _build(hint, _from_wire(name, field, data[key]))
    lengths = {field: value for field, value in arguments.items() if field in _LENGTHS and type(value) is int}
    negative = next((field for field, value in lengths.items() if value < 0), None)
    if negative is not None:
        raise DescriptionError(f"a negative {negative} in a description's {wire_name}")
    if name == "Union" and not arguments.get("arms"):
        raise DescriptionError(f"a description's {wire_name} has no arms")
    try:
        return _CLASSES[name](**arguments)
    except TypeError:
        raise DescriptionError(f"missing field in a description's {wire_name}") from None


def _from_wire(name: str, field: str, value: Any) -> Any:
    for own_value, wire_value in _WIRE_VALUES.get((name, field), {}).items():
        if type(value) is type(wire_value) and value == wire_value:
            return own_value
    return value
