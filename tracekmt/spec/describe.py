"""A description told in full: every field with its place in both ABIs, as people and scripts read it."""

from __future__ import annotations

from typing import Any

from tracekmt.spec import paths
from tracekmt.spec.checks import kind_of
from tracekmt.spec.layout import lay_out, measure
from tracekmt.spec.types import ABIS, Array, Bytes, Call, Flags, Pointer, Type, When


def describe(call: Call, family: str) -> dict[str, Any]:
    """A call as plain data. Offsets are within the structure that holds the field; sizes in bytes."""
    found = list(paths.fields(call.argument, arms=call.arms))
    creates = {creates.path for creates in call.creates}
    return {
        "name": call.name,
        "family": family,
        "structure": call.argument.name,
        "size": {abi: measure(call.argument, abi)[0] for abi in ABIS},
        "fields": [
            {
                "path": path,
                "type": type_name(field.type),
                "direction": field.direction,
                **{abi: _place(holder, field.name, abi) for abi in ABIS},
                "length": _length(field.type),
                "kind": kind.name if (kind := kind_of(field.type)) else None,
                "bits": _bits(field.type),
            }
            for path, field, holder in found
        ],
        "creates": [
            {"kind": each.kind.name, "path": each.path, "when": [condition(when) for when in each.when]}
            for each in call.creates
        ],
        "uses": [
            {"kind": kind.name, "path": path}
            for path, field, _ in found
            if (kind := kind_of(field.type))
            and kind.binding == "handle"
            and (field.direction != "out" or path not in creates)
        ],
        "destroys": [
            {"kind": each.kind.name, "path": each.path, "when": [condition(when) for when in each.when]}
            for each in call.destroys
        ],
        "statuses": list(call.statuses),
        "sources": list(call.sources),
    }


def type_name(type_: Type) -> str:
    """A type as C writes it."""
    match type_:
        case Pointer(to=to):
            return f"{type_name(to)} *"
        case Bytes():
            return "void *"
        case Array(of=of, count=count):
            return f"{type_name(of)}[{count}]"
        case _:
            return type_.name


def condition(when: When) -> str:
    """A condition in words."""
    outer = "the outer structure's " if when.up else ""
    if when.equals is not None:
        return f"{outer}{when.path} is {'' if when.holds else 'not '}{when.equals}"
    return f"{outer}{when.path} is {'set' if when.holds else 'not set'}"


def _place(holder: Any, name: str, abi: Any) -> list[int]:
    slot = lay_out(holder, abi).slot(name)
    return [slot.offset, slot.size]


def _length(type_: Type) -> str | None:
    return type_.length if isinstance(type_, Bytes) else type_.count if isinstance(type_, Pointer) else None


def _bits(type_: Type) -> dict[str, int] | None:
    return {bit.name: type_.mask(bit.name) for bit in type_.bits} if isinstance(type_, Flags) else None
