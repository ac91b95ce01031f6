"""Readers of description types: each turns the bytes of one type into its value.

A reader does the fixed work of its type once, so that each value costs only a few calls. A structure's plain fields are
unpacked in one step. Readers are closures and not generated source, because descriptions come from untrusted files.
"""

from __future__ import annotations

import struct as packing
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt.budgets import BUDGETS
from tracekmt.codec.context import KindOf, StructContext, UndecidedUnion, in_effect
from tracekmt.codec.memory import Memory, MemoryFault
from tracekmt.codec.values import Unreadable, python_enum
from tracekmt.codec.wchars import decode_terminated, decode_wchars
from tracekmt.errors import TraceError
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import Layout, Slot, lay_out, measure

_STRUCT_COST = 8
"""Values that a structure counts as, in addition to its fields."""

TEXT_LIMIT = 1 << 16
"""Bytes to read at most of a string without a length. Windows' longest strings have this size."""


class Source:
    """The memory that values are read from.

    Args:
        abi: ABI of the recorded process.
        memory: The memory to read.
        before: The memory at enter, if `memory` is that at return.
        kind_of: Returns the kind of a handle's object.
    """

    __slots__ = ("before", "bytes_left", "kind_of", "memory", "values_left", "wchar")

    def __init__(self, abi: t.Abi, memory: Memory, before: Memory | None, kind_of: KindOf | None) -> None:
        self.wchar = t.WCHAR_SIZE[abi]
        self.memory = memory
        self.before = before
        self.kind_of = kind_of
        self.values_left = BUDGETS.values
        self.bytes_left = BUDGETS.value_bytes

    def spend(self, values: int) -> None:
        """Count values that are decoded. Memory that points into itself has any number of them.

        Raises:
            TraceError: There are more than the budget.
        """
        self.values_left -= values
        if self.values_left < 0:
            raise TraceError(f"an argument has more than {BUDGETS.values} values (--budgets raises the limit)")

    def fetch(self, address: int, size: int) -> bytes:
        """Read exactly `size` bytes, or raise a MemoryFault.

        Raises:
            TraceError: The argument has more bytes than the budget.
        """
        data = self.memory.read(address, size)
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise TraceError(f"an argument has more than {BUDGETS.value_bytes} bytes (--budgets raises the limit)")
        return data

    def kind_at(self, context: StructContext, path: str) -> t.Kind | None:
        """Return the kind of the first handle at a path, as it was at enter."""
        location = context.layout.locate(path)
        data = context.before[location.offset : location.offset + location.size]
        try:
            if isinstance(location.type, t.Pointer):
                data = (self.before or self.memory).read(_unsigned(data), 4)
        except MemoryFault:
            return None
        return self.kind_of(_unsigned(data[:4])) if self.kind_of else None

    def at_enter(self, address: int, now: bytes) -> bytes:
        """Read as many bytes as `now` has from the memory at enter. Return `now` if that is not possible."""
        if self.before is not None and address:
            try:
                return self.before.read(address, len(now))
            except MemoryFault:
                pass
        return now

    def deref(self, address: int) -> int:
        """Read the 32-bit number at an address, as it was at enter. Return 0 for unreadable memory."""
        try:
            return _unsigned((self.before or self.memory).read(address, 4)) if address else 0
        except MemoryFault:
            return 0

    def read(self, address: int, size: int) -> bytes | Unreadable:
        """Read exactly `size` bytes."""
        try:
            return self.fetch(address, size) if size else b""
        except MemoryFault as fault:
            return Unreadable(address, fault.data)

    def read_available(self, address: int, size: int) -> bytes | Unreadable:
        """Read as many bytes as are readable, up to `size`."""
        data = self.read(address, size)
        return data.data if isinstance(data, Unreadable) and data.data else data

    def read_string(self, address: int) -> str | Unreadable:
        """Read a string that ends at a zero."""
        data = self.read_available(address, TEXT_LIMIT)
        if isinstance(data, Unreadable):
            return data
        text, is_terminated = self.decode_string(data)
        return text if is_terminated else Unreadable(address, data)

    def decode_string(self, data: bytes) -> tuple[str, bool]:
        """Decode WCHARs up to a zero. Also return True if there was one."""
        return decode_terminated(data, self.wchar)


Convert = Callable[[Any, Any, StructContext, Source], Any]
"""Turns an unpacked item, and the same item as it was at enter, into a value."""


class Reader(NamedTuple):
    """The reader of a type in place.

    Attributes:
        code: Format code of the type for the struct module.
        convert: Turns the unpacked item into the value. None if the item is the value.
    """

    code: str
    convert: Convert | None


class _Variant(NamedTuple):
    """A reader of a structure for one choice of its unions' arms.

    Attributes:
        names: Names of the fields in effect.
        unpack: Unpacks them.
        converts: Name and position of the fields whose items are converted.
        undecided: The unions without an arm in effect.
        size_fields: Names of the fields with the size of the structure.
        cost: Values that the structure counts as.
    """

    names: tuple[str, ...]
    unpack: Callable[[bytes], tuple[Any, ...]]
    converts: tuple[tuple[str, int, Convert], ...]
    undecided: tuple[UndecidedUnion, ...]
    size_fields: tuple[str, ...]
    cost: int


class StructReader:
    """Reads one structure in one ABI."""

    def __init__(self, layout: Layout, arms: tuple[str, ...]) -> None:
        self.layout = layout
        self._arms = arms
        unions = [member[0].union for member in layout.members]
        self._selectors = tuple(select_arm(union, arms) for union in unions if union is not None)
        self._variants: dict[tuple[int, ...], _Variant] = {}

    def __call__(self, data: bytes, before: bytes, outer: StructContext | None, source: Source) -> dict[str, Any]:
        """Decode the bytes of a structure.

        Args:
            data: The bytes.
            before: The bytes at enter, the same object as `data` if there are no others.
            outer: The structure that contains or points to this one.
            source: The memory behind pointers.
        """
        context = StructContext(self.layout, data, before, outer, source.kind_at)
        choices = tuple([select(context) for select in self._selectors])
        variant = self._variants.get(choices)
        if variant is None:
            variant = self._variants[choices] = self._variant(context)
        source.values_left -= variant.cost
        if source.values_left < 0:
            source.spend(0)
        items = variant.unpack(data)
        before_items = items if before is data else variant.unpack(before)
        values = dict(zip(variant.names, items))  # noqa: B905 (both have one length, and this is the hot path)
        for name, position, convert in variant.converts:
            values[name] = convert(items[position], before_items[position], context, source)
        for name in variant.size_fields:
            if values[name] == self.layout.size:
                del values[name]
        for union in variant.undecided:
            # A union that is known to have no arm in effect is a value only if its bytes are not zero.
            if union.is_decidable and not any(values[union.key]["raw"]):
                del values[union.key]
        return values

    def at(self, address: int, before: int, outer: StructContext | None, source: Source) -> dict[str, Any] | Unreadable:
        """Decode the structure at an address.

        Args:
            address: The address.
            before: Address of the structure at enter.
            outer: The structure that points to this one.
            source: The memory to read.
        """
        try:
            data = source.fetch(address, self.layout.size)
        except MemoryFault as fault:
            return Unreadable(address, fault.data)
        return self(data, source.at_enter(before, data), outer, source)

    def _variant(self, context: StructContext) -> _Variant:
        slots = tuple(in_effect(context, self._arms))
        code, end = "<", 0
        converts: list[tuple[str, int, Convert]] = []
        for position, slot in enumerate(slots):
            reader = _RAW if isinstance(slot, UndecidedUnion) else _slot_reader(slot, self.layout.abi, self._arms)
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
            size_fields=tuple(
                _key(slot) for slot in slots if isinstance(slot, Slot) and isinstance(slot.field.type, t.StructSize)
            ),
            cost=len(slots) + _STRUCT_COST,
        )


@lru_cache(maxsize=4096)
def struct_reader(layout: Layout, arms: tuple[str, ...]) -> StructReader:
    """Return the reader of a structure, for calls with these union arms."""
    return StructReader(layout, arms)


_RAW = Reader("", lambda now, before, context, source: {"raw": now})


def _key(slot: Slot | UndecidedUnion) -> str:
    return slot.key if isinstance(slot, UndecidedUnion) else slot.field.name


_NO_ARM, _UNKNOWN_ARM = -1, -2


def select_arm(union: t.Union, arms: tuple[str, ...]) -> Callable[[StructContext], int]:
    """Return a function that selects the arm in effect.

    It returns the number of the arm. A negative number means that no arm is in effect (-1) or that it cannot be
    decided (-2).
    """

    def by_context(context: StructContext) -> int:
        arm = context.arm(union, arms)
        if arm is not None:
            return next(number for number, candidate in enumerate(union.arms) if candidate is arm)
        return _NO_ARM if context.is_decidable(union) else _UNKNOWN_ARM

    def by_value(context: StructContext) -> int:
        return next((number for number, when in conditions if when is None or context.holds(when)), _NO_ARM)

    if union.by_call and not union.open:
        by_call = next((number for number, arm in enumerate(union.arms) if arm.name in arms), _NO_ARM)
        return lambda context: by_call
    if union.open or any(arm.when is not None and arm.when.kind is not None for arm in union.arms):
        return by_context
    # An arm without a condition is the last choice, whatever its position. An arm that is never in effect is skipped.
    conditions = [(number, arm.when) for number, arm in enumerate(union.arms) if arm.when != t.NEVER]
    conditions.sort(key=lambda numbered: numbered[1] is None)
    return by_value


def _slot_reader(slot: Slot, abi: t.Abi, arms: tuple[str, ...]) -> Reader:
    """Return the reader of a field. A tail extends to the end of its buffer."""
    type_, offset = slot.field.type, slot.offset
    if isinstance(type_, t.ByteArray) and type_.tail:
        return Reader(f"{type_.size}s", lambda now, before, context, source: context.data[offset:])
    if isinstance(type_, t.WCharArray) and type_.tail:
        return Reader(
            f"{slot.size}s", lambda now, before, context, source: source.decode_string(context.data[offset:])[0]
        )
    return reader_of(type_, abi, arms)


def reader_of(type_: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Reader:
    """Return the reader of a type in place.

    Args:
        type_: The type.
        abi: ABI of the recorded process.
        arms: The arms in effect of unions that leave the choice to the call.
    """
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
            return Reader(f"{size}s", lambda now, before, context, source: source.decode_string(now)[0])
        case t.Struct():
            read = struct_reader(lay_out(type_, abi), arms)
            return Reader(f"{read.layout.size}s", read)
        case t.Array():
            return Reader(f"{measure(type_, abi)[0]}s", _array(type_, abi, arms))
        case t.Union():
            return Reader(f"{measure(type_, abi)[0]}s", _union(type_, abi, arms))
        case t.CountedString():
            return Reader(f"{2 * t.POINTER_SIZE[abi]}s", _counted_string(t.POINTER_SIZE[abi]))
        case t.Address():
            return Reader(_POINTER[abi], lambda now, before, context, source: now or None)
        case _ if isinstance(type_, t.POINTER_TYPES):
            follow = _pointer(type_, abi, arms)
            return Reader(
                _POINTER[abi],
                lambda now, before, context, source: follow(now, before, context, source) if now else None,
            )
        case _:
            return assert_never(type_)


_INTEGER = {1: "b", 2: "h", 4: "i", 8: "q"}
_POINTER = {abi: _INTEGER[size].upper() for abi, size in t.POINTER_SIZE.items()}


def enum_members(type_: t.Enum) -> dict[int, Any]:
    """Return the members of an enumeration by their signed numbers."""
    python_type = python_enum(type_)
    return {number - (1 << 32) if number >= 1 << 31 else number: python_type(number) for _, number in type_.members}


def _enum(type_: t.Enum) -> Convert:
    members = enum_members(type_)
    if any(number < 0 for _, number in type_.members):
        return lambda now, before, context, source: members.get(now, now)
    # Enumerations are signed in C. Without negative members, an unknown negative number is one like 0x80000000.
    return lambda now, before, context, source: members[now] if now in members else now & 0xFFFFFFFF


def _flags(type_: t.Flags) -> Convert:
    if type_.has_bitfields:
        convert = bit_fields(type_)
        return lambda now, before, context, source: convert(now)
    members = flag_members(type_)
    return lambda now, before, context, source: members[now]


def bit_fields(type_: t.Flags) -> Callable[[int], dict[str, int]]:
    """Return a function that splits a word into its bit fields."""
    bits = {bit.name: (type_.mask(bit.name), bit.position) for bit in type_.bits}

    def split(word: int) -> dict[str, int]:
        names = (bit.name for bit in type_.in_effect(word))
        return {name: (word & bits[name][0]) >> bits[name][1] for name in names}

    return split


def flag_members(type_: t.Flags) -> dict[int, Any]:
    """Return the values of a flag word by their numbers. A missing one is added when it is looked up."""
    return _Members(python_enum(type_))


class _Members(dict[int, Any]):
    """Cache of the IntFlag values of a flag word. A trace has few of them, and IntFlag's own look-up is slower."""

    def __init__(self, type_: Any) -> None:
        self._type = type_

    def __missing__(self, number: int) -> Any:
        self[number] = self._type(number)
        return self[number]


def _items(
    type_: t.Type, abi: t.Abi, arms: tuple[str, ...]
) -> Callable[[bytes, bytes, StructContext, Source], list[Any]]:
    """Return a function that decodes consecutive values of one type."""
    code, convert = reader_of(type_, abi, arms)
    unpack, size = packing.Struct(f"<{code}").iter_unpack, packing.calcsize(f"<{code}")

    def decode_items(now: bytes, before: bytes, context: StructContext, source: Source) -> list[Any]:
        source.spend(len(now) // size)
        if convert is None:
            return [item for (item,) in unpack(now)]
        pairs = zip(unpack(now), unpack(before), strict=True)
        return [convert(item, before_item, context, source) for (item,), (before_item,) in pairs]

    return decode_items


def _array(type_: t.Array, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    size, _ = measure(type_.of, abi)
    decode_items = _items(type_.of, abi, arms)

    def array(now: bytes, before: bytes, context: StructContext, source: Source) -> list[Any]:
        count = used_count(context, type_)
        return decode_items(now[: size * count], before[: size * count], context, source)

    return array


def used_count(context: StructContext, type_: t.Array) -> int:
    """Return the number of valid elements of an array in place."""
    if type_.used is None:
        return type_.count
    before, now = context.number(type_.used)
    # A count that the call only writes is undefined at enter.
    is_output = context.layout.slot(type_.used).field.direction == "out"
    return min(type_.count, now if is_output else min(before, now))


def _union(type_: t.Union, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    readers = [(measure(arm.type, abi)[0], _items(arm.type, abi, arms)) for arm in type_.arms]
    select = select_arm(type_, arms)

    def union(now: bytes, before: bytes, context: StructContext, source: Source) -> dict[str, Any]:
        number = select(context)
        if number < 0:
            return {"raw": now}
        size, decode_items = readers[number]
        return {type_.arms[number].name: decode_items(now[:size], before[:size], context, source)[0]}

    return union


def _counted_string(pointer_size: int) -> Convert:
    def counted_string(now: bytes, _before: bytes, _context: StructContext, source: Source) -> Any:
        length, address = _unsigned(now[:2]), _unsigned(now[pointer_size:])
        if address == 0:
            return None
        data = source.read(address, length)
        return data if isinstance(data, Unreadable) else decode_wchars(data, 2)

    return counted_string


def _pointer(type_: t.PointerType, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    """Return a function that decodes the memory behind a pointer that is not null."""
    match type_:
        case t.Pointer(to=to, count=count):
            return _pointee(to, abi, arms) if count is None else _elements(to, count, abi, arms)
        case t.WString(length=length):
            return (lambda now, before, context, source: source.read_string(now)) if length is None else _text(length)
        case t.RawWindow(size=size):
            return lambda now, before, context, source: source.read_available(now, size)
        case t.Payload():
            return _payload(type_, abi, arms)
        case t.VariableRecords():
            return _records(type_, abi, arms)
        case t.Bytes():
            return _bytes(type_)
        case _:
            return assert_never(type_)


def _bytes(type_: t.Bytes) -> Convert:
    length, set_by_call = t.count_of(type_.length), type_.set_by_call

    def read_bytes(now: int, _before: int, context: StructContext, source: Source) -> bytes | Unreadable:
        return source.read(now, context.count(length, source.deref)[set_by_call])

    return read_bytes


def _text(length_ref: t.LengthRef) -> Convert:
    length = t.count_of(length_ref)

    def text(now: int, _before: int, context: StructContext, source: Source) -> str | Unreadable:
        data = source.read(now, source.wchar * context.count(length, source.deref)[0])
        return data if isinstance(data, Unreadable) else source.decode_string(data)[0]

    return text


def _pointee(to: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    if isinstance(to, t.Struct):
        return struct_reader(lay_out(to, abi), arms).at
    size, _ = measure(to, abi)
    decode_items = _items(to, abi, arms)

    def pointee(now: int, before: int, context: StructContext, source: Source) -> Any:
        data = source.read(now, size)
        if isinstance(data, Unreadable):
            return data
        return decode_items(data, source.at_enter(before, data), context, source)[0]

    return pointee


def _elements(to: t.Type, count_ref: t.LengthRef, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    size, _ = measure(to, abi)
    length = t.count_of(count_ref)
    decode_items, decode_one = _items(to, abi, arms), _pointee(to, abi, arms)

    def elements(now: int, before: int, context: StructContext, source: Source) -> Any:
        count = min(context.count(length, source.deref))
        try:
            data = source.fetch(now, size * count) if count else b""
            before_data = (
                data if source.before is None or not (before and count) else source.before.read(before, len(data))
            )
        except MemoryFault:
            return one_by_one(now, before, count, context, source)
        return decode_items(data, before_data, context, source)

    def one_by_one(now: int, before: int, count: int, context: StructContext, source: Source) -> Any:
        values: list[Any] = []
        for index in range(count):
            address = now + index * size
            values.append(decode_one(address, before + index * size if before else 0, context, source))
            if isinstance(values[-1], Unreadable) and values[-1].address == address:
                # The memory behind the first missing element is missing too.
                return values if index else values[0]
        return values

    return elements


def _payload(type_: t.Payload, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    length = t.count_of(type_.length)
    cases: dict[int, t.Type] = {}
    for number, _, case in type_.cases:
        cases.setdefault(number, case)
    readers: dict[int, Callable[[bytes, bytes, StructContext, Source], Any]] = {}

    def payload(now: int, before: int, context: StructContext, source: Source) -> Any:
        data = source.read(now, context.count(length, source.deref)[0])
        number = context.number(type_.by)[0]
        if number not in cases or isinstance(data, Unreadable):
            return data
        if number not in readers:
            readers[number] = _sized(cases[number], abi, arms)
        return readers[number](data, source.at_enter(before, data), context, source)

    return payload


def _sized(type_: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Callable[[bytes, bytes, StructContext, Source], Any]:
    """Return a function that decodes a buffer of any size: it may be shorter or longer than the type."""
    size, _ = measure(type_, abi)
    if not isinstance(type_, t.Struct):
        decode_items = _items(type_, abi, arms)
        return lambda now, before, context, source: (
            decode_items(now, before, context, source)[0] if len(now) == size else now
        )
    read = struct_reader(lay_out(type_, abi), arms)
    starts = [(slot.offset, slot.field.name) for slot in read.layout.slots]
    tail = has_tail(read.layout.struct)

    def sized(now: bytes, before: bytes, context: StructContext, source: Source) -> dict[str, Any]:
        values = read(now.ljust(size, b"\0"), before.ljust(size, b"\0"), context, source)
        for offset, name in starts if len(now) < size else ():
            if offset >= len(now):
                values.pop(name, None)
        return values if tail or len(now) <= size else {**values, "rest": now[size:]}

    return sized


def _records(type_: t.VariableRecords, abi: t.Abi, arms: tuple[str, ...]) -> Convert:
    length = t.count_of(type_.length)
    size_field = lay_out(type_.to, abi).locate(type_.size)
    read = _sized(type_.to, abi, arms)

    def records(now: int, _before: int, context: StructContext, source: Source) -> Any:
        data = source.read(now, context.count(length, source.deref)[0])
        if isinstance(data, Unreadable):
            return data
        parts = cut_records(data, size_field.offset, size_field.size, context.number(type_.number)[1])
        return [read(record, record, context, source) for record in parts]

    return records


def cut_records(data: bytes, offset: int, size: int, count: int) -> Iterator[bytes]:
    """Cut a buffer into records. Stop at a record with an impossible length.

    Args:
        data: The buffer.
        offset: Offset of the length field in each record.
        size: Size of the length field in bytes.
        count: Number of records.
    """
    start = 0
    for _ in range(count):
        length = _unsigned(data[start + offset : start + offset + size])
        if length < offset + size or start + length > len(data):
            return
        yield data[start : start + length]
        start += length


def has_tail(struct: t.Struct) -> bool:
    """Return True if the last field of a payload's structure extends to the end of the buffer."""
    return any(isinstance(field.type, (t.ByteArray, t.WCharArray)) and field.type.tail for field in struct.fields())


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")
