"""Bytes to values. Decoding never fails: memory that is not there becomes `Unreadable`."""

from __future__ import annotations

import struct as packing
from collections.abc import Sequence
from typing import Any

from tracekmt.codec.frame import Frame, KindOf, Undecided, in_effect
from tracekmt.codec.values import Unreadable, payload_case, python_enum
from tracekmt.memory import Fault, Memory
from tracekmt.spec.layout import Layout, lay_out, measure
from tracekmt.spec.types import (
    POINTER_SIZE,
    WCHAR_SIZE,
    Abi,
    Address,
    Array,
    Blob,
    Bytes,
    Call,
    Characters,
    CountedString,
    Enum,
    Flags,
    Float,
    Integer,
    Kind,
    Overlay,
    OwnSize,
    Payload,
    Pointer,
    Records,
    Struct,
    Text,
    Type,
    Window,
    count_of,
)

TEXT_LIMIT = 1 << 16
"""How many bytes of a string without a length are looked at: as long as Windows' strings get."""


def decode(
    call: Call,
    abi: Abi,
    memory: Memory,
    arguments: Sequence[int],
    before: Memory | None = None,
    kind_of: KindOf | None = None,
) -> dict[str, Any] | Unreadable | None:
    """What a call was given, as values: the structure that its one parameter points to (None for NULL), or its
    parameters by name.

    before: the memory as the call was entered with, where `memory` is how it left it. What a count or a union's arm
    is then comes from there: of an array as many elements as both say, of a byte buffer its whole capacity; parameters
    that were passed by value are left out. kind_of: tells what a handle leads to, where a union depends on that.
    """
    decoder = _Decoder(abi, call.arms, memory, before, kind_of)
    if call.argument.parameters:
        size = POINTER_SIZE[abi]
        data = b"".join((argument & (1 << 8 * size) - 1).to_bytes(size, "little") for argument in arguments)
        layout = lay_out(call.argument, abi)
        values = decoder.fields(Frame(layout, data[: layout.size], data[: layout.size], None, decoder.kind_at))
        if before is None:
            return values
        return {name: value for name, value in values.items() if _leads_on(call.argument.field(name).type)}
    address = arguments[0] if arguments else 0
    if address == 0:
        return None
    value = decoder.struct(lay_out(call.argument, abi), address, address, None)
    assert isinstance(value, (dict, Unreadable))
    return value


class _Decoder:
    def __init__(
        self, abi: Abi, arms: tuple[str, ...], memory: Memory, before: Memory | None, kind_of: KindOf | None
    ) -> None:
        self.abi = abi
        self.arms = arms
        self.memory = memory
        self.before = before
        self.kind_of = kind_of

    def kind_at(self, frame: Frame, path: str) -> Kind | None:
        """The kind of the first handle at a path, as the call was entered with it."""
        place = frame.layout.place(path)
        data = frame.before[place.offset : place.offset + place.size]
        try:
            if isinstance(place.type, Pointer):
                data = (self.before or self.memory).read(_unsigned(data), 4)
        except Fault:
            return None
        return self.kind_of(_unsigned(data[:4])) if self.kind_of else None

    def struct(self, layout: Layout, address: int, before: int, outer: Frame | None) -> Any:
        try:
            data = self.memory.read(address, layout.size)
        except Fault as fault:
            return Unreadable(address, fault.data)
        return self.fields(Frame(layout, data, self.entered(before, data), outer, self.kind_at))

    def entered(self, address: int, now: bytes) -> bytes:
        """What lay at an address when the call was entered, as many bytes as lie there `now`."""
        if self.before is not None and address:
            try:
                return self.before.read(address, len(now))
            except Fault:
                pass
        return now

    def fields(self, frame: Frame) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for slot in in_effect(frame, self.arms):
            data = frame.data[slot.offset : slot.offset + slot.size]
            if isinstance(slot, Undecided):
                # Room that is known to hold nothing is told only where something lies in it all the same.
                if any(data) or not slot.certain:
                    values[slot.key] = {"raw": data}
                continue
            type_ = slot.field.type
            if isinstance(type_, (Blob, Characters)) and type_.tail:
                data = frame.data[slot.offset :]
            if isinstance(type_, OwnSize) and _unsigned(data) == frame.layout.size:
                continue
            entered = frame.before[slot.offset : slot.offset + slot.size]
            values[slot.field.name] = self.value(type_, data, entered, frame)
        return values

    def value(self, type_: Type, data: bytes, entered: bytes, frame: Frame) -> Any:
        """A value that lies in place, and what it leads to."""
        match type_:
            case Integer(signed=signed):
                return int.from_bytes(data, "little", signed=signed)
            case Enum():
                members = python_enum(type_)
                for signed in (True, False):
                    number = int.from_bytes(data, "little", signed=signed)
                    if number in members._value2member_map_:
                        return members(number)
                return int.from_bytes(data, "little", signed=True)
            case Flags():
                number = _unsigned(data)
                if type_.wide:
                    return {
                        bit.name: (number & type_.mask(bit.name)) >> bit.position for bit in type_.in_effect(number)
                    }
                return python_enum(type_)(number)
            case Address():
                return _unsigned(data) or None
            case Float(size=size):
                return packing.unpack("<f" if size == 4 else "<d", data)[0]
            case OwnSize():
                return _unsigned(data)
            case Blob():
                return data
            case Characters():
                return self.string(data)[0]
            case Struct():
                return self.fields(Frame(lay_out(type_, self.abi), data, entered, frame))
            case Array():
                return self.array(type_, data, entered, frame)
            case Overlay():
                arm = frame.arm(type_, self.arms)
                return {"raw": data} if arm is None else {arm.name: self.in_arm(arm.type, data, entered, frame)}
            case CountedString():
                return self.counted_string(data)
        return self.pointer(type_, data, entered, frame)

    def in_arm(self, type_: Type, data: bytes, entered: bytes, frame: Frame) -> Any:
        size, _ = measure(type_, self.abi)
        return self.value(type_, data[:size], entered[:size], frame)

    def array(self, type_: Array, data: bytes, entered: bytes, frame: Frame) -> list[Any]:
        count = type_.count
        if type_.used is not None:
            before, now = frame.number(type_.used)
            # A count that the call only writes says nothing when the call is entered.
            written = frame.layout.slot(type_.used).field.direction == "out"
            count = min(count, now if written else min(before, now))
        size, _ = measure(type_.of, self.abi)
        return [
            self.value(type_.of, data[at : at + size], entered[at : at + size], frame)
            for at in range(0, size * count, size)
        ]

    def counted_string(self, data: bytes) -> Any:
        length, address = _unsigned(data[:2]), _unsigned(data[POINTER_SIZE[self.abi] :])
        if address == 0:
            return None
        try:
            return _units(self.memory.read(address, length) if length else b"", 2)
        except Fault as fault:
            return Unreadable(address, fault.data)

    def pointer(self, type_: Type, data: bytes, entered: bytes, frame: Frame) -> Any:
        """What a pointer leads to."""
        address, before = _unsigned(data), _unsigned(entered)
        if address == 0:
            return None
        match type_:
            case Pointer(to=to, count=None):
                return self.pointee(to, address, before, frame)
            case Pointer(to=to, count=count) if count is not None:
                return self.elements(to, address, before, min(frame.count(count_of(count), self.behind)), frame)
            case Text(length=None):
                return self.text(address)
            case Window(size=size):
                return self.window(address, size)
            case Payload():
                return self.payload(type_, address, before, frame)
            case Records():
                return self.records(type_, address, frame)
            case Bytes(length=length, moves=moves):
                capacity = frame.count(count_of(length), self.behind)[moves]
                return self.read(address, capacity)
            case Text(length=length) if length is not None:
                size = WCHAR_SIZE[self.abi] * frame.count(count_of(length), self.behind)[0]
                data_there = self.read(address, size)
                return data_there if isinstance(data_there, Unreadable) else self.string(data_there)[0]
        raise TypeError(type_)

    def behind(self, address: int) -> int:
        try:
            return _unsigned((self.before or self.memory).read(address, 4)) if address else 0
        except Fault:
            return 0

    def read(self, address: int, size: int) -> bytes | Unreadable:
        try:
            return self.memory.read(address, size) if size else b""
        except Fault as fault:
            return Unreadable(address, fault.data)

    def window(self, address: int, size: int) -> bytes | Unreadable:
        """As many bytes as can be read, up to `size`."""
        read = self.read(address, size)
        return read.data if isinstance(read, Unreadable) and read.data else read

    def text(self, address: int) -> str | Unreadable:
        found = self.window(address, TEXT_LIMIT)
        if isinstance(found, Unreadable):
            return found
        text, ends = self.string(found)
        return text if ends else Unreadable(address, found)

    def string(self, data: bytes) -> tuple[str, bool]:
        """WCHARs up to a zero, and whether there was one. Any sequence of units is taken, lone surrogates kept."""
        size = WCHAR_SIZE[self.abi]
        zeros = (at for at in range(0, len(data) - size + 1, size) if data[at : at + size] == bytes(size))
        end = next(zeros, None)
        return _units(data[:end], size), end is not None

    def payload(self, type_: Payload, address: int, before: int, frame: Frame) -> Any:
        size, _ = frame.count(count_of(type_.length), self.behind)
        data = self.read(address, size)
        case = payload_case(type_, frame.number(type_.by)[0])
        if case is None or isinstance(data, Unreadable):
            return data
        if not isinstance(case, Struct):
            whole = len(data) == measure(case, self.abi)[0]
            return self.value(case, data, self.entered(before, data), frame) if whole else data
        return self.sized(case, data, self.entered(before, data), frame)

    def sized(self, struct: Struct, data: bytes, entered: bytes, frame: Frame) -> dict[str, Any]:
        """A structure in a buffer that may end before it does, or go on behind it."""
        layout = lay_out(struct, self.abi)
        inner = Frame(layout, data.ljust(layout.size, b"\0"), entered.ljust(layout.size, b"\0"), frame)
        values = self.fields(inner)
        for slot in layout.slots:
            if slot.offset >= len(data):
                values.pop(slot.field.name, None)
        tail = any(isinstance(slot.field.type, (Blob, Characters)) and slot.field.type.tail for slot in layout.slots)
        return values if tail or len(data) <= layout.size else {**values, "rest": data[layout.size :]}

    def records(self, type_: Records, address: int, frame: Frame) -> Any:
        size, _ = frame.count(count_of(type_.length), self.behind)
        data = self.read(address, size)
        if isinstance(data, Unreadable):
            return data
        place = lay_out(type_.to, self.abi).place(type_.size)
        values: list[Any] = []
        at = 0
        for _ in range(frame.number(type_.number)[1]):
            length = _unsigned(data[at + place.offset : at + place.offset + place.size])
            if length < place.offset + place.size or at + length > len(data):
                break
            record = data[at : at + length]
            values.append(self.sized(type_.to, record, record, frame))
            at += length
        return values

    def pointee(self, to: Type, address: int, before: int, frame: Frame) -> Any:
        if isinstance(to, Struct):
            return self.struct(lay_out(to, self.abi), address, before, frame)
        data = self.read(address, measure(to, self.abi)[0])
        return data if isinstance(data, Unreadable) else self.value(to, data, self.entered(before, data), frame)

    def elements(self, to: Type, address: int, before: int, count: int, frame: Frame) -> Any:
        size, _ = measure(to, self.abi)
        values: list[Any] = []
        for index in range(count):
            at = address + index * size
            values.append(self.pointee(to, at, before + index * size if before else 0, frame))
            if isinstance(values[-1], Unreadable) and values[-1].address == at:
                # What lies behind the first element that is missing is missing too.
                return values if index else values[0]
        return values


def _leads_on(type_: Type) -> bool:
    return isinstance(type_, (Pointer, Bytes, Text, Window, Payload, Records))


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _units(data: bytes, size: int) -> str:
    encoding = "utf-16-le" if size == 2 else "utf-32-le"
    data = data[: len(data) // size * size]
    try:
        return data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:  # four bytes can hold what is no character at all
        return data.decode(encoding, "replace")
