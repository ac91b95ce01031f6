"""Paths from a call's argument to its fields, as descriptions and findings write them:
"hDevice", "pStandardAllocation.Type", "pAllocationInfo2[].hAllocation"."""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.spec.types import Array, Field, Pointer, Struct, Type


def element(type_: Type) -> tuple[Type, bool]:
    """What a field holds behind its pointer or in its array, and whether it holds many."""
    if isinstance(type_, Pointer):
        return type_.to, type_.count is not None
    if isinstance(type_, Array):
        return type_.of, True
    return type_, False


def fields(struct: Struct, prefix: str = "", arms: tuple[str, ...] = ()) -> Iterator[tuple[str, Field, Struct]]:
    """Every field that an argument leads to, with its path and the structure that holds it. Of a union that leaves
    the choice to the call only the arms named in `arms` are followed."""
    for member in struct.members:
        choices = (member,) if isinstance(member, Field) else member.arms
        if not isinstance(member, Field) and member.by_call:
            choices = tuple(arm for arm in member.arms if arm.name in arms)
        for field in choices:
            inner, many = element(field.type)
            path = f"{prefix}{field.name}{'[]' if many else ''}"
            yield path, field, struct
            if isinstance(inner, Struct):
                yield from fields(inner, f"{path}.", arms)


def find(struct: Struct, path: str) -> Field:
    """The field at a path; KeyError where the path leads nowhere."""
    field: Field | None = None
    current: Type = struct
    for part in path.split("."):
        name = part.removesuffix("[]")
        if not isinstance(current, Struct):
            raise KeyError(path)
        field = current.field(name)
        current, many = element(field.type)
        if many != part.endswith("[]"):
            raise KeyError(path)
    assert field is not None
    return field
