"""Classification of an event's memory, for redaction: plain values, text, and data that only a driver understands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from tracekmt.codec.context import KindOf, StructContext, UndecidedUnion, in_effect
from tracekmt.codec.memory import Memory, MemoryFault
from tracekmt.codec.parameters import parameter_block
from tracekmt.codec.readers import TEXT_LIMIT, Source, cut_records, has_tail
from tracekmt.codec.values import Unreadable, payload_case
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import Layout, lay_out, measure

_STRUCT_COST = 16
"""Values that a structure counts as; see `Source.spend`."""

_PARAMETERS_ADDRESS = -1 << 70
"""Parameters have no address in memory. Spans below zero are parameters, and are dropped."""


class Span(NamedTuple):
    """Classified bytes of memory.

    Attributes:
        address: First address.
        size: Size in bytes.
        sort: Class of the bytes.
        unit: For text, bytes per character.
        counted: For text, its length is recorded, so it does not end at its first zero.
    """

    address: int
    size: int
    sort: Literal["value", "text", "data"]
    unit: int = 0
    counted: bool = False


def spans(
    spec: t.CallSpec,
    abi: t.Abi,
    memory: Memory,
    arguments: Sequence[int],
    before: Memory | None = None,
    kind_of: KindOf | None = None,
) -> Iterator[Span]:
    """Iterate over the spans of all memory that the argument of a call contains or points to.

    Memory without a span is not described: padding, the bytes behind the end of a string, arms that are not in effect.

    Args:
        spec: Description of the function.
        abi: ABI of the process that made the call.
        memory: Memory to classify: at enter, or at return if `before` is given.
        arguments: The raw arguments of the call.
        before: Memory at enter, if `memory` is that at return.
        kind_of: Returns the kind of a handle's object, for unions that depend on it.
    """
    walk = _Walk(abi, spec.union_arms, Source(abi, memory, before, kind_of))
    layout = lay_out(spec.argument, abi)
    if spec.argument.parameters:
        data = parameter_block(layout, arguments)
        yield from (span for span in walk.fields(layout, data, data, _PARAMETERS_ADDRESS, None) if span.address >= 0)
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
            yield from self.fields(layout, data, self.source.at_enter(before, data), address, outer)

    def fields(
        self, layout: Layout, data: bytes, before: bytes, address: int, outer: StructContext | None
    ) -> Iterator[Span]:
        self.source.spend(_STRUCT_COST)
        context = StructContext(layout, data, before, outer, self.source.kind_at)
        for slot in in_effect(context, self.arms):
            slot_address, end = address + slot.offset, slot.offset + slot.size
            if isinstance(slot, UndecidedUnion):
                has_data = any(_may_be_data(arm.field.type) for arm in slot.slots)
                yield Span(slot_address, slot.size, "data" if has_data else "value")
                continue
            type_ = slot.field.type
            if isinstance(type_, (t.ByteArray, t.WCharArray)) and type_.tail:
                size = len(data) - slot.offset
                is_text = isinstance(type_, t.WCharArray)
                yield self.text(slot_address, size) if is_text else Span(slot_address, size, "data")
            else:
                yield from self.value(type_, slot_address, data[slot.offset : end], before[slot.offset : end], context)

    def text(self, address: int, size: int) -> Span:
        return Span(address, size, "text", self.source.wchar)

    def value(self, type_: t.Type, address: int, data: bytes, before: bytes, context: StructContext) -> Iterator[Span]:
        """Iterate over the spans of a value in place, and of the memory that it points to."""
        match type_:
            case t.WCharArray():
                yield self.text(address, len(data))
            case t.Struct():
                yield from self.fields(lay_out(type_, self.abi), data, before, address, context)
            case t.Array(of=of):
                size, _ = measure(of, self.abi)
                for start in range(0, len(data), size):
                    end = start + size
                    yield from self.value(of, address + start, data[start:end], before[start:end], context)
            case t.Union():
                arm = context.arm(type_, self.arms)
                if arm is None:
                    yield Span(address, len(data), "value")
                else:
                    size = measure(arm.type, self.abi)[0]
                    yield from self.value(arm.type, address, data[:size], before[:size], context)
            case t.CountedString():
                yield Span(address, len(data), "value")
                size = t.POINTER_SIZE[self.abi]
                length, buffer = int.from_bytes(data[:2], "little"), int.from_bytes(data[size:], "little")
                if buffer:
                    yield Span(buffer, length, "text", 2, counted=True)
            case _ if isinstance(type_, t.POINTER_TYPES):
                yield Span(address, len(data), "value")
                pointer, before_pointer = int.from_bytes(data, "little"), int.from_bytes(before, "little")
                if pointer:
                    yield from self.pointee(type_, pointer, before_pointer, context)
            case _ if isinstance(type_, t.PLAIN_TYPES):
                yield Span(address, len(data), "value")
            case _:
                assert_never(type_)

    def pointee(self, type_: t.PointerType, address: int, before: int, context: StructContext) -> Iterator[Span]:
        match type_:
            case t.Pointer(to=to, count=count):
                yield from self.elements(to, count, address, before, context)
            case t.WString(length=length):
                size = TEXT_LIMIT if length is None else self.source.wchar * self.count(length, context)[0]
                yield self.text(address, size)
            case t.RawWindow(size=size):
                yield Span(address, size, "data")
            case t.Bytes(length=length, set_by_call=set_by_call):
                yield Span(address, self.count(length, context)[set_by_call], "data")
            case t.Payload():
                yield from self.payload(type_, address, before, context)
            case t.VariableRecords():
                yield from self.records(type_, address, context)
            case _:
                assert_never(type_)

    def count(self, length: t.LengthRef, context: StructContext) -> tuple[int, int]:
        return context.count(t.count_of(length), self.source.deref)

    def elements(
        self, to: t.Type, length: t.LengthRef | None, address: int, before: int, context: StructContext
    ) -> Iterator[Span]:
        size, _ = measure(to, self.abi)
        for index in range(1 if length is None else min(self.count(length, context))):
            start, before_start = address + index * size, before + index * size if before else 0
            self.source.spend(1)
            try:
                data = self.source.fetch(start, size)
            except MemoryFault:
                return  # the memory behind the first missing element is missing too
            yield from self.value(to, start, data, self.source.at_enter(before_start, data), context)

    def payload(self, type_: t.Payload, address: int, before: int, context: StructContext) -> Iterator[Span]:
        size, _ = self.count(type_.length, context)
        data = self.source.read(address, size)
        case = payload_case(type_, context.number(type_.by)[0])
        if case is None or isinstance(data, Unreadable):
            yield Span(address, size, "data")
        else:
            yield from self.sized(case, data, self.source.at_enter(before, data), address, context)

    def sized(self, type_: t.Type, data: bytes, before: bytes, address: int, context: StructContext) -> Iterator[Span]:
        """Iterate over the spans of a buffer that may be shorter or longer than its type."""
        size, _ = measure(type_, self.abi)
        yield from self.value(type_, address, data.ljust(size, b"\0"), before.ljust(size, b"\0"), context)
        if len(data) > size and not (isinstance(type_, t.Struct) and has_tail(type_)):
            yield Span(address + size, len(data) - size, "data")

    def records(self, type_: t.VariableRecords, address: int, context: StructContext) -> Iterator[Span]:
        data = self.source.read(address, self.count(type_.length, context)[0])
        size_field = lay_out(type_.to, self.abi).locate(type_.size)
        if isinstance(data, Unreadable):
            return
        count = context.number(type_.number)[1]
        for record in cut_records(data, size_field.offset, size_field.size, count):
            yield from self.sized(type_.to, record, record, address, context)
            address += len(record)


def _may_be_data(type_: t.Type) -> bool:
    """Return True if the bytes of a type in place may be text or data, so that redaction must remove them."""
    if isinstance(type_, (t.ByteArray, t.WCharArray, t.Struct)):
        return True
    if isinstance(type_, (*t.PLAIN_TYPES, *t.POINTER_TYPES, t.CountedString, t.Array, t.Union)):
        return False
    return assert_never(type_)
