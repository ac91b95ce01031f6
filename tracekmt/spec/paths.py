"""Paths from a call's argument to its fields, as descriptions and findings write them:
"hDevice", "pStandardAllocation.Type", "pAllocationInfo2[].hAllocation"."""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.spec.types import Array, Field, Payload, Pointer, Struct, Type, Union, VariableRecords


def element(type_: Type) -> tuple[Type, bool]:
    """What a field holds behind its pointers or in its array, and whether it holds many."""
    many = False
    while True:
        if isinstance(type_, Pointer):
            many = many or type_.count is not None
            type_ = type_.to
        elif isinstance(type_, Array):
            type_, many = type_.of, True
        elif isinstance(type_, VariableRecords):
            type_, many = type_.to, True
        else:
            return type_, many


def fields(
    struct: Struct | Union, prefix: str = "", arms: tuple[str, ...] = ()
) -> Iterator[tuple[str, Field, Struct | Union]]:
    """Every field that an argument leads to, with its path and the structure or named union that holds it. Of a union
    that leaves the choice to the call only the arms named in `arms` are followed; payloads are not followed."""
    members = (struct,) if isinstance(struct, Union) else struct.members
    for member in members:
        choices = (member,) if isinstance(member, Field) else member.arms
        if not isinstance(member, Field) and member.by_call:
            choices = tuple(arm for arm in member.arms if arm.name in arms)
        for field in choices:
            if not field.name and isinstance(field.type, Struct):
                for path, inside, holder in fields(field.type, prefix, arms):
                    yield path, inside, struct if holder is field.type else holder
                continue
            inner, many = element(field.type)
            path = f"{prefix}{field.name}{'[]' if many else ''}"
            yield path, field, struct
            if isinstance(inner, Union) or (isinstance(inner, Struct) and inner.kind is None):
                yield from fields(inner, f"{path}.", arms)


def find(struct: Struct, path: str) -> Field:
    """The field at a path; KeyError where the path leads nowhere."""
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
    """Every structure that a type leads to, itself first, each once; those of payloads too."""
    seen: set[Struct] = set()
    waiting: list[Type] = [type_]
    while waiting:
        inner, _ = element(waiting.pop())
        if isinstance(inner, Struct) and inner not in seen:
            seen.add(inner)
            yield inner
            waiting += [field.type for field in inner.fields()]
        elif isinstance(inner, Union):
            waiting += [arm.type for arm in inner.arms]
        elif isinstance(inner, Payload):
            waiting += [case for _, _, case in inner.cases]
