"""Bytes to values and back, for one ABI, as the descriptions say.

Values have the form that the documentation calls the value form: a call's argument is a dict by Microsoft's names.
Decoding never fails: memory that is not there becomes `Unreadable`. Encoding takes what people write by hand.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tracekmt.errors import UsageError
from tracekmt.memory import Arena, Fault, Memory
from tracekmt.spec.layout import Layout, Slot, lay_out, measure
from tracekmt.spec.paths import element
from tracekmt.spec.types import (
    Abi,
    Address,
    Array,
    Bytes,
    Call,
    Enum,
    Field,
    Flags,
    Integer,
    Overlay,
    Pointer,
    Struct,
    Type,
    When,
)

PADDING_LIMIT = 1 << 20
"""How many bytes a count without values is padded to; a count may be absurd on purpose."""


@dataclass(frozen=True)
class Unreadable:
    """Memory at `address` that could not be read when the call was recorded; `data` is the beginning that could."""

    address: int
    data: bytes = b""


class _Frame:
    """A structure being decoded or encoded: its bytes, those that it had when the call was entered, and the
    structure that led to it."""

    __slots__ = ("before", "data", "layout", "outer")

    def __init__(self, layout: Layout, data: bytes, before: bytes, outer: _Frame | None) -> None:
        self.layout = layout
        self.data = data
        self.before = before
        self.outer = outer

    def holds(self, when: When) -> bool:
        """Whether a condition is true of what the call was entered with."""
        frame = self.outer if when.up else self
        assert frame is not None
        name, _, bit = when.path.partition(".")
        slot = frame.layout.slot(name)
        value = int.from_bytes(frame.before[slot.offset : slot.offset + slot.size], "little")
        if bit:
            assert isinstance(slot.field.type, Flags)
            value &= slot.field.type.mask(bit)
        return (value == when.equals if when.equals is not None else value != 0) == when.holds

    def count(self, name: str) -> tuple[int, int]:
        """What a length field said at enter, and says now."""
        slot = self.layout.slot(name)
        end = slot.offset + slot.size
        return (
            int.from_bytes(self.before[slot.offset : end], "little"),
            int.from_bytes(self.data[slot.offset : end], "little"),
        )

    def arm(self, overlay: Overlay, arms: tuple[str, ...]) -> str:
        """The name of the arm in effect."""
        for field in overlay.arms:
            if field.name in arms if overlay.by_call else field.when is None or self.holds(field.when):
                return field.name
        raise AssertionError("checked: every union has an arm in effect")


@lru_cache(maxsize=4096)
def python_enum(type_: Enum | Flags) -> Any:
    """The IntEnum or IntFlag of a type; None for a word without named bits."""
    if isinstance(type_, Enum):
        return enum.IntEnum(type_.name, type_.members)
    bits = [(bit.name, 1 << bit.position) for bit in type_.bits]
    return enum.IntFlag(type_.name.replace(".", "_"), bits) if bits else None


def decode(
    call: Call, abi: Abi, memory: Memory, address: int, before: tuple[Memory, int] | None = None
) -> dict[str, Any] | Unreadable | None:
    """The argument at `address` as values; None where it is NULL.

    before: memory and address of the same argument as the call was entered with. What a count or a union's arm is
    then comes from there: of an array as many elements as both say, of a byte buffer its whole capacity.
    """
    if address == 0:
        return None
    decoder = _Decoder(abi, call.arms, memory, before[0] if before else None)
    value = decoder.struct(lay_out(call.argument, abi), address, before[1] if before else 0, None)
    assert isinstance(value, (dict, Unreadable))
    return value


class _Decoder:
    def __init__(self, abi: Abi, arms: tuple[str, ...], memory: Memory, before: Memory | None) -> None:
        self.abi = abi
        self.arms = arms
        self.memory = memory
        self.before = before

    def struct(self, layout: Layout, address: int, before: int, outer: _Frame | None) -> Any:
        try:
            data = self.memory.read(address, layout.size)
        except Fault as fault:
            return Unreadable(address, fault.data)
        entered = data
        if self.before is not None and before:
            try:
                entered = self.before.read(before, layout.size)
            except Fault:
                pass
        return self.fields(_Frame(layout, data, entered, outer))

    def fields(self, frame: _Frame) -> dict[str, Any]:
        return {slot.field.name: self.slot(slot, frame) for slot in in_effect(frame.layout, frame, self.arms)}

    def slot(self, slot: Slot, frame: _Frame) -> Any:
        data = frame.data[slot.offset : slot.offset + slot.size]
        entered = frame.before[slot.offset : slot.offset + slot.size]
        match slot.field.type:
            case Pointer(to=to, count=None):
                return self.pointee(to, _unsigned(data), _unsigned(entered), frame)
            case Pointer(to=to, count=str(length)):
                return self.elements(to, _unsigned(data), _unsigned(entered), min(frame.count(length)), frame)
            case Bytes(length=length):
                address, capacity = _unsigned(data), frame.count(length)[0]
                if address == 0:
                    return None
                try:
                    return self.memory.read(address, capacity) if capacity else b""
                except Fault as fault:
                    return Unreadable(address, fault.data)
            case type_:
                return self.value(type_, data, entered, frame)

    def value(self, type_: Type, data: bytes, entered: bytes, frame: _Frame) -> Any:
        """A value that lies in place."""
        match type_:
            case Integer(signed=signed):
                return int.from_bytes(data, "little", signed=signed)
            case Enum():
                number = int.from_bytes(data, "little", signed=True)
                members = python_enum(type_)
                return members(number) if number in members._value2member_map_ else number
            case Flags():
                number = _unsigned(data)
                members = python_enum(type_)
                return number if members is None else members(number)
            case Address():
                return _unsigned(data) or None
            case Struct():
                return self.fields(_Frame(lay_out(type_, self.abi), data, entered, frame))
            case Array(of=of):
                size, _ = measure(of, self.abi)
                steps = range(0, len(data), size)
                return [self.value(of, data[at : at + size], entered[at : at + size], frame) for at in steps]
        raise TypeError(type_)

    def pointee(self, to: Type, address: int, before: int, frame: _Frame) -> Any:
        if address == 0:
            return None
        if isinstance(to, Struct):
            return self.struct(lay_out(to, self.abi), address, before, frame)
        try:
            data = self.memory.read(address, measure(to, self.abi)[0])
        except Fault as fault:
            return Unreadable(address, fault.data)
        return self.value(to, data, data, frame)

    def elements(self, to: Type, address: int, before: int, count: int, frame: _Frame) -> Any:
        if address == 0:
            return None
        size, _ = measure(to, self.abi)
        values: list[Any] = []
        for index in range(count):
            at = address + index * size
            values.append(self.pointee(to, at, before + index * size if before else 0, frame))
            if isinstance(values[-1], Unreadable):
                # What lies behind the first element that is missing is missing too.
                return values if index else values[0]
        return values


def in_effect(layout: Layout, frame: _Frame, arms: tuple[str, ...]) -> list[Slot]:
    """The fields of a structure without the arms that are not in effect."""
    return [
        slot
        for slot in layout.slots
        if slot.overlay is None or frame.arm(slot.overlay, arms) == slot.field.name
    ]


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")


def encode(call: Call, abi: Abi, arena: Arena, value: Any) -> int:
    """Lay an argument out in an arena; its address, 0 for None.

    Missing fields are zero, a length that is left out is taken from what it counts, an explicit one wins. Encoding
    the same call again into the same arena puts everything where it was. UsageError names the field that is wrong.
    """
    if value is None:
        return 0
    if isinstance(value, Unreadable):
        return value.address
    layout = lay_out(call.argument, abi)
    address = arena.place("", layout.size)
    arena.write(address, _Encoder(call, abi, arena).struct(layout, value, "", None))
    return address


class _Encoder:
    def __init__(self, call: Call, abi: Abi, arena: Arena) -> None:
        self.call = call
        self.abi = abi
        self.arena = arena

    def fail(self, path: str, problem: str) -> UsageError:
        return UsageError(f"{self.call.name}: {path.lstrip('.')}: {problem}" if path else f"{self.call.name}: {problem}")

    def struct(self, layout: Layout, value: Any, path: str, outer: _Frame | None) -> bytes:
        """The bytes of one structure, its pointees placed in the arena."""
        if not isinstance(value, Mapping):
            raise self.fail(path, f"takes the fields of {layout.struct.name}, not {_show(value)}")
        names = [slot.field.name for slot in layout.slots]
        for name in value:
            if name not in names:
                raise self.fail(f"{path}.{name}", f"{layout.struct.name} has no such field")
        data = bytearray(layout.size)
        frame = _Frame(layout, b"", b"", outer)
        plain = [slot for slot in layout.slots if slot.overlay is None]
        # First the words that conditions and lengths are read from, then what depends on them.
        for slot in plain:
            if isinstance(slot.field.type, (Integer, Enum, Flags)):
                self.put(data, slot, self.value(slot.field.type, value.get(slot.field.name), f"{path}.{slot.field.name}", frame))
        frame.before = bytes(data)
        chosen = in_effect(layout, frame, self.call.arms)
        self.refuse_other_arms(layout, chosen, value, path)
        self.infer_lengths(data, layout, chosen, value, path)
        frame.data = frame.before = bytes(data)
        for slot in chosen:
            if slot.overlay is not None or not isinstance(slot.field.type, (Integer, Enum, Flags)):
                self.put(data, slot, self.value(slot.field.type, value.get(slot.field.name), f"{path}.{slot.field.name}", frame))
        return bytes(data)

    def put(self, data: bytearray, slot: Slot, encoded: bytes) -> None:
        data[slot.offset : slot.offset + len(encoded)] = encoded

    def refuse_other_arms(self, layout: Layout, chosen: list[Slot], value: Mapping[str, Any], path: str) -> None:
        for slot in layout.slots:
            if slot.overlay is not None and slot.field.name in value and slot not in chosen:
                right = next(other.field.name for other in chosen if other.overlay is slot.overlay)
                raise self.fail(f"{path}.{slot.field.name}", f"is not in effect here; give {right} instead")

    def infer_lengths(
        self, data: bytearray, layout: Layout, chosen: list[Slot], value: Mapping[str, Any], path: str
    ) -> None:
        """Lengths that were left out, from what they count."""
        found: dict[str, tuple[str, int]] = {}
        for slot in chosen:
            type_, given = slot.field.type, value.get(slot.field.name)
            length = type_.length if isinstance(type_, Bytes) else getattr(type_, "count", None)
            if not isinstance(length, str) or length in value or given is None:
                continue
            count = self.count_of(type_, given, f"{path}.{slot.field.name}")
            other, agreed = found.setdefault(length, (slot.field.name, count))
            if count != agreed:
                raise self.fail(f"{path}.{slot.field.name}", f"has {count} elements where {other} has {agreed}")
        for length, (_, count) in found.items():
            slot = layout.slot(length)
            self.put(data, slot, self.integer(count, slot.size, False, f"{path}.{length}"))

    def count_of(self, type_: Type, given: Any, path: str) -> int:
        if isinstance(given, Unreadable):
            return 0
        if isinstance(type_, Bytes):
            return len(self.bytes(given, path))
        if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
            raise self.fail(path, f"takes a list, not {_show(given)}")
        return len(given)

    def value(self, type_: Type, value: Any, path: str, frame: _Frame) -> bytes:
        """The bytes that a field holds in place."""
        match type_:
            case Integer(size=size, signed=signed):
                return self.integer(value, size or self.arena.pointer_size, signed, path)
            case Enum():
                return self.integer(self.enum(type_, value, path), 4, True, path)
            case Flags():
                return self.integer(self.flags(type_, value, path), 4, False, path)
            case Address():
                address = value.address if isinstance(value, Unreadable) else value
                return self.integer(address, self.arena.pointer_size, False, path)
            case Struct():
                return self.struct(lay_out(type_, self.abi), {} if value is None else value, path, frame)
            case Array(of=of, count=count):
                items = [] if value is None else value
                if not isinstance(items, Sequence) or len(items) > count:
                    raise self.fail(path, f"takes a list of at most {count}, not {_show(value)}")
                size, _ = measure(of, self.abi)
                parts = [self.value(of, item, f"{path}[{index}]", frame) for index, item in enumerate(items)]
                return b"".join(parts).ljust(size * count, b"\0")
        return self.pointer(type_, value, path, frame)

    def pointer(self, type_: Type, value: Any, path: str, frame: _Frame) -> bytes:
        """The bytes of a pointer whose memory is described."""
        if isinstance(value, Mapping) and set(value) <= {"unreadable", "read"}:
            value = Unreadable(self.number(value.get("unreadable"), path))
        if value is None or isinstance(value, Unreadable):
            address = value.address if value else 0
        elif isinstance(type_, Bytes):
            data = self.bytes(value, path)
            address = self.put_away(path, data, frame.count(type_.length)[0])
        else:
            assert isinstance(type_, Pointer)
            items = [value] if type_.count is None else value
            size, _ = measure(type_.to, self.abi)
            self.count_of(type_, items, path)
            readable = [item for item in items if not isinstance(item, Unreadable)]
            parts = [
                self.element(type_.to, item, f"{path}[{index}]" if type_.count else path, frame)
                for index, item in enumerate(readable)
            ]
            count = frame.count(type_.count)[0] if type_.count and len(readable) == len(items) else len(parts)
            address = self.put_away(path, b"".join(parts), count * size)
        return self.integer(address, self.arena.pointer_size, False, path)

    def element(self, to: Type, item: Any, path: str, frame: _Frame) -> bytes:
        if isinstance(to, Struct):
            return self.struct(lay_out(to, self.abi), item, path, frame)
        return self.value(to, item, path, frame)

    def put_away(self, path: str, data: bytes, size: int) -> int:
        """Place data for a pointer, padded with zeros to `size` bytes as far as that is sensible."""
        address = self.arena.place(path, max(len(data), min(size, PADDING_LIMIT)))
        self.arena.write(address, data)
        return address

    def number(self, value: Any, path: str) -> int:
        if value is None:
            return 0
        if isinstance(value, int):
            return int(value)
        if isinstance(value, str):
            try:
                return int(value, 0)
            except ValueError:
                pass
        raise self.fail(path, f"takes a number, not {_show(value)}")

    def integer(self, value: Any, size: int, signed: bool, path: str) -> bytes:
        number = self.number(value, path)
        try:
            return number.to_bytes(size, "little", signed=signed)
        except OverflowError:
            raise self.fail(path, f"{number} does not fit into {size * 8} bits ({self.abi})") from None

    def enum(self, type_: Enum, value: Any, path: str) -> int:
        if isinstance(value, str) and not value[:1].isdigit() and value[:1] != "-":
            for name, number in type_.members:
                if name == value:
                    return number
            raise self.fail(path, f"{type_.name} has no {_show(value)}")
        return self.number(value, path)

    def flags(self, type_: Flags, value: Any, path: str) -> int:
        if isinstance(value, str) and not value[:1].isdigit():
            value = value.split("|")
        if isinstance(value, Mapping):
            value = [name for name, bit in value.items() if self.number(bit, f"{path}.{name}")]
        if not isinstance(value, Sequence) or isinstance(value, str):
            return self.number(value, path)
        word = 0
        for item in value:
            try:
                word |= type_.mask(item)
            except KeyError:
                if not str(item)[:1].isdigit():
                    raise self.fail(path, f"{type_.name} has no bit {_show(item)}") from None
                word |= self.number(item, path)
        return word

    def bytes(self, value: Any, path: str) -> bytes:
        if isinstance(value, (bytes, bytearray)):
            return bytes(value)
        if isinstance(value, Mapping) and set(value) == {"capacity"}:
            capacity = self.number(value["capacity"], f"{path}.capacity")
            if 0 <= capacity <= PADDING_LIMIT:
                return bytes(capacity)
            raise self.fail(path, f"a capacity is between 0 and {PADDING_LIMIT}, not {capacity}")
        if isinstance(value, str):
            try:
                return bytes.fromhex(value)
            except ValueError:
                pass
        raise self.fail(path, f"takes bytes or hex digits, not {_show(value)}")


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


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


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
