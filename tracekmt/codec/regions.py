"""Which bytes of an event's memory are plain values, which are text, and which are data that only a driver understands.

Whatever no span covers is not described: padding, what lies behind a string's end, an arm that is not in effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from tracekmt.codec.context import KindOf, StructContext, UndecidedUnion, in_effect
from tracekmt.codec.memory import Memory, MemoryFault
from tracekmt.codec.parameters import parameter_block
from tracekmt.codec.readers import TEXT_LIMIT, Source, cut_records, has_tail
from tracekmt.codec.values import Unreadable, payload_case
from tracekmt.spec import types as t
from tracekmt.spec.layout import Layout, lay_out, measure


class Span(NamedTuple):
    """Some bytes of memory. unit: bytes of a character, of text. counted: text that is as long as it is said to be, and
    does not end at its first zero."""

    address: int
    size: int
    sort: Literal["value", "text", "data"]
    unit: int = 0
    counted: bool = False


def spans(
    call: t.CallSpec,
    abi: t.Abi,
    memory: Memory,
    arguments: Sequence[int],
    before: Memory | None = None,
    kind_of: KindOf | None = None,
) -> Iterator[Span]:
    """The spans of everything that a call's argument leads to; the parameters are those of `decode`."""
    walk = _Walk(abi, call.union_arms, Source(abi, memory, before, kind_of))
    layout = lay_out(call.argument, abi)
    if call.argument.parameters:
        data = parameter_block(layout, arguments)
        # The parameters themselves lie in no memory.
        yield from (span for span in walk.fields(layout, data, data, -1 << 70, None) if span.address >= 0)
    elif arguments and arguments[0]:
        yield from walk.struct(layout, arguments[0], arguments[0], None)


class _Walk:
    def __init__(self, abi: t.Abi, arms: tuple[str, ...], source: Source) -> None:
        self.abi = abi
        self.arms = arms
        self.source = source

    def struct(self, layout: Layout, address: int, before: int, outer: StructContext | None) -> Iterator[Span]:
        data = self.source.read(address, layout.size)
        if not isinstance(data, Unreadable):
            yield from self.fields(layout, data, self.source.entered(before, data), address, outer)

    def fields(self, layout: Layout, data: bytes, was: bytes, at: int, outer: StructContext | None) -> Iterator[Span]:
        frame = StructContext(layout, data, was, outer, self.source.kind_at)
        for slot in in_effect(frame, self.arms):
            here, end = at + slot.offset, slot.offset + slot.size
            if isinstance(slot, UndecidedUnion):
                plain = not any(
                    isinstance(each.field.type, (t.WCharArray, t.ByteArray, t.Struct)) for each in slot.slots
                )
                yield Span(here, slot.size, "value" if plain else "data")
                continue
            type_ = slot.field.type
            if isinstance(type_, (t.ByteArray, t.WCharArray)) and type_.tail:
                rest = len(data) - slot.offset
                yield self.text(here, rest) if isinstance(type_, t.WCharArray) else Span(here, rest, "data")
            else:
                yield from self.value(type_, here, data[slot.offset : end], was[slot.offset : end], frame)

    def text(self, address: int, size: int) -> Span:
        return Span(address, size, "text", self.source.wchar)

    def value(self, type_: t.Type, at: int, data: bytes, was: bytes, frame: StructContext) -> Iterator[Span]:
        """The spans of a value that lies in place, and of what it leads to."""
        match type_:
            case t.WCharArray():
                yield self.text(at, len(data))
            case t.Struct():
                yield from self.fields(lay_out(type_, self.abi), data, was, at, frame)
            case t.Array(of=of):
                size, _ = measure(of, self.abi)
                for offset in range(0, len(data), size):
                    yield from self.value(
                        of, at + offset, data[offset : offset + size], was[offset : offset + size], frame
                    )
            case t.Union():
                arm = frame.arm(type_, self.arms)
                size = measure(arm.type, self.abi)[0] if arm is not None else 0
                if arm is None:
                    yield Span(at, len(data), "value")
                else:
                    yield from self.value(arm.type, at, data[:size], was[:size], frame)
            case t.CountedString():
                yield Span(at, len(data), "value")
                size = t.POINTER_SIZE[self.abi]
                length, address = int.from_bytes(data[:2], "little"), int.from_bytes(data[size:], "little")
                if address:
                    yield Span(address, length, "text", 2, counted=True)
            case _:
                yield Span(at, len(data), "value")
                address, before = int.from_bytes(data, "little"), int.from_bytes(was, "little")
                if (
                    isinstance(type_, (t.Pointer, t.WString, t.RawWindow, t.Payload, t.VariableRecords, t.Bytes))
                    and address
                ):
                    yield from self.pointer(type_, address, before, frame)

    def pointer(
        self,
        type_: t.Pointer | t.WString | t.RawWindow | t.Payload | t.VariableRecords | t.Bytes,
        address: int,
        before: int,
        frame: StructContext,
    ) -> Iterator[Span]:
        match type_:
            case t.Pointer(to=to, count=count):
                yield from self.elements(to, count, address, before, frame)
            case t.WString(length=length):
                units = TEXT_LIMIT if length is None else self.source.wchar * self.count(length, frame)[0]
                yield self.text(address, units)
            case t.RawWindow(size=size):
                yield Span(address, size, "data")
            case t.Bytes(length=length, set_by_call=set_by_call):
                yield Span(address, self.count(length, frame)[set_by_call], "data")
            case t.Payload():
                yield from self.payload(type_, address, before, frame)
            case t.VariableRecords():
                yield from self.records(type_, address, frame)

    def count(self, length: t.LengthRef, frame: StructContext) -> tuple[int, int]:
        return frame.count(t.count_of(length), self.source.deref)

    def elements(
        self, to: t.Type, count: t.LengthRef | None, address: int, before: int, frame: StructContext
    ) -> Iterator[Span]:
        size, _ = measure(to, self.abi)
        for index in range(1 if count is None else min(self.count(count, frame))):
            at, was_at = address + index * size, before + index * size if before else 0
            try:
                data = self.source.memory.read(at, size)
            except MemoryFault:
                return  # what lies behind the first element that is missing is missing too
            yield from self.value(to, at, data, self.source.entered(was_at, data), frame)

    def payload(self, type_: t.Payload, address: int, before: int, frame: StructContext) -> Iterator[Span]:
        size, _ = self.count(type_.length, frame)
        data = self.source.read(address, size)
        case = payload_case(type_, frame.number(type_.by)[0])
        if case is None or isinstance(data, Unreadable):
            yield Span(address, size, "data")
        else:
            yield from self.sized(case, data, self.source.entered(before, data), address, frame)

    def sized(self, type_: t.Type, data: bytes, was: bytes, at: int, frame: StructContext) -> Iterator[Span]:
        """What is in a buffer that may end before it does, or go on behind it."""
        size, _ = measure(type_, self.abi)
        inside = self.value(type_, at, data.ljust(size, b"\0"), was.ljust(size, b"\0"), frame)
        yield from inside
        if len(data) > size and not (isinstance(type_, t.Struct) and has_tail(type_)):
            yield Span(at + size, len(data) - size, "data")

    def records(self, type_: t.VariableRecords, address: int, frame: StructContext) -> Iterator[Span]:
        data = self.source.read(address, self.count(type_.length, frame)[0])
        place = lay_out(type_.to, self.abi).place(type_.size)
        if isinstance(data, Unreadable):
            return
        for record in cut_records(data, place.offset, place.size, frame.number(type_.number)[1]):
            yield from self.sized(type_.to, record, record, address, frame)
            address += len(record)
