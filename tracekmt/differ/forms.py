"""Forms: the places of the values of a function that make the keys of its calls; see `keys`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any, Literal, NamedTuple

from tracekmt import core
from tracekmt.spec import types as t
from tracekmt.spec.layout import Slot, lay_out, measure

Direction = Literal["in", "out"]


class Mask(NamedTuple):
    """The values of a structure that count.

    Attributes:
        bits: Bits that count.
        used: 1 for each byte with such a bit.
        presence: Bits of each field that counts as zero or not.
        unions: Bits of each union of plain values.
    """

    bits: int
    used: bytes
    presence: tuple[int, ...]
    unions: tuple[int, ...]

    def of(self, data: bytes) -> bytes:
        """Return what counts of bytes. It is alike in every ABI, but for integers of a pointer's size."""
        number = int.from_bytes(data, "little")
        size = len(data)
        counted = bytes(compress((number & self.bits & (1 << 8 * size) - 1).to_bytes(size, "little"), self.used))
        return counted + bytes([bool(number & place) for place in self.presence]) if self.presence else counted

    def to_core(self) -> tuple[bytes, tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        """Return the mask for the core."""
        return self.bits.to_bytes(len(self.used), "little"), _spans(self.presence), _spans(self.unions)

    def union_values(self, data: bytes) -> list[bytes]:
        """Return the values in the unions that are not zero."""
        number = int.from_bytes(data, "little") if self.unions else 0
        # As bytes, because Python hashes numbers modulo 2^61 - 1: 7 and 2^64 - 1 have the same hash (CPython 3.13).
        return [
            (number & place).to_bytes((place.bit_length() + 7) // 8, "little")
            for place in self.unions
            if number & place
        ]


def _make_mask(bits: int, presence: Sequence[int] = (), unions: Sequence[int] = ()) -> Mask:
    used = bytes(bool(byte) for byte in bits.to_bytes((bits.bit_length() + 7) // 8, "little"))
    return Mask(bits, used, tuple(presence), tuple(unions))


class Pointee(NamedTuple):
    """Memory behind a pointer of an argument.

    Attributes:
        offset: Offset of the pointer.
        size: Size of an element in bytes. 0 for memory of which only the length counts.
        plain: Mask of the plain values of an element.
    """

    offset: int
    size: int
    plain: Mask

    def content(self, data: bytes | None) -> object:
        """Return what counts of the memory."""
        if data is None or not self.size:
            return data and len(data)
        if not self.plain.bits and not self.plain.presence:
            return len(data) // self.size
        return tuple([self.plain.of(data[start : start + self.size]) for start in range(0, len(data), self.size)])

    def union_values(self, data: bytes | None) -> list[list[bytes]]:
        """Return the values in the unions of each element."""
        if data is None or not self.plain.unions:
            return []
        parts = (data[start : start + self.size] for start in range(0, len(data), self.size))
        return [values for values in map(self.plain.union_values, parts) if values]


class Form(NamedTuple):
    """Places of plain values in the argument of a function.

    Attributes:
        selectors: Mask of the fields that select the meaning.
        plain: Mask of all plain values.
        pointees: Memory behind its pointers.
        distances: Masks of the numbers of a call about ranges of addresses, which may be distances between addresses.
        pointer_size: Size of a pointer in bytes.
        is_exact: All values are at places that are known, or refer to objects.
    """

    selectors: Mask
    plain: Mask
    pointees: tuple[Pointee, ...]
    distances: tuple[int, ...]
    pointer_size: int
    is_exact: bool

    def read_pointees(self, argument: bytes, memory: dict[int, bytes]) -> tuple[list[object], list[object]]:
        """Return what counts of the memory behind the pointers, and the values in unions.

        Structures and arrays are taken out of `memory`.
        """
        contents: list[object] = []
        unions: list[object] = list(self.plain.union_values(argument))
        for pointee in self.pointees:
            address = int.from_bytes(argument[pointee.offset : pointee.offset + self.pointer_size], "little")
            data = memory.get(address)
            contents.append(pointee.content(data))
            if pointee.plain.unions:
                unions += map(tuple, pointee.union_values(data))
            if pointee.size:
                memory.pop(address, None)
        return contents, unions


@lru_cache(maxsize=1024)
def form_of(spec: t.CallSpec, abi: t.Abi, direction: Direction) -> Form:
    """Return the form of the inputs, or of the outputs, of a function."""
    by = {field.type.by for field in spec.argument.fields() if isinstance(field.type, t.Payload)}
    places = _Places(spec, abi, direction)
    fields = list(places.fixed_fields(spec.argument))
    selectors = 0
    for offset, field in fields:
        if isinstance(field.type, t.Enum) or field.name in by:
            selectors |= _mask(field, abi, direction) << 8 * offset
    kinds = [t.kind_of(field.type) for field in spec.argument.fields()]
    distances = [
        _mask(field, abi, "in") << 8 * offset
        for offset, field in fields
        if isinstance(field.type, t.Integer) and any(kind is not None and kind.binding == "range" for kind in kinds)
    ]
    return Form(
        _make_mask(selectors),
        places.mask(spec.argument),
        tuple(places.pointees(spec.argument)),
        tuple(filter(None, distances)),
        t.POINTER_SIZE[abi],
        places.is_exact(spec.argument),
    )


class NativeForm(NamedTuple):
    """A form in the core."""

    form: Any
    is_exact: bool


@lru_cache(maxsize=1024)
def native_form(spec: t.CallSpec, abi: t.Abi, direction: Direction) -> NativeForm:
    """Return the same form in the core."""
    assert core.CORE is not None
    form = form_of(spec, abi, direction)
    pointees = tuple((pointee.offset, pointee.size, pointee.plain.to_core()) for pointee in form.pointees)
    made = core.CORE.key_form(
        hash(spec.name) & (1 << 64) - 1,
        form.pointer_size,
        form.selectors.to_core(),
        form.plain.to_core(),
        _spans(form.distances if direction == "in" else ()),
        pointees,
    )
    return NativeForm(made, form.is_exact)


def _spans(places: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the offsets and sizes of places, in bytes."""
    offsets = [(place & -place).bit_length() - 1 >> 3 for place in places]
    return tuple(
        (offset, (place.bit_length() + 7 >> 3) - offset) for offset, place in zip(offsets, places, strict=True)
    )


class _Places(NamedTuple):
    """Places of the values of one direction in the structures of a function."""

    spec: t.CallSpec
    abi: t.Abi
    direction: Direction

    def is_exact(self, struct: t.Struct) -> bool:
        """Return True if the keys have every value of a structure that refers to no object."""
        return not struct.parameters and all(map(self._is_exact_member, lay_out(struct, self.abi).members))

    def _is_exact_member(self, member: Sequence[Slot]) -> bool:
        in_effect = self._in_effect(member)
        if None in in_effect:
            possible = _possible(member)
            return _is_reference(possible) or _is_plain_union(possible)  # its memory counts as a whole
        fields = [slot.field for slot in in_effect if slot is not None]
        return all(not _has_unknown_direction(field) and self._is_exact(field.type) for field in fields)

    def _is_exact(self, type_: t.Type) -> bool:
        """Return True if the keys have every value of a type. Buffers without a mask count as a whole."""
        kind = t.kind_of(type_.of if isinstance(type_, t.Array) else type_)
        if kind is not None:
            return kind.binding != "literal" or isinstance(type_, (t.Integer, t.Address))
        if isinstance(type_, t.Pointer):
            # Whether an address or a literal behind a pointer is null is in no key.
            is_seen = not isinstance(type_.to, (t.Pointer, t.Address)) and not _is_literal(type_.to)
            return is_seen and self._is_exact(type_.to)
        if isinstance(type_, t.Struct):
            return self.is_exact(type_)
        if isinstance(type_, t.Array):
            return type_.used is None and _is_plain(type_.of)
        return isinstance(type_, (t.Integer, t.Enum, t.Flags, t.StructSize, t.Float, t.Address, *_BUFFERS))

    def mask(self, struct: t.Struct) -> Mask:
        """Return what counts of a structure in place."""
        bits, presence = 0, []
        for offset, field in self.fixed_fields(struct):
            bits |= _mask(field, self.abi, self.direction) << 8 * offset
            is_address = isinstance(field.type, t.Address) and t.kind_of(field.type) is None
            if (is_address or _is_literal(field.type)) and not self._is_skipped(field):
                presence.append((1 << 8 * measure(field.type, self.abi)[0]) - 1 << 8 * offset)
        members = [_possible(member) for member in lay_out(struct, self.abi).members if member[0].union is not None]
        presence += [_place(member) for member in members if _is_reference(member)]
        unions = [_place(member) for member in members if None in self._in_effect(member) and _is_plain_union(member)]
        return _make_mask(bits, presence, unions)

    def pointees(self, struct: t.Struct) -> Iterator[Pointee]:
        """Yield the memory behind the pointers of a structure."""
        for offset, field in self.fixed_fields(struct):
            type_ = field.type
            if self.direction == "in" and field.direction == "out":
                continue
            if isinstance(type_, t.Pointer) and not isinstance(type_.to, t.Pointer):
                to = type_.to
                is_struct = isinstance(to, t.Struct) and to.kind is None
                plain = self.mask(to) if is_struct else _make_mask(self._element_bits(to, field))  # type: ignore[arg-type]
                yield Pointee(offset, measure(to, self.abi)[0], plain)
            elif isinstance(type_, t.POINTER_TYPES):
                yield Pointee(offset, 0, _make_mask(0))

    def _element_bits(self, type_: t.Type, field: t.Field) -> int:
        return _mask(t.Field("", type_, field.direction), self.abi, self.direction)

    def _is_skipped(self, field: t.Field) -> bool:
        return field.direction == ("out" if self.direction == "in" else "in")

    def fixed_fields(self, struct: t.Struct, base: int = 0) -> Iterator[tuple[int, t.Field]]:
        """Yield the fields at known places with their offsets, those of nested structures too."""
        for member in lay_out(struct, self.abi).members:
            for slot in filter(None, self._in_effect(member)):
                type_ = slot.field.type
                if not isinstance(type_, t.Struct):
                    yield base + slot.offset, slot.field
                elif type_.kind is None:
                    yield from self.fixed_fields(type_, base + slot.offset)

    def _in_effect(self, member: Sequence[Slot]) -> list[Slot | None]:
        """Return the slots of a member that are in effect in every call, None for a union whose values decide."""
        union = member[0].union
        if union is None:
            return list(member)
        if not union.by_call:
            # Plain integers of one size are one integer.
            types = {slot.field.type if _is_plain(slot.field.type) else None for slot in member}
            shapes = {(slot.size, slot.field.direction) for slot in member}
            return [member[0]] if None not in types and len(shapes) == 1 else [None]
        chosen = [slot for slot in member if slot.arm is not None and slot.arm.name in self.spec.union_arms]
        return [*chosen] or [None]


def _has_unknown_direction(field: t.Field) -> bool:
    """Return True if a comparison looks at a field on both ways, and its masks on none."""
    bits = field.type.bits if isinstance(field.type, t.Flags) else ()
    return "unknown" in (field.direction, *(bit.direction for bit in bits))


def _is_literal(type_: t.Type) -> bool:
    kind = t.kind_of(type_)
    return kind is not None and kind.binding == "literal"


def _is_plain(type_: t.Type) -> bool:
    return isinstance(type_, (t.Enum, t.StructSize, t.Float)) or (isinstance(type_, t.Integer) and type_.kind is None)


def _place(member: Sequence[Slot]) -> int:
    """Return the bits of a union."""
    return (1 << 8 * max(slot.size for slot in member)) - 1 << 8 * member[0].offset


def _possible(member: Sequence[Slot]) -> list[Slot]:
    """Return the slots of a union that may be in effect. Reserved arms never are."""
    return [slot for slot in member if slot.arm is None or slot.arm.when != t.NEVER] or list(member)


def _is_plain_union(member: Sequence[Slot]) -> bool:
    """Return True for a union of plain values whose other inputs select the arm in effect."""
    fields = [_sole_field(slot.field) for slot in member]
    arms = [slot.arm for slot in member if slot.arm is not None]
    return all(_is_plain(field.type) and not _has_unknown_direction(field) for field in fields) and all(
        arm.when is None or arm.when.kind is None for arm in arms
    )


def _is_reference(member: Sequence[Slot]) -> bool:
    """Return True for a union of pointers, addresses and values of a kind."""
    for slot in member:
        type_ = _sole_field(slot.field).type
        kind = t.kind_of(type_)
        is_kind = kind is not None and kind.binding != "literal" and isinstance(type_, t.Integer)
        if not is_kind and not isinstance(type_, (t.Address, t.Pointer, *_BUFFERS)):
            return False
    return True


def _sole_field(field: t.Field) -> t.Field:
    """Return the only field of a structure, else the field itself."""
    while isinstance(field.type, t.Struct) and len(field.type.members) == 1:
        member = field.type.members[0]
        if not isinstance(member, t.Field):
            break
        field = member
    return field


_BUFFERS = (t.Bytes, t.Payload, t.WString, t.RawWindow)


def _mask(field: t.Field, abi: t.Abi, direction: Direction) -> int:
    """Return the mask of a field's plain values of one direction, 0 for other fields."""
    type_ = field.type
    opposite = "out" if direction == "in" else "in"
    if isinstance(type_, t.Flags):
        bits = [bit.name for bit in type_.bits if (bit.direction or field.direction) not in (opposite, "unknown")]
        return sum(type_.mask(name) for name in bits)
    if field.direction in (opposite, "unknown"):
        return 0
    element = type_.of if isinstance(type_, t.Array) and type_.used is None else type_
    if _is_plain(element):
        return (1 << 8 * measure(type_, abi)[0]) - 1
    return 0
