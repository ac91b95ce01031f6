"""Inputs of calls: a plain one of each function, and changes of one field that may break a rule."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tracekmt.atlas.scene import Scene
from tracekmt.atlas.variants import ABSENT, VARIANTS
from tracekmt.spec.types import Address, Array, Bytes, CallSpec, Enum, Field, Flags, Integer, Pointer, Struct, Union

Place = tuple[str | int, ...]
Change = tuple[Place, Any]
"""Place of a field in the inputs, and its new value."""

DEAD_HANDLE = 0x1EADBEC0
_NUMBERS = (0, 1, 2, 4, 0xFFF, 0x10000, 0x80000000)
_DATA = (b"", bytes(4), bytes(64))
_UNKNOWN = 0x7FFF
_MOST_MEMBERS = 24
_TOO_MANY = (17, 33, 65)
"""Lengths of lists of handles, each above one of Microsoft's limits."""


def plain_inputs(spec: CallSpec, scene: Scene) -> list[dict[str, Any]]:
    """Return valid inputs, as far as the description of a function and VARIANTS tell them.

    They have live handles, and one element in each list of handles or structures.
    """
    plain = _plain_struct(spec, spec.argument, scene)
    variants = VARIANTS[spec.name](scene.handles) if spec.name in VARIANTS else [{}]
    return [
        {name: value for name, value in {**plain, **variant}.items() if value is not ABSENT} for variant in variants
    ]


def _plain_struct(spec: CallSpec, struct: Struct, scene: Scene) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in _fields(spec, struct):
        value = _plain_value(spec, field, scene)
        if value is not None:
            values[field.name] = value
    return values


def _fields(spec: CallSpec, struct: Struct) -> Iterator[Field]:
    """Yield the fields of a structure, without the arms of unions that the function does not use."""
    unused = {
        arm.name
        for member in struct.members
        if isinstance(member, Union)
        for position, arm in enumerate(member.arms)
        if (arm.name not in spec.union_arms if member.by_call else position > 0)
    }
    return (field for field in struct.fields() if field.name not in unused and field.direction != "out")


def _plain_value(spec: CallSpec, field: Field, scene: Scene) -> Any:
    type_ = field.type
    if field.name == "RootDirectory":
        return None
    if isinstance(type_, Integer):
        return next(iter(scene.of(type_.kind)), None) if type_.kind is not None else None
    if isinstance(type_, Struct):
        return _plain_struct(spec, type_, scene) or None
    if isinstance(type_, Array) and isinstance(type_.of, Integer) and type_.of.kind is not None and type_.used:
        return scene.of(type_.of.kind)[:1] or None
    if isinstance(type_, Pointer):
        element: Any = None
        if isinstance(type_.to, Struct):
            element = _plain_struct(spec, type_.to, scene)
        elif isinstance(type_.to, Integer) and type_.to.kind is not None:
            element = next(iter(scene.of(type_.to.kind)), None)
        elif isinstance(type_.to, Integer) and type_.count is not None:
            element = 1
        return None if element is None else [element] if type_.count is not None else element
    return None


def changed(inputs: Any, changes: tuple[Change, ...]) -> Any:
    """Return inputs with some fields changed."""
    result = deepcopy(inputs)
    for place, value in changes:
        if not place:
            return value
        target: Any = result
        for key in place[:-1]:
            if isinstance(target, dict):
                target = target.setdefault(key, {})
            elif isinstance(target, list) and isinstance(key, int) and key < len(target):
                target = target[key]
            else:
                return None
        last: Any = place[-1]
        if isinstance(target, dict) or (isinstance(target, list) and last in range(len(target))):
            target[last] = value
    return result


def changes_of(spec: CallSpec, scene: Scene) -> Iterator[Change]:
    """Yield changes of one field, of the argument and of the structures that it points to."""
    if not spec.argument.parameters:
        yield (), None
    yield from _struct_changes(spec, spec.argument, scene, ())


def _struct_changes(spec: CallSpec, struct: Struct, scene: Scene, place: Place) -> Iterator[Change]:
    for field in _fields(spec, struct):
        here = (*place, field.name)
        yield from ((here, value) for value in _values(field, scene))
        inner = field.type.to if isinstance(field.type, Pointer) else field.type
        if isinstance(inner, Struct) and inner.kind is None and len(place) < 3:
            is_list = isinstance(field.type, Pointer) and field.type.count is not None
            yield from _struct_changes(spec, inner, scene, (*here, 0) if is_list else here)
        element = _list_element(field)
        if element is not None:
            yield from (((*here, 0), value) for value in _numbers(element, scene))
            if element.kind is not None:
                yield from ((here, scene.of(element.kind)[:1] * count) for count in _TOO_MANY)


def _list_element(field: Field) -> Integer | None:
    """Return the type of the numbers in a list, None for another field."""
    type_ = field.type
    if isinstance(type_, Array):
        element = type_.of if type_.used else None
    elif isinstance(type_, Pointer):
        element = type_.to if type_.count is not None else None
    else:
        return None
    return element if isinstance(element, Integer) else None


def _values(field: Field, scene: Scene) -> Iterator[Any]:
    type_ = field.type
    if isinstance(type_, Integer):
        yield from _numbers(type_, scene)
    elif isinstance(type_, Enum):
        yield from (name for name, _ in type_.members[:_MOST_MEMBERS])
        yield _UNKNOWN
    elif isinstance(type_, Flags):
        yield from ([bit.name] for bit in type_.bits)
        yield [bit.name for bit in type_.bits]
    elif isinstance(type_, Bytes):
        yield from _DATA
    elif isinstance(type_, Address):
        yield 0
    elif isinstance(type_, Pointer):
        yield None
        if type_.count is not None:
            yield []


def _numbers(type_: Integer, scene: Scene) -> Iterator[int]:
    if type_.kind is None:
        yield from (number for number in _NUMBERS if type_.size is None or number < 1 << 8 * type_.size)
        return
    if type_.kind.external:  # a C program replaces the system's handles that the trace does not create
        yield from (0, *scene.of(type_.kind)[1:])
        return
    yield from (DEAD_HANDLE, 0)
    yield from scene.of(type_.kind)[1:]
    yield from (handles[0] for name, handles in scene.handles.items() if handles and name not in type_.kind.spaces)
