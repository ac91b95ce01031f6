"""Writes the inputs of a call: variables for its memory, and assignments of the recorded values."""

from __future__ import annotations

import struct as packing
from collections.abc import Callable, Mapping
from typing import Any

from tracekmt.codec import Unreadable, flags_to_int, is_truncated, look_up, member_type
from tracekmt.convert.c.declarations import Declarations
from tracekmt.convert.c.text import Names, byte_rows, comment, constant, identifier, utf16, wchar_rows
from tracekmt.convert.c.variables import InputExpression
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import lay_out, measure

BYTES_LIMIT = 16 << 20
"""Maximum size in bytes of a buffer whose size is only known from a length field. A program can pass any length."""

ELEMENTS_LIMIT = 1 << 16
"""Maximum number of elements of an array whose size is only known from a length field."""

_PAGE = 0x1000

Parents = tuple[Mapping[str, Any], ...]
"""Values of the enclosing structures, innermost first."""


class Inputs:
    """The memory and the assignments of one call.

    Args:
        declarations: Declarations of the program. The structures of the inputs are added.
        expressions: Expressions that replace recorded values, by path.
        abi: ABI of the trace.
        names: Local names of the function.
        caller_memory_size: Returns the size in bytes of the memory to allocate for an undescribed pointer. The second
            item is the reason if the size can be wrong.

    Attributes:
        memory: Lines that declare the memory.
        lines: Lines that assign the values.
        pointees: Lvalue of the memory that each pointer refers to, by the path of the pointer.
        notes: Remarks that the program prints.
    """

    def __init__(
        self,
        declarations: Declarations,
        expressions: Mapping[str, InputExpression],
        abi: t.Abi,
        names: Names,
        caller_memory_size: Callable[[int], tuple[int, str | None]],
    ) -> None:
        self.declarations = declarations
        self.memory: list[str] = []
        self.lines: list[str] = []
        self.pointees: dict[str, str] = {}
        self.notes: list[str] = []
        self._expressions = expressions
        self._abi: t.Abi = abi
        self._caller_memory_size = caller_memory_size
        self.names = names
        self._buffer = ""
        self._struct_sizes: dict[str, tuple[int, str]] = {}

    def local(self, name: str) -> str:
        """Reserve a name for a local variable."""
        return self.names.new(identifier(name))

    def assign_struct(
        self, struct: t.Struct, values: Mapping[str, Any], lvalue: str, path: str, parents: Parents
    ) -> None:
        """Assign the values of a structure.

        Args:
            struct: The structure.
            values: Recorded values by field name.
            lvalue: Lvalue of the structure in C. Its memory is zero.
            path: Path prefix of the fields.
            parents: Values of the enclosing structures.
        """
        parents = (values, *parents)
        self._find_sizes(struct, values, path)
        for member in struct.members:
            if not isinstance(member, t.Union) and isinstance(member.type, t.StructSize) and member.name not in values:
                self.lines.append(f"{self._member(struct, lvalue, member.name)} = (UINT)sizeof({lvalue});")
        for name, value in values.items():
            if name == "rest" and not struct.has(name):
                self._put(value, f"sizeof({lvalue})")
            elif struct.has(name) and _is_set_by_call(struct.field(name)):
                continue
            elif struct.has(name):
                member_lvalue = self._member(struct, lvalue, name)
                self.assign_value(struct.field(name).type, value, member_lvalue, f"{path}{name}", parents)
            else:
                self._raw(struct, value, lvalue, name)

    def assign_value(self, type_: t.Type, value: Any, lvalue: str, path: str, parents: Parents) -> None:
        """Assign one value to an lvalue. `path` is the whole path of the value."""
        match type_:
            case t.Integer(size=size, signed=signed, hexadecimal=hexadecimal):
                self._number(path, value, lvalue, constant(value, size, signed=signed, hexadecimal=hexadecimal))
            case t.Enum():
                remark = f" /* {comment(value.name)} */" if hasattr(value, "name") else ""
                self._set(lvalue, constant(int(value), 4, signed=True), remark, zero=not int(value))
            case t.Flags(size=8, align=4):
                self._copy(lvalue, flags_to_int(type_, value).to_bytes(8, "little"))
            case t.Flags(size=size):
                number = flags_to_int(type_, value)
                text = constant(number, size, hexadecimal=True)
                self._set(lvalue, text, _bits_comment(type_, number), zero=not number)
            case t.StructSize():
                self._set(lvalue, constant(int(value), 4))
            case t.Float(size=size):
                self._copy(lvalue, packing.pack("<f" if size == 4 else "<d", value))
            case t.Address():
                self._address(value, lvalue, path)
            case t.ByteArray(size=size, tail=tail):
                self._in_place(lvalue, value, size, tail)
            case t.WCharArray(count=count, tail=tail):
                self._characters(lvalue, value, count, tail)
            case t.CountedString():
                self._counted_string(lvalue, value, path)
            case t.Struct():
                self._struct(type_, value, lvalue, path, parents)
            case t.Array():
                for index, item in enumerate(value or ()):
                    self.assign_value(type_.of, item, f"{lvalue}[{index}]", f"{path}[{index}]", parents)
            case t.Union():
                if isinstance(value, Mapping):
                    self._union(type_, value, lvalue, path, parents)
            case t.Pointer() | t.Bytes() | t.WString() | t.RawWindow() | t.Payload() | t.VariableRecords():
                self._pointer(type_, value, lvalue, path, parents)
            case _:
                assert_never(type_)

    def _member(self, struct: t.Struct, lvalue: str, name: str) -> str:
        return f"{lvalue}.{self.declarations.member(struct, name)}"

    def _set(self, lvalue: str, text: str, remark: str = "", *, zero: bool = False) -> None:
        """Assign an expression. All memory is zero at first, so zeros need no assignment."""
        if not zero:
            self.lines.append(f"{lvalue} = {text};{remark}")

    def _number(self, path: str, value: int, lvalue: str, text: str) -> None:
        expression = self._expressions.get(path)
        if expression is not None:
            self._set(lvalue, expression.text, f" /* {comment(expression.note)} */" if expression.note else "")
        elif path in self._struct_sizes and self._struct_sizes[path][0] == value:
            self._set(lvalue, f"sizeof(struct {self._struct_sizes[path][1]})")
        else:
            self._set(lvalue, text, zero=not value)

    def _find_sizes(self, struct: t.Struct, values: Mapping[str, Any], path: str) -> None:
        """Find the length fields that hold the size of a structure in a buffer, if that size depends on the ABI."""
        for name, value in values.items():
            type_ = struct.field(name).type if struct.has(name) else None
            case = member_type(struct, values, name) if isinstance(type_, t.Payload) else None
            if isinstance(type_, t.Payload) and isinstance(case, t.Struct) and isinstance(value, Mapping):
                sizes = {abi: lay_out(case, abi).size for abi in t.POINTER_SIZE}
                length = t.count_of(type_.length)
                if len(set(sizes.values())) > 1 and not (length.parent or length.add or length.deref):
                    self._struct_sizes[f"{path}{length.path}"] = sizes[self._abi], self.declarations.struct(case)

    def _address(self, value: Any, lvalue: str, path: str) -> None:
        """Assign a pointer to undescribed memory."""
        expression = self._expressions.get(path)
        address = value.address if isinstance(value, Unreadable) else value or 0
        if expression is not None:
            self._set(lvalue, f"(void *)(ULONG_PTR)({expression.text})")
        elif address:
            size, reason = self._caller_memory_size(address)
            if reason is not None:
                self.notes.append(f"{path} opaque: {reason}, {size} bytes are allocated")
            offset = address % _PAGE
            memory = f"(UCHAR *)pages({size + offset}) + 0x{offset:x}" if offset else f"pages({size})"
            self._set(lvalue, memory, f" /* was 0x{address:x}{f', {reason}' if reason else ''} */")

    def _struct(self, type_: t.Struct, value: Any, lvalue: str, path: str, parents: Parents) -> None:
        expression = self._expressions.get(path)
        if expression is not None:
            for name, luid_member in (("LowPart", "low"), ("HighPart", "high")):
                self.lines.append(f"{self._member(type_, lvalue, name)} = {expression.text}.{luid_member};")
        elif isinstance(value, Mapping):
            self.assign_struct(type_, value, lvalue, f"{path}.", parents)

    def _union(self, type_: t.Union, value: Mapping[str, Any], lvalue: str, path: str, parents: Parents) -> None:
        names = self.declarations.arms(type_)
        for name, arm_value in value.items():
            arm = next((arm for arm in type_.arms if arm.name == name), None)
            if arm is not None:
                self.assign_value(arm.type, arm_value, f"{lvalue}.{names[name]}", f"{path}.{name}", parents)
            else:
                self._copy(lvalue, arm_value[: min(measure(type_, abi)[0] for abi in t.POINTER_SIZE)])

    def _raw(self, struct: t.Struct, value: Any, lvalue: str, name: str) -> None:
        """Copy the bytes of an unnamed union whose arm is undecided."""
        first = first_of_union(struct, name)
        if first is not None:
            field_name, size = first
            self._copy(self._member(struct, lvalue, field_name), value["raw"][:size])

    def _in_place(self, lvalue: str, value: bytes, size: int, tail: bool) -> None:
        if tail and self._buffer:
            self._put(value, f"OFFSET_IN({self._buffer}, {lvalue})")
        else:
            self._copy(lvalue, value[:size])

    def _characters(self, lvalue: str, value: str, count: int, tail: bool) -> None:
        if not value:
            return
        text = utf16(value) if tail and self._buffer else utf16(value)[:count]
        name = self.local("text")
        self._array("const WCHAR", name, len(text), list(wchar_rows(text)), value)
        if tail and self._buffer:
            offset = f"OFFSET_IN({self._buffer}, {lvalue})"
            self.lines.append(f"put(&{self._buffer}, sizeof({self._buffer}), {offset}, {name}, sizeof({name}));")
        else:
            self.lines.append(f"copy(&{lvalue}, {name}, sizeof({name}));")

    def _put(self, data: bytes, offset: str) -> None:
        """Copy bytes to an offset in the current buffer."""
        if any(data) and self._buffer:
            name = self._data(data)
            self.lines.append(f"put(&{self._buffer}, sizeof({self._buffer}), {offset}, {name}, sizeof({name}));")

    def _copy(self, lvalue: str, data: bytes) -> None:
        if any(data):
            name = self._data(data)
            self.lines.append(f"copy(&{lvalue}, {name}, sizeof({name}));")

    def _data(self, data: bytes) -> str:
        """Declare a constant byte array and return its name."""
        name = self.local("data")
        self._byte_array("const UCHAR", name, data)
        return name

    def _byte_array(self, c_type: str, name: str, data: bytes) -> None:
        self._array(c_type, name, len(data), list(byte_rows(data)) if any(data) else [])

    def _array(self, c_type: str, name: str, count: int, rows: list[str], text: str = "") -> None:
        """Declare an array. `text` is its content for a comment."""
        remark = f" /* {comment(text)} */" if text else ""
        self.memory.append(f"static ALIGNED {c_type} {name}[{max(count, 1)}]{' = {' if rows else ';'}{remark}")
        self.memory += [f"    {row}" for row in rows]
        self.memory += ["};"] if rows else []

    def _counted_string(self, lvalue: str, value: Any, path: str) -> None:
        if isinstance(value, Unreadable):
            self.lines.append(f"{lvalue}.Buffer = bad_memory(0, 0); /* unreadable */")
            self.lines.append(f"{lvalue}.Length = {lvalue}.MaximumLength = 2;")
        elif value is not None:
            text = utf16(value)[:0x7FFF]
            name = self.local(path.rpartition(".")[2])
            self._array("USHORT", name, len(text) + 1, list(wchar_rows(text)), value)
            self.lines.append(f"{lvalue}.Buffer = {name};")
            self.lines.append(f"{lvalue}.Length = {2 * len(text)};")
            self.lines.append(f"{lvalue}.MaximumLength = {min(2 * len(text) + 2, 0xFFFE)};")

    def _pointer(self, type_: t.PointerType, value: Any, lvalue: str, path: str, parents: Parents) -> None:
        if value is None:
            return
        if isinstance(value, Unreadable):
            data = self._data(value.data) if value.data else "0"
            remark = f"/* unreadable at 0x{value.address:x} */"
            self.lines.append(f"{lvalue} = bad_memory({data}, {len(value.data)}); {remark}")
            return
        length = t.length_of(type_)
        count = count_in(length, parents) if length is not None else 0
        name = self.local(path.rpartition(".")[2].partition("[")[0])
        match type_:
            case t.Pointer(to=to, count=None):
                self._pointee(to, value, lvalue, path, name, parents)
            case t.Pointer(to=to):
                self._elements(to, value, count, lvalue, path, name, parents)
            case t.WString():
                text = utf16(value)
                capacity = len(text) + 1 if length is None else max(len(text), min(count, BYTES_LIMIT))
                self._array("WCHAR", name, capacity, list(wchar_rows(text)), value)
                self._point_to(lvalue, name, path)
            case t.Payload() if not isinstance(value, bytes):
                self._payload(type_, value, min(count, BYTES_LIMIT), lvalue, path, name, parents)
            case t.VariableRecords() if not isinstance(value, bytes):
                self._buffer_pointer(b"", count, lvalue, path, name)
            case t.Bytes() | t.RawWindow() | t.Payload() | t.VariableRecords():
                self._buffer_pointer(value, count, lvalue, path, name)
            case _:
                assert_never(type_)

    def _point_to(self, lvalue: str, name: str, path: str) -> None:
        self.lines.append(f"{lvalue} = {name};")
        self.pointees[path] = name

    def _buffer_pointer(self, data: bytes, capacity: int, lvalue: str, path: str, name: str) -> None:
        self._byte_array("UCHAR", name, data.ljust(min(capacity, BYTES_LIMIT), b"\0"))
        self._point_to(lvalue, name, path)

    def _pointee(self, to: t.Type, value: Any, lvalue: str, path: str, name: str, parents: Parents) -> None:
        self.memory.append(f"static {self.declarations.declare(to, name)};")
        self.pointees[path] = name
        self.lines.append(f"{lvalue} = &{name};")
        if isinstance(value, Mapping) and isinstance(to, t.Struct):
            self._struct(to, value, name, path, parents)
        else:
            self.assign_value(to, value, name, path, parents)

    def _elements(
        self, to: t.Type, items: list[Any], count: int, lvalue: str, path: str, name: str, parents: Parents
    ) -> None:
        self.pointees[path] = name
        if is_truncated(to, items, count):
            # The elements that the recorder could not read must be unreadable for the call too.
            items = items[:-1]
            self.memory.append(f"{self.declarations.declare(to, f'(*{name})')};")
            self.lines.append(f"{name} = bad_memory(0, {len(items)} * sizeof(*{name})); /* the rest is unreadable */")
        else:
            capacity = max(len(items), min(count, ELEMENTS_LIMIT), 1)
            self.memory.append(f"static {self.declarations.declare(to, f'{name}[{capacity}]')};")
        self.lines.append(f"{lvalue} = {name};")
        for index, item in enumerate(items):
            self.assign_value(to, item, f"{name}[{index}]", f"{path}[{index}]", parents)

    def _payload(
        self, type_: t.Payload, value: Any, capacity: int, lvalue: str, path: str, name: str, parents: Parents
    ) -> None:
        case = next(case for number, _, case in type_.cases if number == int(parents[0].get(type_.by) or 0))
        self.memory.append(
            f"static union {{ {self.declarations.declare(case, 'value')}; UCHAR bytes[{max(capacity, 1)}]; }} {name};"
        )
        self.lines.append(f"{lvalue} = &{name};")
        self.pointees[path] = f"{name}.value"
        outer_buffer, self._buffer = self._buffer, name
        if isinstance(case, t.Struct):
            self._struct(case, value, f"{name}.value", path, parents)
        else:
            self.assign_value(case, value, f"{name}.value", path, parents)
        self._buffer = outer_buffer


def first_of_union(struct: t.Struct, key: str) -> tuple[str, int] | None:
    """Return the first field of an unnamed, undecided union, and the smallest size of the union in any ABI.

    Args:
        struct: The structure.
        key: Key of the union in the value form: `union@` and its offset for x64.
    """
    if not key.startswith("union@"):
        return None
    offset = int(key.partition("@")[2])
    sizes: list[int] = []
    field_name = ""
    for abi in t.POINTER_SIZE:
        layout, x64 = lay_out(struct, abi), lay_out(struct, "x64")
        for slots, x64_slots in zip(layout.members, x64.members, strict=True):
            if slots[0].union is not None and min(slot.offset for slot in x64_slots) == offset:
                field_name = slots[0].field.name
                sizes.append(max(slot.offset + slot.size for slot in slots) - min(slot.offset for slot in slots))
    return (field_name, min(sizes)) if field_name else None


def count_in(length: t.Length, parents: Parents) -> int:
    """Return the value of a length, in elements or bytes."""
    value = look_up(parents[length.parent], length.path) if length.parent < len(parents) else None
    return max((value if isinstance(value, int) else 0) + length.add, length.minimum, 0)


def _is_set_by_call(field: t.Field) -> bool:
    """Return True for a pointer without a description that the call itself sets."""
    return isinstance(field.type, t.Address) and field.direction == "out"


def _bits_comment(type_: t.Flags, number: int) -> str:
    names = [
        bit.name if bit.width == 1 else f"{bit.name} {(number & type_.mask(bit.name)) >> bit.position}"
        for bit in type_.in_effect(number)
        if number & type_.mask(bit.name)
    ]
    return f" /* {comment(' | '.join(names))} */" if names else ""
