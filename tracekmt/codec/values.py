"""The value form: memory that could not be read, enumerations, and the leaves of an argument."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt.spec import types as t
from tracekmt.spec.layout import Slot, lay_out
from tracekmt.spec.paths import element

RAW = t.Union((), name="undecided")
"""The type of a union that is told as its bytes: {"raw": bytes}."""

REST = t.ByteArray("rest", 0, tail=True)
"""The type of what a buffer holds behind its structure, told as "rest"."""


@dataclass(frozen=True)
class Unreadable:
    """Memory at `address` that could not be read when the call was recorded; `data` is the beginning that could."""

    address: int
    data: bytes = b""


@lru_cache(maxsize=4096)
def python_enum(type_: t.Enum | t.Flags) -> Any:
    """The IntEnum of an enumeration, the IntFlag of a word of single bits."""
    if isinstance(type_, t.Enum):
        return enum.IntEnum(type_.name, type_.members)
    # An enumeration needs a member; a word in which nothing is named has only what is reserved.
    bits = [(bit.name, 1 << bit.position) for bit in type_.bits] or [("Reserved", 0)]
    return enum.IntFlag(type_.name.replace(".", "_"), bits)


def flags_to_int(type_: t.Flags, value: Any) -> int:
    """A word of bits as one number, whichever form it has."""
    if not isinstance(value, Mapping):
        return int(value)
    return sum(int(number) << type_.low(name) for name, number in value.items())


def member_type(struct: t.Struct, values: Mapping[str, Any], name: str) -> t.Type:
    """The type of a member of a decoded structure; for a payload that follows from another member, the structure that
    is in it."""
    if name.startswith("union@"):
        return RAW
    if name == "rest" and not struct.has(name):
        return REST
    type_ = struct.field(name).type
    if isinstance(type_, t.Payload) and not isinstance(values[name], (bytes, Unreadable, type(None))):
        return payload_case(type_, int(values.get(type_.by) or 0)) or type_
    return type_


def payload_case(type_: t.Payload, number: int) -> t.Type | None:
    """What is in a payload for one value of the field that decides; None for plain bytes."""
    return next((case for value, _, case in type_.cases if value == number), None)


def look_up(values: Any, path: str) -> Any:
    """What stands at a path of structures in place; None where nothing does."""
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def condition_holds(when: t.Condition, struct: t.Struct, values: Mapping[str, Any]) -> bool:
    """Whether a condition on a decoded argument is true."""
    path, _, last = when.path.rpartition(".")
    whole = _type_at(struct, path) if path else None
    if isinstance(whole, t.Flags):
        value = flags_to_int(whole, look_up(values, path) or 0) & whole.mask(last)
    else:
        value = int(look_up(values, when.path) or 0)
    if when.any_of:
        return (value in when.any_of) != when.negate
    return (value == when.equals if when.equals is not None else value != 0) != when.negate


def _type_at(struct: t.Struct, path: str) -> t.Type:
    type_: t.Type = struct
    for name in path.split("."):
        assert isinstance(type_, t.Struct)
        type_ = type_.field(name).type
    return type_


class FieldValue(NamedTuple):
    """One scalar, buffer or handle of a decoded argument.

    path: where it is ("pAllocationInfo2[0].hAllocation"). pattern: where the description has it ("...[].hAllocation").
    field: the member that says its direction; type: what it is, behind pointers and in arrays. values[key] is it. kind:
    what it stands for.
    """

    path: str
    pattern: str
    field: t.Field
    type: t.Type
    values: Any
    key: Any
    kind: t.Kind | None

    @property
    def value(self) -> Any:
        """The value itself."""
        return self.values[self.key]


def iter_values(struct: t.Struct, value: Any, path: str = "", pattern: str = "") -> Iterator[FieldValue]:
    """Every leaf of a decoded argument, in declaration order; none where there is no argument."""
    if isinstance(value, Mapping):
        plain = _plain(struct)
        for name in value:
            if name in plain:
                field, kind = plain[name]
                yield FieldValue(f"{path}{name}", f"{pattern}{name}", field, field.type, value, name, kind)
                continue
            type_ = member_type(struct, value, name)
            field = struct.field(name) if struct.has(name) else t.Field(name, type_, _direction(struct, name))
            yield from _leaves(field, type_, value, name, f"{path}{name}", f"{pattern}{name}")


@lru_cache(maxsize=512)
def _plain(struct: t.Struct) -> dict[str, tuple[t.Field, t.Kind | None]]:
    """The members that are one leaf whatever they hold, with their kinds."""
    scalar = (t.Integer, t.Enum, t.Flags, t.Address, t.Bytes, t.Float)
    plain = [each for each in struct.fields() if type(each.type) in scalar]
    return {each.name: (each, getattr(each.type, "kind", None)) for each in plain}


def _leaves(field: t.Field, type_: t.Type, values: Any, key: Any, path: str, pattern: str) -> Iterator[FieldValue]:
    value = values[key]
    inner, many = element(type_)
    if many and isinstance(value, list):
        for index in range(len(value)):
            yield from _leaves(field, inner, value, index, f"{path}[{index}]", f"{pattern}[]")
    elif isinstance(inner, t.Struct) and inner.kind is None and isinstance(value, Mapping):
        yield from iter_values(inner, value, f"{path}.", f"{pattern}.")
    elif isinstance(inner, t.Union) and isinstance(value, Mapping):
        for name in value:
            arm = arm_of(inner, name)
            if inner is RAW:
                arm = t.Field(name, t.ByteArray("raw", 0), field.direction)
            yield from _leaves(arm, arm.type, value, name, f"{path}.{name}", f"{pattern}.{name}")
    else:
        yield FieldValue(path, pattern, field, type_ if many else inner, values, key, getattr(inner, "kind", None))


def _direction(struct: t.Struct, name: str) -> t.Direction:
    """Whether the call reads or writes a union that is told as its bytes: what all arms say, if they agree."""
    for member, slots in zip(struct.members, lay_out(struct, "x64").members, strict=True):
        if isinstance(member, t.Union) and name == union_key(slots):
            return _common(member)
    return "unknown"


def _common(overlay: t.Union) -> t.Direction:
    directions = {arm.direction for arm in overlay.arms}
    return directions.pop() if len(directions) == 1 else "unknown"


def union_key(slots: tuple[Slot, ...]) -> str:
    """The name under which an unnamed union stands in values when it is told as its bytes; the slots are x64's."""
    return f"union@{min(slot.offset for slot in slots)}"


def arm_of(overlay: t.Union, name: str) -> t.Field:
    """The arm of a named union that a decoded argument names; its bytes, where nothing decided."""
    raw = t.Field(name, t.ByteArray("raw", 0), _common(overlay))
    return next((arm for arm in overlay.arms if arm.name == name), raw)
