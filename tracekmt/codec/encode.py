"""Encoding: values to bytes. Hand-written values are accepted, and an error names the field that is wrong."""

from __future__ import annotations

import struct as packing
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tracekmt.codec import parse_value
from tracekmt.codec.context import KindOf, StructContext, unions
from tracekmt.codec.memory import Arena, MemoryFault
from tracekmt.codec.parse_value import field_error, normalize, short_repr
from tracekmt.codec.values import Unreadable, is_truncated, look_up, payload_case
from tracekmt.errors import UsageError
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import Layout, Slot, lay_out, measure

PADDING_LIMIT = 1 << 20
"""Bytes to allocate at most for elements that only a count asks for. A recorded count may be absurd on purpose."""

BYTES_LIMIT = 16 << 20
"""Bytes to allocate at most for a byte buffer that only its length asks for."""


def encode(spec: t.CallSpec, abi: t.Abi, arena: Arena, value: Any, kind_of: KindOf | None = None) -> tuple[int, ...]:
    """Lay out the argument of a call in an arena.

    Missing fields are zero. A missing length is inferred from the elements that it counts, an explicit one wins.
    Encoding a call again into the same arena reuses all addresses.

    Args:
        spec: Description of the function.
        abi: ABI of the process that will make the call.
        arena: The memory to write.
        value: The argument in the value form.
        kind_of: Returns the kind of a handle's object, for unions that depend on it. Without it, the arm of such a
            union is the one that `value` contains.

    Returns:
        The raw arguments of the call: the address of its structure (0 for None), or its parameters.

    Raises:
        UsageError: The value is not valid. The message names the field.
    """
    encoder = _Encoder(spec, abi, arena, kind_of)
    try:
        value = normalize(value, "")
        layout = lay_out(spec.argument, abi)
        if spec.argument.parameters:
            data = encoder.struct(layout, {} if value is None else value, "", None)
            size = arena.pointer_size
            return tuple(int.from_bytes(data[at : at + size], "little") for at in range(0, layout.size, size))
        if value is None:
            return (0,)
        if isinstance(value, Unreadable):
            parse_value.integer(value.address, arena.pointer_size, False, "its one parameter", abi)
            return (value.address,)
        address = arena.place("", layout.size)
        arena.write(address, encoder.struct(layout, value, "", None))
        return (address,)
    except RecursionError:
        raise UsageError(f"{spec.name}: the values are nested too deeply") from None
    except UsageError as error:
        raise UsageError(f"{spec.name}: {error}") from None


class _Encoder:
    def __init__(self, spec: t.CallSpec, abi: t.Abi, arena: Arena, kind_of: KindOf | None) -> None:
        self.spec = spec
        self.kind_of = kind_of
        self.abi: t.Abi = abi
        self.arena = arena

    def struct(
        self, layout: Layout, value: Any, path: str, outer: StructContext | None, *, rest: bool = False
    ) -> bytes:
        """Encode one structure. Its pointees are placed in the arena.

        Args:
            layout: Layout of the structure.
            value: Its fields.
            path: Its path, for messages.
            outer: The structure that contains or points to this one.
            rest: More bytes may follow the structure in its buffer.
        """
        if not isinstance(value, Mapping):
            raise field_error(path, f"invalid value: {short_repr(value)} (expected the fields of {layout.struct.name})")
        self.refuse_unknown(layout, value, path, rest)
        values = {name: normalize(field_value, f"{path}.{name}") for name, field_value in value.items()}
        data = bytearray(layout.size)
        context = StructContext(layout, b"", b"", outer, lambda _, path: self.kind_at(values, path))
        # Conditions and lengths are read from the scalars outside of unions, so these are written first. Inferred
        # lengths are scalars too, hence twice.
        scalars = _scalar_slots(layout)
        self.put(data, scalars, values, path, context)
        slots = self.slots_in_effect(layout, context, values, path)
        self.infer_lengths(context, slots, values, path)
        self.put(data, scalars, values, path, context)
        stages = _stages(layout)
        for stage in range(3):
            self.put(data, [slot for slot in slots if stages.get(id(slot)) == stage], values, path, context)
        self.put_undecided(layout, data, values, path, context)
        return bytes(data) + parse_value.parse_bytes(values.get("rest", b""), f"{path}.rest", BYTES_LIMIT)

    def kind_at(self, values: Mapping[str, Any], path: str) -> t.Kind | None:
        """Return the kind of the first handle at a path of the values."""
        handle = look_up(values, path)
        if isinstance(handle, Sequence) and not isinstance(handle, str):
            handle = handle[0] if handle else None
        if self.kind_of is None or isinstance(handle, Unreadable):
            return None
        return self.kind_of(parse_value.number(handle, path))

    def refuse_unknown(self, layout: Layout, value: Mapping[str, Any], path: str, rest: bool) -> None:
        names = {slot.field.name for slot in layout.slots} | set(unions(layout).values())
        if rest:
            names.add("rest")
        for name in value:
            if name not in names:
                raise field_error(f"{path}.{name}", f"{layout.struct.name} has no such field")

    def put(
        self, data: bytearray, slots: Iterable[Slot], values: Mapping[str, Any], path: str, context: StructContext
    ) -> None:
        for slot in slots:
            value = values.get(slot.field.name)
            if value is None and type(slot.field.type) is not t.StructSize:
                continue  # the bytes are zero already
            encoded = self.value(slot.field.type, value, f"{path}.{slot.field.name}", context)
            data[slot.offset : slot.offset + len(encoded)] = encoded
        context.data = context.before = bytes(data)

    def put_undecided(
        self, layout: Layout, data: bytearray, values: Mapping[str, Any], path: str, context: StructContext
    ) -> None:
        """Write the unions whose values are their bytes."""
        for slot, name in unions(layout).items():
            if name in values:
                if slot.union and (arm := context.arm(slot.union, self.spec.union_arms)):
                    raise field_error(f"{path}.{name}", _wrong_arm(arm))
                size, _ = measure(slot.union, self.abi) if slot.union else (0, 0)
                octets = self.raw(values[name], f"{path}.{name}")
                octets = parse_value.check_size(octets, size, False, f"{path}.{name}")
                data[slot.offset : slot.offset + len(octets)] = octets

    def raw(self, value: Any, path: str) -> bytes:
        if not isinstance(value, Mapping) or set(value) != {"raw"}:
            raise field_error(path, f'invalid value: {short_repr(value)} (expected {{"raw": bytes}})')
        return parse_value.parse_bytes(value["raw"], f"{path}.raw", PADDING_LIMIT)

    def slots_in_effect(
        self, layout: Layout, context: StructContext, values: Mapping[str, Any], path: str
    ) -> list[Slot]:
        """Return the fields in effect. The values decide where the conditions cannot.

        Raises:
            UsageError: The values contain an arm that is not in effect, or two arms of one union.
        """
        slots: list[Slot] = []
        for member in layout.members:
            union = member[0].union
            if union is None:
                slots.append(member[0])
                continue
            in_effect = context.arm(union, self.spec.union_arms)
            assigned = [slot for slot in member if slot.field.name in values]
            if assigned and unions(layout)[member[0]] in values:
                raise field_error(f"{path}.{assigned[0].field.name}", _TWO_ARMS)
            is_free = union.open or not context.is_decidable(union)
            wrong = [slot for slot in assigned if slot.arm is not (assigned[0].arm if is_free else in_effect)]
            if wrong:
                raise field_error(f"{path}.{wrong[0].field.name}", _TWO_ARMS if is_free else _wrong_arm(in_effect))
            arm = assigned[0].arm if assigned else in_effect
            inner_arms = [slot.inner for slot in assigned if slot.inner]
            if any(inner is not inner_arms[0] for inner in inner_arms):
                raise field_error(f"{path}.{inner_arms[-1].name}", _TWO_ARMS)
            slots += [slot for slot in member if slot.arm is arm and (slot.inner is None or slot.inner in inner_arms)]
        return slots

    def infer_lengths(self, context: StructContext, slots: list[Slot], values: dict[str, Any], path: str) -> None:
        """Add missing lengths to the values, from the elements that they count."""
        inferred: dict[str, tuple[str, int]] = {}
        for slot in slots:
            type_, name = slot.field.type, slot.field.name
            if values.get(name) is None:
                continue
            for length, count in self.counts(type_, values[name], f"{path}.{name}", context):
                if length.parent or count <= length.minimum or look_up(values, length.path) is not None:
                    continue
                first_name, first_count = inferred.setdefault(length.path, (name, count - length.add))
                if count - length.add != first_count:
                    raise field_error(
                        f"{path}.{name}", f"has length {count}, but {first_name} has length {first_count}"
                    )
        for length_path, (_, count) in inferred.items():
            _assign(values, length_path, max(count, 0))

    def counts(self, type_: t.Type, value: Any, path: str, context: StructContext) -> Iterable[tuple[t.Length, int]]:
        """Return the lengths that a value determines, each with its number."""
        if isinstance(type_, t.Array):
            return [(t.count_of(type_.used), self.count(type_, value, path, context))] if type_.used else []
        length = t.length_of(type_)
        if length is None:
            return []
        counts = [(length, self.count(type_, value, path, context))]
        if isinstance(type_, t.VariableRecords) and isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            counts.append((t.count_of(type_.number), len(value)))
        return counts

    def count(self, type_: t.Type, value: Any, path: str, context: StructContext) -> int:
        if isinstance(value, Unreadable):
            return 0
        if isinstance(type_, (t.Pointer, t.Array)):
            return len(parse_value.sequence(value, path))
        assert t.is_described_pointer(type_)
        size = len(self.pointee(type_, value, path, context))
        return size // t.WCHAR_SIZE[self.abi] if isinstance(type_, t.WString) else size

    def value(self, type_: t.Type, value: Any, path: str, context: StructContext) -> bytes:
        """Encode the bytes of a field in place."""
        match type_:
            case t.Integer(size=size, signed=signed):
                return parse_value.integer(value, size or self.arena.pointer_size, signed, path, self.abi)
            case t.Enum():
                return parse_value.integer(parse_value.enumeration(type_, value, path), 4, True, path, self.abi)
            case t.Flags(size=size):
                return parse_value.integer(parse_value.flags(type_, value, path), size, False, path, self.abi)
            case t.Address():
                return self.address(value.address if isinstance(value, Unreadable) else value, path)
            case t.Float(size=size):
                try:
                    return packing.pack("<f" if size == 4 else "<d", parse_value.parse_float(value, path))
                except OverflowError:
                    raise field_error(path, f"{short_repr(value)} does not fit into {size * 8} bits") from None
            case t.StructSize():
                size = context.layout.size if value is None else parse_value.number(value, path)
                return parse_value.integer(size, 4, False, path, self.abi)
            case t.ByteArray(size=size, tail=tail):
                octets = parse_value.parse_bytes(b"" if value is None else value, path, PADDING_LIMIT)
                return parse_value.check_size(octets, size, tail, path).ljust(size, b"\0")
            case t.WCharArray(count=count, tail=tail):
                size = t.WCHAR_SIZE[self.abi] * count
                units = parse_value.encode_wchars("" if value is None else value, t.WCHAR_SIZE[self.abi], path)
                return parse_value.check_size(units, size, tail, path).ljust(size, b"\0")
            case t.Struct():
                return self.struct(lay_out(type_, self.abi), {} if value is None else value, path, context)
            case t.Array():
                return self.array(type_, value, path, context)
            case t.Union():
                return self.union(type_, value, path, context)
            case t.CountedString():
                return self.counted_string(value, path)
            case _ if isinstance(type_, t.POINTER_TYPES):
                return self.pointer(type_, value, path, context)
            case _:
                return assert_never(type_)

    def address(self, value: Any, path: str) -> bytes:
        return parse_value.integer(value, self.arena.pointer_size, False, path, self.abi)

    def array(self, type_: t.Array, value: Any, path: str, context: StructContext) -> bytes:
        items = [] if value is None else parse_value.sequence(value, path)
        if len(items) > type_.count:
            raise field_error(path, f"invalid value: {short_repr(value)} (expected a list of at most {type_.count})")
        size, _ = measure(type_.of, self.abi)
        parts = [self.value(type_.of, item, f"{path}[{index}]", context) for index, item in enumerate(items)]
        return b"".join(parts).ljust(size * type_.count, b"\0")

    def union(self, type_: t.Union, value: Any, path: str, context: StructContext) -> bytes:
        """Encode a named union from {arm: value} or {"raw": bytes}."""
        size, _ = measure(type_, self.abi)
        if value is None:
            return bytes(size)
        in_effect = context.arm(type_, self.spec.union_arms)
        if not isinstance(value, Mapping) or len(value) != 1:
            arms = (in_effect,) if in_effect and context.is_decidable(type_) else type_.arms
            names = ", ".join(arm.name for arm in arms)
            raise field_error(path, f"invalid value: {short_repr(value)} (expected one arm of {type_.name}: {names})")
        name, arm_value = next(iter(value.items()))
        if name == "raw" and in_effect is None:
            return parse_value.check_size(self.raw(value, path), size, False, path).ljust(size, b"\0")
        arm = next((arm for arm in type_.arms if arm.name == name), None)
        if arm is None and name != "raw":
            raise field_error(f"{path}.{name}", f"{type_.name} has no such arm")
        if arm is None or (in_effect is not arm and not type_.open and context.is_decidable(type_)):
            raise field_error(f"{path}.{name}", _wrong_arm(in_effect))
        return self.value(arm.type, normalize(arm_value, path), f"{path}.{name}", context).ljust(size, b"\0")

    def counted_string(self, value: Any, path: str) -> bytes:
        if value is None:
            return bytes(2 * self.arena.pointer_size)
        if isinstance(value, Unreadable):
            units, address = b"", value.address
        else:
            units = parse_value.encode_wchars(value, 2, path)
            address = self.place(f"{path}.Buffer", units, len(units) + 2)
        # MaximumLength has 16 bits, so it cannot count the zero behind the longest string.
        maximum = max(len(units), min(len(units) + 2, 0xFFFE))
        lengths = b"".join(parse_value.integer(size, 2, False, path, self.abi) for size in (len(units), maximum))
        return lengths.ljust(self.arena.pointer_size, b"\0") + self.address(address, path)

    def pointer(self, type_: t.PointerType, value: Any, path: str, context: StructContext) -> bytes:
        """Encode a pointer whose memory is described, and place that memory."""
        if value is None or isinstance(value, Unreadable):
            return self.address(value.address if value else 0, path)
        length, unit = t.length_of(type_), t.WCHAR_SIZE[self.abi] if isinstance(type_, t.WString) else 1
        count = self.number_of(length, context) if length else 0
        if isinstance(type_, t.Pointer):
            unit, _ = measure(type_.to, self.abi)
            if type_.count:
                items = parse_value.sequence(value, path)
                value = [*items[:-1], *(normalize(item, path) for item in items[-1:])]
                if is_truncated(type_.to, value, count):
                    # Memory that was unreadable in the recording stays unreadable, and so does all behind it.
                    value, count = value[:-1], 0
        data = self.pointee(type_, value, path, context)
        limit = PADDING_LIMIT if isinstance(type_, t.Pointer) else BYTES_LIMIT
        return self.address(self.place(path, data, min(count * unit, limit)), path)

    def number_of(self, length: t.Length, context: StructContext) -> int:
        return context.count(length, self.deref)[0]

    def deref(self, address: int) -> int:
        try:
            return int.from_bytes(self.arena.read(address, 4), "little")
        except MemoryFault:
            return 0

    def pointee(self, type_: t.PointerType, value: Any, path: str, context: StructContext) -> bytes:
        """Encode the memory behind a pointer."""
        match type_:
            case t.Pointer(to=to, count=None):
                return self.value(to, value, f"{path}*" if isinstance(to, t.Pointer) else path, context)
            case t.Pointer(to=to):
                items = [normalize(item, path) for item in parse_value.sequence(value, path)]
                return b"".join(self.value(to, item, f"{path}[{at}]", context) for at, item in enumerate(items))
            case t.WString(length=None):
                return parse_value.encode_wchars(value, t.WCHAR_SIZE[self.abi], path) + bytes(t.WCHAR_SIZE[self.abi])
            case t.WString():
                unit = t.WCHAR_SIZE[self.abi]
                return self.capacity(value, path, unit) or parse_value.encode_wchars(value, unit, path)
            case t.Payload() if not parse_value.is_octets(value):
                return self.payload(type_, value, path, context)
            case t.VariableRecords() if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
                items = [normalize(item, path) for item in value]
                return b"".join(self.record(type_, item, f"{path}[{at}]", context) for at, item in enumerate(items))
            case t.Bytes() | t.RawWindow() | t.Payload() | t.VariableRecords():
                return parse_value.parse_bytes(value, path, BYTES_LIMIT)
            case _:
                return assert_never(type_)

    def payload(self, type_: t.Payload, value: Any, path: str, context: StructContext) -> bytes:
        case = payload_case(type_, context.number(type_.by)[0])
        if case is None:
            raise field_error(
                path, f"invalid value: {short_repr(value)} (expected bytes, as {type_.by} selects no structure)"
            )
        if isinstance(case, t.Struct):
            return self.struct(lay_out(case, self.abi), value, path, context, rest=True)
        return self.value(case, value, path, context)

    def capacity(self, value: Any, path: str, unit: int) -> bytes:
        return parse_value.parse_bytes(value, path, BYTES_LIMIT) * unit if isinstance(value, Mapping) else b""

    def record(self, type_: t.VariableRecords, value: Any, path: str, context: StructContext) -> bytes:
        """Encode one record. Its size field determines its size, otherwise its structure does."""
        layout = lay_out(type_.to, self.abi)
        if isinstance(value, Mapping) and type_.size not in value:
            value = {**value, type_.size: layout.size}
        data = self.struct(layout, value, path, context, rest=True)
        location = layout.locate(type_.size)
        size = int.from_bytes(data[location.offset : location.offset + location.size], "little")
        return data[:size].ljust(min(size, PADDING_LIMIT), b"\0")

    def place(self, path: str, data: bytes, size: int) -> int:
        """Place the memory of a pointer in the arena, padded with zeros to `size` bytes. Return its address."""
        address = self.arena.place(path, max(len(data), size))
        self.arena.write(address, data)
        return address


_TWO_ARMS = "is a second arm of one union; give only one of them"


def _wrong_arm(in_effect: t.Field | None) -> str:
    if in_effect is None:
        return "is not in effect: no arm of this union is"
    names = [in_effect.name]
    if not in_effect.name and isinstance(in_effect.type, t.Struct):
        names = [field.name for field in in_effect.type.fields()]
    return f"is not in effect; give {', '.join(names)} instead"


def _assign(values: dict[str, Any], path: str, number: int) -> None:
    """Assign a number to a path of nested values, which are copied."""
    name, _, rest = path.partition(".")
    if not rest:
        values[name] = number
        return
    inner = values.get(name)
    if inner is None or isinstance(inner, Mapping):
        values[name] = copied = dict(inner or {})
        _assign(copied, rest, number)


@lru_cache(maxsize=512)
def _scalar_slots(layout: Layout) -> list[Slot]:
    """Return the scalar fields outside of unions."""
    return [slot for slot in layout.slots if slot.union is None and _is_scalar(slot.field.type)]


@lru_cache(maxsize=512)
def _stages(layout: Layout) -> dict[int, int]:
    """Return the stage in which each other field is written, by the identity of its slot."""
    scalars = set(map(id, _scalar_slots(layout)))
    return {id(slot): _stage(slot.field.type) for slot in layout.slots if id(slot) not in scalars}


def _is_scalar(type_: t.Type) -> bool:
    return isinstance(type_, (t.Integer, t.Enum, t.Flags))


def _stage(type_: t.Type) -> int:
    """Return 0 for values in place, because they may contain lengths, and 2 for pointers whose length is a pointee."""
    if not t.is_described_pointer(type_):
        return 0
    length = t.length_of(type_)
    return 2 if length is not None and length.deref else 1
