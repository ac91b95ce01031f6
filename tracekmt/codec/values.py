"""The value form: memory that could not be read, enumerations, JSON, and the leaves of an argument."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tracekmt.spec.paths import element
from tracekmt.spec.types import Address, Array, Bytes, Enum, Field, Flags, Integer, Pointer, Struct, Type


@dataclass(frozen=True)
class Unreadable:
    """Memory at `address` that could not be read when the call was recorded; `data` is the beginning that could."""

    address: int
    data: bytes = b""


@lru_cache(maxsize=4096)
def python_enum(type_: Enum | Flags) -> Any:
    """The IntEnum or IntFlag of a type; None for a word without named bits."""
    if isinstance(type_, Enum):
        return enum.IntEnum(type_.name, type_.members)
    bits = [(bit.name, 1 << bit.position) for bit in type_.bits]
    return enum.IntFlag(type_.name.replace(".", "_"), bits) if bits else None


@dataclass(frozen=True)
class Leaf:
    """One scalar, buffer or handle of a decoded argument.

    path: where it is ("pAllocationInfo2[0].hAllocation"). pattern: where the description has it ("...[].hAllocation").
    field: the member that says its direction; type: what it is, behind pointers and in arrays. values[key] is it.
    """

    path: str
    pattern: str
    field: Field
    type: Type
    values: Any
    key: Any

    @property
    def value(self) -> Any:
        """The value itself."""
        return self.values[self.key]


def leaves(struct: Struct, value: Any, path: str = "", pattern: str = "") -> Iterator[Leaf]:
    """Every leaf of a decoded argument, in declaration order; none where there is no argument."""
    if isinstance(value, Mapping):
        for name in value:
            field = struct.field(name)
            yield from _leaves(field, field.type, value, name, f"{path}{name}", f"{pattern}{name}")


def _leaves(field: Field, type_: Type, values: Any, key: Any, path: str, pattern: str) -> Iterator[Leaf]:
    value = values[key]
    inner, many = element(type_)
    if many and isinstance(value, list):
        for index in range(len(value)):
            yield from _leaves(field, inner, value, index, f"{path}[{index}]", f"{pattern}[]")
    elif isinstance(inner, Struct) and isinstance(value, Mapping):
        yield from leaves(inner, value, f"{path}.", f"{pattern}.")
    else:
        yield Leaf(path, pattern, field, type_ if many else inner, values, key)


def to_json(struct: Struct, value: Any) -> Any:
    """A decoded argument as what stands in JSON."""
    if isinstance(value, Mapping):
        return {name: json_form(struct.field(name).type, each) for name, each in value.items()}
    return json_form(struct, value)


def json_form(type_: Type, value: Any) -> Any:
    """One value of a type as what stands in JSON."""
    if isinstance(value, Unreadable):
        read = {"read": value.data.hex()} if value.data else {}
        return {"unreadable": f"0x{value.address:x}", **read}
    if value is None:
        return None
    match type_:
        case Struct():
            return to_json(type_, value)
        case Pointer(to=to, count=None):
            return json_form(to, value)
        case Pointer(to=of) | Array(of=of):
            return [json_form(of, item) for item in value]
        case Bytes():
            return value.hex()
        case Integer(hexadecimal=True) | Address():
            return f"0x{value:x}"
        case Integer(size=size):
            # The declared type decides: what may be 64 bits wide is a string in both ABIs.
            return int(value) if size in (1, 2, 4) else str(value)
        case Enum():
            return value.name if isinstance(value, enum.IntEnum) else value
        case Flags():
            named = [bit.name for bit in type_.bits if value & type_.mask(bit.name)]
            known = 0
            for bit in type_.bits:
                known |= type_.mask(bit.name)
            rest = int(value) & ~known
            return named + ([f"0x{rest:x}"] if rest else [])
    raise TypeError(type_)
