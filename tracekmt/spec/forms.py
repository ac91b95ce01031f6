"""Forms of a description: Microsoft changed structures between builds of Windows.

A description contains the fields of all builds. `since` and `until` mark those that only some builds have. `for_build`
returns the description of one build, which has plain fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache

from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.paths import fields, structures
from tracekmt.spec.types import (
    LEAF_TYPES,
    Array,
    CallSpec,
    Creates,
    Field,
    Payload,
    Pointer,
    Struct,
    Type,
    Union,
    VariableRecords,
)


@dataclasses.dataclass(frozen=True)
class BuildField(Field):
    """A field of some builds.

    Attributes:
        first: First build with the field.
        end: First build without it, 0 if all later ones have it.
    """

    first: int = 0
    end: int = 0

    def exists_in(self, build: int) -> bool:
        """Return True if a build has the field."""
        return build >= self.first and not (self.end and build >= self.end)


def since(build: int, field: Field) -> BuildField:
    """Mark a field that a build added."""
    return BuildField(**{**vars(field), "first": build})


def until(build: int, field: Field) -> BuildField:
    """Mark a field that a build removed."""
    return BuildField(**{**vars(field), "end": build})


def builds_with_changes(spec: CallSpec) -> set[int]:
    """Return the builds that changed a function's structures."""
    found = {0}
    for struct in structures(spec.argument):
        for field in struct.fields():
            if isinstance(field, BuildField):
                found |= {field.first, field.end}
    return found - {0}


@cache
def for_build(spec: CallSpec, build: int) -> CallSpec:
    """Return the description of a function in one build. Builds with the same form share the description.

    What the function creates or destroys at a path that only other builds have is left out.
    """
    argument = _struct_for(spec.argument, build)
    if argument is spec.argument:
        return spec
    first = max(first for first in (0, *builds_with_changes(spec)) if first <= build)
    if first < build:
        return for_build(spec, first)
    missing = _paths(spec.argument) - _paths(argument)
    return dataclasses.replace(
        spec,
        argument=argument,
        creates=tuple(_without(creates, missing) for creates in spec.creates if creates.path not in missing),
        destroys=tuple(destroys for destroys in spec.destroys if destroys.path not in missing),
    )


def _without(creates: Creates, missing: set[str]) -> Creates:
    """Return a creation without owners that the build lacks."""
    return dataclasses.replace(creates, within=tuple(path for path in creates.within if path not in missing))


def _paths(struct: Struct) -> set[str]:
    return {path for path, _, _ in fields(struct)}


@cache
def _struct_for(struct: Struct, build: int) -> Struct:
    """Return a structure of one build. Functions that share a structure share the result, too."""
    members = tuple(_members_for(struct, build))
    return struct if _same(members, struct.members) else dataclasses.replace(struct, members=members)


def _members_for(struct: Struct, build: int) -> Iterator[Field | Union]:
    for member in struct.members:
        if isinstance(member, Union):
            yield _union_for(member, build)
        elif not isinstance(member, BuildField) or member.exists_in(build):
            yield _field_for(member, build)


def _union_for(union: Union, build: int) -> Union:
    arms = tuple(
        _field_for(arm, build) for arm in union.arms if not isinstance(arm, BuildField) or arm.exists_in(build)
    )
    return union if _same(arms, union.arms) else dataclasses.replace(union, arms=arms)


def _field_for(field: Field, build: int) -> Field:
    type_ = _type_for(field.type, build)
    if isinstance(field, BuildField):
        return Field(field.name, type_, field.direction, field.when, field.fence_handle)
    return field if type_ is field.type else dataclasses.replace(field, type=type_)


def _type_for(type_: Type, build: int) -> Type:
    if isinstance(type_, Struct):
        return _struct_for(type_, build)
    if isinstance(type_, Union):
        return _union_for(type_, build)
    if isinstance(type_, Pointer):
        to = _type_for(type_.to, build)
        return type_ if to is type_.to else dataclasses.replace(type_, to=to)
    if isinstance(type_, Array):
        of = _type_for(type_.of, build)
        return type_ if of is type_.of else dataclasses.replace(type_, of=of)
    if isinstance(type_, VariableRecords):
        record = _struct_for(type_.to, build)
        return type_ if record is type_.to else dataclasses.replace(type_, to=record)
    if isinstance(type_, Payload):
        cases = tuple((number, name, _type_for(case, build)) for number, name, case in type_.cases)
        same = all(new is old for (_, _, new), (_, _, old) in zip(cases, type_.cases, strict=True))
        return type_ if same else dataclasses.replace(type_, cases=cases)
    if isinstance(type_, LEAF_TYPES):
        return type_
    return assert_never(type_)


def _same(parts: tuple[Field | Union, ...], others: tuple[Field | Union, ...]) -> bool:
    return len(parts) == len(others) and all(part is other for part, other in zip(parts, others, strict=True))
