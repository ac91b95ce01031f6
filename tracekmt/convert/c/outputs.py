"""Writes the statements after a call, which print its outputs and compare them with the recording.

The comparison follows the rules of `tracekmt diff`.
"""

from __future__ import annotations

import struct as packing
from collections.abc import Mapping
from typing import Any

from tracekmt.codec import Unreadable, common_direction, flags_to_int, member_type
from tracekmt.convert.c.declarations import Declarations
from tracekmt.convert.c.inputs import Inputs, first_of_union
from tracekmt.convert.c.output_format import escape_name
from tracekmt.convert.c.text import byte_rows, constant, literal, utf16, wchar_rows
from tracekmt.convert.c.variables import LuidVariable, Variable
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never

_NOT_SCALAR_TYPES = (
    *(t.Pointer, t.Bytes, t.WString, t.RawWindow, t.Payload, t.VariableRecords),
    *(t.ByteArray, t.WCharArray, t.CountedString, t.Array, t.Union, t.Struct),
)


class Outputs:
    """The statements after one call.

    Args:
        declarations: Declarations of the program.
        inputs: Inputs of the call.
        variables: Variables that the outputs set, by path.
        succeeded: True if the recorded call succeeded.

    Attributes:
        lines: The statements. A line with a variable is omitted if the variable is unused.
        memory: Lines that declare recorded data.
    """

    def __init__(
        self, declarations: Declarations, inputs: Inputs, variables: Mapping[str, Variable], *, succeeded: bool
    ) -> None:
        self.lines: list[tuple[Variable | None, str]] = []
        self.memory: list[str] = []
        self._declarations = declarations
        self._pointees = inputs.pointees
        self._variables = variables
        self._names = inputs.names
        self._succeeded = succeeded

    def print_struct(self, struct: t.Struct, values: Mapping[str, Any], lvalue: str, path: str) -> None:
        """Print the fields of a structure that the call wrote.

        Args:
            struct: The structure.
            values: Recorded values by field name.
            lvalue: Lvalue of the structure in C.
            path: Path prefix of the fields.
        """
        for name, value in values.items():
            field_path = f"{path}{name}"
            type_ = member_type(struct, values, name)
            if struct.has(name):
                field = struct.field(name)
                if isinstance(field.type, t.Bytes) and field.type.set_by_call and isinstance(value, bytes):
                    self._buffer_set_by_call(struct, field, lvalue, field_path)
                else:
                    member = f"{lvalue}.{self._declarations.member(struct, name)}"
                    self.print_value(field, type_, value, member, field_path)
            elif name == "rest":
                self._rest(value, lvalue, field_path, self._buffer_of(path))
            elif isinstance(value, Mapping):
                self._raw(struct, value, lvalue, name, f"{field_path}.raw")

    def print_value(self, field: t.Field, type_: t.Type, value: Any, lvalue: str, path: str) -> None:
        """Print one value. The value of a pointer is read from the memory that the input pointer referred to."""
        if value is None or isinstance(value, Unreadable):
            return
        match type_:
            case t.Pointer(to=to, count=None) if path in self._pointees:
                self._pointee(field, to, value, self._pointees[path], path)
            case t.Pointer(to=to) if path in self._pointees:
                for index, item in enumerate(value):
                    self.print_value(field, to, item, f"{self._pointees[path]}[{index}]", f"{path}[{index}]")
            case t.Array(of=of):
                for index, item in enumerate(value):
                    self.print_value(field, of, item, f"{lvalue}[{index}]", f"{path}[{index}]")
            case t.Struct():
                self._struct(field, type_, value, lvalue, path)
            case t.Union():
                self._union(field, type_, value, lvalue, path)
            case t.Pointer():
                pass  # A pointer that was null at enter has no memory in the program.
            case _ if isinstance(type_, (*t.LEAF_TYPES, t.VariableRecords)):
                in_payload = isinstance(field.type, t.Payload) and not isinstance(value, bytes)
                self._field_value(field, type_, value, self._pointees.get(path, lvalue) if in_payload else lvalue, path)
            case _:
                assert_never(type_)

    def _pointee(self, field: t.Field, to: t.Type, value: Any, lvalue: str, path: str) -> None:
        if isinstance(to, t.Pointer):
            self.print_value(field, to, value, lvalue, path)
        elif isinstance(to, t.Struct) and to.kind is None:
            self.print_struct(to, value, lvalue, f"{path}.")
        else:
            self.print_value(field, to, value, lvalue, path)

    def _struct(self, field: t.Field, type_: t.Struct, value: Any, lvalue: str, path: str) -> None:
        if isinstance(field.type, t.Payload) and path in self._pointees:
            lvalue = self._pointees[path]
        if type_.kind is None:
            self.print_struct(type_, value, lvalue, f"{path}.")
        elif field.direction != "in":
            # A structure with a kind is bound as a whole, so its numbers are not compared.
            for name, member_value in value.items():
                member, inner_field = f"{lvalue}.{self._declarations.member(type_, name)}", type_.field(name)
                self._scalar(inner_field, inner_field.type, member_value, member, f"{path}.{name}", compared=False)
            self._set_variable(path, lvalue, type_)

    def _union(self, field: t.Field, type_: t.Union, value: Mapping[str, Any], lvalue: str, path: str) -> None:
        names = self._declarations.arms(type_)
        for name, arm_value in value.items():
            arm = next((arm for arm in type_.arms if arm.name == name), None)
            if arm is not None:
                self.print_value(arm, arm.type, arm_value, f"{lvalue}.{names[name]}", f"{path}.{name}")
            elif common_direction(type_) != "in":
                self._bytes(f"{path}.{name}", f"&{lvalue}", arm_value, size=f"sizeof({lvalue})", compared=True)

    def _raw(self, struct: t.Struct, value: Mapping[str, Any], lvalue: str, name: str, path: str) -> None:
        first = first_of_union(struct, name)
        data = value.get("raw")
        if first is None or not isinstance(data, bytes):
            return
        field_name, union_size = first
        union = _union_of(struct, field_name)
        if union is not None and common_direction(union) != "in":
            address = f"&{lvalue}.{self._declarations.member(struct, field_name)}"
            self._bytes(path, address, data[:union_size], size=str(len(data[:union_size])), compared=True)

    def _buffer_set_by_call(self, struct: t.Struct, field: t.Field, lvalue: str, path: str) -> None:
        """Print a buffer whose pointer and length the call sets."""
        assert isinstance(field.type, t.Bytes)
        length = t.count_of(field.type.length)
        if field.direction != "in" and not length.parent and "." not in length.path:
            data, size = (f"{lvalue}.{self._declarations.member(struct, name)}" for name in (field.name, length.path))
            self._line(f"print_bytes({_quoted(path)}, {data}, succeeded && {data} ? {size} : 0, 0, 0);")

    def _buffer_of(self, path: str) -> str:
        """Return the name of the buffer that contains the structure at a path, or "" if there is none."""
        return self._pointees.get(path.removesuffix("."), "").removesuffix(".value")

    def _rest(self, data: bytes, lvalue: str, path: str, buffer: str) -> None:
        if buffer:
            address = f"(UCHAR *)&{buffer} + sizeof({lvalue})"
            size = f"smaller(sizeof({buffer}) - sizeof({lvalue}), {len(data)})"
            self._bytes(path, address, data, size=size, compared=True)

    def _field_value(
        self, field: t.Field, type_: t.LeafType | t.VariableRecords, value: Any, lvalue: str, path: str
    ) -> None:
        if field.direction == "in":
            return
        match type_:
            case t.Bytes() | t.RawWindow() | t.Payload() | t.VariableRecords():
                if path in self._pointees and isinstance(value, bytes):
                    opaque = isinstance(type_, t.Payload) or (isinstance(type_, t.Bytes) and type_.opaque)
                    self._bytes(path, self._pointees[path], value, size=str(len(value)), compared=not opaque)
            case t.WString():
                if path in self._pointees:
                    self._text(path, self._pointees[path], value)
            case t.WCharArray(tail=tail):
                self._text(path, lvalue, value, self._size_to_end(path, lvalue) if tail else "")
            case t.CountedString():
                self._line(f"print_counted({_quoted(path)}, &{lvalue});")
            case t.ByteArray(tail=tail):
                size = f"smaller({self._size_to_end(path, lvalue)}, {len(value)})" if tail else f"sizeof({lvalue})"
                self._bytes(path, f"&{lvalue}", value, size=size, compared=True)
            case t.Integer() | t.Float() | t.Enum() | t.Flags() | t.Address() | t.StructSize():
                self._scalar(field, type_, value, lvalue, path, compared=True)
            case _:
                assert_never(type_)

    def _scalar(self, field: t.Field, type_: t.Type, value: Any, lvalue: str, path: str, *, compared: bool) -> None:
        kind = t.kind_of(type_)
        name = _quoted(path)
        if kind is not None and kind.binding != "literal":
            is_live = int(bool(value)) if self._succeeded and kind.binding in ("handle", "range") else -1
            live = f"(UINT64)(ULONG_PTR){lvalue}" if isinstance(type_, t.Address) else lvalue
            self._line(f"print_live({name}, {live}, {is_live});")
            self._set_variable(path, lvalue, type_)
            return
        match type_:
            case t.Enum():
                recorded = constant(int(value), 4, signed=True)
                self._line(f"print_signed({name}, {lvalue}, {recorded}, {int(compared)});")
            case t.Integer(signed=True):
                self._line(f"print_signed({name}, {lvalue}, {constant(int(value), 8, signed=True)}, {int(compared)});")
            case t.Integer(size=size, hexadecimal=hexadecimal):
                recorded = constant(value, 8, hexadecimal=True)
                self._line(f"print_number({name}, {lvalue}, {recorded}, {int(hexadecimal)}, {int(compared)});")
            case t.StructSize():
                self._line(f"print_number({name}, {lvalue}, {constant(value, 8)}, 0, {int(compared)});")
            case t.Flags():
                number = flags_to_int(type_, value)
                recorded = constant(number, 8, hexadecimal=True)
                mask = constant(_compared_bits(type_, number, field.direction), 8, hexadecimal=True)
                word = f"{lvalue}[0] | (UINT64){lvalue}[1] << 32" if type_.align == 4 and type_.size == 8 else lvalue
                self._line(f"print_bits({name}, {word}, {recorded}, {mask});")
            case t.Address():
                self._line(f"print_number({name}, (ULONG_PTR){lvalue}, {constant(value, 8, hexadecimal=True)}, 1, 1);")
            case t.Float(size=size):
                bits = int.from_bytes(packing.pack("<f" if size == 4 else "<d", value), "little")
                self._line(f"print_real({name}, &{lvalue}, {size}, {constant(bits, 8, hexadecimal=True)});")
            case _ if isinstance(type_, _NOT_SCALAR_TYPES):
                pass  # Only a structure that is bound as a whole has such a field here.
            case _:
                assert_never(type_)

    def _bytes(self, path: str, address: str, value: bytes, *, size: str, compared: bool) -> None:
        recorded = "0"
        if compared and any(value):
            recorded = self._names.new("recorded")
            self.memory.append(f"static const UCHAR {recorded}[{len(value)}] = {{")
            self.memory += [f"    {row}" for row in byte_rows(value)]
            self.memory.append("};")
        compared_size = len(value) if compared else 0
        self._line(f"print_bytes({_quoted(path)}, {address}, {size}, {recorded}, {compared_size});")

    def _size_to_end(self, path: str, lvalue: str) -> str:
        """Return the number of bytes from an lvalue to the end of its buffer."""
        buffer = self._buffer_of(path.rpartition(".")[0])
        return f"SIZE_FROM({buffer}, {lvalue})" if buffer else f"sizeof({lvalue})"

    def _text(self, path: str, lvalue: str, value: str, capacity: str = "") -> None:
        recorded, text = "0", utf16(value)
        if text:
            recorded = self._names.new("recorded")
            self.memory.append(f"static const WCHAR {recorded}[{len(text)}] = {{")
            self.memory += [f"    {row}" for row in wchar_rows(text)]
            self.memory.append("};")
        capacity = capacity or f"sizeof({lvalue})"
        self._line(f"print_text({_quoted(path)}, {lvalue}, {capacity}, {recorded}, {len(text)});")

    def _set_variable(self, path: str, lvalue: str, type_: t.Type) -> None:
        """Store a returned value in its variable for later calls."""
        variable = self._variables.get(path)
        if variable is None:
            return
        if isinstance(variable, LuidVariable):
            self.lines.append((variable, f"learn_luid(&{variable.name}, {lvalue}.LowPart, {lvalue}.HighPart);"))
        else:
            cast = "(ULONG_PTR)" if isinstance(type_, t.Address) else ""
            self.lines.append((variable, f"if (succeeded) {variable.name} = {cast}{lvalue};"))

    def _line(self, text: str) -> None:
        self.lines.append((None, text))


def _quoted(path: str) -> str:
    return literal(escape_name(path))


def _union_of(struct: t.Struct, name: str) -> t.Union | None:
    """Return the unnamed union that contains a field."""
    for member in struct.members:
        if isinstance(member, t.Union):
            field_names = [field.name for arm in member.arms for field in t.Struct("", (arm,)).fields()]
            if name in field_names:
                return member
    return None


def _compared_bits(type_: t.Flags, number: int, direction: t.Direction) -> int:
    """Return the mask of the bits that the call writes and that are not opaque."""
    bits = (bit for bit in type_.in_effect(number) if (bit.direction or direction) != "in" and not bit.opaque)
    return sum(type_.mask(bit.name) for bit in bits)
