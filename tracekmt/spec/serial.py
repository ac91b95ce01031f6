"""Descriptions as plain data (JSON, msgpack) and back, so that they can travel inside a trace."""

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


def to_data(item: Any) -> Any:
    """A description, or any part of it, as dicts, lists and scalars. A part's class stands under "is"; fields that
    have their default value are left out."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        data = {"is": type(item).__name__}
        for field in dataclasses.fields(item):
            value = getattr(item, field.name)
            if field.default is dataclasses.MISSING or value != field.default:
                data[field.name] = to_data(value)
        return data
    if isinstance(item, tuple):
        return [to_data(each) for each in item]
    return item


def call_from_data(data: object) -> types.Call:
    """The call that `to_data` made the data from; DescriptionError where data is anything else."""
    try:
        call = _build(types.Call, data)
    except RecursionError:
        raise DescriptionError("a description is nested too deeply") from None
    assert isinstance(call, types.Call)
    return call


def layouts_of(call: types.Call, abi: types.Abi) -> dict[str, list[Any]]:
    """The layout of every structure that a call's argument leads to: name -> [size, [field, offset, size], ...]."""
    layouts = [lay_out(struct, abi) for struct in structures(call.argument)]
    return {
        layout.struct.name: [layout.size, *([slot.field.name, slot.offset, slot.size] for slot in layout.slots)]
        for layout in layouts
    }


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, vars(types))


def _build(hint: Any, data: object) -> Any:
    """Data as what a type hint asks for, nothing else taken."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal and data in typing.get_args(hint):
        return data
    if origin is tuple and isinstance(data, (list, tuple)):
        hints = typing.get_args(hint)
        if len(hints) == 2 and hints[1] is Ellipsis:
            return tuple(_build(hints[0], each) for each in data)
        if len(hints) == len(data):
            return tuple(_build(each, value) for each, value in zip(hints, data, strict=True))
    if origin in (typing.Union, UnionType):
        choices = typing.get_args(hint)
        if data is None and type(None) in choices:
            return None
        if isinstance(data, dict):
            choices = tuple(choice for choice in choices if getattr(choice, "__name__", "") == data.get("is"))
        else:
            choices = tuple(choice for choice in choices if _takes(choice, data))
        if len(choices) == 1:
            return _build(choices[0], data)
    if dataclasses.is_dataclass(hint) and isinstance(data, dict) and data.get("is") == getattr(hint, "__name__", None):
        return _build_part(data)
    if hint in (str, int, bool) and type(data) is hint:
        return data
    raise DescriptionError(
        f"a description holds {str(data)[:60]!r} where it should hold {getattr(hint, '__name__', hint)}"
    )


def _takes(choice: Any, data: object) -> bool:
    origin = typing.get_origin(choice)
    if origin is typing.Literal:
        return data in typing.get_args(choice)
    return isinstance(data, (list, tuple)) if origin is tuple else choice is type(data)


def _build_part(data: dict[Any, Any]) -> Any:
    name = data.get("is")
    cls = _CLASSES.get(name) if isinstance(name, str) else None
    if cls is None:
        raise DescriptionError(f"a description names the part {str(name)[:60]!r}, which this version does not know")
    hints = _hints(cls)
    arguments = {key: _build(hints[key], value) for key, value in data.items() if key in hints}
    try:
        return cls(**arguments)
    except TypeError:
        raise DescriptionError(f"a description's {name} lacks a field") from None
