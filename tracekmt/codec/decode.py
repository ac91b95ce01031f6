"""Bytes to values. Decoding never fails: memory that is not there becomes `Unreadable`."""

from __future__ import annotations

from typing import Any

from tracekmt.codec.frame import Frame, in_effect
from tracekmt.codec.values import Unreadable, python_enum
from tracekmt.memory import Fault, Memory
from tracekmt.spec.layout import Layout, Slot, lay_out, measure
from tracekmt.spec.types import Abi, Address, Array, Bytes, Call, Enum, Flags, Integer, Pointer, Struct, Type


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

    def struct(self, layout: Layout, address: int, before: int, outer: Frame | None) -> Any:
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
        return self.fields(Frame(layout, data, entered, outer))

    def fields(self, frame: Frame) -> dict[str, Any]:
        return {slot.field.name: self.slot(slot, frame) for slot in in_effect(frame.layout, frame, self.arms)}

    def slot(self, slot: Slot, frame: Frame) -> Any:
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

    def value(self, type_: Type, data: bytes, entered: bytes, frame: Frame) -> Any:
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
                return self.fields(Frame(lay_out(type_, self.abi), data, entered, frame))
            case Array(of=of):
                size, _ = measure(of, self.abi)
                steps = range(0, len(data), size)
                return [self.value(of, data[at : at + size], entered[at : at + size], frame) for at in steps]
        raise TypeError(type_)

    def pointee(self, to: Type, address: int, before: int, frame: Frame) -> Any:
        if address == 0:
            return None
        if isinstance(to, Struct):
            return self.struct(lay_out(to, self.abi), address, before, frame)
        try:
            data = self.memory.read(address, measure(to, self.abi)[0])
        except Fault as fault:
            return Unreadable(address, fault.data)
        return self.value(to, data, data, frame)

    def elements(self, to: Type, address: int, before: int, count: int, frame: Frame) -> Any:
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


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")
