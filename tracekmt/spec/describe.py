"""A description told in full: every field with its place in both ABIs, as people and scripts read it."""

from __future__ import annotations

from typing import Any

from tracekmt.spec import paths
from tracekmt.spec import types as t
from tracekmt.spec.checks import kind_of
from tracekmt.spec.layout import lay_out, measure


def describe(call: t.CallSpec, family: str) -> dict[str, Any]:
    """A call as plain data. Offsets are within the structure that holds the field, or among the words of the
    parameters; sizes in bytes."""
    fields = list(paths.fields(call.argument, arms=call.union_arms))
    creates = {creates.path for creates in call.creates}
    return {
        "name": call.name,
        "family": family,
        "structure": None if call.argument.parameters else call.argument.name,
        "size": {abi: measure(call.argument, abi)[0] for abi in t.ABIS},
        "returns": call.returns,
        "fields": _fields(call.argument, call.union_arms),
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
        "creates": [_life(each, call) for each in call.creates],
        "uses": [
            {"kind": kind.name, "path": path}
            for path, field, _ in fields
            if (kind := kind_of(field.type))
            and kind.binding == "handle"
            and (field.direction != "out" or path not in creates)
        ],
        "destroys": [_life(each, call) for each in call.destroys],
        "blocks": None
        if call.may_block_when is None
        else [condition(when, call.argument) for when in call.may_block_when],
        "unseen": list(call.undescribed_memory),
        "disturbs": call.side_effect,
        "statuses": list(call.statuses),
        "sources": list(call.sources),
    }


def unknowns(call: t.CallSpec) -> list[str]:
    """The paths of the fields of which no source says whether the call reads or writes them."""
    told = describe(call, "")
    fields = [("", told["fields"]), *((f"{each['path']}: ", each["fields"]) for each in told["payloads"])]
    return [f"{prefix}{field['path']}" for prefix, each in fields for field in each if field["direction"] == "unknown"]


def open_unions(call: t.CallSpec) -> list[str]:
    """The structures with a union of which no source says what is in it when."""
    return [
        struct.name
        for struct in paths.structures(call.argument)
        if any(isinstance(member, t.Union) and member.open for member in struct.members)
    ]


def type_name(type_: t.Type) -> str:
    """A type as C writes it."""
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
        case _:
            return type_.name


def condition(when: t.Condition, holder: t.Struct | t.Union) -> str:
    """A condition in words; `holder` is the structure that it is about."""
    if when == t.NEVER:
        return "never: it keeps room"
    place = ("the outer structure's " if when.parent else "") + when.path
    verb = "is not" if when.negate else "is"
    if when.kind is not None:
        return f"{place} {'does not lead' if when.negate else 'leads'} to a {when.kind.name}"
    if when.any_of:
        return f"{place} {verb} one of {', '.join(_value(when, holder, each) for each in when.any_of)}"
    return f"{place} {verb} {'set' if when.equals is None else _value(when, holder, when.equals)}"


def _value(when: t.Condition, holder: t.Struct | t.Union, number: int) -> str:
    """A value in a condition, by its name if it has one."""
    try:
        type_ = paths.find(holder, when.path).type if isinstance(holder, t.Struct) and not when.parent else None
    except KeyError:
        type_ = None
    names = {value: name for name, value in reversed(type_.members)} if isinstance(type_, t.Enum) else {}
    return names.get(number, str(number))


def length_text(length: t.Length) -> str:
    """A length as JSON has it: the path of a field, what is added to it, and where it lies if not beside it."""
    behind = f"*{length.path}" if length.deref else length.path
    outer = "../" * length.parent
    return f"{outer}{behind}" + (f" + {length.add}" if length.add else "")


def _fields(struct: t.Struct, arms: tuple[str, ...]) -> list[dict[str, Any]]:
    # The conditions of a named union's arms are about the structure around it.
    around: dict[int, t.Struct | t.Union] = {}
    told = []
    for path, field, holder in paths.fields(struct, arms=arms):
        inner, _ = paths.element(field.type)
        if isinstance(inner, t.Union):
            around[id(inner)] = holder
        told.append(_field(path, field, holder, around.get(id(holder), holder)))
    return told


def _field(path: str, field: t.Field, holder: t.Struct | t.Union, around: t.Struct | t.Union) -> dict[str, Any]:
    kind = kind_of(field.type)
    length = t.length_of(field.type)
    if isinstance(field.type, t.Array) and field.type.used is not None:
        length = t.count_of(field.type.used)
    inner, _ = paths.element(field.type)
    return {
        "path": path,
        "type": type_name(field.type),
        "direction": field.direction,
        **{abi: _place(holder, field, abi) for abi in t.ABIS},
        "length": None if length is None else length_text(length),
        "least": length.minimum if length else 0,
        "kind": kind.name if kind else None,
        "bits": _bits(inner),
        "bit_directions": _bit_directions(inner),
        "values": dict(inner.members) if isinstance(inner, t.Enum) else None,
        "when": condition(field.when, around) if field.when else None,
    }


def _place(holder: t.Struct | t.Union, field: t.Field, abi: t.Abi) -> list[int]:
    if isinstance(holder, t.Union):
        return [0, measure(field.type, abi)[0]]
    slot = lay_out(holder, abi).slot(field.name)
    return [slot.offset, slot.size]


def _life(part: t.Creates | t.Destroys, call: t.CallSpec) -> dict[str, Any]:
    conditions = [condition(when, call.argument) for when in part.when]
    return {"kind": part.kind.name, "path": part.path, "when": conditions}


def _bits(type_: t.Type) -> dict[str, int] | None:
    return {bit.name: type_.mask(bit.name) for bit in type_.bits} if isinstance(type_, t.Flags) else None


def _bit_directions(type_: t.Type) -> dict[str, t.Direction] | None:
    """The bits of a word whose direction is not the word's own."""
    found = {bit.name: bit.direction for bit in type_.bits if bit.direction} if isinstance(type_, t.Flags) else {}
    return found or None
