"""Calls as text, like a debugger shows structures: each field once, with what the call changed in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracekmt.codec import Unreadable, json_form, member_type
from tracekmt.spec.paths import element
from tracekmt.spec.types import Struct, Type, Union
from tracekmt.trace.reader import TracedCall

_BYTES_SHOWN = 32
_INDENT = "    "
_ABSENT = object()


def call_lines(call: TracedCall) -> Iterator[str]:
    """One call in full."""
    answer = f"{call.answer} ({call.status.code})" if call.status is not None else call.answer
    took = f", took {duration(call.leave_ns - call.enter_ns)}" if call.leave_ns is not None else ""
    caller = f" from {printable(call.caller)}" if call.caller else ""
    yield f"#{call.index} {call.name} = {answer}"
    yield f"{_INDENT}thread {call.thread}{caller}, at {duration(call.enter_ns)}{took}"
    if isinstance(call.inputs, Mapping):
        outputs = call.outputs if isinstance(call.outputs, Mapping) else None
        yield from _struct_lines(call.spec.argument, call.inputs, outputs, 1)
    else:
        yield f"{_INDENT}{_shown(call.spec.argument, call.inputs)}"


def _struct_lines(struct: Struct, before: Mapping[str, Any], after: Any, depth: int) -> Iterator[str]:
    width = max((len(name) for name in before), default=0)
    for name, value in before.items():
        changed = after.get(name) if isinstance(after, Mapping) and name in after else _ABSENT
        yield from _field_lines(name, width, member_type(struct, before, name), value, changed, depth)


def _field_lines(name: str, width: int, type_: Type, before: Any, after: Any, depth: int) -> Iterator[str]:
    inner, many = element(type_)
    if isinstance(inner, Struct) and many and isinstance(before, list):
        for index, item in enumerate(before):
            changed = after[index] if isinstance(after, list) and index < len(after) else _ABSENT
            yield from _field_lines(f"{name}[{index}]", width, inner, item, changed, depth)
    elif isinstance(inner, Struct) and inner.kind is None and isinstance(before, Mapping):
        yield f"{_INDENT * depth}{name}"
        yield from _struct_lines(inner, before, after, depth + 1)
    elif isinstance(inner, Union) and isinstance(before, Mapping) and len(before) == 1 and "raw" not in before:
        ((arm, value),) = before.items()
        inside = after[arm] if isinstance(after, Mapping) and arm in after else _ABSENT
        type_ = next(each.type for each in inner.arms if each.name == arm)
        yield from _field_lines(f"{name}.{arm}", width, type_, value, inside, depth)
    else:
        text = _shown(type_, before)
        if after is not _ABSENT and after != before:
            text += f" -> {_shown(type_, after)}"
        yield f"{_INDENT * depth}{name:<{width}}  {text}"


def _shown(type_: Type, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, Unreadable):
        return f"unreadable at 0x{value.address:x}"
    if isinstance(value, bytes):
        hexadecimal = value[:_BYTES_SHOWN].hex(" ", -4)
        return f"{len(value)} bytes: {hexadecimal}{' ...' if len(value) > _BYTES_SHOWN else ''}"
    form = json_form(type_, value)
    if isinstance(form, dict):
        return "{" + ", ".join(f"{name}: {each}" for name, each in form.items()) + "}"
    if isinstance(form, list):
        # A flag word reads as C writes it; a list of numbers as a list.
        return ("[" + ", ".join(map(str, form)) + "]") if isinstance(value, list) else " | ".join(form) or "0"
    return printable(str(form))


def printable(text: str) -> str:
    """A text out of a trace for a terminal: what is no character there as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def duration(nanoseconds: int) -> str:
    """A length of time for people."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3f} {unit}"
    return f"{nanoseconds} ns"
