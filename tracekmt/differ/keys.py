"""Keys of calls: numbers that are equal for calls with equal inputs, whatever numbers a run gave to its objects.

The weak key has the function and what selects its meaning: enumerations, and the fields that select a payload. The
plain key also has flags, sizes, counts and all other plain inputs at fixed places. Neither has handles, addresses and
fence values. Contents of buffers have their own key, because a driver may put addresses there.

Keys are equal or not within one run of this program. They are not stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from tracekmt.spec import types as t
from tracekmt.spec.layout import lay_out, measure
from tracekmt.trace.call import TracedCall

LEAST_DISTANCE = 1 << 24
"""Smallest number that may be a distance between randomised addresses. Linux places memory at random in 2^28 pages."""


class CallKeys(NamedTuple):
    """Keys of a call.

    Attributes:
        weak: Key of the function and its selectors.
        plain: Key of the function and its plain inputs.
        contents: Key of the contents of buffers.
    """

    weak: int
    plain: int
    contents: int


def keys_of(call: TracedCall) -> CallKeys:
    """Return the keys of a call."""
    form = _form(call.spec, call.abi)
    arguments = call.enter.arguments
    memory = {address: data for address, _, data in call.enter.regions}
    if call.spec.argument.parameters:
        data = b"".join((word & (1 << 64) - 1).to_bytes(8, "little") for word in arguments)
    else:
        data = memory.get(arguments[0], b"") if arguments else b""
    number = int.from_bytes(data, "little")
    for place in form.distances:
        if number & place >= (place & -place) * LEAST_DISTANCE:
            number &= ~place
    contents = [
        pointee.content(memory.get(int.from_bytes(data[pointee.offset : pointee.offset + form.pointer_size], "little")))
        for pointee in form.pointees
    ]
    for pointee in form.pointees:
        if pointee.size:
            memory.pop(int.from_bytes(data[pointee.offset : pointee.offset + form.pointer_size], "little"), None)
    if not call.spec.argument.parameters and arguments:
        memory.pop(arguments[0], None)
    return CallKeys(
        hash((call.name, number & form.selectors)),
        hash((call.name, len(data), number & form.plain, *contents)),
        hash(tuple(memory.values())) if memory else 0,
    )


class _Pointee(NamedTuple):
    """Memory behind a pointer of an argument.

    Attributes:
        offset: Offset of the pointer.
        size: Size of an element in bytes. 0 for memory of which only the length counts.
        plain: Mask of the plain inputs of an element.
    """

    offset: int
    size: int
    plain: int

    def content(self, data: bytes | None) -> object:
        """Return what counts of the memory."""
        if data is None or not self.size:
            return data and len(data)
        if not self.plain:
            return len(data) // self.size
        starts = range(0, len(data), self.size)
        return tuple(int.from_bytes(data[start : start + self.size], "little") & self.plain for start in starts)


class _Form(NamedTuple):
    """Places of plain inputs in the argument of a function.

    Attributes:
        selectors: Mask of the fields that select the meaning.
        plain: Mask of all plain inputs.
        pointees: Memory behind its pointers.
        distances: Masks of the numbers of a call about ranges of addresses, which may be distances between addresses.
        pointer_size: Size of a pointer in bytes.
    """

    selectors: int
    plain: int
    pointees: tuple[_Pointee, ...]
    distances: tuple[int, ...]
    pointer_size: int


@lru_cache(maxsize=1024)
def _form(spec: t.CallSpec, abi: t.Abi) -> _Form:
    by = {
        field.type.by for field in spec.argument.fields() if isinstance(field.type, t.Payload)
    }  # the field is in the structure of the payload
    selectors = plain = 0
    for offset, field in _fixed_fields(spec.argument, abi):
        mask = _mask(field, abi) << 8 * offset
        plain |= mask
        if isinstance(field.type, t.Enum) or field.name in by:
            selectors |= mask
    pointer_size = measure(t.Bytes("", False), abi)[0]
    is_about_ranges = any(
        kind is not None and kind.binding == "range"
        for kind in (t.kind_of(field.type) for field in spec.argument.fields())
    )
    distances = [
        _mask(field, abi) << 8 * offset
        for offset, field in _fixed_fields(spec.argument, abi)
        if is_about_ranges and isinstance(field.type, t.Integer)
    ]
    return _Form(selectors, plain, tuple(_pointees(spec.argument, abi)), tuple(filter(None, distances)), pointer_size)


def _pointees(struct: t.Struct, abi: t.Abi) -> Iterator[_Pointee]:
    for offset, field in _fixed_fields(struct, abi):
        type_ = field.type
        if field.direction == "out":
            continue
        if isinstance(type_, t.Pointer) and not isinstance(type_.to, t.Pointer):
            plain = 0
            if isinstance(type_.to, t.Struct):
                for inner_offset, inner in _fixed_fields(type_.to, abi):
                    plain |= _mask(inner, abi) << 8 * inner_offset
            else:
                plain = _mask(t.Field("", type_.to, field.direction), abi)
            yield _Pointee(offset, measure(type_.to, abi)[0], plain)
        elif isinstance(type_, (t.Bytes, t.WString, t.Payload)):
            yield _Pointee(offset, 0, 0)


def _fixed_fields(struct: t.Struct, abi: t.Abi, base: int = 0) -> Iterator[tuple[int, t.Field]]:
    """Yield the fields outside of unions with their offsets, those of nested structures too."""
    for slot, *others in lay_out(struct, abi).members:
        if others or slot.union is not None:
            continue
        type_ = slot.field.type
        if isinstance(type_, t.Struct):
            if type_.kind is None and slot.field.direction != "out":
                yield from _fixed_fields(type_, abi, base + slot.offset)
        else:
            yield base + slot.offset, slot.field


def _mask(field: t.Field, abi: t.Abi) -> int:
    """Return the mask of a field's plain inputs, 0 for other fields."""
    type_ = field.type
    if field.direction not in ("in", "inout"):
        return 0
    if isinstance(type_, t.Flags):
        return sum(type_.mask(bit.name) for bit in type_.bits if (bit.direction or field.direction) != "out")
    if isinstance(type_, (t.Enum, t.StructSize, t.Float)) or (isinstance(type_, t.Integer) and type_.kind is None):
        return (1 << 8 * measure(type_, abi)[0]) - 1
    return 0
