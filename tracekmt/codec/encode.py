"""Values to bytes. What people write by hand is taken; what is wrong in it is named."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracekmt.codec.frame import Frame, in_effect
from tracekmt.codec.values import Unreadable
from tracekmt.errors import UsageError
from tracekmt.memory import Arena
from tracekmt.spec.layout import Layout, Slot, lay_out, measure
from tracekmt.spec.types import Abi, Address, Array, Bytes, Call, Enum, Flags, Integer, Pointer, Struct, Type

PADDING_LIMIT = 1 << 20
"""How many bytes a count without values is padded to; a count may be absurd on purpose."""


def encode(call: Call, abi: Abi, arena: Arena, value: Any) -> int:
    """Lay an argument out in an arena; its address, 0 for None.

    Missing fields are zero, a length that is left out is taken from what it counts, an explicit one wins. Encoding
    the same call again into the same arena puts everything where it was. UsageError names the field that is wrong.
    """
    encoder = _Encoder(call, abi, arena)
    value = encoder.plain(value, "")
    if value is None:
        return 0
    if isinstance(value, Unreadable):
        return value.address
    layout = lay_out(call.argument, abi)
    address = arena.place("", layout.size)
    arena.write(address, encoder.struct(layout, value, "", None))
    return address


class _Encoder:
    def __init__(self, call: Call, abi: Abi, arena: Arena) -> None:
        self.call = call
        self.abi = abi
        self.arena = arena

    def fail(self, path: str, problem: str) -> UsageError:
        return UsageError(
            f"{self.call.name}: {path.lstrip('.')}: {problem}" if path else f"{self.call.name}: {problem}"
        )

    def plain(self, value: Any, path: str) -> Any:
        """A value, with the JSON form of unreadable memory made what it stands for."""
        if isinstance(value, Mapping) and "unreadable" in value and set(value) <= {"unreadable", "read"}:
            return Unreadable(self.number(value["unreadable"], path))
        return value

    def struct(self, layout: Layout, value: Any, path: str, outer: Frame | None) -> bytes:
        """The bytes of one structure, its pointees placed in the arena."""
        if not isinstance(value, Mapping):
            raise self.fail(path, f"takes the fields of {layout.struct.name}, not {_show(value)}")
        names = [slot.field.name for slot in layout.slots]
        for name in value:
            if name not in names:
                raise self.fail(f"{path}.{name}", f"{layout.struct.name} has no such field")
        value = {name: self.plain(each, f"{path}.{name}") for name, each in value.items()}
        data = bytearray(layout.size)
        frame = Frame(layout, b"", b"", outer)
        # First the words that conditions and lengths are read from, then what depends on them.
        words = [slot for slot in layout.slots if slot.overlay is None and _is_word(slot.field.type)]
        self.put(data, words, value, path, frame)
        frame.before = bytes(data)
        chosen = in_effect(layout, frame, self.call.arms)
        self.refuse_other_arms(layout, chosen, value, path)
        self.infer_lengths(data, layout, chosen, value, path)
        frame.data = frame.before = bytes(data)
        self.put(data, [slot for slot in chosen if slot not in words], value, path, frame)
        return bytes(data)

    def put(self, data: bytearray, slots: Iterable[Slot], value: Mapping[str, Any], path: str, frame: Frame) -> None:
        for slot in slots:
            encoded = self.value(slot.field.type, value.get(slot.field.name), f"{path}.{slot.field.name}", frame)
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
            data[slot.offset : slot.offset + slot.size] = self.integer(count, slot.size, False, f"{path}.{length}")

    def count_of(self, type_: Type, given: Any, path: str) -> int:
        if isinstance(given, Unreadable):
            return 0
        if isinstance(type_, Bytes):
            return len(self.bytes(given, path))
        if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
            raise self.fail(path, f"takes a list, not {_show(given)}")
        return len(given)

    def value(self, type_: Type, value: Any, path: str, frame: Frame) -> bytes:
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

    def pointer(self, type_: Type, value: Any, path: str, frame: Frame) -> bytes:
        """The bytes of a pointer whose memory is described."""
        if value is None or isinstance(value, Unreadable):
            address = value.address if value else 0
        elif isinstance(type_, Bytes):
            data = self.bytes(value, path)
            address = self.put_away(path, data, frame.count(type_.length)[0])
        else:
            assert isinstance(type_, Pointer)
            if type_.count is not None:
                self.count_of(type_, value, path)
            items = [value] if type_.count is None else [self.plain(item, path) for item in value]
            size, _ = measure(type_.to, self.abi)
            readable = [item for item in items if not isinstance(item, Unreadable)]
            parts = [
                self.element(type_.to, item, f"{path}[{index}]" if type_.count else path, frame)
                for index, item in enumerate(readable)
            ]
            count = frame.count(type_.count)[0] if type_.count and len(readable) == len(items) else len(parts)
            address = self.put_away(path, b"".join(parts), count * size)
        return self.integer(address, self.arena.pointer_size, False, path)

    def element(self, to: Type, item: Any, path: str, frame: Frame) -> bytes:
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
            raise self.fail(path, f"{_show(number)} does not fit into {size * 8} bits ({self.abi})") from None

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


def _is_word(type_: Type) -> bool:
    return isinstance(type_, (Integer, Enum, Flags))


def _show(value: Any) -> str:
    try:
        text = reprlib.repr(value)
    except Exception:  # whatever a caller passes, the message must come out
        text = type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."
