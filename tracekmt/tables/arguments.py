"""Columns with the arguments of a function: typed, nested, by the names and the types of its description.

Values are collected by pyarrow, which is fast, and then get their names: enumerations become strings, and flag words
lists of strings. NULL and unreadable memory become null. A payload, whose type depends on another field, is JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt.codec.json_form import json_form
from tracekmt.codec.values import RAW, Unreadable, arm_of, member_type, union_key
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import lay_out
from tracekmt.spec.paths import element
from tracekmt.tables.arrow import pa

_RAW_ARM = t.Field("raw", t.ByteArray("raw", 0), "unknown")
_INTEGERS = {
    (size, signed): pa.type_for_alias(f"{'int' if signed else 'uint'}{8 * size}")
    for size in (1, 2, 4, 8)
    for signed in (False, True)
}


def _unchanged(array: Any) -> Any:
    return array


class _Column(NamedTuple):
    """Column of a type.

    Attributes:
        collected: Arrow type that decoded values are collected in.
        type: Arrow type of the column.
        finish: Converts an array of the first type to one of the second.
    """

    collected: Any
    type: Any
    finish: Callable[[Any], Any] = _unchanged


def argument_type(spec: t.CallSpec) -> Any | None:
    """Return the Arrow type of a function's argument. None for a function without fields."""
    column = _struct_column(spec.argument)
    return None if column is None else column.type


def argument_array(spec: t.CallSpec, values: Sequence[Any]) -> Any:
    """Return decoded arguments of a function as an Arrow array."""
    column = _struct_column(spec.argument)
    assert column is not None
    if not _has_payload(spec.argument):
        try:
            return column.finish(pa.array(values, column.collected))
        except (pa.ArrowException, TypeError, ValueError):
            pass  # Unreadable memory or a lone surrogate, both of which are rare.
    plain = [_plain_value(spec.argument, value) for value in values]
    return column.finish(pa.array(plain, column.collected))


@lru_cache(maxsize=4096)
def _struct_column(struct: t.Struct) -> _Column | None:
    return _fields_column(_columns_of(struct))


def _columns_of(struct: t.Struct) -> Iterator[tuple[str, _Column | None]]:
    yield from ((field.name, _column(field.type)) for field in struct.fields())
    for member, slots in zip(struct.members, lay_out(struct, "x64").members, strict=True):
        if isinstance(member, t.Union) and _may_be_undecided(member):
            yield union_key(slots), _column(RAW)


def _may_be_undecided(union: t.Union) -> bool:
    """Return True if the value of a union may be its bytes."""
    if union.open or any(arm.when is not None and arm.when.kind is not None for arm in union.arms):
        return True
    return not union.by_call and all(arm.when is not None for arm in union.arms)


def _fields_column(columns: Iterator[tuple[str, _Column | None]]) -> _Column | None:
    """Return the column of a structure. None for a structure without fields, which Parquet lacks."""
    named = {name: column for name, column in columns if column is not None}
    if not named:
        return None
    collected = pa.struct([(name, column.collected) for name, column in named.items()])
    type_ = pa.struct([(name, column.type) for name, column in named.items()])
    finishers = [column.finish for column in named.values()]
    if all(finish is _unchanged for finish in finishers):
        return _Column(collected, type_)

    def finish(array: Any) -> Any:
        children = [finish_child(array.field(number)) for number, finish_child in enumerate(finishers)]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(children, fields=list(type_), mask=mask)

    return _Column(collected, type_, finish)


def _column(type_: t.Type) -> _Column | None:
    inner, many = element(type_)
    column = _present_column(inner)
    if not many or column is None:
        return column
    collected, list_type = pa.list_(column.collected), pa.list_(column.type)
    if column.finish is _unchanged:
        return _Column(collected, list_type)

    def finish(array: Any) -> Any:
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(array.offsets, column.finish(array.values), type=list_type, mask=mask)

    return _Column(collected, list_type, finish)


def _present_column(type_: t.InnerType) -> _Column | None:
    match type_:
        case t.Struct():
            return _struct_column(type_)
        case t.Union():
            return _fields_column((arm.name, _column(arm.type)) for arm in (*type_.arms, _RAW_ARM))
        case t.Bytes() | t.RawWindow() | t.ByteArray():
            return _same(pa.binary())
        case t.WString() | t.WCharArray() | t.CountedString() | t.Payload():
            return _same(pa.string())
        case t.Integer():
            return _same(_INTEGERS[type_.size or 8, type_.signed])
        case t.Address():
            return _same(pa.uint64())
        case t.StructSize():
            return _same(pa.uint32())
        case t.Float():
            return _same(pa.float32() if type_.size == 4 else pa.float64())
        case t.Enum():
            names = {number: name for name, number in reversed(type_.members)}  # of two names, the first
            text = pa.string()
            return _Column(
                pa.int64(), text, lambda array: _named(array, text, lambda number: names.get(number, str(number)))
            )
        case t.Flags(has_bitfields=True):
            return _fields_column((bit.name, _same(pa.uint64())) for bit in type_.bits)
        case t.Flags():
            texts = pa.list_(pa.string())
            return _Column(
                pa.uint64(), texts, lambda array: _named(array, texts, lambda number: json_form(type_, number))
            )
        case _:
            return assert_never(type_)


def _same(type_: Any) -> _Column:
    return _Column(type_, type_)


def _named(array: Any, type_: Any, name: Callable[[int], Any]) -> Any:
    """Return the names of numbers. Each different number is converted once."""
    encoded = array.dictionary_encode()
    return pa.array([name(number) for number in encoded.dictionary.to_pylist()], type_).take(encoded.indices)


@lru_cache(maxsize=4096)
def _has_payload(type_: t.Type) -> bool:
    inner, _ = element(type_)
    if isinstance(inner, t.Struct):
        return any(_has_payload(field.type) for field in inner.fields())
    if isinstance(inner, t.Union):
        return any(_has_payload(arm.type) for arm in inner.arms)
    return isinstance(inner, t.Payload)


def _plain_value(type_: t.Type, value: Any) -> Any:
    """Return a decoded value without `Unreadable`, lone surrogates and payloads, which pyarrow rejects."""
    inner, many = element(type_)
    if many and isinstance(value, list):
        return [_plain_value(inner, item) for item in value]
    if value is None or isinstance(value, Unreadable):
        return None
    if isinstance(inner, t.Struct) and isinstance(value, Mapping):
        return {name: _plain_member(inner, value, name) for name in value}
    if isinstance(inner, t.Union) and isinstance(value, Mapping):
        return {name: _plain_value(arm_of(inner, name).type, arm) for name, arm in value.items()}
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _plain_member(struct: t.Struct, values: Mapping[str, Any], name: str) -> Any:
    value, type_ = values[name], member_type(struct, values, name)
    if struct.has(name) and isinstance(struct.field(name).type, t.Payload):
        return None if value is None or isinstance(value, Unreadable) else json.dumps(json_form(type_, value))
    return _plain_value(type_, value)
