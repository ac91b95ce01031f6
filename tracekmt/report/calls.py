"""Formats calls as text: each field with its value before the call, and its value after it if the call changed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracekmt.codec import Unreadable, iter_values, json_form, member_type
from tracekmt.printable import printable
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.paths import element
from tracekmt.spec.types import INNER_TYPES, Enum, Struct, Type, Union
from tracekmt.trace.reader import TracedCall

_BYTES_SHOWN = 32
_INDENT = "    "
_MORE = "  ..."
_ABSENT = object()


def call_line(call: TracedCall, width: int) -> str:
    """Return one call as a line: its outcome, then the fields that are not zero or that the call changed.

    Args:
        call: The call.
        width: Largest number of characters. Further fields are left out.
    """
    injected = f"  injected: {printable(call.injection.text)}" if call.injection is not None else ""
    line = f"#{call.index} {call.name} = {call.outcome_text}{injected}"
    for text in _short_fields(call):
        if len(line) + len(text) + 2 > width - len(_MORE):
            return line + _MORE
        line += f"  {text}"
    return line


def _short_fields(call: TracedCall) -> Iterator[str]:
    """Yield the fields of a call that are not zero before or after it."""
    after = (
        {} if call.unchanged else {field.path: field.value for field in iter_values(call.spec.argument, call.outputs)}
    )
    for field in iter_values(call.spec.argument, call.inputs):
        value_after = after.get(field.path, field.value)
        if field.value or value_after:
            change = f" -> {_short_value(field.type, value_after)}" if value_after != field.value else ""
            yield f"{field.path} {_short_value(field.type, field.value)}{change}"


def _short_value(type_: Type, value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else _format_value(type_, value)


def call_lines(call: TracedCall) -> Iterator[str]:
    """Yield the lines of one call with all its fields."""
    outcome = f"{call.outcome_text} ({call.status.code})" if call.status is not None else call.outcome_text
    took = f", took {format_duration(call.leave_ns - call.enter_ns)}" if call.leave_ns is not None else ""
    caller = f" from {printable(call.caller)}" if call.caller else ""
    yield f"#{call.index} {call.name} = {outcome}"
    yield f"{_INDENT}thread {call.thread}{caller}, at {format_duration(call.enter_ns)}{took}"
    if call.injection is not None:
        yield f"{_INDENT}injected: {printable(call.injection.text)}"
    if isinstance(call.inputs, Mapping):
        outputs = call.outputs if isinstance(call.outputs, Mapping) else None
        yield from _struct_lines(call.spec.argument, call.inputs, outputs, 1)
    else:
        yield f"{_INDENT}{_format_value(call.spec.argument, call.inputs)}"


def _struct_lines(struct: Struct, before: Mapping[str, Any], after: Any, depth: int) -> Iterator[str]:
    width = max((len(name) for name in before), default=0)
    for name, value in before.items():
        value_after = after.get(name) if isinstance(after, Mapping) and name in after else _ABSENT
        yield from _field_lines(name, width, member_type(struct, before, name), value, value_after, depth)


def _field_lines(name: str, width: int, type_: Type, before: Any, after: Any, depth: int) -> Iterator[str]:
    inner, is_array = element(type_)
    if isinstance(inner, Struct) and is_array and isinstance(before, list):
        for index, item in enumerate(before):
            item_after = after[index] if isinstance(after, list) and index < len(after) else _ABSENT
            yield from _field_lines(f"{name}[{index}]", width, inner, item, item_after, depth)
    elif isinstance(inner, Struct) and inner.kind is None and isinstance(before, Mapping):
        yield f"{_INDENT * depth}{name}"
        yield from _struct_lines(inner, before, after, depth + 1)
    elif isinstance(inner, Union) and isinstance(before, Mapping) and len(before) == 1 and "raw" not in before:
        ((arm_name, value),) = before.items()
        value_after = after[arm_name] if isinstance(after, Mapping) and arm_name in after else _ABSENT
        type_ = next(arm.type for arm in inner.arms if arm.name == arm_name)
        yield from _field_lines(f"{name}.{arm_name}", width, type_, value, value_after, depth)
    elif isinstance(inner, INNER_TYPES):
        text = _format_value(type_, before)
        if after is not _ABSENT and after != before:
            text += f" -> {_format_value(type_, after)}"
        yield f"{_INDENT * depth}{name:<{width}}  {text}"
    else:
        assert_never(inner)


def _format_value(type_: Type, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, Unreadable):
        return f"unreadable at 0x{value.address:x}"
    if isinstance(value, bytes):
        hexadecimal = value[:_BYTES_SHOWN].hex(" ", -4)
        return f"{len(value)} bytes: {hexadecimal}{' ...' if len(value) > _BYTES_SHOWN else ''}"
    if isinstance(type_, Enum) and type(value) is int and value >= 1 << 31:
        return f"0x{value:x}"  # a number of the upper half has no name, and is defined in hexadecimal
    form = json_form(type_, value)
    if isinstance(form, dict):
        return "{" + ", ".join(f"{name}: {member}" for name, member in form.items()) + "}"
    if isinstance(form, list):
        # A flag word is formatted as in C, an array of numbers as a list.
        return ("[" + ", ".join(map(str, form)) + "]") if isinstance(value, list) else " | ".join(form) or "0"
    return printable(str(form))


def format_duration(nanoseconds: int, decimals: int = 3) -> str:
    """Return a duration with a unit."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.{decimals}f} {unit}"
    return f"{nanoseconds} ns"
