"""Conversion of a description to readable data: every field with its offset and size in both Windows ABIs."""

from __future__ import annotations

from typing import Any

from tracekmt.spec import paths
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import lay_out, measure


def describe(spec: t.CallSpec, family: str) -> dict[str, Any]:
    """Convert a description to plain data.

    Offsets are relative to the structure that contains the field, or to the first parameter. Sizes are in bytes.
    """
    fields = list(paths.fields(spec.argument, arms=spec.union_arms))
    creates = {creates.path for creates in spec.creates}
    return {
        "name": spec.name,
        "family": family,
        "structure": None if spec.argument.parameters else spec.argument.name,
        "size": {abi: measure(spec.argument, abi)[0] for abi in t.ABIS},
        "returns": spec.returns,
        "fields": _fields(spec.argument, spec.union_arms),
        "payloads": [
            {
                "path": path,
                "when": f"{field.type.by} is {name}",
                "type": type_name(case),
                "size": {abi: measure(case, abi)[0] for abi in t.ABIS},
                "fields": _fields(case, ()) if isinstance(case, t.Struct) else [],
            }
            for path, field, _ in fields
            if isinstance(field.type, t.Payload)
            for _, name, case in field.type.cases
        ],
        "creates": [_lifetime(creates, spec) for creates in spec.creates],
        "uses": [
            {"kind": kind.name, "path": path}
            for path, field, _ in fields
            if (kind := paths.element_kind(field.type))
            and kind.binding == "handle"
            and (field.direction != "out" or path not in creates)
        ],
        "destroys": [_lifetime(destroys, spec) for destroys in spec.destroys],
        "blocks": None
        if spec.may_block_when is None
        else [condition_text(when, spec.argument) for when in spec.may_block_when],
        "unseen": list(spec.undescribed_memory),
        "disturbs": spec.side_effect,
        "statuses": list(spec.statuses),
        "sources": list(spec.sources),
    }


def unknowns(spec: t.CallSpec) -> list[str]:
    """Return the paths of the fields whose direction no source documents."""
    data = describe(spec, "")
    groups = [("", data["fields"]), *((f"{payload['path']}: ", payload["fields"]) for payload in data["payloads"])]
    return [
        f"{prefix}{field['path']}" for prefix, fields in groups for field in fields if field["direction"] == "unknown"
    ]


def open_unions(spec: t.CallSpec) -> list[str]:
    """Return the names of the structures with a union whose arm in effect no source documents."""
    return [
        struct.name
        for struct in paths.structures(spec.argument)
        if any(isinstance(member, t.Union) and member.open for member in struct.members)
    ]


def type_name(type_: t.Type) -> str:
    """Return a type in C notation."""
    match type_:
        case t.Pointer(to=to) | t.VariableRecords(to=to):
            return f"{type_name(to)} *"
        case t.Bytes() | t.Payload():
            return "void *"
        case t.Array(of=of, count=count):
            return f"{type_name(of)}[{count}]"
        case t.ByteArray(name=name, size=size):
            return f"{name}[{size}]"
        case t.WCharArray(count=count):
            return f"WCHAR[{count}]"
        case (
            t.Integer(name=name)
            | t.Float(name=name)
            | t.Enum(name=name)
            | t.Flags(name=name)
            | t.Address(name=name)
            | t.WString(name=name)
            | t.RawWindow(name=name)
            | t.CountedString(name=name)
            | t.StructSize(name=name)
            | t.Union(name=name)
            | t.Struct(name=name)
        ):
            return name
        case _:
            return assert_never(type_)


def condition_text(condition: t.Condition, holder: t.Struct | t.Union) -> str:
    """Return a condition in words.

    Args:
        condition: The condition.
        holder: The structure of the fields that the condition reads.
    """
    if condition == t.NEVER:
        return "never (the arm reserves space)"
    subject = ("the outer structure's " if condition.parent else "") + condition.path
    verb = "is not" if condition.negate else "is"
    if condition.kind is not None:
        return f"{subject} {'does not refer' if condition.negate else 'refers'} to a {condition.kind.name}"
    if condition.any_of:
        values = ", ".join(_value_name(condition, holder, number) for number in condition.any_of)
        return f"{subject} {verb} one of {values}"
    value = "set" if condition.equals is None else _value_name(condition, holder, condition.equals)
    return f"{subject} {verb} {value}"


def _value_name(condition: t.Condition, holder: t.Struct | t.Union, number: int) -> str:
    """Return the name of a number in a condition, or the number if its type has no names."""
    type_: t.Type | None = None
    if isinstance(holder, t.Struct) and not condition.parent:
        try:
            type_ = paths.find(holder, condition.path).type
        except KeyError:
            pass
    names = {value: name for name, value in reversed(type_.members)} if isinstance(type_, t.Enum) else {}
    return names.get(number, str(number))


def length_text(length: t.Length) -> str:
    """Return a length in its JSON notation: "../" per step outwards, "*" for a pointer, the path, the added number."""
    pointee = f"*{length.path}" if length.deref else length.path
    return "../" * length.parent + pointee + (f" + {length.add}" if length.add else "")


def _fields(struct: t.Struct, arms: tuple[str, ...]) -> list[dict[str, Any]]:
    # The conditions of a named union's arms read fields of the structure around the union.
    outer_structs: dict[int, t.Struct | t.Union] = {}
    rows = []
    for path, field, holder in paths.fields(struct, arms=arms):
        inner, _ = paths.element(field.type)
        if isinstance(inner, t.Union):
            outer_structs[id(inner)] = holder
        rows.append(_field(path, field, holder, outer_structs.get(id(holder), holder)))
    return rows


def _field(path: str, field: t.Field, holder: t.Struct | t.Union, outer: t.Struct | t.Union) -> dict[str, Any]:
    kind = paths.element_kind(field.type)
    length = t.length_of(field.type)
    if isinstance(field.type, t.Array) and field.type.used is not None:
        length = t.count_of(field.type.used)
    inner, _ = paths.element(field.type)
    return {
        "path": path,
        "type": type_name(field.type),
        "direction": field.direction,
        **{abi: _offset_and_size(holder, field, abi) for abi in t.ABIS},
        "length": None if length is None else length_text(length),
        "least": length.minimum if length else 0,
        "kind": kind.name if kind else None,
        "bits": _bits(inner),
        "bit_directions": _bit_directions(inner),
        "values": dict(inner.members) if isinstance(inner, t.Enum) else None,
        "when": condition_text(field.when, outer) if field.when else None,
    }


def _offset_and_size(holder: t.Struct | t.Union, field: t.Field, abi: t.Abi) -> list[int]:
    if isinstance(holder, t.Union):
        return [0, measure(field.type, abi)[0]]
    slot = lay_out(holder, abi).slot(field.name)
    return [slot.offset, slot.size]


def _lifetime(change: t.Creates | t.Destroys, spec: t.CallSpec) -> dict[str, Any]:
    conditions = [condition_text(when, spec.argument) for when in change.when]
    return {"kind": change.kind.name, "path": change.path, "when": conditions}


def _bits(type_: t.Type) -> dict[str, int] | None:
    return {bit.name: type_.mask(bit.name) for bit in type_.bits} if isinstance(type_, t.Flags) else None


def _bit_directions(type_: t.Type) -> dict[str, t.Direction] | None:
    """Return the bits with an explicit direction, or None if there are none."""
    directions = {bit.name: bit.direction for bit in type_.bits if bit.direction} if isinstance(type_, t.Flags) else {}
    return directions or None
