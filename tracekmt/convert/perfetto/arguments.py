"""Slices of calls, with the arguments in the value form as debug annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracekmt import codec
from tracekmt.convert.perfetto.packets import SLICE_BEGIN, category, interned_name, own_name, track_event
from tracekmt.convert.perfetto.wire import VARINT, double_field, key, number_field, text_field, varint
from tracekmt.spec.paths import structures
from tracekmt.spec.types import CallSpec, Flags, Union
from tracekmt.trace.reader import Trace

MAX_ITEMS = 32
"""Elements of an array that a slice shows."""
MAX_CHARACTERS = 256
"""Characters of a string, or hex digits of bytes, that a slice shows."""
MAX_VALUES = 512
"""Values of an argument that a slice shows, before and after the call each."""
CUT = "..."
"""Beginning of the text in place of the values that are left out."""

FIRST_THREAD_TRACK = 1 << 16
"""Track of thread 0. That of thread 1 is the next one."""

_FACTS = ("index", "status", "caller", "injected", "in", "out", CUT)
_OBJECT_FACTS = ("created by call", "path", "size", "last size")
_ANNOTATION, _NAME, _TEXT, _DOUBLE = 4, 10, 6, 5
_ANNOTATION_KEY, _TEXT_KEY, _INT_KEY = key(_ANNOTATION), key(_TEXT), key(4, VARINT)
_EMPTY = {type(None): "NULL", dict: "{}", list: "[]"}
_MISSING = object()
_DICT_ENTRY_KEY, _ARRAY_VALUE_KEY = key(11), key(12)

Names = Mapping[str, bytes]
"""Encoded fields with the numbers of the names of debug annotations, by name."""


def annotation_names(specs: Mapping[int, CallSpec]) -> dict[str, bytes]:
    """Return the names of debug annotations, numbered from 1: the fields of every description, and some more."""
    names = dict.fromkeys((*_FACTS, *_OBJECT_FACTS))
    for spec in specs.values():
        for struct in structures(spec.argument):
            for field in struct.fields():
                names[field.name] = None
                if isinstance(field.type, Flags):
                    names.update(dict.fromkeys(bit.name for bit in field.type.bits))
                elif isinstance(field.type, Union):
                    names.update(dict.fromkeys(arm.name for arm in field.type.arms))
    return {name: number_field(1, number) for number, name in enumerate(names, 1)}


def call_events(
    trace: Trace, first: int, last: int | None, names: Names, spec_numbers: Mapping[int, int]
) -> Iterator[bytes]:
    """Yield the encoded events in which the slices of calls begin, without flows.

    Args:
        trace: The trace.
        first: Lowest index.
        last: Highest index, None for all later calls.
        names: Names of debug annotations.
        spec_numbers: Numbers of the names of functions, by the id of their description.
    """
    begins: dict[int, bytes] = {}
    labels = {spec_id: category("call") + interned_name(number) for spec_id, number in spec_numbers.items()}
    for call in trace.calls(first, last):
        begin = begins.get(call.thread)
        if begin is None:
            begin = begins[call.thread] = track_event(SLICE_BEGIN, FIRST_THREAD_TRACK + call.thread)
        if call.returned and not call.succeeded:
            label = category("failed") + own_name(f"{call.name}: {call.outcome_text}")
        else:
            label = labels[call.enter.spec_id]
        facts: dict[str, Any] = {"index": call.index, "status": call.outcome_text}
        if call.caller is not None:
            facts["caller"] = call.caller
        if call.injection is not None:
            facts["injected"] = call.injection.text
        facts["in"] = codec.to_json(call.spec.argument, call.inputs)
        if call.returned and not call.unchanged:
            changed = _changed(facts["in"], codec.to_json(call.spec.argument, call.outputs))
            if changed != {}:
                facts["out"] = changed
        yield b"".join((begin, label, encode_annotations(names, facts)))


def _changed(before: Any, after: Any) -> Any:
    """Return the members of a structure that differ from those before the call. Other values are returned whole."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    return {
        name: _changed(before.get(name), value) for name, value in after.items() if before.get(name, _MISSING) != value
    }


def encode_annotations(names: Names, values: Mapping[str, Any]) -> bytes:
    """Encode values in their JSON form as debug annotations of an event. Members that are zero are left out.

    Args:
        names: Names of debug annotations.
        values: The values by name.
    """
    parts: list[bytes] = []
    for name, value in values.items():
        content = _name(names, name) + _value(names, value, [MAX_VALUES])
        parts += (_ANNOTATION_KEY, varint(len(content)), content)
    return b"".join(parts)


def _name(names: Names, name: str) -> bytes:
    return names.get(name) or text_field(_NAME, name)


def _value(names: Names, value: Any, values_left: list[int]) -> bytes:
    """Encode a value. `values_left` has the number of values that may still follow."""
    if type(value) is str:
        text = value if len(value) <= MAX_CHARACTERS else f"{value[:MAX_CHARACTERS]}{CUT} {len(value):,} characters"
        data = text.encode("utf-8", "replace")
        return _TEXT_KEY + varint(len(data)) + data
    if type(value) is int and -1 << 63 <= value < 1 << 63:
        return _INT_KEY + varint(value)
    encoded = b""
    if isinstance(value, dict):
        encoded = _members(names, value, values_left)
    elif isinstance(value, list):
        encoded = _elements(names, value, values_left)
    elif isinstance(value, float):
        encoded = double_field(_DOUBLE, value)
    # Perfetto has no null, and shows no empty array.
    return encoded or text_field(_TEXT, _EMPTY.get(type(value)) or str(value))


def _members(names: Names, values: dict[str, Any], values_left: list[int]) -> bytes:
    shown = [(name, value) for name, value in values.items() if not _is_zero(value)]
    parts: list[bytes] = []
    for position, (name, value) in enumerate(shown):
        if values_left[0] <= 0:
            content = _name(names, CUT) + text_field(_TEXT, f"{len(shown) - position:,} more")
            parts += (_DICT_ENTRY_KEY, varint(len(content)), content)
            break
        values_left[0] -= 1
        content = (names.get(name) or text_field(_NAME, name)) + _value(names, value, values_left)
        parts += (_DICT_ENTRY_KEY, varint(len(content)), content)
    return b"".join(parts)


def _elements(names: Names, values: list[Any], values_left: list[int]) -> bytes:
    parts: list[bytes] = []
    for position, value in enumerate(values):
        if position == MAX_ITEMS or values_left[0] <= 0:
            content = text_field(_TEXT, f"{CUT} {len(values) - position:,} more")
            parts += (_ARRAY_VALUE_KEY, varint(len(content)), content)
            break
        values_left[0] -= 1
        content = _value(names, value, values_left)
        parts += (_ARRAY_VALUE_KEY, varint(len(content)), content)
    return b"".join(parts)


def _is_zero(value: Any) -> bool:
    """Return True for a number 0, NULL, and an array or a structure that is empty or has nothing else."""
    if not value or value in ("0x0", "0"):
        return True
    if type(value) is list:
        return all(map(_is_zero, value))
    return type(value) is dict and all(map(_is_zero, value.values()))
