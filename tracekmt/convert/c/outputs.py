"""What a call wrote: printed, and held against what was recorded, by the policy of a comparison of traces."""

from __future__ import annotations

import struct as packing
from collections.abc import Mapping
from typing import Any

from tracekmt.codec import Unreadable, flags_to_int, member_type
from tracekmt.convert.c.declarations import Declarations
from tracekmt.convert.c.inputs import Inputs, first_of_union
from tracekmt.convert.c.output_format import escape_name
from tracekmt.convert.c.text import constant, literal, octets, units, utf16
from tracekmt.convert.c.variables import LuidVariable, Made, Variable
from tracekmt.spec import types as t


class Outputs:
    """The statements behind a call. lines: a variable beside a line says that it is only wanted where that is used."""

    def __init__(
        self, declarations: Declarations, inputs: Inputs, made: Mapping[str, Made], *, succeeded: bool
    ) -> None:
        self.lines: list[tuple[Variable | None, str]] = []
        self.memory: list[str] = []
        self._declarations = declarations
        self._places = inputs.places
        self._made = made
        self._names = inputs.names
        self._succeeded = succeeded

    def show(self, struct: t.Struct, values: Mapping[str, Any], place: str, path: str) -> None:
        """Print what a call wrote into the structure at `place`."""
        for name, value in values.items():
            here = f"{path}{name}"
            type_ = member_type(struct, values, name)
            if struct.has(name):
                field = struct.field(name)
                if isinstance(field.type, t.Bytes) and field.type.set_by_call and isinstance(value, bytes):
                    self._moved(struct, field, place, here)
                else:
                    at = f"{place}.{self._declarations.member(struct, name)}"
                    self.value(field, type_, value, at, here)
            elif name == "rest":
                self._rest(value, place, here, self._buffer_of(path))
            elif isinstance(value, Mapping):
                self._raw(struct, value, place, name, f"{here}.raw")

    def value(self, field: t.Field, type_: t.Type, value: Any, place: str, path: str) -> None:
        """Print one value; what lies behind a pointer from where the call was given it."""
        if value is None or isinstance(value, Unreadable):
            return
        match type_:
            case t.Pointer(to=to, count=None) if path in self._places:
                self._pointee(field, to, value, self._places[path], path)
            case t.Pointer(to=to) if path in self._places:
                for index, item in enumerate(value):
                    self.value(field, to, item, f"{self._places[path]}[{index}]", f"{path}[{index}]")
            case t.Array(of=of):
                for index, item in enumerate(value):
                    self.value(field, of, item, f"{place}[{index}]", f"{path}[{index}]")
            case t.Struct():
                self._struct(field, type_, value, place, path)
            case t.Union():
                self._union(field, type_, value, place, path)
            case _ if isinstance(field.type, t.Payload) and path in self._places and not isinstance(value, bytes):
                self._leaf(field, type_, value, self._places[path], path)
            case _:
                self._leaf(field, type_, value, place, path)

    def _pointee(self, field: t.Field, to: t.Type, value: Any, place: str, path: str) -> None:
        if isinstance(to, t.Pointer):
            self.value(field, to, value, place, path)
        elif isinstance(to, t.Struct) and to.kind is None:
            self.show(to, value, place, f"{path}.")
        else:
            self.value(field, to, value, place, path)

    def _struct(self, field: t.Field, type_: t.Struct, value: Any, place: str, path: str) -> None:
        if isinstance(field.type, t.Payload) and path in self._places:
            place = self._places[path]
        if type_.kind is None:
            self.show(type_, value, place, f"{path}.")
        elif field.direction != "in":
            # What the whole of it stands for is never compared as a number.
            for name, each in value.items():
                at = f"{place}.{self._declarations.member(type_, name)}"
                self._scalar(type_.field(name), type_.field(name).type, each, at, f"{path}.{name}", compared=False)
            self._keep(path, place, type_)

    def _union(self, field: t.Field, type_: t.Union, value: Mapping[str, Any], place: str, path: str) -> None:
        names = self._declarations.arms(type_)
        for name, inner in value.items():
            arm = next((arm for arm in type_.arms if arm.name == name), None)
            if arm is not None:
                self.value(arm, arm.type, inner, f"{place}.{names[name]}", f"{path}.{name}")
            elif _common(type_) != "in":
                self._bytes(f"{path}.{name}", f"&{place}", inner, room=f"sizeof({place})", compared=True)

    def _raw(self, struct: t.Struct, value: Mapping[str, Any], place: str, name: str, path: str) -> None:
        first = first_of_union(struct, name)
        data = value.get("raw")
        if first is None or not isinstance(data, bytes):
            return
        overlay = _union_of(struct, first[0])
        if overlay is not None and _common(overlay) != "in":
            at = f"&{place}.{self._declarations.member(struct, first[0])}"
            self._bytes(path, at, data[: first[1]], room=str(len(data[: first[1]])), compared=True)

    def _moved(self, struct: t.Struct, field: t.Field, place: str, path: str) -> None:
        """A pointer and a length that the call itself sets."""
        assert isinstance(field.type, t.Bytes)
        length = t.count_of(field.type.length)
        if field.direction != "in" and not length.parent and "." not in length.path:
            at, size = (f"{place}.{self._declarations.member(struct, name)}" for name in (field.name, length.path))
            self._line(f"print_bytes({_quoted(path)}, {at}, succeeded && {at} ? {size} : 0, 0, 0);")

    def _buffer_of(self, path: str) -> str:
        return self._places.get(path.removesuffix("."), "").removesuffix(".value")

    def _rest(self, data: bytes, place: str, path: str, buffer: str) -> None:
        if buffer:
            at = f"(UCHAR *)&{buffer} + sizeof({place})"
            room = f"smaller(sizeof({buffer}) - sizeof({place}), {len(data)})"
            self._bytes(path, at, data, room=room, compared=True)

    def _leaf(self, field: t.Field, type_: t.Type, value: Any, place: str, path: str) -> None:
        if field.direction == "in":
            return
        match type_:
            case t.Bytes() | t.RawWindow() | t.Payload() | t.VariableRecords() if path in self._places:
                if isinstance(value, bytes):
                    opaque = isinstance(type_, t.Payload) or (isinstance(type_, t.Bytes) and type_.opaque)
                    self._bytes(path, self._places[path], value, room=str(len(value)), compared=not opaque)
            case t.WString() if path in self._places:
                self._text(path, self._places[path], value)
            case t.WCharArray(tail=tail):
                self._text(path, place, value, self._tail(path, place) if tail else "")
            case t.CountedString():
                self._line(f"print_counted({_quoted(path)}, &{place});")
            case t.ByteArray(tail=tail):
                room = f"smaller({self._tail(path, place)}, {len(value)})" if tail else f"sizeof({place})"
                self._bytes(path, f"&{place}", value, room=room, compared=True)
            case _:
                self._scalar(field, type_, value, place, path, compared=True)

    def _scalar(self, field: t.Field, type_: t.Type, value: Any, place: str, path: str, *, compared: bool) -> None:
        kind: t.Kind | None = getattr(type_, "kind", None)
        name = _quoted(path)
        if kind is not None and kind.binding != "literal":
            null = int(bool(value)) if self._succeeded and kind.binding in ("handle", "range") else -1
            self._line(
                f"print_live({name}, (UINT64)(ULONG_PTR){place}, {null});"
                if _is_pointer(type_)
                else f"print_live({name}, {place}, {null});"
            )
            self._keep(path, place, type_)
            return
        match type_:
            case t.Enum():
                recorded = constant(int(value), 4, signed=True)
                self._line(f"print_signed({name}, {place}, {recorded}, {int(compared)});")
            case t.Integer(signed=True):
                self._line(f"print_signed({name}, {place}, {constant(int(value), 8, signed=True)}, {int(compared)});")
            case t.Integer(size=size, hexadecimal=hexadecimal):
                recorded = constant(value, 8, hexadecimal=True)
                self._line(f"print_number({name}, {place}, {recorded}, {int(hexadecimal)}, {int(compared)});")
            case t.StructSize():
                self._line(f"print_number({name}, {place}, {constant(value, 8)}, 0, {int(compared)});")
            case t.Flags():
                number, mask = (
                    flags_to_int(type_, value),
                    _compared_bits(type_, flags_to_int(type_, value), field.direction),
                )
                shown_number = constant(number, 8, hexadecimal=True)
                self._line(f"print_bits({name}, {place}, {shown_number}, {constant(mask, 8, hexadecimal=True)});")
            case t.Address():
                self._line(f"print_number({name}, (ULONG_PTR){place}, {constant(value, 8, hexadecimal=True)}, 1, 1);")
            case t.Float(size=size):
                bits = int.from_bytes(packing.pack("<f" if size == 4 else "<d", value), "little")
                self._line(f"print_real({name}, &{place}, {size}, {constant(bits, 8, hexadecimal=True)});")

    def _bytes(self, path: str, place: str, value: bytes, *, room: str, compared: bool) -> None:
        recorded, size = "0", 0
        if compared and any(value):
            recorded, size = self._names.new("recorded"), len(value)
            self.memory.append(f"static const UCHAR {recorded}[{size}] = {{")
            self.memory += [f"    {row}" for row in octets(value)]
            self.memory.append("};")
        elif compared:
            size = len(value)
        self._line(f"print_bytes({_quoted(path)}, {place}, {room}, {recorded}, {size});")

    def _tail(self, path: str, place: str) -> str:
        """How many bytes there are from a place to the end of its buffer."""
        buffer = self._buffer_of(path.rpartition(".")[0])
        return f"REST({buffer}, {place})" if buffer else f"sizeof({place})"

    def _text(self, path: str, place: str, value: str, room: str = "") -> None:
        recorded, text = "0", utf16(value)
        if text:
            recorded = self._names.new("recorded")
            self.memory.append(f"static const WCHAR {recorded}[{len(text)}] = {{")
            self.memory += [f"    {row}" for row in units(text)]
            self.memory.append("};")
        self._line(f"print_text({_quoted(path)}, {place}, {room or f'sizeof({place})'}, {recorded}, {len(text)});")

    def _keep(self, path: str, place: str, type_: t.Type) -> None:
        """Put what the call handed out where later calls find it."""
        made = self._made.get(path)
        if made is None:
            return
        variable = made.variable
        if isinstance(variable, LuidVariable):
            self.lines.append((variable, f"learn_luid(&{variable.name}, {place}.LowPart, {place}.HighPart);"))
        else:
            cast = "(ULONG_PTR)" if _is_pointer(type_) else ""
            self.lines.append((variable, f"if (succeeded) {variable.name} = {cast}{place};"))

    def _line(self, text: str) -> None:
        self.lines.append((None, text))


def _quoted(path: str) -> str:
    return literal(escape_name(path))


def _is_pointer(type_: t.Type) -> bool:
    return isinstance(type_, t.Address)


def _common(overlay: t.Union) -> t.Direction:
    directions = {arm.direction for arm in overlay.arms}
    return directions.pop() if len(directions) == 1 else "unknown"


def _union_of(struct: t.Struct, name: str) -> t.Union | None:
    for member in struct.members:
        if isinstance(member, t.Union):
            inside = [f.name for arm in member.arms for f in t.Struct("", (arm,)).fields()]
            if name in inside:
                return member
    return None


def _compared_bits(type_: t.Flags, number: int, direction: t.Direction) -> int:
    bits = (bit for bit in type_.in_effect(number) if (bit.direction or direction) != "in" and not bit.opaque)
    return sum(type_.mask(bit.name) for bit in bits)
