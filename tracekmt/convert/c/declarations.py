"""Writes C declarations of the structures, with Microsoft's names.

Assertions in the program check that the compiler's layout is that of Windows.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.convert.c.text import Names, comment, identifier, known_integers
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import lay_out

_UNSIGNED = {1: "UCHAR", 2: "USHORT", 4: "UINT", 8: "UINT64", None: "ULONG_PTR"}
_SIGNED = {1: "SCHAR", 2: "SHORT", 4: "INT", 8: "LONGLONG", None: "LONG_PTR"}
BASIC = frozenset((*_UNSIGNED.values(), *_SIGNED.values(), "WCHAR", "FLOAT", "DOUBLE"))


class Declarations:
    """The structures, integer types and functions that a program uses.

    Args:
        reserved: Global names of the program. Structure tags avoid them.
    """

    def __init__(self, reserved: Names) -> None:
        self._names = Names(outer=reserved)
        # By structure name and body. Structures with the same name and body share a tag.
        self._tags_by_body: dict[tuple[str, str], str] = {}
        self._tags: dict[t.Struct, str] = {}
        self._bodies: dict[str, tuple[t.Struct, str]] = {}
        self._complete: dict[str, None] = {}
        self._inner_tags: dict[str, list[str]] = {}
        self._members: dict[t.Struct, dict[str, str]] = {}
        self._integers: set[str] = set()

    def struct(self, struct: t.Struct) -> str:
        """Declare a structure in full, with its inner structures. Return its tag."""
        tag = self.tag(struct)
        if tag not in self._complete:
            for inner_tag in self._inner_tags[tag]:
                self.struct(self._bodies[inner_tag][0])
            self._complete[tag] = None
        return tag

    def tag(self, struct: t.Struct) -> str:
        """Return the tag of a structure. Different structures with the same name get different tags."""
        if struct not in self._tags:
            inner_tags: list[str] = []
            body = self._body(struct, inner_tags)
            name = identifier(struct.name.replace(".", "_"))
            if (name, body) not in self._tags_by_body:
                tag = self._tags_by_body[name, body] = self._names.new(name)
                self._bodies[tag], self._inner_tags[tag] = (struct, body), inner_tags
            self._tags[struct] = self._tags_by_body[name, body]
        return self._tags[struct]

    def member(self, struct: t.Struct, name: str) -> str:
        """Return the C name of a field."""
        if struct not in self._members:
            names = Names()
            self._members[struct] = {field.name: names.new(identifier(field.name)) for field in struct.fields()}
        return self._members[struct][name]

    def integer(self, type_: t.Integer) -> str:
        """Return the C type of an integer. Names of tracekmt's own descriptions become typedefs."""
        basic = (_SIGNED if type_.signed else _UNSIGNED).get(type_.size, "UINT")
        if known_integers().get(type_.name) != (type_.size, type_.signed) or type_.name in BASIC:
            return basic
        self._integers.add(f"typedef {basic} {type_.name};")
        return type_.name

    def declare(self, type_: t.Type, name: str) -> str:
        """Return the declaration of a variable or member."""
        inner_tags: list[str] = []
        base, suffix = self._parts(type_, inner_tags)
        for tag in inner_tags:
            self.struct(self._bodies[tag][0])
        return f"{base}{'' if base.endswith('*') else ' '}{name}{suffix}"

    def function(self, spec: t.CallSpec) -> str:
        """Return the parameter list of a function."""
        if not spec.argument.parameters:
            return f"struct {self.struct(spec.argument)} *"
        return ", ".join(self.declare(field.type, "").strip() for field in spec.argument.fields()) or "void"

    def lines(self) -> Iterator[str]:
        """Yield the declarations. Each structure follows the structures that it contains."""
        yield from sorted(self._integers)
        yield from (f"struct {tag};" for tag in self._bodies)
        yield ""
        for tag in self._complete:
            struct, body = self._bodies[tag]
            if struct.pack is not None:
                yield f"#pragma pack(push, {struct.pack})"
            yield f"struct {tag} {{"
            yield body
            yield "};"
            if struct.pack is not None:
                yield "#pragma pack(pop)"
            yield ""
        for tag in self._complete:
            yield from self._checks(self._bodies[tag][0], tag)
        yield ""

    def _checks(self, struct: t.Struct, tag: str) -> Iterator[str]:
        x64, x86, wsl = (lay_out(struct, abi) for abi in ("x64", "x86", "wsl"))
        rows = [(f"sizeof(struct {tag})", x64.size, x86.size, wsl.size)]
        for slots in zip(x64.slots, x86.slots, wsl.slots, strict=True):
            value = f"offsetof(struct {tag}, {self.member(struct, slots[0].field.name)})"
            rows.append((value, slots[0].offset, slots[1].offset, slots[2].offset))
        differs_on_wsl = any(x64_value != wsl_value for _, x64_value, _, wsl_value in rows)
        for value, x64_value, x86_value, wsl_value in rows:
            if differs_on_wsl:
                yield f"CHECK_LAYOUT_WSL({value}, {x64_value}, {x86_value}, {wsl_value});"
            else:
                yield f"CHECK_LAYOUT({value}, {x64_value}, {x86_value});"

    def _body(self, struct: t.Struct, inner_tags: list[str]) -> str:
        lines: list[str] = []
        for member in struct.members:
            lines += self._member_lines(struct, member, inner_tags, "    ")
        return "\n".join(lines)

    def _member_lines(
        self, struct: t.Struct, member: t.Field | t.Union, inner_tags: list[str], indent: str
    ) -> list[str]:
        if isinstance(member, t.Union):
            arm_lines = [
                line for arm in member.arms for line in self._member_lines(struct, arm, inner_tags, f"{indent}    ")
            ]
            return [f"{indent}union {{", *arm_lines, f"{indent}}};"]
        if not member.name and isinstance(member.type, t.Struct):
            inner_lines = [
                line
                for inner_member in member.type.members
                for line in self._member_lines(struct, inner_member, inner_tags, f"{indent}    ")
            ]
            return [f"{indent}struct {{", *inner_lines, f"{indent}}};"]
        base, suffix = self._parts(member.type, inner_tags)
        name = self.member(struct, member.name)
        return [f"{indent}{base}{'' if base.endswith('*') else ' '}{name}{suffix};{_remark(member.type)}"]

    def _parts(self, type_: t.Type, inner_tags: list[str]) -> tuple[str, str]:
        """Return the parts of a declaration before and after the name. Tags of inner structures go to `inner_tags`."""
        match type_:
            case t.Integer():
                return self.integer(type_), ""
            case t.Float(size=size):
                return "FLOAT" if size == 4 else "DOUBLE", ""
            case t.Flags(size=8, align=4):
                return "UINT", "[2]"
            case t.Flags(size=size):
                return _UNSIGNED.get(size, "UINT"), ""
            case t.Enum():
                return "INT", ""
            case t.StructSize():
                return "UINT", ""
            case t.ByteArray(size=size):
                return "UCHAR", f"[{size}]"
            case t.WCharArray(count=count):
                return "WCHAR", f"[{count}]"
            case t.CountedString():
                return "struct UNICODE_STRING", ""
            case t.Array(of=of, count=count):
                base, suffix = self._parts(of, inner_tags)
                return base, f"[{count}]{suffix}"
            case t.WString():
                return "WCHAR *", ""
            case t.Pointer(to=to):
                return self._pointee(to), ""
            case t.Union():
                return self._union(type_, inner_tags), ""
            case t.Struct():
                tag = self.tag(type_)
                inner_tags.append(tag)
                return f"struct {tag}", ""
            case t.Address() | t.Bytes() | t.RawWindow() | t.Payload() | t.VariableRecords():
                return "void *", ""
            case _:
                return assert_never(type_)

    def _pointee(self, to: t.Type) -> str:
        if isinstance(to, t.Struct):
            return f"struct {self.tag(to)} *"
        if isinstance(to, (t.Array, t.Union, t.ByteArray, t.WCharArray)):
            return "void *"
        base, _ = self._parts(to, [])
        return f"{base}*" if base.endswith("*") else f"{base} *"

    def _union(self, union: t.Union, inner_tags: list[str]) -> str:
        names = self.arms(union)
        arms = []
        for arm in union.arms:
            base, suffix = self._parts(arm.type, inner_tags)
            arms.append(f"{base}{'' if base.endswith('*') else ' '}{names[arm.name]}{suffix};")
        return "union { " + " ".join(arms) + " }"

    def arms(self, union: t.Union) -> dict[str, str]:
        """Return the C names of the arms of a named union."""
        names = Names()
        return {arm.name: names.new(identifier(arm.name)) for arm in union.arms}


def _remark(type_: t.Type) -> str:
    """Return a comment with the enumeration or the flags of a member, which its C type lacks."""
    if isinstance(type_, t.Enum):
        return f" /* {comment(type_.name)} */"
    if isinstance(type_, t.Flags) and type_.bits:
        return f" /* {comment(', '.join(bit.name for bit in type_.bits))} */"
    return ""
