"""Programs: descriptions of structures in the form that the core decodes and searches.

A program is made once for a structure. It says the same as the readers and the finder of bound values, which decode and
search what the core leaves to them. `tracekmt/core/program.h` has the meaning of the tuples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache, partial
from typing import Any, NamedTuple, get_args

from tracekmt import core
from tracekmt.codec.context import unions
from tracekmt.codec.readers import bit_fields, enum_members, flag_members, has_tail
from tracekmt.codec.wchars import decode_terminated, decode_wchars
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import Layout, Slot, lay_out, measure
from tracekmt.spec.paths import has_bound_values

Node = tuple[Any, ...]
"""Kind, name, offset, size, flag, whether a search looks at it, object, length, selector, children, bound value."""

_U64 = (1 << 64) - 1


class _NodeKind(IntEnum):
    """Kinds of nodes, in the order of `tracekmt/core/program.h`."""

    INTEGER = 0
    FLOAT = 1
    STRUCT_SIZE = 2
    ADDRESS = 3
    BYTES = 4
    TAIL = 5
    TEXT = 6
    ENUMERATION = 7
    FLAGS = 8
    BIT_FIELDS = 9
    COUNTED_STRING = 10
    STRUCT = 11
    ARRAY = 12
    UNION = 13
    CHOICE = 14
    ARM = 15
    POINTER = 16
    BUFFER = 17
    STRING = 18
    PAYLOAD = 19
    LEFT_POINTER = 20
    LEFT = 21


_BINDINGS: tuple[t.Binding, ...] = get_args(t.Binding)
"""Bindings of kinds, in the order of `tracekmt/core/program.h`."""

_SIZE_LIMIT = 1 << 31
"""Limit of the sizes and lengths in a program. The core has 32 bits for them."""

MAX_NODES = 20_000
"""Limit of the nodes of one program. A description in a trace may be of any size. Ours need 325 at most."""


class _Left(Exception):  # noqa: N818 (nothing is wrong)
    """A field is left to Python."""


class _TooLarge(Exception):  # noqa: N818 (Python decodes it)
    """A program would have more nodes than the limit, or a size beyond the core's numbers."""


def program_of(layout: Layout, arms: tuple[str, ...]) -> Any:
    """Return the program of an argument structure. None without the core, and for a structure that is left to Python.

    Args:
        layout: Layout of the structure.
        arms: The arms in effect of unions that leave the choice to the call.
    """
    return None if core.CORE is None else _program_of(layout, arms)


@lru_cache(maxsize=4096)
def _program_of(layout: Layout, arms: tuple[str, ...]) -> Any:
    try:
        return _Compilation(arms).program(layout, ())
    except (_TooLarge, RecursionError, ValueError):  # the core limits the depth of nodes
        return None


def selector_of(layout: Layout, condition: t.Condition) -> Node | None:
    """Return a condition on inputs for the core. None for one that is left to Python."""
    try:
        return _Structure(_Compilation(()), (layout,)).selector(condition)
    except _Left:
        return None


def span_of(layout: Layout, path: str) -> Node | None:
    """Return the place of a number in an argument for the core. None for one that is left to Python."""
    try:
        return _Structure(_Compilation(()), (layout,)).span(path)
    except _Left:
        return None


class _Compilation:
    """The programs of a structure and of those that it contains or points to."""

    def __init__(self, arms: tuple[str, ...]) -> None:
        self.arms = arms
        self._nodes_left = MAX_NODES
        self._programs: dict[tuple[Layout, ...], Any] = {}

    def program(self, layout: Layout, outer: tuple[Layout, ...]) -> Any:
        """Return the program of a structure that is in others. The nearest of them is the first."""
        layouts = (layout, *outer)
        if layout.size >= _SIZE_LIMIT:
            raise _TooLarge
        if layouts not in self._programs:
            assert core.CORE is not None
            nodes = _Structure(self, layouts).members()
            self._programs[layouts] = core.CORE.program(layout.size, nodes)
        return self._programs[layouts]

    def count_node(self) -> None:
        """Count a node."""
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise _TooLarge


@lru_cache(maxsize=4096)
def _reach(type_: t.Type) -> int:
    """Return how many structures around a value of this type its lengths and conditions refer to, at most."""
    match type_:
        case t.Struct():
            return max(_members_reach(type_) - 1, 0)
        case t.Union(arms=arms):
            return max(map(_field_reach, arms), default=0)
        case t.Array(of=inner):
            return max(_reach(inner), 1)
        case t.Pointer(to=inner, count=count):
            return max(_reach(inner), 0 if count is None else 1 + t.count_of(count).parent)
        case t.Payload(length=length, cases=cases):
            return max([1 + t.count_of(length).parent, *(_reach(case) for _, _, case in cases)])
        case t.Bytes(length=length) | t.WString(length=length):
            return 0 if length is None else 1 + t.count_of(length).parent
        case _ if isinstance(type_, (*t.LEAF_TYPES, t.VariableRecords)):
            return 0
        case _:
            return assert_never(type_)


def _members_reach(struct: t.Struct) -> int:
    """Return the reach of the members of a structure, which is the first one around them."""
    return max([0, *(_reach(each) if isinstance(each, t.Union) else _field_reach(each) for each in struct.members)])


def _field_reach(field: t.Field) -> int:
    # The fields of an unnamed structure are members of the structure around it.
    is_unnamed = not field.name and isinstance(field.type, t.Struct)
    own = _members_reach(field.type) if is_unnamed else _reach(field.type)  # type: ignore[arg-type]
    return max(own, 0 if field.when is None else 1 + field.when.parent)


class _Structure(NamedTuple):
    """A structure that is being compiled.

    Attributes:
        compilation: The compilation that it is part of.
        layouts: Its layout, and those of the structures around it, the nearest first.
    """

    compilation: _Compilation
    layouts: tuple[Layout, ...]

    @property
    def abi(self) -> t.Abi:
        return self.layouts[0].abi

    @property
    def wchar(self) -> int:
        return t.WCHAR_SIZE[self.abi]

    def members(self) -> tuple[Node, ...]:
        """Return the nodes of all members."""
        nodes: list[Node] = []
        names = iter(unions(self.layouts[0]).values())
        for member in self.layouts[0].members:
            if member[0].union is None:
                nodes.append(self._slot(member[0]))
            else:
                nodes.append(self._choice(next(names), member, member[0].union))
        return tuple(nodes)

    def _slot(self, slot: Slot) -> Node:
        type_, name = slot.field.type, slot.field.name
        if isinstance(type_, t.ByteArray) and type_.tail:
            return _node(_NodeKind.TAIL, name, slot.offset, slot.size)
        if isinstance(type_, t.WCharArray) and type_.tail:
            return _node(_NodeKind.TEXT, name, slot.offset, slot.size, flag=1, object_=_text(self.wchar))
        return self._value(slot.field, type_, name, slot.offset)

    def _choice(self, name: str, member: Sequence[Slot], union: t.Union) -> Node:
        offset = min(slot.offset for slot in member)
        size = max(slot.offset + slot.size for slot in member) - offset
        searched = any(has_bound_values(arm.type) for arm in union.arms)
        try:
            arms = [
                _node(
                    _NodeKind.ARM,
                    arm.name,
                    searched=searched,
                    selector=selector,
                    children=tuple(self._slot(slot) for slot in member if slot.arm is arm),
                )
                for arm, selector in self._arms(union)
            ]
        except _Left:
            return _node(_NodeKind.LEFT, name, offset, size, searched=searched)
        return _node(_NodeKind.CHOICE, name, offset, size, flag=union.open, searched=searched, children=tuple(arms))

    def _arms(self, union: t.Union) -> Sequence[tuple[t.Field, Node | None]]:
        """Return the arms that may be in effect with their selectors, in the order in which they are asked."""
        if union.open:
            return []
        if union.by_call:
            return [(arm, None) for arm in union.arms if arm.name in self.compilation.arms][:1]
        arms = [arm for arm in union.arms if arm.when != t.NEVER]
        arms.sort(key=lambda arm: arm.when is None)
        return [(arm, None if arm.when is None else self.selector(arm.when)) for arm in arms]

    def selector(self, condition: t.Condition) -> Node:
        """Return a condition."""
        values = condition.any_of or (() if condition.equals is None else (condition.equals,))
        if condition.kind is not None or not all(0 <= value <= _U64 for value in values):
            raise _Left
        return *self.span(condition.path, condition.parent), int(condition.negate), values

    def span(self, path: str, parent: int = 0) -> tuple[int, int, int, int]:
        """Return the place of a number: in which structure around it, start, end, bits."""
        try:
            start, end, mask = self.layouts[parent].span(path)
        except (KeyError, IndexError):
            raise _Left from None
        if end - start > 8:
            raise _Left
        return parent, start, end, mask & _U64

    def _length(self, reference: t.LengthRef) -> Node:
        length = t.count_of(reference)
        if max(abs(length.add), abs(length.minimum)) >= _SIZE_LIMIT:
            raise _Left
        return *self.span(length.path, length.parent), int(length.deref), length.add, length.minimum

    def _value(self, field: t.Field, type_: t.Type, name: str, offset: int = 0) -> Node:
        """Return the node of a type in place.

        Args:
            field: The member with the direction of the value.
            type_: The type.
            name: Name of the value, empty for elements.
            offset: Offset in the bytes around it.
        """
        self.compilation.count_node()
        searched = has_bound_values(type_)
        kind = t.kind_of(type_)
        bound = None
        if kind is not None and searched:
            bound = field, type_, kind, _BINDINGS.index(kind.binding), kind.spaces, kind.external
        size, _ = measure(type_, self.abi)
        node = partial(_node, name=name, offset=offset, size=size, searched=searched, bound=bound)
        is_pointer = isinstance(type_, t.POINTER_TYPES)
        try:
            return self._typed(field, type_, node)
        except _Left:
            return node(_NodeKind.LEFT_POINTER if is_pointer else _NodeKind.LEFT)

    def _typed(self, field: t.Field, type_: t.Type, node: Callable[..., Node]) -> Node:
        kinds = _NodeKind
        match type_:
            case t.Integer(signed=signed):
                return node(kinds.INTEGER, flag=signed)
            case t.Float():
                return node(kinds.FLOAT)
            case t.StructSize():
                return node(kinds.STRUCT_SIZE)
            case t.Address():
                return node(kinds.ADDRESS)
            case t.ByteArray():
                return node(kinds.BYTES)
            case t.WCharArray():
                return node(kinds.TEXT, object_=_text(self.wchar))
            case t.Enum():
                is_unsigned = all(number >= 0 for _, number in type_.members)
                return node(kinds.ENUMERATION, flag=is_unsigned, object_=enum_members(type_))
            case t.Flags(has_bitfields=True):
                return node(kinds.BIT_FIELDS, object_=bit_fields(type_))
            case t.Flags():
                return node(kinds.FLAGS, object_=flag_members(type_))
            case t.CountedString():
                return node(kinds.COUNTED_STRING, object_=_counted_text)
            case t.Struct():
                return node(kinds.STRUCT, flag=has_tail(type_), object_=self._nested(type_))
            case t.Array(of=of, used=used):
                selector = None
                if used is not None:
                    selector = *self.span(used), 0, ()
                is_output = used is not None and self.layouts[0].slot(used).field.direction == "out"
                return node(kinds.ARRAY, flag=is_output, selector=selector, children=(self._element(field, of),))
            case t.Union():
                arms = [
                    _node(kinds.ARM, arm.name, selector=selector, children=(self._value(arm, arm.type, arm.name),))
                    for arm, selector in self._arms(type_)
                ]
                return node(kinds.UNION, children=tuple(arms))
            case t.Pointer(to=to, count=count):
                length = None if count is None else self._length(count)
                return node(kinds.POINTER, length=length, children=(self._element(field, to),))
            case t.Bytes(length=length, set_by_call=set_by_call):
                return node(kinds.BUFFER, flag=set_by_call, length=self._length(length))
            case t.WString(length=length) if length is not None:
                return node(kinds.STRING, flag=self.wchar, length=self._length(length), object_=_text(self.wchar))
            case t.Payload(length=length, by=by, cases=cases):
                span = self.span(by)
                arms = [
                    _node(kinds.ARM, "", selector=(*span, 0, (number,)), children=(self._element(field, case),))
                    for number, _, case in cases
                    if 0 <= number <= _U64
                ]
                return node(kinds.PAYLOAD, length=self._length(length), selector=(*span, 0, ()), children=tuple(arms))
            case _ if isinstance(type_, t.POINTER_TYPES):
                raise _Left
            case _:
                return assert_never(type_)

    def _element(self, field: t.Field, of: t.Type) -> Node:
        if not 0 < measure(of, self.abi)[0] < _SIZE_LIMIT:
            raise _Left
        return self._value(field, of, "")

    def _nested(self, type_: t.Struct) -> Any:
        return self.compilation.program(lay_out(type_, self.abi), self.layouts[: _reach(type_)])


def _node(
    kind: _NodeKind,
    name: str,
    offset: int = 0,
    size: int = 0,
    *,
    flag: bool | int = 0,
    searched: bool = False,
    object_: Any = None,
    length: Node | None = None,
    selector: Node | None = None,
    children: tuple[Node, ...] = (),
    bound: Node | None = None,
) -> Node:
    return int(kind), name, offset, size, int(flag), int(searched), object_, length, selector, children, bound


@lru_cache(maxsize=4)
def _text(wchar: int) -> Callable[[bytes], str]:
    return lambda data: decode_terminated(data, wchar)[0]


def _counted_text(data: bytes) -> str:
    return decode_wchars(data, 2)
