"""Checks of descriptions for contradictions, before a recording uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tracekmt.spec import paths
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never

ARRAY_LIMIT = 1 << 16
"""Maximum number of elements of an array in place."""


@dataclass(frozen=True)
class _CheckContext:
    """The part of a description that is being checked.

    Attributes:
        struct: The structure.
        outer: The structures around it, innermost first.
        arms: The arms in effect of unions that leave the choice to the call.
        where: Name of the place for messages.
    """

    struct: t.Struct
    outer: tuple[t.Struct, ...]
    arms: tuple[str, ...]
    where: str

    def at(self, name: str) -> str:
        return f"{self.where}: {name}"

    def enclosing(self, steps: int) -> t.Struct | None:
        chain = (self.struct, *self.outer)
        return chain[steps] if 0 <= steps < len(chain) else None


def check(spec: t.CallSpec) -> list[str]:
    """Return the contradictions in one description. Each message names the place and the correction."""
    argument = _CheckContext(spec.argument, (), spec.union_arms, f"{spec.name}: {spec.argument.name}")
    problems = list(_check_struct(argument))
    if problems:
        return problems
    context = _CheckContext(spec.argument, (), spec.union_arms, spec.name)
    changes: list[t.Creates | t.Destroys] = [*spec.creates, *spec.destroys]
    for change in changes:
        problems += _check_lifetime(spec, change)
        for condition in change.when:
            problems += _check_condition(condition, context, change.path)
    for condition in spec.may_block_when or ():
        problems += _check_condition(condition, context, "may_block_when")
    return problems


def check_all(specs: Iterable[t.CallSpec]) -> list[str]:
    """Return the contradictions in each description, and between them."""
    specs = list(specs)
    problems = [problem for spec in specs for problem in check(spec)]
    names = [spec.name for spec in specs]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    problems += [f"{name}: described twice; keep one" for name in twice]
    if problems:
        return problems
    created = {kind for spec in specs for creates in spec.creates for kind in _related_kinds(creates.kind)}
    destroyed = {kind for spec in specs for destroys in spec.destroys for kind in _related_kinds(destroys.kind)}
    for spec in specs:
        for path, kind in _handles(spec):
            related = _related_kinds(kind)
            if not any(candidate in created or candidate.external for candidate in related):
                problems.append(
                    f"{spec.name}: {path}: no call creates the kind {kind.name}; add it to the call that does, or mark "
                    "the kind external"
                )
            if not any(candidate in destroyed or candidate.external or candidate.dies_with for candidate in related):
                problems.append(
                    f"{spec.name}: {path}: no call destroys the kind {kind.name}; add it to the call that does, set "
                    "dies_with, or mark the kind external"
                )
    return problems


def unused(specs: Iterable[t.CallSpec], structs: Iterable[t.Struct]) -> list[str]:
    """Return the structures that no description uses, as messages."""
    used = {struct for spec in specs for struct in paths.structures(spec.argument)}
    return [f"{struct.name}: no call uses it; use it or remove it" for struct in structs if struct not in used]


def misnamed(specs: Iterable[t.CallSpec], functions: Iterable[str], structs: Iterable[str]) -> list[str]:
    """Return the functions and structures with names that the interface does not have, as messages.

    Args:
        specs: The descriptions.
        functions: Names of the interface's functions.
        structs: Names of the interface's structures.
    """
    known_functions, known_structs = set(functions), set(structs)
    problems: list[str] = []
    for spec in specs:
        if spec.name not in known_functions:
            problems.append(f"{spec.name}: the interface has no such function; spell it as the header does")
        problems += [
            f"{spec.name}: {struct.name}: the interface has no such structure"
            for struct in paths.structures(spec.argument)
            if not struct.parameters and struct.name.partition(".")[0] not in known_structs
        ]
    return problems


def field_type(struct: t.Struct, length: t.Length) -> t.Type | None:
    """Return the type of the field with a length, or of its pointee for a `deref`. None if there is no such field."""
    try:
        type_ = paths.find(struct, length.path).type
    except KeyError:
        return None
    return type_.to if length.deref and isinstance(type_, t.Pointer) else type_


def _related_kinds(kind: t.Kind) -> set[t.Kind]:
    """Return a kind, the kind whose space it shares, and the kinds that its values may have."""
    kinds = {kind, kind.space}
    for alternative in kind.any_of:
        kinds |= _related_kinds(alternative)
    return kinds


def _handles(spec: t.CallSpec) -> Iterator[tuple[str, t.Kind]]:
    for path, field, _ in paths.fields(spec.argument, arms=spec.union_arms):
        kind = paths.element_kind(field.type)
        if kind is not None and kind.binding == "handle":
            yield path, kind


def _check_struct(context: _CheckContext) -> Iterator[str]:
    struct = context.struct
    if not struct.members and not struct.parameters:
        yield f"{context.where}: has no fields"
    names = [field.name for field in struct.fields()]
    for name in sorted(name for name, count in Counter(names).items() if count > 1):
        yield f"{context.at(name)}: duplicate field; names must be unique within a structure"
    for member in struct.members:
        if isinstance(member, t.Union):
            yield from _check_union(member, context)
        elif member.when:
            yield f"{context.at(member.name)}: has a condition outside a union; conditions select arms"
        elif struct.parameters and isinstance(
            member.type, (t.Struct, t.Array, t.ByteArray, t.WCharArray, t.Float, t.Union)
        ):
            yield f"{context.at(member.name)}: does not fit into a parameter; use a pointer to it"
    for field in struct.fields():
        yield from _check_field(field, context)


def _check_union(union: t.Union, context: _CheckContext) -> Iterator[str]:
    names = "/".join(arm.name for arm in union.arms)
    if union.by_call:
        if sum(arm.name in context.arms for arm in union.arms) != 1:
            yield f"{context.at(names)}: the call must name one of these arms in union_arms"
        return
    for arm in union.arms:
        if arm.when:
            yield from _check_condition(arm.when, context, arm.name)
    if not union.open and any(_has_union(arm) for arm in union.arms):
        # No structure needs it so far. Only open unions, whose values are their bytes, may contain a union.
        yield f"{context.at(names)}: an arm contains an unnamed union; give the arm a named structure"
    if not union.open and sum(arm.when is None for arm in union.arms) > 1:
        yield f"{context.at(names)}: two arms have no condition; add a condition to all but one"


def _has_union(arm: t.Field) -> bool:
    if arm.name or not isinstance(arm.type, t.Struct):
        return False
    return any(isinstance(member, t.Union) for member in arm.type.members)


def _check_field(field: t.Field, context: _CheckContext) -> Iterator[str]:
    if not field.name.isidentifier():
        yield f"{context.where}: invalid field name: {field.name!r} (expected an identifier)"
    if field.fence_handle is not None:
        try:
            paths.find(context.struct, field.fence_handle)
        except KeyError:
            yield f"{context.at(field.name)}: its fence_handle {field.fence_handle} is not a field there"
    yield from _check_lengths(field, context)
    yield from _check_type(field.type, field.name, context)


def _check_lengths(field: t.Field, context: _CheckContext) -> Iterator[str]:
    type_ = field.type
    lengths = [t.length_of(type_)]
    if isinstance(type_, t.Array):
        lengths = [t.count_of(type_.used) if type_.used else None]
        if not 0 < type_.count <= ARRAY_LIMIT:
            yield f"{context.at(field.name)}: invalid array size: {type_.count} (expected 1 to {ARRAY_LIMIT})"
    if isinstance(type_, t.VariableRecords):
        lengths.append(t.count_of(type_.number))
        if not isinstance(field_type(type_.to, t.Length(type_.size)), t.Integer):
            yield f"{context.at(field.name)}: {type_.size} is not an integer field of {type_.to.name}"
    if isinstance(type_, t.Payload):
        by = field_type(context.struct, t.Length(type_.by))
        if not isinstance(by, (t.Integer, t.Enum)):
            yield f"{context.at(field.name)}: {type_.by} is not an integer or enumeration of {context.struct.name}"
        for value, name, _ in type_.cases:
            if isinstance(by, t.Enum) and (name, value) not in by.members:
                yield f"{context.at(field.name)}: {by.name} has no {name} = {value}"
    for length in lengths:
        if length is None:
            continue
        holder = context.enclosing(length.parent)
        target = field_type(holder, length) if holder else None
        if not isinstance(target, t.Integer):
            name = holder.name if holder else f"the structure {length.parent} outwards, which does not exist"
            yield f"{context.at(field.name)}: its length {length.path} is not an integer field of {name}"


def _check_type(type_: t.Type, name: str, context: _CheckContext) -> Iterator[str]:
    match type_:
        case t.Flags():
            yield from _check_flags(type_, context.at(name))
        case t.Enum():
            yield from _check_names([type_.name], context.at(name))
            yield from _check_names([member for member, _ in type_.members], context.at(name))
        case t.Integer(size=size):
            if size not in (1, 2, 4, 8, None):
                yield f"{context.at(name)}: invalid integer size: {size} (expected 1, 2, 4 or 8)"
        case t.Float(size=size):
            if size not in (4, 8):
                yield f"{context.at(name)}: invalid float size: {size} (expected 4 or 8)"
        case t.ByteArray(size=size):
            if size < 1:
                yield f"{context.at(name)}: has no bytes"
        case t.StructSize():
            if context.struct.parameters:
                yield f"{context.at(name)}: parameters cannot have a StructSize"
        case t.Pointer(to=to):
            if type_.count is not None and paths.element(to)[1]:
                yield f"{context.at(name)}: has elements that are arrays; use a structure around them"
            yield from _check_type(to, name, context)
        case t.Array(of=of):
            if paths.element(of)[1]:
                yield f"{context.at(name)}: is an array of arrays; use one array, or a structure around the inner one"
            yield from _check_type(of, name, context)
        case t.Union():
            yield from _check_union(type_, context)
            for arm in type_.arms:
                yield from _check_field(arm, context)
        case t.Payload(cases=cases):
            for _, _, case in cases:
                yield from _check_type(case, name, context)
        case t.Struct():
            if type_.kind is not None and type_.kind.binding != "per_machine":
                yield f"{context.at(name)}: a structure holds {type_.kind.name}, which is not a value per machine"
            yield from _check_nested(type_, context)
        case t.VariableRecords(to=to):
            yield from _check_nested(to, context)
        case t.WCharArray(count=count):
            if count < 1:
                yield f"{context.at(name)}: has no characters"
        case t.Address() | t.Bytes() | t.WString() | t.RawWindow() | t.CountedString():
            pass
        case _:
            assert_never(type_)


def _check_nested(struct: t.Struct, context: _CheckContext) -> Iterator[str]:
    outer = (context.struct, *context.outer)
    yield from _check_struct(_CheckContext(struct, outer, context.arms, f"{context.where}: {struct.name}"))


def _check_flags(flags: t.Flags, where: str) -> Iterator[str]:
    yield from _check_names(flags.name.split("."), where)
    yield from _check_names([bit.name for bit in flags.bits], where)
    if flags.size not in (1, 2, 4, 8):
        yield f"{where}: invalid size of a flag word: {flags.size} (expected 1, 2, 4 or 8)"
        return
    bits = 8 * flags.size
    outside = [bit.name for bit in flags.bits if bit.position < 0 or not 1 <= bit.width <= bits - bit.position]
    if outside:  # a mask of a hostile description could take gigabytes
        yield from (f"{where}.{name}: is outside a word of {bits} bits" for name in outside)
        return
    used_bits = 0
    bits_by_name = {bit.name: bit for bit in flags.bits}
    for bit in flags.bits:
        for selector in filter(None, (bit.when, bit.unless)):
            selecting_bit = bits_by_name.get(selector)
            if selecting_bit is None or selecting_bit.when or selecting_bit.unless:
                yield f"{where}.{bit.name}: depends on {selector}, which is not an unconditional bit"
                return
    for bit in flags.bits:
        mask = flags.mask(bit.name)
        if used_bits & mask and not _are_alternatives(bit, flags):
            yield f"{where}.{bit.name}: shares bits with another name"
        used_bits |= mask
    if flags.has_bitfields and used_bits != (1 << bits) - 1:
        yield f"{where}: has a field wider than one bit, so all of its bits need names; add the reserved ones"


def _are_alternatives(bit: t.Bit, flags: t.Flags) -> bool:
    """Return True if the bit fields that share a bit's position have it exactly when this one does not."""
    sharing = [other for other in flags.bits if other is not bit and flags.mask(other.name) & flags.mask(bit.name)]
    return all(
        (other.position, other.width) == (bit.position, bit.width)
        and (other.unless, other.when) == (bit.when, bit.unless)
        and bit.when != bit.unless
        for other in sharing
    )


_RESERVED_NAMES = ("mro", "name", "value")
"""Names that members of a Python enumeration cannot have."""


def _check_names(names: list[str], where: str) -> Iterator[str]:
    counts = Counter(names)
    for name in names:
        if not name.isidentifier() or name.startswith("_") or name in _RESERVED_NAMES or counts[name] > 1:
            yield f"{where}: invalid name: {name!r} (expected a unique identifier)"


def _check_condition(condition: t.Condition, context: _CheckContext, subject: str) -> Iterator[str]:
    holder = context.enclosing(condition.parent)
    if condition == t.NEVER:
        return
    if holder is None:
        yield f"{context.at(subject)}: its condition reads the structure {condition.parent} outwards, but there is none"
        return
    path, _, bit_name = condition.path.rpartition(".")
    word = field_type(holder, t.Length(path)) if path else None
    if isinstance(word, t.Flags):
        if not any(bit.name == bit_name for bit in word.bits):
            yield f"{context.at(subject)}: its condition reads {condition.path}, but {path} has no such bit"
        return
    target = field_type(holder, t.Length(condition.path)) or field_type(holder, t.Length(f"{condition.path}[]"))
    if target is None:
        yield f"{context.at(subject)}: its condition reads {condition.path}, which is not a field there"
    elif condition.kind is not None and paths.element_kind(target) is None:
        yield f"{context.at(subject)}: its condition reads the kind of {condition.path}, which is not a handle"


def _check_lifetime(spec: t.CallSpec, change: t.Creates | t.Destroys) -> Iterator[str]:
    expected: list[tuple[str, t.Kind | None]] = [(change.path, change.kind)]
    if isinstance(change, t.Creates):
        expected += [(path, None) for path in change.within]
        if change.size is not None and not isinstance(field_type(spec.argument, t.Length(change.size)), t.Integer):
            yield (
                f"{spec.name}: {change.path}: its size {change.size} is not an integer field of {spec.argument.name}"
            )
    for path, kind in expected:
        try:
            actual = paths.element_kind(paths.find(spec.argument, path).type)
        except KeyError:
            yield f"{spec.name}: {path} is not a field of {spec.argument.name}"
            continue
        if actual is None or (kind is not None and not _related_kinds(actual) & {kind, kind.space}):
            kind_name = kind.name if kind else "a handle"
            yield f"{spec.name}: {path}: holds {actual.name if actual else 'no handle'}, expected {kind_name}"
