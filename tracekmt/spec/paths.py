"""Paths from a call's argument to its fields.

Descriptions and findings write them as "hDevice", "pStandardAllocation.Type", "pAllocationInfo2[].hAllocation".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.types import (
    INNER_TYPES,
    LEAF_TYPES,
    Array,
    Field,
    InnerType,
    Kind,
    Payload,
    Pointer,
    Struct,
    Type,
    Union,
    VariableRecords,
    kind_of,
)


def element(type_: Type) -> tuple[InnerType, bool]:
    """Return the type behind a field's pointers or in its array, and True if the field has many of it."""
    many = False
    while True:
        if isinstance(type_, Pointer):
            many = many or type_.count is not None
            type_ = type_.to
        elif isinstance(type_, Array):
            type_, many = type_.of, True
        elif isinstance(type_, VariableRecords):
            type_, many = type_.to, True
        elif isinstance(type_, INNER_TYPES):
            return type_, many
        else:
            assert_never(type_)


def element_kind(type_: Type) -> Kind | None:
    """Return the kind of the values of a field, behind its pointers or in its array too."""
    inner, _ = element(type_)
    return kind_of(inner)


@lru_cache(maxsize=4096)
def has_bound_values(type_: Type) -> bool:
    """Return True if a type contains or points to values that a replay binds."""
    kind = kind_of(type_)
    if kind is not None:
        return kind.binding != "literal"
    match type_:
        case Pointer(to=inner) | Array(of=inner) | VariableRecords(to=inner):
            return has_bound_values(inner)
        case Union(arms=arms):
            return any(has_bound_values(arm.type) for arm in arms)
        case Payload(cases=cases):
            return any(has_bound_values(case) for _, _, case in cases)
        case Struct():
            return any(has_bound_values(field.type) for field in type_.fields())
        case _ if isinstance(type_, LEAF_TYPES):
            return False
        case _:
            return assert_never(type_)


def fields(
    struct: Struct | Union, prefix: str = "", arms: tuple[str, ...] = ()
) -> Iterator[tuple[str, Field, Struct | Union]]:
    """Iterate over every field that an argument contains or points to, without those of payloads.

    Args:
        struct: The structure or named union that holds the first fields.
        prefix: Path of `struct`, which every path begins with.
        arms: The arms to follow of unions that leave the choice to the call.

    Yields:
        The field's path, the field, and the structure or named union that holds it.
    """
    members = (struct,) if isinstance(struct, Union) else struct.members
    for member in members:
        choices = (member,) if isinstance(member, Field) else member.arms
        if not isinstance(member, Field) and member.by_call:
            choices = tuple(arm for arm in member.arms if arm.name in arms)
        for field in choices:
            if not field.name and isinstance(field.type, Struct):
                for path, nested, holder in fields(field.type, prefix, arms):
                    yield path, nested, struct if holder is field.type else holder
                continue
            inner, many = element(field.type)
            path = f"{prefix}{field.name}{'[]' if many else ''}"
            yield path, field, struct
            if isinstance(inner, Union) or (isinstance(inner, Struct) and inner.kind is None):
                yield from fields(inner, f"{path}.", arms)
            elif not isinstance(inner, (Struct, *LEAF_TYPES)):
                assert_never(inner)


def find(struct: Struct, path: str) -> Field:
    """Return the field at a path.

    Raises:
        KeyError: There is no such field.
    """
    field: Field | None = None
    current: Type = struct
    for part in path.split("."):
        name = part.removesuffix("[]")
        if isinstance(current, Struct):
            field = current.field(name)
        elif isinstance(current, Union) and any(arm.name == name for arm in current.arms):
            field = next(arm for arm in current.arms if arm.name == name)
        else:
            raise KeyError(path)
        current, many = element(field.type)
        if many != part.endswith("[]"):
            raise KeyError(path)
    assert field is not None
    return field


def structures(type_: Type) -> Iterator[Struct]:
    """Iterate over every structure that a type contains or points to, each once, the type itself first.

    Structures of payloads are included.
    """
    seen: set[Struct] = set()
    waiting: list[Type] = [type_]
    while waiting:
        inner, _ = element(waiting.pop())
        if isinstance(inner, Struct):
            if inner not in seen:
                seen.add(inner)
                yield inner
                waiting += [field.type for field in inner.fields()]
        elif isinstance(inner, Union):
            waiting += [arm.type for arm in inner.arms]
        elif isinstance(inner, Payload):
            waiting += [case for _, _, case in inner.cases]
        elif not isinstance(inner, LEAF_TYPES):
            assert_never(inner)


def all_fields(type_: Type) -> Iterator[Field]:
    """Iterate over the fields that a type contains or points to, with arms of unions and fields of payloads."""
    waiting = [field for struct in structures(type_) for field in struct.fields()]
    while waiting:
        field = waiting.pop()
        yield field
        inner, _ = element(field.type)
        if isinstance(inner, Union):
            waiting += inner.arms


@lru_cache(maxsize=1024)
def has_bound_outputs(struct: Struct) -> bool:
    """Return True if calls with an argument may return values that a replay binds."""
    return any(field.direction != "in" and has_bound_values(field.type) for field in all_fields(struct))
