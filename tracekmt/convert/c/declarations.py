"""Structures as C declares them, with Microsoft's names, and checks that the compiler lays them out as Windows does."""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.convert.c.text import Names, comment, identifier, known_integers
from tracekmt.spec import types as t
from tracekmt.spec.layout import lay_out

_UNSIGNED = {1: "UCHAR", 2: "USHORT", 4: "UINT", 8: "UINT64", None: "ULONG_PTR"}
_SIGNED = {1: "SCHAR", 2: "SHORT", 4: "INT", 8: "LONGLONG", None: "LONG_PTR"}
BASIC = frozenset((*_UNSIGNED.values(), *_SIGNED.values(), "WCHAR", "FLOAT", "DOUBLE"))


class Declarations:
    """The structures, types and functions that a reproducer declares: those that it was asked for."""

    def __init__(self, reserved: Names) -> None:
        self._names = Names(outer=reserved)
        self._tags: dict[tuple[str, str], str] = {}
        self._known: dict[t.Struct, str] = {}
        self._bodies: dict[str, tuple[t.Struct, str]] = {}
        self._whole: dict[str, None] = {}
        self._inside: dict[str, list[str]] = {}
        self._members: dict[t.Struct, dict[str, str]] = {}
        self._integers: set[str] = set()

    def struct(self, struct: t.Struct) -> str:
        """The name of a structure that is declared in full, and with it what lies in it."""
        tag = self.tag(struct)
        if tag not in self._whole:
            for inner in self._inside[tag]:
                self.struct(self._bodies[inner][0])
            self._whole[tag] = None
        return tag

    def tag(self, struct: t.Struct) -> str:
        """The name of a structure. Two of one name that are not alike have two names here."""
        if struct not in self._known:
            inside: list[str] = []
            body = self._body(struct, inside)
            wanted = identifier(struct.name.replace(".", "_"))
            if (wanted, body) not in self._tags:
                tag = self._tags[wanted, body] = self._names.new(wanted)
                self._bodies[tag], self._inside[tag] = (struct, body), inside
            self._known[struct] = self._tags[wanted, body]
        return self._known[struct]

    def member(self, struct: t.Struct, name: str) -> str:
        """The name of a field in its structure."""
        if struct not in self._members:
            names = Names()
            self._members[struct] = {field.name: names.new(identifier(field.name)) for field in struct.fields()}
        return self._members[struct][name]

    def integer(self, type_: t.Integer) -> str:
        """An integer's type: under Microsoft's name, where that is known to us."""
        basic = (_SIGNED if type_.signed else _UNSIGNED).get(type_.size, "UINT")
        if known_integers().get(type_.name) != (type_.size, type_.signed) or type_.name in BASIC:
            return basic
        self._integers.add(f"typedef {basic} {type_.name};")
        return type_.name

    def declare(self, type_: t.Type, name: str) -> str:
        """A declaration of a variable or member."""
        inside: list[str] = []
        base, suffix = self._parts(type_, inside)
        for tag in inside:
            self.struct(self._bodies[tag][0])
        return f"{base}{'' if base.endswith('*') else ' '}{name}{suffix}"

    def function(self, call: t.CallSpec) -> str:
        """What a function takes."""
        if not call.argument.parameters:
            return f"struct {self.struct(call.argument)} *"
        return ", ".join(self.declare(field.type, "").strip() for field in call.argument.fields()) or "void"

    def lines(self) -> Iterator[str]:
        """The declarations, in an order that a compiler takes."""
        yield from sorted(self._integers)
        yield from (f"struct {tag};" for tag in self._bodies)
        yield ""
        for tag in self._whole:
            struct, body = self._bodies[tag]
            if struct.pack is not None:
                yield f"#pragma pack(push, {struct.pack})"
            yield f"struct {tag} {{"
            yield body
            yield "};"
            if struct.pack is not None:
                yield "#pragma pack(pop)"
            yield ""
        for tag in self._whole:
            yield from self._checks(self._bodies[tag][0], tag)
        yield ""

    def _checks(self, struct: t.Struct, tag: str) -> Iterator[str]:
        x64, x86, wsl = (lay_out(struct, abi) for abi in ("x64", "x86", "wsl"))
        rows = [(f"sizeof(struct {tag})", x64.size, x86.size, wsl.size)]
        for slots in zip(x64.slots, x86.slots, wsl.slots, strict=True):
            what = f"offsetof(struct {tag}, {self.member(struct, slots[0].field.name)})"
            rows.append((what, slots[0].offset, slots[1].offset, slots[2].offset))
        wide = any(x64_at != wsl_at for _, x64_at, _, wsl_at in rows)
        for what, x64_at, x86_at, wsl_at in rows:
            yield (
                f"LAID_OUT_WIDE({what}, {x64_at}, {x86_at}, {wsl_at});"
                if wide
                else (f"LAID_OUT({what}, {x64_at}, {x86_at});")
            )

    def _body(self, struct: t.Struct, inside: list[str]) -> str:
        lines: list[str] = []
        for member in struct.members:
            lines += self._member_lines(struct, member, inside, "    ")
        return "\n".join(lines)

    def _member_lines(self, struct: t.Struct, member: t.Field | t.Union, inside: list[str], indent: str) -> list[str]:
        if isinstance(member, t.Union):
            arms = [line for arm in member.arms for line in self._member_lines(struct, arm, inside, f"{indent}    ")]
            return [f"{indent}union {{", *arms, f"{indent}}};"]
        if not member.name and isinstance(member.type, t.Struct):
            inner = [
                line
                for each in member.type.members
                for line in self._member_lines(struct, each, inside, f"{indent}    ")
            ]
            return [f"{indent}struct {{", *inner, f"{indent}}};"]
        base, suffix = self._parts(member.type, inside)
        name = self.member(struct, member.name)
        told = _told(member.type)
        return [f"{indent}{base}{'' if base.endswith('*') else ' '}{name}{suffix};{told}"]

    def _parts(self, type_: t.Type, inside: list[str]) -> tuple[str, str]:
        """What stands before and behind the name in a declaration."""
        match type_:
            case t.Integer():
                return self.integer(type_), ""
            case t.Float(size=size):
                return "FLOAT" if size == 4 else "DOUBLE", ""
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
                base, suffix = self._parts(of, inside)
                return base, f"[{count}]{suffix}"
            case t.WString():
                return "WCHAR *", ""
            case t.Pointer(to=to):
                return self._pointee(to), ""
            case t.Union():
                return self._union(type_, inside), ""
            case t.Struct():
                tag = self.tag(type_)
                inside.append(tag)
                return f"struct {tag}", ""
        return "void *", ""

    def _pointee(self, to: t.Type) -> str:
        if isinstance(to, t.Struct):
            return f"struct {self.tag(to)} *"
        if isinstance(to, (t.Array, t.Union, t.ByteArray, t.WCharArray)):
            return "void *"
        base, _ = self._parts(to, [])
        return f"{base}*" if base.endswith("*") else f"{base} *"

    def _union(self, union: t.Union, inside: list[str]) -> str:
        names = self.arms(union)
        arms = []
        for arm in union.arms:
            base, suffix = self._parts(arm.type, inside)
            arms.append(f"{base}{'' if base.endswith('*') else ' '}{names[arm.name]}{suffix};")
        return "union { " + " ".join(arms) + " }"

    def arms(self, union: t.Union) -> dict[str, str]:
        """The names of a named union's arms."""
        names = Names()
        return {arm.name: names.new(identifier(arm.name)) for arm in union.arms}


def _told(type_: t.Type) -> str:
    """What a declaration of C does not say of a member."""
    match type_:
        case t.Enum(name=name):
            return f" /* {comment(name)} */"
        case t.Flags(bits=bits) if bits:
            return f" /* {comment(', '.join(bit.name for bit in bits))} */"
    return ""
