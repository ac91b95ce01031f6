"""How each type is read from bytes, prepared once per structure: a structure's plain fields are unpacked in one go.

Every fixed part of a type is done when its reader is made, so that what is left for each value is a few calls. Readers
are closures and not source text: descriptions come out of files that nobody vouches for.
"""

from __future__ import annotations

import struct as packing
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt.codec.context import KindOf, StructContext, UndecidedUnion, in_effect
from tracekmt.codec.memory import Memory, MemoryFault
from tracekmt.codec.values import Unreadable, python_enum
from tracekmt.codec.wchars import decode_terminated, decode_wchars
from tracekmt.spec import types as t
from tracekmt.spec.layout import Layout, Slot, lay_out, measure

TEXT_LIMIT = 1 << 16
"""How many bytes of a string without a length are looked at: as long as Windows' strings get."""


class Source:
    """Where values come from: the memory, the one before it if there is one, and what handles lead to."""

    __slots__ = ("before", "kind_of", "memory", "wchar")

    def __init__(self, abi: t.Abi, memory: Memory, before: Memory | None, kind_of: KindOf | None) -> None:
        self.wchar = t.WCHAR_SIZE[abi]
        self.memory = memory
        self.before = before
        self.kind_of = kind_of

    def kind_at(self, frame: StructContext, path: str) -> t.Kind | None:
        """The kind of the first handle at a path, as the call was entered with it."""
        place = frame.layout.place(path)
        data = frame.before[place.offset : place.offset + place.size]
        try:
            if isinstance(place.type, t.Pointer):
                data = (self.before or self.memory).read(_unsigned(data), 4)
        except MemoryFault:
            return None
        return self.kind_of(_unsigned(data[:4])) if self.kind_of else None

    def entered(self, address: int, now: bytes) -> bytes:
        """What lay at an address when the call was entered, as many bytes as lie there `now`."""
        if self.before is not None and address:
            try:
                return self.before.read(address, len(now))
            except MemoryFault:
                pass
        return now

    def deref(self, address: int) -> int:
        """The number that a pointer led to when the call was entered."""
        try:
            return _unsigned((self.before or self.memory).read(address, 4)) if address else 0
        except MemoryFault:
            return 0

    def read(self, address: int, size: int) -> bytes | Unreadable:
        """Bytes, as far as they are there."""
        try:
            return self.memory.read(address, size) if size else b""
        except MemoryFault as fault:
            return Unreadable(address, fault.data)

    def window(self, address: int, size: int) -> bytes | Unreadable:
        """As many bytes as can be read, up to `size`."""
        read = self.read(address, size)
        return read.data if isinstance(read, Unreadable) and read.data else read

    def text(self, address: int) -> str | Unreadable:
        """A string that ends with a zero."""
        found = self.window(address, TEXT_LIMIT)
        if isinstance(found, Unreadable):
            return found
        text, ends = self.string(found)
        return text if ends else Unreadable(address, found)

    def string(self, data: bytes) -> tuple[str, bool]:
        """WCHARs up to a zero, and whether there was one. Any sequence of units is taken, lone surrogates kept."""
        return decode_terminated(data, self.wchar)


Convert = Callable[[Any, Any, StructContext, Source], Any]
"""From what lies in place now, and what lay there at enter, to a value."""


class Reader(NamedTuple):
    """How a type lies in place: its code for the struct module, and what makes its value of that; None where that is
    the value already."""

    code: str
    convert: Convert | None


class _Variant(NamedTuple):
    """A structure with its unions' arms decided. sized: the fields that tell its own size."""

    names: tuple[str, ...]
    unpack: Callable[[bytes], tuple[Any, ...]]
    converts: tuple[tuple[str, int, Convert], ...]
    undecided: tuple[UndecidedUnion, ...]
    sized: tuple[str, ...]


class StructReader:
    """Reads one structure in one ABI."""

    def __init__(self, layout: Layout, arms: tuple[str, ...]) -> None:
        self.layout = layout
        self._arms = arms
        unions = [member[0].overlay for member in layout.members]
        self._choices = tuple(select_arm(union, arms) for union in unions if union is not None)
        self._variants: dict[tuple[int, ...], _Variant] = {}

    def __call__(self, data: bytes, before: bytes, outer: StructContext | None, source: Source) -> dict[str, Any]:
        """The values of a structure's bytes; `before` are those that it had when the call was entered."""
        frame = StructContext(self.layout, data, before, outer, source.kind_at)
        chosen = tuple([choose(frame) for choose in self._choices])
        variant = self._variants.get(chosen)
        if variant is None:
            variant = self._variants[chosen] = self._variant(frame)
        now = variant.unpack(data)
        was = now if before is data else variant.unpack(before)
        values = dict(zip(variant.names, now))  # noqa: B905 (they are of one length, and this is the hot path)
        for name, position, convert in variant.converts:
            values[name] = convert(now[position], was[position], frame, source)
        for name in variant.sized:
            if values[name] == self.layout.size:
                del values[name]
        for union in variant.undecided:
            # Room that is known to hold nothing is told only where something lies in it all the same.
            if union.certain and not any(values[union.key]["raw"]):
                del values[union.key]
        return values

    def at(self, address: int, before: int, outer: StructContext | None, source: Source) -> dict[str, Any] | Unreadable:
        """The structure at an address; `before` is where it was when the call was entered."""
        try:
            data = source.memory.read(address, self.layout.size)
        except MemoryFault as fault:
            return Unreadable(address, fault.data)
        return self(data, source.entered(before, data), outer, source)

    def _variant(self, frame: StructContext) -> _Variant:
        slots = tuple(in_effect(frame, self._arms))
        code, end = "<", 0
        converts: list[tuple[str, int, Convert]] = []
        for position, slot in enumerate(slots):
            reader = _RAW if isinstance(slot, UndecidedUnion) else _in_slot(slot, self.layout.abi, self._arms)
            size = slot.size if reader is _RAW else packing.calcsize(f"<{reader.code}")
            code += f"{slot.offset - end}x" + (f"{size}s" if reader is _RAW else reader.code)
            end = slot.offset + size
            if reader.convert is not None:
                converts.append((_key(slot), position, reader.convert))
        return _Variant(
            names=tuple(_key(slot) for slot in slots),
            unpack=packing.Struct(code).unpack_from,
            converts=tuple(converts),
            undecided=tuple(slot for slot in slots if isinstance(slot, UndecidedUnion)),
            sized=tuple(_key(s) for s in slots if isinstance(s, Slot) and isinstance(s.field.type, t.StructSize)),
        )


@lru_cache(maxsize=4096)
def struct_reader(layout: Layout, arms: tuple[str, ...]) -> StructReader:
    """The reader of a structure, for calls whose arms are these."""
    return StructReader(layout, arms)


_RAW = Reader("", lambda now, was, frame, source: {"raw": now})


def _key(slot: Slot | UndecidedUnion) -> str:
    return slot.key if isinstance(slot, UndecidedUnion) else slot.field.name


def select_arm(union: t.Union, arms: tuple[str, ...]) -> Callable[[StructContext], int]:
    """What tells the arm in effect, by its number; -1 where it is known that none is, -2 where nothing tells."""

    def choose(frame: StructContext) -> int:
        arm = frame.arm(union, arms)
        if arm is not None:
            return next(number for number, each in enumerate(union.arms) if each is arm)
        return -1 if frame.certain(union) else -2

    def by_value(frame: StructContext) -> int:
        return next((number for number, when in conditions if when is None or frame.holds(when)), -1)

    if union.by_call and not union.open:
        by_call = next((number for number, arm in enumerate(union.arms) if arm.name in arms), -1)
        return lambda frame: by_call
    if union.open or any(arm.when is not None and arm.when.kind is not None for arm in union.arms):
        return choose
    # An arm without a condition stands for all others, wherever it stands; one that never holds need not be asked.
    conditions = [(number, arm.when) for number, arm in enumerate(union.arms) if arm.when != t.NEVER]
    conditions.sort(key=lambda each: each[1] is None)
    return by_value


def _in_slot(slot: Slot, abi: t.Abi, arms: tuple[str, ...]) -> Reader:
    """The reader of a field; a tail goes on to the end of its buffer."""
    type_, offset = slot.field.type, slot.offset
    if isinstance(type_, t.ByteArray) and type_.tail:
        return Reader(f"{type_.size}s", lambda now, was, frame, source: frame.data[offset:])
    if isinstance(type_, t.WCharArray) and type_.tail:
        return Reader(f"{slot.size}s", lambda now, was, frame, source: source.string(frame.data[offset:])[0])
    return reader_of(type_, abi, arms)


def reader_of(type_: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Reader:
    """The reader of a type that lies in place."""
    match type_:
        case t.Integer(size=size, signed=signed):
            code = _INTEGER[size or t.POINTER_SIZE[abi]]
            return Reader(code if signed else code.upper(), None)
        case t.Enum():
            return Reader("i", _enum(type_))
        case t.Flags(size=size):
            return Reader(_INTEGER[size].upper(), _flags(type_))
        case t.Float(size=size):
            return Reader("f" if size == 4 else "d", None)
        case t.StructSize():
            return Reader("I", None)
        case t.ByteArray(size=size):
            return Reader(f"{size}s", None)
        case t.WCharArray():
            size, _ = measure(type_, abi)
            return Reader(f"{size}s", lambda now, was, frame, source: source.string(now)[0])
        case t.Struct():
            read = struct_reader(lay_out(type_, abi), arms)
            return Reader(f"{read.layout.size}s", read)
        case t.Array():
            return Reader(f"{measure(type_, abi)[0]}s", _array(type_, abi, arms))
        case t.Union():
            return Reader(f"{measure(type_, abi)[0]}s", _overlay(type_, abi, arms))
        case t.CountedString():
            return Reader(f"{2 * t.POINTER_SIZE[abi]}s", _counted_string(t.POINTER_SIZE[abi]))
        case t.Address():
            return Reader(_POINTER[abi], lambda now, was, frame, source: now or None)
    leads = _pointer(type_, abi, arms)
    return Reader(_POINTER[abi], lambda now, was, frame, source: leads(now, was, frame, source) if now else None)


_INTEGER = {1: "b", 2: "h", 4: "i", 8: "q"}
_POINTER = {abi: _INTEGER[size].upper() for abi, size in t.POINTER_SIZE.items()}


def _enum(type_: t.Enum) -> Convert:
    members = python_enum(type_)
    found = {number - (1 << 32) if number >= 1 << 31 else number: members(number) for _, number in type_.members}
    return lambda now, was, frame, source: found.get(now, now)


def _flags(type_: t.Flags) -> Convert:
    if type_.has_bitfields:
        bits = {bit.name: (type_.mask(bit.name), bit.position) for bit in type_.bits}

        def runs(now: Any, _was: Any, _frame: StructContext, _source: Source) -> Any:
            told = (bit.name for bit in type_.in_effect(now))
            return {name: (now & bits[name][0]) >> bits[name][1] for name in told}

        return runs
    members = _Members(python_enum(type_))
    return lambda now, was, frame, source: members[now]


class _Members(dict[int, Any]):
    """The words of bits that were seen, which are few; an IntFlag keeps them too, but takes longer to find one."""

    def __init__(self, type_: Any) -> None:
        self._type = type_

    def __missing__(self, number: int) -> Any:
        self[number] = self._type(number)
        return self[number]


def _each(
    type_: t.Type, abi: t.Abi, arms: tuple[str, ...]
) -> Callable[[bytes, bytes, StructContext, Source], list[Any]]:
    """Values of one type that lie one behind the other."""
    code, convert = reader_of(type_, abi, arms)
    unpack = packing.Struct(f"<{code}").iter_unpack

    def values(now: bytes, was: bytes, frame: StructContext, source: Source) -> list[Any]:
        if convert is None:
            return [value for (value,) in unpack(now)]
        pairs = zip(unpack(now), unpack(was), strict=True)
        return [convert(value, before, frame, source) for (value,), (before,) in pairs]

    return values


def _array(type_: t.Array, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    size, _ = measure(type_.of, abi)
    each = _each(type_.of, abi, arms)

    def array(now: bytes, was: bytes, frame: StructContext, source: Source) -> list[Any]:
        count = used_of(frame, type_)
        return each(now[: size * count], was[: size * count], frame, source)

    return array


def used_of(frame: StructContext, type_: t.Array) -> int:
    """How many elements of an array in place mean something."""
    if type_.used is None:
        return type_.count
    before, after = frame.number(type_.used)
    # A count that the call only writes says nothing when the call is entered.
    written = frame.layout.slot(type_.used).field.direction == "out"
    return min(type_.count, after if written else min(before, after))


def _overlay(type_: t.Union, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    inside = [(measure(arm.type, abi)[0], _each(arm.type, abi, arms)) for arm in type_.arms]
    choose = select_arm(type_, arms)

    def overlay(now: bytes, was: bytes, frame: StructContext, source: Source) -> dict[str, Any]:
        number = choose(frame)
        if number < 0:
            return {"raw": now}
        size, each = inside[number]
        return {type_.arms[number].name: each(now[:size], was[:size], frame, source)[0]}

    return overlay


def _counted_string(pointer: int) -> Convert:
    def counted_string(now: bytes, _was: bytes, _frame: StructContext, source: Source) -> Any:
        length, address = _unsigned(now[:2]), _unsigned(now[pointer:])
        if address == 0:
            return None
        found = source.read(address, length)
        return found if isinstance(found, Unreadable) else decode_wchars(found, 2)

    return counted_string


def _pointer(type_: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    """What a pointer that is not null leads to."""
    match type_:
        case t.Pointer(to=t.Struct() as to, count=None):
            return struct_reader(lay_out(to, abi), arms).at
        case t.Pointer(to=to, count=None):
            return _pointee(to, abi, arms)
        case t.Pointer(to=to, count=count) if count is not None:
            return _elements(to, count, abi, arms)
        case t.WString(length=None):
            return lambda now, was, frame, source: source.text(now)
        case t.RawWindow(size=size):
            return lambda now, was, frame, source: source.window(now, size)
        case t.Payload():
            return _payload(type_, abi, arms)
        case t.VariableRecords():
            return _records(type_, abi, arms)
        case t.Bytes(length=length, set_by_call=set_by_call):
            capacity = t.count_of(length)

            def octets(now: int, _was: int, frame: StructContext, source: Source) -> bytes | Unreadable:
                return source.read(now, frame.count(capacity, source.deref)[set_by_call])

            return octets
        case t.WString(length=length) if length is not None:
            units = t.count_of(length)

            def text(now: int, _was: int, frame: StructContext, source: Source) -> str | Unreadable:
                found = source.read(now, source.wchar * frame.count(units, source.deref)[0])
                return found if isinstance(found, Unreadable) else source.string(found)[0]

            return text
    raise TypeError(type_)


def _pointee(to: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    if isinstance(to, t.Struct):
        return struct_reader(lay_out(to, abi), arms).at
    size, _ = measure(to, abi)
    each = _each(to, abi, arms)

    def pointee(now: int, was: int, frame: StructContext, source: Source) -> Any:
        data = source.read(now, size)
        return data if isinstance(data, Unreadable) else each(data, source.entered(was, data), frame, source)[0]

    return pointee


def _elements(to: t.Type, count: t.LengthRef, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    size, _ = measure(to, abi)
    counted = t.count_of(count)
    each, one = _each(to, abi, arms), _pointee(to, abi, arms)

    def elements(now: int, was: int, frame: StructContext, source: Source) -> Any:
        number = min(frame.count(counted, source.deref))
        try:
            data = source.memory.read(now, size * number) if number else b""
            before = data if source.before is None or not (was and number) else source.before.read(was, len(data))
        except MemoryFault:
            return _one_by_one(now, was, number, frame, source)
        return each(data, before, frame, source)

    def _one_by_one(now: int, was: int, number: int, frame: StructContext, source: Source) -> Any:
        values: list[Any] = []
        for index in range(number):
            at = now + index * size
            values.append(one(at, was + index * size if was else 0, frame, source))
            if isinstance(values[-1], Unreadable) and values[-1].address == at:
                # What lies behind the first element that is missing is missing too.
                return values if index else values[0]
        return values

    return elements


def _payload(type_: t.Payload, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    length = t.count_of(type_.length)
    cases: dict[int, t.Type] = {}
    for number, _, case in type_.cases:
        cases.setdefault(number, case)
    made: dict[int, Callable[[bytes, bytes, StructContext, Source], Any]] = {}

    def payload(now: int, was: int, frame: StructContext, source: Source) -> Any:
        data = source.read(now, frame.count(length, source.deref)[0])
        number = frame.number(type_.by)[0]
        if number not in cases or isinstance(data, Unreadable):
            return data
        if number not in made:
            made[number] = _sized(cases[number], abi, arms)
        return made[number](data, source.entered(was, data), frame, source)

    return payload


def _sized(type_: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Callable[[bytes, bytes, StructContext, Source], Any]:
    """What is in a buffer that may end before it does, or go on behind it."""
    size, _ = measure(type_, abi)
    if not isinstance(type_, t.Struct):
        each = _each(type_, abi, arms)
        return lambda now, was, frame, source: each(now, was, frame, source)[0] if len(now) == size else now
    read = struct_reader(lay_out(type_, abi), arms)
    ends = [(slot.offset, slot.field.name) for slot in read.layout.slots]
    tail = has_tail(read.layout.struct)

    def sized(now: bytes, was: bytes, frame: StructContext, source: Source) -> dict[str, Any]:
        values = read(now.ljust(size, b"\0"), was.ljust(size, b"\0"), frame, source)
        for offset, name in ends if len(now) < size else ():
            if offset >= len(now):
                values.pop(name, None)
        return values if tail or len(now) <= size else {**values, "rest": now[size:]}

    return sized


def _records(type_: t.VariableRecords, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    length = t.count_of(type_.length)
    place = lay_out(type_.to, abi).place(type_.size)
    read = _sized(type_.to, abi, arms)

    def records(now: int, _was: int, frame: StructContext, source: Source) -> Any:
        data = source.read(now, frame.count(length, source.deref)[0])
        if isinstance(data, Unreadable):
            return data
        found = cut_records(data, place.offset, place.size, frame.number(type_.number)[1])
        return [read(record, record, frame, source) for record in found]

    return records


def cut_records(data: bytes, offset: int, size: int, number: int) -> Iterator[bytes]:
    """As many records as there are, each as long as it says; nothing behind one that cannot be right."""
    at = 0
    for _ in range(number):
        length = _unsigned(data[at + offset : at + offset + size])
        if length < offset + size or at + length > len(data):
            return
        yield data[at : at + length]
        at += length


def has_tail(struct: t.Struct) -> bool:
    """Return True if the last field of a payload's structure extends to the end of the buffer."""
    return any(isinstance(field.type, (t.ByteArray, t.WCharArray)) and field.type.tail for field in struct.fields())


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")
