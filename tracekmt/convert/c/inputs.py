"""What a call is given: memory for it, and the recorded values put there."""

from __future__ import annotations

import struct as packing
from collections.abc import Callable, Mapping
from typing import Any

from tracekmt.codec import Unreadable, flags_to_int, look_up, member_type
from tracekmt.convert.c.declarations import Declarations
from tracekmt.convert.c.text import Names, comment, constant, identifier, octets, units, utf16
from tracekmt.convert.c.variables import Given
from tracekmt.spec import types as t
from tracekmt.spec.layout import lay_out, measure

BYTES_LIMIT = 16 << 20
ELEMENTS_LIMIT = 1 << 16
"""How much memory a length alone makes room for; it may be absurd on purpose."""

Outer = tuple[Mapping[str, Any], ...]


class Inputs:
    """The memory and the statements of one call. size_behind: how much memory to give for an address that no
    description follows, and why not all. places: the C expression of what each pointer leads to, by its path.
    notes: what the program says before the call."""

    def __init__(
        self,
        declarations: Declarations,
        given: Mapping[str, Given],
        abi: t.Abi,
        names: Names,
        size_behind: Callable[[int], tuple[int, str | None]],
    ) -> None:
        self.declarations = declarations
        self.memory: list[str] = []
        self.lines: list[str] = []
        self.places: dict[str, str] = {}
        self.notes: list[str] = []
        self._given = given
        self._abi: t.Abi = abi
        self._size_behind = size_behind
        self.names = names
        self._buffer = ""
        self._sizes: dict[str, tuple[int, str]] = {}

    def local(self, name: str) -> str:
        """A name for a piece of memory."""
        return self.names.new(identifier(name))

    def fill(self, struct: t.Struct, values: Mapping[str, Any], place: str, path: str, outer: Outer) -> None:
        """Put the values of a structure into the one at `place`, which is zero."""
        outer = (values, *outer)
        self._find_sizes(struct, values, path)
        for member in struct.members:
            if not isinstance(member, t.Union) and isinstance(member.type, t.StructSize) and member.name not in values:
                self.lines.append(f"{self._at(struct, place, member.name)} = (UINT)sizeof({place});")
        for name, value in values.items():
            if name == "rest" and not struct.has(name):
                self._behind(value, f"sizeof({place})")
            elif struct.has(name) and _is_answer(struct.field(name)):
                continue
            elif struct.has(name):
                self.put(struct.field(name).type, value, self._at(struct, place, name), f"{path}{name}", outer)
            else:
                self._raw(struct, value, place, name)

    def put(self, type_: t.Type, value: Any, place: str, path: str, outer: Outer) -> None:
        """Put one value where it lies."""
        match type_:
            case t.Integer(size=size, signed=signed, hexadecimal=hexadecimal):
                self._number(path, value, place, constant(value, size, signed=signed, hexadecimal=hexadecimal))
            case t.Enum():
                told = f" /* {comment(value.name)} */" if hasattr(value, "name") else ""
                self._set(place, constant(int(value), 4, signed=True), told, zero=not int(value))
            case t.Flags(size=size):
                number = flags_to_int(type_, value)
                self._set(place, constant(number, size, hexadecimal=True), _bits(type_, number), zero=not number)
            case t.StructSize():
                self._set(place, constant(int(value), 4))
            case t.Float(size=size):
                self._copy(place, packing.pack("<f" if size == 4 else "<d", value))
            case t.Address():
                self._address(value, place, path, outer)
            case t.ByteArray(size=size, tail=tail):
                self._in_place(place, value, size, tail)
            case t.WCharArray(count=count, tail=tail):
                self._characters(place, value, count, tail)
            case t.CountedString():
                self._counted_string(place, value, path)
            case t.Struct():
                self._struct(type_, value, place, path, outer)
            case t.Array():
                for index, item in enumerate(value or ()):
                    self.put(type_.of, item, f"{place}[{index}]", f"{path}[{index}]", outer)
            case t.Union() if isinstance(value, Mapping):
                self._union(type_, value, place, path, outer)
            case _:
                self._pointer(type_, value, place, path, outer)

    def _at(self, struct: t.Struct, place: str, name: str) -> str:
        return f"{place}.{self.declarations.member(struct, name)}"

    def _set(self, place: str, text: str, told: str = "", *, zero: bool = False) -> None:
        if not zero:
            self.lines.append(f"{place} = {text};{told}")

    def _number(self, path: str, value: int, place: str, text: str) -> None:
        given = self._given.get(path)
        if given is not None:
            self._set(place, given.text, f" /* {comment(given.note)} */" if given.note else "")
        elif path in self._sizes and self._sizes[path][0] == value:
            self._set(place, f"sizeof(struct {self._sizes[path][1]})")
        else:
            self._set(place, text, zero=not value)

    def _find_sizes(self, struct: t.Struct, values: Mapping[str, Any], path: str) -> None:
        """The lengths that are those of a structure in a buffer, which has another size in another ABI."""
        for name, value in values.items():
            type_ = struct.field(name).type if struct.has(name) else None
            case = member_type(struct, values, name) if isinstance(type_, t.Payload) else None
            if isinstance(type_, t.Payload) and isinstance(case, t.Struct) and isinstance(value, Mapping):
                sizes = {abi: lay_out(case, abi).size for abi in t.POINTER_SIZE}
                length = t.count_of(type_.length)
                if len(set(sizes.values())) > 1 and not (length.parent or length.add or length.deref):
                    self._sizes[f"{path}{length.path}"] = sizes[self._abi], self.declarations.struct(case)

    def _address(self, value: Any, place: str, path: str, outer: Outer) -> None:
        """A pointer to memory that the description does not know."""
        given = self._given.get(path)
        address = value.address if isinstance(value, Unreadable) else value or 0
        if given is not None:
            self._set(place, f"(void *)(ULONG_PTR)({given.text})")
        elif address:
            size, why = self._size_behind(address)
            if why is not None:
                self.notes.append(f"{path} opaque: {why}, {size} bytes are given")
            self._set(place, f"pages({size})", f" /* was 0x{address:x}{f', {why}' if why else ''} */")

    def _struct(self, type_: t.Struct, value: Any, place: str, path: str, outer: Outer) -> None:
        given = self._given.get(path)
        if given is not None:
            for name in ("LowPart", "HighPart"):
                kind = given.text + (".low" if name == "LowPart" else ".high")
                self.lines.append(f"{self._at(type_, place, name)} = {kind};")
        elif isinstance(value, Mapping):
            self.fill(type_, value, place, f"{path}.", outer)

    def _union(self, type_: t.Union, value: Mapping[str, Any], place: str, path: str, outer: Outer) -> None:
        names = self.declarations.arms(type_)
        for name, inner in value.items():
            arm = next((arm for arm in type_.arms if arm.name == name), None)
            if arm is not None:
                self.put(arm.type, inner, f"{place}.{names[name]}", f"{path}.{name}", outer)
            else:
                self._copy(place, inner[: min(measure(type_, abi)[0] for abi in t.POINTER_SIZE)])

    def _raw(self, struct: t.Struct, value: Any, place: str, name: str) -> None:
        """An unnamed union that is told as its bytes."""
        first = first_of_union(struct, name)
        if first is not None:
            field, size = first
            self._copy(self._at(struct, place, field), value["raw"][:size])

    def _in_place(self, place: str, value: bytes, size: int, tail: bool) -> None:
        if tail and self._buffer:
            self._behind(value, f"BEGIN({self._buffer}, {place})")
        else:
            self._copy(place, value[:size])

    def _characters(self, place: str, value: str, count: int, tail: bool) -> None:
        if not value:
            return
        text = utf16(value) if tail and self._buffer else utf16(value)[:count]
        name = self.local("text")
        self._array("const WCHAR", name, len(text), list(units(text)), value)
        if tail and self._buffer:
            at = f"BEGIN({self._buffer}, {place})"
            self.lines.append(f"put(&{self._buffer}, sizeof({self._buffer}), {at}, {name}, sizeof({name}));")
        else:
            self.lines.append(f"copy(&{place}, {name}, sizeof({name}));")

    def _behind(self, data: bytes, at: str) -> None:
        """Bytes from some place in a buffer on."""
        if any(data) and self._buffer:
            name = self._data(data, "const ")
            self.lines.append(f"put(&{self._buffer}, sizeof({self._buffer}), {at}, {name}, sizeof({name}));")

    def _copy(self, place: str, data: bytes) -> None:
        if any(data):
            name = self._data(data, "const ")
            self.lines.append(f"copy(&{place}, {name}, sizeof({name}));")

    def _data(self, data: bytes, sort: str, name: str = "data") -> str:
        name = self.local(name)
        self._array(f"{sort}UCHAR", name, len(data), list(octets(data)) if any(data) else [])
        return name

    def _array(self, c_type: str, name: str, count: int, rows: list[str], told: str = "") -> None:
        told = f" /* {comment(told)} */" if told else ""
        self.memory.append(f"static ALIGNED {c_type} {name}[{max(count, 1)}]{' = {' if rows else ';'}{told}")
        self.memory += [f"    {row}" for row in rows]
        self.memory += ["};"] if rows else []

    def _counted_string(self, place: str, value: Any, path: str) -> None:
        if isinstance(value, Unreadable):
            self.lines.append(f"{place}.Buffer = bad_memory(0, 0); /* could not be read */")
            self.lines.append(f"{place}.Length = {place}.MaximumLength = 2;")
        elif value is not None:
            text = utf16(value)[:0x7FFF]
            name = self.local(path.rpartition(".")[2])
            self._array("USHORT", name, len(text) + 1, list(units(text)), value)
            self.lines.append(f"{place}.Buffer = {name};")
            self.lines.append(f"{place}.Length = {2 * len(text)};")
            self.lines.append(f"{place}.MaximumLength = {min(2 * len(text) + 2, 0xFFFE)};")

    def _pointer(self, type_: t.Type, value: Any, place: str, path: str, outer: Outer) -> None:
        if value is None:
            return
        if isinstance(value, Unreadable):
            data = self._data(value.data, "const ") if value.data else "0"
            self.lines.append(
                f"{place} = bad_memory({data}, {len(value.data)}); /* could not be read at 0x{value.address:x} */"
            )
            return
        length = t.length_of(type_)
        count = count_in(length, outer) if length is not None else 0
        base = path.rpartition(".")[2].partition("[")[0]
        match type_:
            case t.Pointer(to=to, count=None):
                self._pointee(to, value, place, path, base, outer)
            case t.Pointer(to=to):
                self._elements(to, value, count, place, path, base, outer)
            case t.WString():
                text = utf16(value)
                name = self.local(base)
                room = len(text) + 1 if length is None else max(len(text), min(count, BYTES_LIMIT))
                self._array("WCHAR", name, room, list(units(text)), value)
                self._lead(place, name, path)
            case t.Payload() if not isinstance(value, bytes):
                self._payload(type_, value, min(count, BYTES_LIMIT), place, path, base, outer)
            case t.VariableRecords() if not isinstance(value, bytes):
                self._lead(place, self._room(b"", count, base), path)
            case t.Bytes() | t.RawWindow() | t.Payload() | t.VariableRecords():
                self._lead(place, self._room(value, count, base), path)

    def _lead(self, place: str, name: str, path: str) -> None:
        self.lines.append(f"{place} = {name};")
        self.places[path] = name

    def _room(self, data: bytes, count: int, base: str) -> str:
        return self._data(data.ljust(min(count, BYTES_LIMIT), b"\0"), "", base)

    def _pointee(self, to: t.Type, value: Any, place: str, path: str, base: str, outer: Outer) -> None:
        name = self.local(base)
        self.memory.append(f"static {self.declarations.declare(to, name)};")
        self.places[path] = name
        self.lines.append(f"{place} = &{name};")
        if isinstance(value, Mapping) and isinstance(to, t.Struct):
            self._struct(to, value, name, path, outer)
        else:
            self.put(to, value, name, path, outer)

    def _elements(
        self, to: t.Type, items: list[Any], count: int, place: str, path: str, base: str, outer: Outer
    ) -> None:
        name = self.local(base)
        self.places[path] = name
        cut = (
            bool(items) and isinstance(items[-1], Unreadable) and (not isinstance(to, t.Pointer) or len(items) < count)
        )
        if cut:
            # What could not be read when it was recorded cannot be read here either.
            items = items[:-1]
            self.memory.append(f"{self.declarations.declare(to, f'(*{name})')};")
            self.lines.append(f"{name} = bad_memory(0, {len(items)} * sizeof(*{name})); /* unreadable behind that */")
        else:
            room = max(len(items), min(count, ELEMENTS_LIMIT), 1)
            self.memory.append(f"static {self.declarations.declare(to, f'{name}[{room}]')};")
        self.lines.append(f"{place} = {name};")
        for index, item in enumerate(items):
            self.put(to, item, f"{name}[{index}]", f"{path}[{index}]", outer)

    def _payload(
        self, type_: t.Payload, value: Any, count: int, place: str, path: str, base: str, outer: Outer
    ) -> None:
        case = next(case for number, _, case in type_.cases if number == int(outer[0].get(type_.by) or 0))
        name = self.local(base)
        self.memory.append(
            f"static union {{ {self.declarations.declare(case, 'value')}; UCHAR bytes[{max(count, 1)}]; }} {name};"
        )
        self.lines.append(f"{place} = &{name};")
        self.places[path] = f"{name}.value"
        before, self._buffer = self._buffer, name
        if isinstance(case, t.Struct):
            self._struct(case, value, f"{name}.value", path, outer)
        else:
            self.put(case, value, f"{name}.value", path, outer)
        self._buffer = before


def first_of_union(struct: t.Struct, key: str) -> tuple[str, int] | None:
    """The first field of an unnamed union that is told as its bytes, and how many bytes it has in every ABI."""
    if not key.startswith("union@"):
        return None
    offset = int(key.partition("@")[2])
    rooms: list[int] = []
    name = ""
    for abi in t.POINTER_SIZE:
        layout, x64 = lay_out(struct, abi), lay_out(struct, "x64")
        for slots, there in zip(layout.members, x64.members, strict=True):
            if slots[0].overlay is not None and min(slot.offset for slot in there) == offset:
                name = slots[0].field.name
                rooms.append(max(slot.offset + slot.size for slot in slots) - min(slot.offset for slot in slots))
    return (name, min(rooms)) if name else None


def count_in(length: t.Length, outer: Outer) -> int:
    """What a length says, by the values around what it counts."""
    found = look_up(outer[length.parent], length.path) if length.parent < len(outer) else None
    return max((found if isinstance(found, int) else 0) + length.add, length.minimum, 0)


def _is_answer(field: t.Field) -> bool:
    """Whether a pointer that the description does not follow is there for the call to set."""
    return isinstance(field.type, t.Address) and field.direction == "out"


def _bits(type_: t.Flags, number: int) -> str:
    names = [
        bit.name if bit.width == 1 else f"{bit.name} {(number & type_.mask(bit.name)) >> bit.position}"
        for bit in type_.in_effect(number)
        if number & type_.mask(bit.name)
    ]
    return f" /* {comment(' | '.join(names))} */" if names else ""
