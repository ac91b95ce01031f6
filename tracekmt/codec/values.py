"""The value form: unreadable memory, enumerations, and the field values of an argument."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import Slot, lay_out
from tracekmt.spec.paths import element

RAW = t.Union((), name="undecided")
"""The type of a union whose value is its bytes: {"raw": bytes}."""

REST = t.ByteArray("rest", 0, tail=True)
"""The type of the bytes behind a structure in its buffer, which are the value "rest"."""


@dataclass(frozen=True)
class Unreadable:
    """Memory that was unreadable when the call was recorded.

    Attributes:
        address: Address of the memory.
        data: The readable beginning.
    """

    address: int
    data: bytes = b""


def is_truncated(to: t.Type, items: Sequence[Any], count: int) -> bool:
    """Return True if the memory of an array ends before the array does. Its last item is Unreadable then.

    The last item of an array of pointers may be a pointer to unreadable memory, unless the array is too short.

    Args:
        to: Type of the elements.
        items: The decoded elements.
        count: The recorded number of elements.
    """
    ends_unreadable = bool(items) and isinstance(items[-1], Unreadable)
    return ends_unreadable and (not isinstance(to, t.Pointer) or len(items) < count)


@lru_cache(maxsize=4096)
def python_enum(type_: t.Enum | t.Flags) -> Any:
    """Return the IntEnum of an enumeration, or the IntFlag of a flag word."""
    if isinstance(type_, t.Enum):
        return enum.IntEnum(type_.name, type_.members)
    # An IntFlag needs a member. A word without named bits gets one for its reserved bits.
    bits = [(bit.name, 1 << bit.position) for bit in type_.bits] or [("Reserved", 0)]
    return enum.IntFlag(type_.name.replace(".", "_"), bits)


def flags_to_int(type_: t.Flags, value: Any) -> int:
    """Convert a flag word in any of its forms to a number."""
    if not isinstance(value, Mapping):
        return int(value)
    return sum(int(number) << type_.low(name) for name, number in value.items())


def member_type(struct: t.Struct, values: Mapping[str, Any], name: str) -> t.Type:
    """Return the type of a member of a decoded structure. For a decoded payload, it is the type of its case.

    Args:
        struct: The structure.
        values: Its decoded members, one of which selects the case of a payload.
        name: Name of the member.
    """
    if name.startswith("union@"):
        return RAW
    if name == "rest" and not struct.has(name):
        return REST
    type_ = struct.field(name).type
    if isinstance(type_, t.Payload) and not isinstance(values[name], (bytes, Unreadable, type(None))):
        return payload_case(type_, int(values.get(type_.by) or 0)) or type_
    return type_


def payload_case(type_: t.Payload, number: int) -> t.Type | None:
    """Return the type of a payload for a value of its deciding field. None means plain bytes."""
    return next((case for value, _, case in type_.cases if value == number), None)


def look_up(values: Any, path: str) -> Any:
    """Return the value at a path of nested structures. None if there is none."""
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def condition_holds(condition: t.Condition, struct: t.Struct, values: Mapping[str, Any]) -> bool:
    """Return True if a condition on a decoded argument is true."""
    path, _, bit = condition.path.rpartition(".")
    word = _type_at(struct, path) if path else None
    if isinstance(word, t.Flags):
        value = flags_to_int(word, look_up(values, path) or 0) & word.mask(bit)
    else:
        value = int(look_up(values, condition.path) or 0)
    if condition.any_of:
        return (value in condition.any_of) != condition.negate
    return (value == condition.equals if condition.equals is not None else value != 0) != condition.negate


def _type_at(struct: t.Struct, path: str) -> t.Type:
    type_: t.Type = struct
    for name in path.split("."):
        assert isinstance(type_, t.Struct)
        type_ = type_.field(name).type
    return type_


class FieldValue(NamedTuple):
    """A scalar, buffer or handle of a decoded argument.

    Attributes:
        path: Path in the argument ("pAllocationInfo2[0].hAllocation").
        pattern: Path in the description ("pAllocationInfo2[].hAllocation").
        field: The member with the direction of the value.
        type: Type of the value, behind pointers and in arrays.
        values: The mapping or list that contains the value.
        key: Key of the value in `values`.
        kind: Kind of the object that the value refers to.
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
    """Iterate over the field values of a decoded argument, in declaration order.

    Args:
        struct: The structure.
        value: Its decoded value. A value that is not a mapping has no field values.
        path: Prefix of each path.
        pattern: Prefix of each pattern.
    """
    if isinstance(value, Mapping):
        scalars = _scalar_fields(struct)
        for name in value:
            if name in scalars:
                field, kind = scalars[name]
                yield FieldValue(f"{path}{name}", f"{pattern}{name}", field, field.type, value, name, kind)
                continue
            type_ = member_type(struct, value, name)
            field = struct.field(name) if struct.has(name) else t.Field(name, type_, _direction(struct, name))
            yield from _iter_nested(field, type_, value, name, f"{path}{name}", f"{pattern}{name}")


@lru_cache(maxsize=512)
def _scalar_fields(struct: t.Struct) -> dict[str, tuple[t.Field, t.Kind | None]]:
    """Return the fields that are always one field value, with their kinds."""
    scalar = (t.Integer, t.Enum, t.Flags, t.Address, t.Bytes, t.Float)
    fields = [field for field in struct.fields() if type(field.type) in scalar]
    return {field.name: (field, t.kind_of(field.type)) for field in fields}


def _iter_nested(field: t.Field, type_: t.Type, values: Any, key: Any, path: str, pattern: str) -> Iterator[FieldValue]:
    value = values[key]
    inner, many = element(type_)
    if many and isinstance(value, list):
        for index in range(len(value)):
            yield from _iter_nested(field, inner, value, index, f"{path}[{index}]", f"{pattern}[]")
    elif isinstance(inner, t.Struct) and inner.kind is None and isinstance(value, Mapping):
        yield from iter_values(inner, value, f"{path}.", f"{pattern}.")
    elif isinstance(inner, t.Union) and isinstance(value, Mapping):
        for name in value:
            arm = arm_of(inner, name)
            if inner is RAW:
                arm = t.Field(name, t.ByteArray("raw", 0), field.direction)
            yield from _iter_nested(arm, arm.type, value, name, f"{path}.{name}", f"{pattern}.{name}")
    elif isinstance(inner, t.INNER_TYPES):
        yield FieldValue(path, pattern, field, type_ if many else inner, values, key, t.kind_of(inner))
    else:
        assert_never(inner)


def _direction(struct: t.Struct, name: str) -> t.Direction:
    """Return the direction of an unnamed union whose value is its bytes."""
    for member, slots in zip(struct.members, lay_out(struct, "x64").members, strict=True):
        if isinstance(member, t.Union) and name == union_key(slots):
            return common_direction(member)
    return "unknown"


def common_direction(union: t.Union) -> t.Direction:
    """Return the direction of all arms of a union, or "unknown" if they disagree."""
    directions = {arm.direction for arm in union.arms}
    return directions.pop() if len(directions) == 1 else "unknown"


def union_key(slots: tuple[Slot, ...]) -> str:
    """Return the name of an unnamed union whose value is its bytes.

    Args:
        slots: The slots of the union in the x64 layout.
    """
    return f"union@{min(slot.offset for slot in slots)}"


def arm_of(union: t.Union, name: str) -> t.Field:
    """Return the arm of a named union by the name in a decoded value, or a field of bytes for an undecided union."""
    raw = t.Field(name, t.ByteArray("raw", 0), common_direction(union))
    return next((arm for arm in union.arms if arm.name == name), raw)
