"""Simplification of values: fewer elements, shorter buffers, zeros, no flags, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekmt.errors import Error
from tracekmt.minimize.calls import Keep
from tracekmt.spec.types import Bytes, Field, Flags, Integer, Length, Pointer, Struct, count_of
from tracekmt.trace.builder import Builder
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace

Key = str | int
Place = tuple[Key, ...]
"""Keys from the argument to a value in it."""


@dataclass
class EditableCall:
    """A call in the JSON form, to be written again with other values."""

    call: TracedCall
    values: dict[str, Any]


def simplify_values(source: Path, candidate: Path, keep: Keep) -> bool:
    """Make the values of a small trace simpler, one after the other.

    Returns:
        False if the trace does not survive being written from its values, so that nothing was tried.
    """
    with Trace(source) as trace:
        calls = [EditableCall(call, call.to_json()) for call in trace.calls()]
        by_return = sorted(calls, key=lambda each: each.call.leave.sequence if each.call.leave else 1 << 62)

        def holds(edited: Sequence[EditableCall]) -> bool:
            try:
                _write(trace, edited, candidate)
            except Error:  # values that contradict each other
                return False
            return keep(candidate)

        current = next((order for order in (calls, by_return) if holds(order)), None)
        if current is None:
            return False
        one_thread = [EditableCall(each.call, {**each.values, "thread": 0}) for each in current]
        if len(trace.threads) > 1 and holds(one_thread):
            current = one_thread
        for position in range(len(current)):
            _simplify_call(current, position, holds)
    return True


def _simplify_call(current: list[EditableCall], position: int, holds: Callable[[Sequence[EditableCall]], bool]) -> None:
    """Try the simpler forms of one call, until none of them is accepted."""
    refused: set[tuple[Place, str]] = set()
    is_changed = True
    while is_changed:
        is_changed = False
        edited = current[position]
        for place, name, values in _simpler(edited):
            if (place, name) in refused:
                continue
            trial = [*current]
            trial[position] = EditableCall(edited.call, values)
            if holds(trial):
                current[position] = trial[position]
                is_changed = True
                break
            refused.add((place, name))


def _simpler(edited: EditableCall) -> Iterator[tuple[Place, str, dict[str, Any]]]:
    """Yield simpler values of a call, each with what was made simpler, the largest steps first."""
    argument = edited.values["in"]
    if not isinstance(argument, dict):
        return
    for place, field, value in _fields(edited.call.spec.argument, argument, ()):
        for name, simpler, length in _simpler_values(field, value):
            values = deepcopy(edited.values)
            for side in ("in", "out"):
                _replace(values.get(side), place, simpler, length)
            yield place, name, values


def _fields(struct: Struct, value: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Field, Any]]:
    """Yield the fields of a structure, and of the structures that it points to."""
    for field in struct.fields():
        if field.name not in value:
            continue
        inner, here = value[field.name], (*place, field.name)
        yield here, field, inner
        pointee = field.type.to if isinstance(field.type, Pointer) else field.type
        if not isinstance(pointee, Struct) or pointee.kind is not None:  # a LUID stays as it is
            continue
        elements = enumerate(inner) if isinstance(inner, list) else [(None, inner)]
        for number, element in elements:
            if isinstance(element, dict):
                yield from _fields(pointee, element, here if number is None else (*here, number))


def _simpler_values(field: Field, value: Any) -> Iterator[tuple[str, Any, Length | None]]:
    """Yield simpler values of a field, each with its name and the length that has to fit."""
    type_ = field.type
    if isinstance(type_, Pointer) and type_.count is not None and isinstance(value, list):
        for size in dict.fromkeys((0, 1, len(value) // 2, len(value) - 1)):
            if 0 <= size < len(value):
                yield f"{size} elements", value[:size], count_of(type_.count)
    elif isinstance(type_, Bytes) and isinstance(value, str):
        size = len(value) // 2
        for shorter in dict.fromkeys((0, size // 2)):
            if shorter < size:
                yield f"{shorter} bytes", value[: 2 * shorter], count_of(type_.length)
        if value.strip("0"):
            yield "zeros", "0" * len(value), None
    elif isinstance(type_, Flags) and isinstance(value, list):
        for flag in value:
            yield f"no {flag}", [each for each in value if each != flag], None
    elif isinstance(type_, Integer) and type_.kind is None and isinstance(value, int) and not isinstance(value, bool):
        for number in (0, 1, value // 2):
            if number < value:
                yield str(number), number, None


def _replace(argument: Any, place: Place, value: Any, length: Length | None) -> None:
    """Replace a value, and remove its length, which is then that of the value."""
    path = [argument]
    for key in place[:-1]:
        try:
            path.append(path[-1][key])
        except (KeyError, IndexError, TypeError):
            return
    if not isinstance(path[-1], dict) or place[-1] not in path[-1]:
        return
    current = path[-1][place[-1]]
    if isinstance(value, list) and isinstance(current, list) and length is not None:
        value = current[: len(value)]  # the elements of this side
    path[-1][place[-1]] = value
    if length is not None and length.parent == 0 and not length.deref:
        path[-1].pop(length.path, None)


def _write(trace: Trace, calls: Sequence[EditableCall], to: Path) -> None:
    """Write calls with their values. Their indexes stay."""
    specs = {each.call.name: each.call.spec for each in calls}
    indexes = [each.call.index for each in calls]
    keeps_indexes = indexes == sorted(indexes)
    with Builder(to, specs, force=True, header=trace.header) as builder:
        for each in calls:
            values = each.values
            builder.add(
                each.call.name,
                values.get("in"),
                values.get("out"),
                (values["status"] or 0) if values["returned"] else None,
                result=values.get("result"),
                thread=values["thread"],
                index=each.call.index if keeps_indexes else None,
            )
        builder.close(trace.ended or "made by hand")
