"""Values to bytes. What people write by hand is taken; what is wrong in it is named."""

from __future__ import annotations

import struct as packing
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tracekmt.codec import parse_value as given
from tracekmt.codec.context import KindOf, StructContext, unions
from tracekmt.codec.memory import Arena, MemoryFault
from tracekmt.codec.parse_value import field_error, short_repr
from tracekmt.codec.values import Unreadable, look_up, payload_case
from tracekmt.errors import UsageError
from tracekmt.spec import types as t
from tracekmt.spec.layout import Layout, Slot, lay_out, measure

PADDING_LIMIT = 1 << 20
BYTES_LIMIT = 16 << 20
"""How many bytes a count without values is padded to, for elements and for plain bytes; a count may be absurd on
purpose."""


def encode(call: t.CallSpec, abi: t.Abi, arena: Arena, value: Any, kind_of: KindOf | None = None) -> tuple[int, ...]:
    """Lay what a call is given out in an arena; the arguments to call it with: the address of its structure (0 for
    None), or its parameters.

    Missing fields are zero, a length that is left out is taken from what it counts, an explicit one wins. Encoding
    the same call again into the same arena puts everything where it was. UsageError names the field that is wrong.

    kind_of: tells what a handle leads to, where a union depends on that; without it the values decide.
    """
    encoder = _Encoder(call, abi, arena, kind_of)
    try:
        value = given.normalize(value, "")
        layout = lay_out(call.argument, abi)
        if call.argument.parameters:
            data = encoder.struct(layout, {} if value is None else value, "", None)
            size = arena.pointer_size
            return tuple(int.from_bytes(data[at : at + size], "little") for at in range(0, layout.size, size))
        if value is None:
            return (0,)
        if isinstance(value, Unreadable):
            given.integer(value.address, arena.pointer_size, False, "its one parameter", abi)
            return (value.address,)
        address = arena.place("", layout.size)
        arena.write(address, encoder.struct(layout, value, "", None))
        return (address,)
    except RecursionError:
        raise UsageError(f"{call.name}: the values are nested too deeply") from None
    except UsageError as error:
        raise UsageError(f"{call.name}: {error}") from None


class _Encoder:
    def __init__(self, call: t.CallSpec, abi: t.Abi, arena: Arena, kind_of: KindOf | None) -> None:
        self.call = call
        self.kind_of = kind_of
        self.abi: t.Abi = abi
        self.arena = arena

    def struct(
        self, layout: Layout, value: Any, path: str, outer: StructContext | None, *, rest: bool = False
    ) -> bytes:
        """The bytes of one structure, its pointees placed in the arena. rest: more may follow it in its buffer."""
        if not isinstance(value, Mapping):
            raise field_error(path, f"takes the fields of {layout.struct.name}, not {short_repr(value)}")
        self.refuse_unknown(layout, value, path, rest)
        values = {name: given.normalize(each, f"{path}.{name}") for name, each in value.items()}
        data = bytearray(layout.size)
        frame = StructContext(layout, b"", b"", outer, lambda _, path: self.kind_at(values, path))
        # First the words that conditions and lengths are read from, then what depends on them.
        words = _words(layout)
        self.put(data, words, values, path, frame)
        chosen = self.choose(layout, frame, values, path)
        self.infer_lengths(frame, chosen, values, path)
        self.put(data, words, values, path, frame)
        stages = _stages(layout)
        for stage in range(3):
            self.put(data, [slot for slot in chosen if stages.get(id(slot)) == stage], values, path, frame)
        self.put_undecided(layout, data, values, path, frame)
        return bytes(data) + given.parse_bytes(values.get("rest", b""), f"{path}.rest", BYTES_LIMIT)

    def kind_at(self, values: Mapping[str, Any], path: str) -> t.Kind | None:
        """The kind of the first handle that is given at a path."""
        handle = look_up(values, path)
        if isinstance(handle, Sequence) and not isinstance(handle, str):
            handle = handle[0] if handle else None
        return self.kind_of(given.number(handle, path)) if self.kind_of and not isinstance(handle, Unreadable) else None

    def refuse_unknown(self, layout: Layout, value: Mapping[str, Any], path: str, rest: bool) -> None:
        names = {slot.field.name for slot in layout.slots} | set(unions(layout).values())
        if rest:
            names.add("rest")
        for name in value:
            if name not in names:
                raise field_error(f"{path}.{name}", f"{layout.struct.name} has no such field")

    def put(
        self, data: bytearray, slots: Iterable[Slot], values: Mapping[str, Any], path: str, frame: StructContext
    ) -> None:
        for slot in slots:
            value = values.get(slot.field.name)
            if value is None and type(slot.field.type) is not t.StructSize:
                continue  # zeros are there already
            encoded = self.value(slot.field.type, value, f"{path}.{slot.field.name}", frame)
            data[slot.offset : slot.offset + len(encoded)] = encoded
        frame.data = frame.before = bytes(data)

    def put_undecided(
        self, layout: Layout, data: bytearray, values: Mapping[str, Any], path: str, frame: StructContext
    ) -> None:
        """Unions that are given as their bytes."""
        for slot, name in unions(layout).items():
            if name in values:
                if slot.overlay and (right := frame.arm(slot.overlay, self.call.union_arms)):
                    raise field_error(f"{path}.{name}", _wrong_arm(right, False))
                size, _ = measure(slot.overlay, self.abi) if slot.overlay else (0, 0)
                raw = given.check_size(self.raw(values[name], f"{path}.{name}"), size, False, f"{path}.{name}")
                data[slot.offset : slot.offset + len(raw)] = raw

    def raw(self, value: Any, path: str) -> bytes:
        if not isinstance(value, Mapping) or set(value) != {"raw"}:
            raise field_error(path, 'takes {"raw": bytes}')
        return given.parse_bytes(value["raw"], f"{path}.raw", PADDING_LIMIT)

    def choose(self, layout: Layout, frame: StructContext, values: Mapping[str, Any], path: str) -> list[Slot]:
        """The fields in effect. Where only the objects can tell, the values decide."""
        chosen: list[Slot] = []
        for member in layout.members:
            overlay = member[0].overlay
            if overlay is None:
                chosen.append(member[0])
                continue
            right = frame.arm(overlay, self.call.union_arms)
            wanted = [slot for slot in member if slot.field.name in values]
            if wanted and unions(layout)[member[0]] in values:
                raise field_error(f"{path}.{wanted[0].field.name}", _wrong_arm(None, True))
            free = overlay.open or not frame.certain(overlay)
            wrong = [slot for slot in wanted if slot.arm is not (wanted[0].arm if free else right)]
            if wrong:
                raise field_error(f"{path}.{wrong[0].field.name}", _wrong_arm(right, free))
            arm = wanted[0].arm if wanted else right
            inner = [slot.inner for slot in wanted if slot.inner]
            if any(each is not inner[0] for each in inner):
                raise field_error(f"{path}.{inner[-1].name}", _wrong_arm(None, True))
            chosen += [slot for slot in member if slot.arm is arm and (slot.inner is None or slot.inner in inner)]
        return chosen

    def infer_lengths(self, frame: StructContext, chosen: list[Slot], values: dict[str, Any], path: str) -> None:
        """Lengths that were left out, from what they count, put among the values."""
        found: dict[str, tuple[str, int]] = {}
        for slot in chosen:
            type_, name = slot.field.type, slot.field.name
            if values.get(name) is None:
                continue
            for length, count in self.counts(type_, values[name], f"{path}.{name}", frame):
                if length.parent or count <= length.minimum or look_up(values, length.path) is not None:
                    continue
                other, agreed = found.setdefault(length.path, (name, count - length.add))
                if count - length.add != agreed:
                    raise field_error(f"{path}.{name}", f"has {count} elements where {other} has {agreed}")
        for length_path, (_, count) in found.items():
            _place(values, length_path, max(count, 0))

    def counts(self, type_: t.Type, value: Any, path: str, frame: StructContext) -> Iterable[tuple[t.Length, int]]:
        """What a value says about lengths: each with the number that it has to be."""
        if isinstance(type_, t.Array):
            return [(t.count_of(type_.used), self.count(type_, value, path, frame))] if type_.used else []
        length = t.length_of(type_)
        if length is None:
            return []
        counted = [(length, self.count(type_, value, path, frame))]
        if isinstance(type_, t.VariableRecords) and isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            counted.append((t.count_of(type_.number), len(value)))
        return counted

    def count(self, type_: t.Type, value: Any, path: str, frame: StructContext) -> int:
        if isinstance(value, Unreadable):
            return 0
        if isinstance(type_, (t.Pointer, t.Array)):
            return len(given.sequence(value, path))
        size = len(self.pointed(type_, value, path, frame))
        return size // t.WCHAR_SIZE[self.abi] if isinstance(type_, t.WString) else size

    def value(self, type_: t.Type, value: Any, path: str, frame: StructContext) -> bytes:
        """The bytes that a field holds in place."""
        match type_:
            case t.Integer(size=size, signed=signed):
                return given.integer(value, size or self.arena.pointer_size, signed, path, self.abi)
            case t.Enum():
                return given.integer(given.enumeration(type_, value, path), 4, True, path, self.abi)
            case t.Flags(size=size):
                return given.integer(given.flags(type_, value, path), size, False, path, self.abi)
            case t.Address():
                address = value.address if isinstance(value, Unreadable) else value
                return given.integer(address, self.arena.pointer_size, False, path, self.abi)
            case t.Float(size=size):
                try:
                    return packing.pack("<f" if size == 4 else "<d", given.parse_float(value, path))
                except OverflowError:
                    raise field_error(path, f"{short_repr(value)} does not fit into {size * 8} bits") from None
            case t.StructSize():
                size = frame.layout.size if value is None else given.number(value, path)
                return given.integer(size, 4, False, path, self.abi)
            case t.ByteArray(size=size, tail=tail):
                octets = given.parse_bytes(b"" if value is None else value, path, PADDING_LIMIT)
                return given.check_size(octets, size, tail, path).ljust(size, b"\0")
            case t.WCharArray(count=count, tail=tail):
                room = t.WCHAR_SIZE[self.abi] * count
                units = given.encode_wchars("" if value is None else value, t.WCHAR_SIZE[self.abi], path)
                return given.check_size(units, room, tail, path).ljust(room, b"\0")
            case t.Struct():
                return self.struct(lay_out(type_, self.abi), {} if value is None else value, path, frame)
            case t.Array():
                return self.array(type_, value, path, frame)
            case t.Union():
                return self.overlay(type_, value, path, frame)
            case t.CountedString():
                return self.counted_string(value, path)
        return self.pointer(type_, value, path, frame)

    def array(self, type_: t.Array, value: Any, path: str, frame: StructContext) -> bytes:
        items = [] if value is None else given.sequence(value, path)
        if len(items) > type_.count:
            raise field_error(path, f"takes a list of at most {type_.count}, not {short_repr(value)}")
        size, _ = measure(type_.of, self.abi)
        parts = [self.value(type_.of, item, f"{path}[{index}]", frame) for index, item in enumerate(items)]
        return b"".join(parts).ljust(size * type_.count, b"\0")

    def overlay(self, type_: t.Union, value: Any, path: str, frame: StructContext) -> bytes:
        """A named union: {arm: value}, or {"raw": bytes}."""
        size, _ = measure(type_, self.abi)
        if value is None:
            return bytes(size)
        right = frame.arm(type_, self.call.union_arms)
        if not isinstance(value, Mapping) or len(value) != 1:
            arms = [field.name for field in ((right,) if right and frame.certain(type_) else type_.arms)]
            raise field_error(path, f"takes one arm of {type_.name}: give {', '.join(arms)}, not {short_repr(value)}")
        name, inner = next(iter(value.items()))
        if name == "raw" and right is None:
            return given.check_size(self.raw(value, path), size, False, path).ljust(size, b"\0")
        arm = next((arm for arm in type_.arms if arm.name == name), None)
        if arm is None and name != "raw":
            raise field_error(f"{path}.{name}", f"{type_.name} has no such arm")
        if arm is None or (right is not arm and not type_.open and frame.certain(type_)):
            raise field_error(f"{path}.{name}", _wrong_arm(right, False))
        return self.value(arm.type, given.normalize(inner, path), f"{path}.{name}", frame).ljust(size, b"\0")

    def counted_string(self, value: Any, path: str) -> bytes:
        if value is None:
            return bytes(2 * self.arena.pointer_size)
        if isinstance(value, Unreadable):
            units, address = b"", value.address
        else:
            units = given.encode_wchars(value, 2, path)
            address = self.put_away(f"{path}.Buffer", units, len(units) + 2)
        # Windows' longest string leaves no room for a zero that MaximumLength could count.
        maximum = max(len(units), min(len(units) + 2, 0xFFFE))
        lengths = b"".join(given.integer(n, 2, False, path, self.abi) for n in (len(units), maximum))
        pointer = given.integer(address, self.arena.pointer_size, False, path, self.abi)
        return lengths.ljust(self.arena.pointer_size, b"\0") + pointer

    def pointer(self, type_: t.Type, value: Any, path: str, frame: StructContext) -> bytes:
        """The bytes of a pointer whose memory is described."""
        if value is None or isinstance(value, Unreadable):
            address = value.address if value else 0
        else:
            length, unit = t.length_of(type_), t.WCHAR_SIZE[self.abi] if isinstance(type_, t.WString) else 1
            count = self.number_of(length, frame) if length else 0
            if isinstance(type_, t.Pointer):
                unit, _ = measure(type_.to, self.abi)
                if type_.count and _is_cut(type_.to, given.sequence(value, path), count):
                    # What could not be read when it was recorded is not there now either, nor what lies behind it.
                    value, count = value[:-1], 0
            data = self.pointed(type_, value, path, frame)
            limit = PADDING_LIMIT if isinstance(type_, t.Pointer) else BYTES_LIMIT
            address = self.put_away(path, data, min(count * unit, limit))
        return given.integer(address, self.arena.pointer_size, False, path, self.abi)

    def number_of(self, length: t.Length, frame: StructContext) -> int:
        return frame.count(length, self.behind)[0]

    def behind(self, address: int) -> int:
        try:
            return int.from_bytes(self.arena.read(address, 4), "little")
        except MemoryFault:
            return 0

    def pointed(self, type_: t.Type, value: Any, path: str, frame: StructContext) -> bytes:
        """The bytes that a pointer leads to."""
        match type_:
            case t.Pointer(to=to, count=None):
                return self.value(to, value, f"{path}*" if isinstance(to, t.Pointer) else path, frame)
            case t.Pointer(to=to):
                items = [given.normalize(item, path) for item in given.sequence(value, path)]
                return b"".join(self.value(to, x, f"{path}[{n}]", frame) for n, x in enumerate(items))
            case t.WString(length=None):
                return given.encode_wchars(value, t.WCHAR_SIZE[self.abi], path) + bytes(t.WCHAR_SIZE[self.abi])
            case t.WString():
                unit = t.WCHAR_SIZE[self.abi]
                return self.capacity(value, path, unit) or given.encode_wchars(value, unit, path)
            case t.Payload() if not given.is_octets(value):
                case = payload_case(type_, frame.number(type_.by)[0])
                if case is None:
                    raise field_error(path, f"takes bytes: what {type_.by} says has no described form")
                if isinstance(case, t.Struct):
                    return self.struct(lay_out(case, self.abi), value, path, frame, rest=True)
                return self.value(case, value, path, frame)
            case t.VariableRecords() if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
                items = [given.normalize(item, path) for item in value]
                return b"".join(self.record(type_, item, f"{path}[{n}]", frame) for n, item in enumerate(items))
            case t.Bytes() | t.RawWindow() | t.Payload() | t.VariableRecords():
                return given.parse_bytes(value, path, BYTES_LIMIT)
        raise TypeError(type_)

    def capacity(self, value: Any, path: str, unit: int) -> bytes:
        return given.parse_bytes(value, path, BYTES_LIMIT) * unit if isinstance(value, Mapping) else b""

    def record(self, type_: t.VariableRecords, value: Any, path: str, frame: StructContext) -> bytes:
        """One record, as long as it says that it is; as its structure where it does not say."""
        layout = lay_out(type_.to, self.abi)
        if isinstance(value, Mapping) and type_.size not in value:
            value = {**value, type_.size: layout.size}
        data = self.struct(layout, value, path, frame, rest=True)
        place = layout.place(type_.size)
        size = int.from_bytes(data[place.offset : place.offset + place.size], "little")
        return data[:size].ljust(min(size, PADDING_LIMIT), b"\0")

    def put_away(self, path: str, data: bytes, size: int) -> int:
        """Place data for a pointer, padded with zeros to `size` bytes."""
        address = self.arena.place(path, max(len(data), size))
        self.arena.write(address, data)
        return address


def _wrong_arm(right: t.Field | None, free: bool) -> str:
    if free:
        return "is not in effect beside the other; give only one of them"
    if right is None:
        return "is not in effect here; nothing in this union is"
    names = (
        [right.name] if right.name or not isinstance(right.type, t.Struct) else [f.name for f in right.type.fields()]
    )
    return f"is not in effect here; give {', '.join(names)} instead"


def _is_cut(to: t.Type, items: Sequence[Any], count: int) -> bool:
    """Whether the memory of an array ends before the array does: its last item says where. Of an array of pointers
    the last may be one that leads nowhere, unless there should be more."""
    unreadable = bool(items) and isinstance(given.normalize(items[-1], ""), Unreadable)
    return unreadable and (not isinstance(to, t.Pointer) or len(items) < count)


def _place(values: dict[str, Any], path: str, number: int) -> None:
    name, _, rest = path.partition(".")
    if not rest:
        values[name] = number
        return
    inner = values.get(name)
    if inner is None or isinstance(inner, Mapping):
        values[name] = copied = dict(inner or {})
        _place(copied, rest, number)


@lru_cache(maxsize=512)
def _words(layout: Layout) -> list[Slot]:
    """The words outside of unions."""
    return [slot for slot in layout.slots if slot.overlay is None and _is_word(slot.field.type)]


@lru_cache(maxsize=512)
def _stages(layout: Layout) -> dict[int, int]:
    """When each of the other fields is put, by the identity of its slot."""
    words = set(map(id, _words(layout)))
    return {id(slot): _stage(slot.field.type) for slot in layout.slots if id(slot) not in words}


def _is_word(type_: t.Type) -> bool:
    return isinstance(type_, (t.Integer, t.Enum, t.Flags))


def _stage(type_: t.Type) -> int:
    """What lies in place comes first: lengths may lie in it. Last come pointers whose length lies behind another."""
    if not isinstance(type_, (t.Pointer, t.Bytes, t.WString, t.RawWindow, t.Payload, t.VariableRecords)):
        return 0
    length = t.length_of(type_)
    return 2 if length is not None and length.deref else 1
