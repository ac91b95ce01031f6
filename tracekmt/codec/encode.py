"""Values to bytes. What people write by hand is taken; what is wrong in it is named."""

from __future__ import annotations

import struct as packing
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tracekmt.codec import parse_value as given
from tracekmt.codec.context import Frame, KindOf, unions
from tracekmt.codec.memory import Arena, Fault
from tracekmt.codec.parse_value import problem, show
from tracekmt.codec.values import Unreadable, look_up, payload_case
from tracekmt.errors import UsageError
from tracekmt.spec.layout import Layout, Slot, lay_out, measure
from tracekmt.spec.types import (
    WCHAR_SIZE,
    Abi,
    Address,
    Array,
    Blob,
    Bytes,
    Call,
    Characters,
    Count,
    CountedString,
    Enum,
    Field,
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
    length_of,
)

PADDING_LIMIT = 1 << 20
BYTES_LIMIT = 16 << 20
"""How many bytes a count without values is padded to, for elements and for plain bytes; a count may be absurd on
purpose."""


def encode(call: Call, abi: Abi, arena: Arena, value: Any, kind_of: KindOf | None = None) -> tuple[int, ...]:
    """Lay what a call is given out in an arena; the arguments to call it with: the address of its structure (0 for
    None), or its parameters.

    Missing fields are zero, a length that is left out is taken from what it counts, an explicit one wins. Encoding
    the same call again into the same arena puts everything where it was. UsageError names the field that is wrong.

    kind_of: tells what a handle leads to, where a union depends on that; without it the values decide.
    """
    encoder = _Encoder(call, abi, arena, kind_of)
    try:
        value = given.plain(value, "")
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
    def __init__(self, call: Call, abi: Abi, arena: Arena, kind_of: KindOf | None) -> None:
        self.call = call
        self.kind_of = kind_of
        self.abi: Abi = abi
        self.arena = arena

    def struct(self, layout: Layout, value: Any, path: str, outer: Frame | None, *, rest: bool = False) -> bytes:
        """The bytes of one structure, its pointees placed in the arena. rest: more may follow it in its buffer."""
        if not isinstance(value, Mapping):
            raise problem(path, f"takes the fields of {layout.struct.name}, not {show(value)}")
        self.refuse_unknown(layout, value, path, rest)
        values = {name: given.plain(each, f"{path}.{name}") for name, each in value.items()}
        data = bytearray(layout.size)
        frame = Frame(layout, b"", b"", outer, lambda _, path: self.kind_at(values, path))
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
        return bytes(data) + given.octets(values.get("rest", b""), f"{path}.rest", BYTES_LIMIT)

    def kind_at(self, values: Mapping[str, Any], path: str) -> Kind | None:
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
                raise problem(f"{path}.{name}", f"{layout.struct.name} has no such field")

    def put(self, data: bytearray, slots: Iterable[Slot], values: Mapping[str, Any], path: str, frame: Frame) -> None:
        for slot in slots:
            value = values.get(slot.field.name)
            if value is None and type(slot.field.type) is not OwnSize:
                continue  # zeros are there already
            encoded = self.value(slot.field.type, value, f"{path}.{slot.field.name}", frame)
            data[slot.offset : slot.offset + len(encoded)] = encoded
        frame.data = frame.before = bytes(data)

    def put_undecided(
        self, layout: Layout, data: bytearray, values: Mapping[str, Any], path: str, frame: Frame
    ) -> None:
        """Unions that are given as their bytes."""
        for slot, name in unions(layout).items():
            if name in values:
                if slot.overlay and (right := frame.arm(slot.overlay, self.call.arms)):
                    raise problem(f"{path}.{name}", _wrong_arm(right, False))
                size, _ = measure(slot.overlay, self.abi) if slot.overlay else (0, 0)
                raw = given.fitting(self.raw(values[name], f"{path}.{name}"), size, False, f"{path}.{name}")
                data[slot.offset : slot.offset + len(raw)] = raw

    def raw(self, value: Any, path: str) -> bytes:
        if not isinstance(value, Mapping) or set(value) != {"raw"}:
            raise problem(path, 'takes {"raw": bytes}')
        return given.octets(value["raw"], f"{path}.raw", PADDING_LIMIT)

    def choose(self, layout: Layout, frame: Frame, values: Mapping[str, Any], path: str) -> list[Slot]:
        """The fields in effect. Where only the objects can tell, the values decide."""
        chosen: list[Slot] = []
        for member in layout.members:
            overlay = member[0].overlay
            if overlay is None:
                chosen.append(member[0])
                continue
            right = frame.arm(overlay, self.call.arms)
            wanted = [slot for slot in member if slot.field.name in values]
            if wanted and unions(layout)[member[0]] in values:
                raise problem(f"{path}.{wanted[0].field.name}", _wrong_arm(None, True))
            free = overlay.open or not frame.certain(overlay)
            wrong = [slot for slot in wanted if slot.arm is not (wanted[0].arm if free else right)]
            if wrong:
                raise problem(f"{path}.{wrong[0].field.name}", _wrong_arm(right, free))
            arm = wanted[0].arm if wanted else right
            inner = [slot.inner for slot in wanted if slot.inner]
            if any(each is not inner[0] for each in inner):
                raise problem(f"{path}.{inner[-1].name}", _wrong_arm(None, True))
            chosen += [slot for slot in member if slot.arm is arm and (slot.inner is None or slot.inner in inner)]
        return chosen

    def infer_lengths(self, frame: Frame, chosen: list[Slot], values: dict[str, Any], path: str) -> None:
        """Lengths that were left out, from what they count, put among the values."""
        found: dict[str, tuple[str, int]] = {}
        for slot in chosen:
            type_, name = slot.field.type, slot.field.name
            if values.get(name) is None:
                continue
            for length, count in self.counts(type_, values[name], f"{path}.{name}", frame):
                if length.up or count <= length.least or look_up(values, length.path) is not None:
                    continue
                other, agreed = found.setdefault(length.path, (name, count - length.plus))
                if count - length.plus != agreed:
                    raise problem(f"{path}.{name}", f"has {count} elements where {other} has {agreed}")
        for length_path, (_, count) in found.items():
            _place(values, length_path, max(count, 0))

    def counts(self, type_: Type, value: Any, path: str, frame: Frame) -> Iterable[tuple[Count, int]]:
        """What a value says about lengths: each with the number that it has to be."""
        if isinstance(type_, Array):
            return [(count_of(type_.used), self.count(type_, value, path, frame))] if type_.used else []
        length = length_of(type_)
        if length is None:
            return []
        counted = [(length, self.count(type_, value, path, frame))]
        if isinstance(type_, Records) and isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            counted.append((count_of(type_.number), len(value)))
        return counted

    def count(self, type_: Type, value: Any, path: str, frame: Frame) -> int:
        if isinstance(value, Unreadable):
            return 0
        if isinstance(type_, (Pointer, Array)):
            return len(given.sequence(value, path))
        size = len(self.pointed(type_, value, path, frame))
        return size // WCHAR_SIZE[self.abi] if isinstance(type_, Text) else size

    def value(self, type_: Type, value: Any, path: str, frame: Frame) -> bytes:
        """The bytes that a field holds in place."""
        match type_:
            case Integer(size=size, signed=signed):
                return given.integer(value, size or self.arena.pointer_size, signed, path, self.abi)
            case Enum():
                return given.integer(given.enumeration(type_, value, path), 4, True, path, self.abi)
            case Flags(size=size):
                return given.integer(given.flags(type_, value, path), size, False, path, self.abi)
            case Address():
                address = value.address if isinstance(value, Unreadable) else value
                return given.integer(address, self.arena.pointer_size, False, path, self.abi)
            case Float(size=size):
                try:
                    return packing.pack("<f" if size == 4 else "<d", given.real(value, path))
                except OverflowError:
                    raise problem(path, f"{show(value)} does not fit into {size * 8} bits") from None
            case OwnSize():
                size = frame.layout.size if value is None else given.number(value, path)
                return given.integer(size, 4, False, path, self.abi)
            case Blob(size=size, tail=tail):
                octets = given.octets(b"" if value is None else value, path, PADDING_LIMIT)
                return given.fitting(octets, size, tail, path).ljust(size, b"\0")
            case Characters(count=count, tail=tail):
                room = WCHAR_SIZE[self.abi] * count
                units = given.units("" if value is None else value, WCHAR_SIZE[self.abi], path)
                return given.fitting(units, room, tail, path).ljust(room, b"\0")
            case Struct():
                return self.struct(lay_out(type_, self.abi), {} if value is None else value, path, frame)
            case Array():
                return self.array(type_, value, path, frame)
            case Overlay():
                return self.overlay(type_, value, path, frame)
            case CountedString():
                return self.counted_string(value, path)
        return self.pointer(type_, value, path, frame)

    def array(self, type_: Array, value: Any, path: str, frame: Frame) -> bytes:
        items = [] if value is None else given.sequence(value, path)
        if len(items) > type_.count:
            raise problem(path, f"takes a list of at most {type_.count}, not {show(value)}")
        size, _ = measure(type_.of, self.abi)
        parts = [self.value(type_.of, item, f"{path}[{index}]", frame) for index, item in enumerate(items)]
        return b"".join(parts).ljust(size * type_.count, b"\0")

    def overlay(self, type_: Overlay, value: Any, path: str, frame: Frame) -> bytes:
        """A named union: {arm: value}, or {"raw": bytes}."""
        size, _ = measure(type_, self.abi)
        if value is None:
            return bytes(size)
        right = frame.arm(type_, self.call.arms)
        if not isinstance(value, Mapping) or len(value) != 1:
            arms = [field.name for field in ((right,) if right and frame.certain(type_) else type_.arms)]
            raise problem(path, f"takes one arm of {type_.name}: give {', '.join(arms)}, not {show(value)}")
        name, inner = next(iter(value.items()))
        if name == "raw" and right is None:
            return given.fitting(self.raw(value, path), size, False, path).ljust(size, b"\0")
        arm = next((arm for arm in type_.arms if arm.name == name), None)
        if arm is None and name != "raw":
            raise problem(f"{path}.{name}", f"{type_.name} has no such arm")
        if arm is None or (right is not arm and not type_.open and frame.certain(type_)):
            raise problem(f"{path}.{name}", _wrong_arm(right, False))
        return self.value(arm.type, given.plain(inner, path), f"{path}.{name}", frame).ljust(size, b"\0")

    def counted_string(self, value: Any, path: str) -> bytes:
        if value is None:
            return bytes(2 * self.arena.pointer_size)
        if isinstance(value, Unreadable):
            units, address = b"", value.address
        else:
            units = given.units(value, 2, path)
            address = self.put_away(f"{path}.Buffer", units, len(units) + 2)
        # Windows' longest string leaves no room for a zero that MaximumLength could count.
        maximum = max(len(units), min(len(units) + 2, 0xFFFE))
        lengths = b"".join(given.integer(n, 2, False, path, self.abi) for n in (len(units), maximum))
        pointer = given.integer(address, self.arena.pointer_size, False, path, self.abi)
        return lengths.ljust(self.arena.pointer_size, b"\0") + pointer

    def pointer(self, type_: Type, value: Any, path: str, frame: Frame) -> bytes:
        """The bytes of a pointer whose memory is described."""
        if value is None or isinstance(value, Unreadable):
            address = value.address if value else 0
        else:
            length, unit = length_of(type_), WCHAR_SIZE[self.abi] if isinstance(type_, Text) else 1
            count = self.number_of(length, frame) if length else 0
            if isinstance(type_, Pointer):
                unit, _ = measure(type_.to, self.abi)
                if type_.count and _is_cut(type_.to, given.sequence(value, path), count):
                    # What could not be read when it was recorded is not there now either, nor what lies behind it.
                    value, count = value[:-1], 0
            data = self.pointed(type_, value, path, frame)
            limit = PADDING_LIMIT if isinstance(type_, Pointer) else BYTES_LIMIT
            address = self.put_away(path, data, min(count * unit, limit))
        return given.integer(address, self.arena.pointer_size, False, path, self.abi)

    def number_of(self, length: Count, frame: Frame) -> int:
        return frame.count(length, self.behind)[0]

    def behind(self, address: int) -> int:
        try:
            return int.from_bytes(self.arena.read(address, 4), "little")
        except Fault:
            return 0

    def pointed(self, type_: Type, value: Any, path: str, frame: Frame) -> bytes:
        """The bytes that a pointer leads to."""
        match type_:
            case Pointer(to=to, count=None):
                return self.value(to, value, f"{path}*" if isinstance(to, Pointer) else path, frame)
            case Pointer(to=to):
                items = [given.plain(item, path) for item in given.sequence(value, path)]
                return b"".join(self.value(to, x, f"{path}[{n}]", frame) for n, x in enumerate(items))
            case Text(length=None):
                return given.units(value, WCHAR_SIZE[self.abi], path) + bytes(WCHAR_SIZE[self.abi])
            case Text():
                unit = WCHAR_SIZE[self.abi]
                return self.capacity(value, path, unit) or given.units(value, unit, path)
            case Payload() if not given.is_octets(value):
                case = payload_case(type_, frame.number(type_.by)[0])
                if case is None:
                    raise problem(path, f"takes bytes: what {type_.by} says has no described form")
                if isinstance(case, Struct):
                    return self.struct(lay_out(case, self.abi), value, path, frame, rest=True)
                return self.value(case, value, path, frame)
            case Records() if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
                items = [given.plain(item, path) for item in value]
                return b"".join(self.record(type_, item, f"{path}[{n}]", frame) for n, item in enumerate(items))
            case Bytes() | Window() | Payload() | Records():
                return given.octets(value, path, BYTES_LIMIT)
        raise TypeError(type_)

    def capacity(self, value: Any, path: str, unit: int) -> bytes:
        return given.octets(value, path, BYTES_LIMIT) * unit if isinstance(value, Mapping) else b""

    def record(self, type_: Records, value: Any, path: str, frame: Frame) -> bytes:
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


def _wrong_arm(right: Field | None, free: bool) -> str:
    if free:
        return "is not in effect beside the other; give only one of them"
    if right is None:
        return "is not in effect here; nothing in this union is"
    names = [right.name] if right.name or not isinstance(right.type, Struct) else [f.name for f in right.type.fields()]
    return f"is not in effect here; give {', '.join(names)} instead"


def _is_cut(to: Type, items: Sequence[Any], count: int) -> bool:
    """Whether the memory of an array ends before the array does: its last item says where. Of an array of pointers
    the last may be one that leads nowhere, unless there should be more."""
    unreadable = bool(items) and isinstance(given.plain(items[-1], ""), Unreadable)
    return unreadable and (not isinstance(to, Pointer) or len(items) < count)


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


def _is_word(type_: Type) -> bool:
    return isinstance(type_, (Integer, Enum, Flags))


def _stage(type_: Type) -> int:
    """What lies in place comes first: lengths may lie in it. Last come pointers whose length lies behind another."""
    if not isinstance(type_, (Pointer, Bytes, Text, Window, Payload, Records)):
        return 0
    length = length_of(type_)
    return 2 if length is not None and length.behind else 1
