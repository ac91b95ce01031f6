"""What a description can be wrong about, found before anything is recorded with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tracekmt.spec import paths
from tracekmt.spec import types as t

ARRAY_LIMIT = 1 << 16


@dataclass(frozen=True)
class _Here:
    """Where a check is: the structure, those that lead to it, the call's arms, and how a message names the place."""

    struct: t.Struct
    outer: tuple[t.Struct, ...]
    arms: tuple[str, ...]
    where: str

    def at(self, name: str) -> str:
        return f"{self.where}: {name}"

    def outwards(self, steps: int) -> t.Struct | None:
        chain = (self.struct, *self.outer)
        return chain[steps] if 0 <= steps < len(chain) else None


def check(call: t.CallSpec) -> list[str]:
    """Every contradiction in one description, as a line that names the place and says what to mend."""
    problems = list(_check_struct(_Here(call.argument, (), call.union_arms, f"{call.name}: {call.argument.name}")))
    if problems:
        return problems
    here = _Here(call.argument, (), call.union_arms, call.name)
    lives: list[t.Creates | t.Destroys] = [*call.creates, *call.destroys]
    for part in lives:
        problems += _check_life(call, part)
        for condition in part.when:
            problems += _check_when(condition, here, part.path)
    for condition in call.may_block_when or ():
        problems += _check_when(condition, here, "blocks")
    return problems


def check_all(calls: Iterable[t.CallSpec]) -> list[str]:
    """The contradictions in each description, and between them."""
    calls = list(calls)
    problems = [problem for call in calls for problem in check(call)]
    names = [call.name for call in calls]
    problems += [f"{name}: described twice; keep one" for name in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        return problems
    created = {kind for call in calls for creates in call.creates for kind in _family(creates.kind)}
    destroyed = {kind for call in calls for destroys in call.destroys for kind in _family(destroys.kind)}
    for call in calls:
        for path, kind in _handles(call):
            if not any(each in created or each.external for each in _family(kind)):
                problems.append(
                    f"{call.name}: {path}: no call creates the kind {kind.name}; name the one that does, or mark the "
                    "kind external"
                )
            if not any(each in destroyed or each.external or each.dies_with for each in _family(kind)):
                problems.append(
                    f"{call.name}: {path}: nothing ends the kind {kind.name}; name the call, or what it dies_with, or "
                    "mark the kind external"
                )
    return problems


def unused(calls: Iterable[t.CallSpec], structs: Iterable[t.Struct]) -> list[str]:
    """The structures that no call leads to."""
    used = {struct for call in calls for struct in paths.structures(call.argument)}
    return [f"{struct.name}: no call leads to it; use it or remove it" for struct in structs if struct not in used]


def misnamed(calls: Iterable[t.CallSpec], functions: Iterable[str], structs: Iterable[str]) -> list[str]:
    """The functions and structures whose names are not among those of the interface."""
    known_functions, known_structs = set(functions), set(structs)
    problems: list[str] = []
    for call in calls:
        if call.name not in known_functions:
            problems.append(f"{call.name}: the interface has no such function; spell it as the header does")
        problems += [
            f"{call.name}: {struct.name}: the interface has no such structure"
            for struct in paths.structures(call.argument)
            if not struct.parameters and struct.name.partition(".")[0] not in known_structs
        ]
    return problems


def kind_of(type_: t.Type) -> t.Kind | None:
    """The kind of the values that a field holds, behind its pointer or in its array too."""
    inner, _ = paths.element(type_)
    return getattr(inner, "kind", None)


def _family(kind: t.Kind) -> set[t.Kind]:
    """A kind, what it is a sort of, and what it may stand for."""
    found = {kind, kind.space}
    for each in kind.any_of:
        found |= _family(each)
    return found


def _handles(call: t.CallSpec) -> Iterator[tuple[str, t.Kind]]:
    for path, field, _ in paths.fields(call.argument, arms=call.union_arms):
        kind = kind_of(field.type)
        if kind is not None and kind.binding == "handle":
            yield path, kind


def _check_struct(here: _Here) -> Iterator[str]:
    struct = here.struct
    if not struct.members and not struct.parameters:
        yield f"{here.where}: has no fields"
    names = [field.name for field in struct.fields()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{here.at(name)} stands twice; names are unique within a structure"
    for member in struct.members:
        if isinstance(member, t.Union):
            yield from _check_overlay(member, here)
        elif member.when:
            yield f"{here.at(member.name)} has a condition outside a union; conditions choose arms"
        elif struct.parameters and isinstance(
            member.type, (t.Struct, t.Array, t.ByteArray, t.WCharArray, t.Float, t.Union)
        ):
            yield f"{here.at(member.name)}: does not fit into a parameter; give a pointer to it"
    for field in struct.fields():
        yield from _check_field(field, here)


def _check_overlay(overlay: t.Union, here: _Here) -> Iterator[str]:
    names = "/".join(arm.name for arm in overlay.arms)
    if overlay.by_call:
        if sum(arm.name in here.arms for arm in overlay.arms) != 1:
            yield f"{here.at(names)}: the call must name one of these arms"
        return
    for arm in overlay.arms:
        if arm.when:
            yield from _check_when(arm.when, here, arm.name)
    if not overlay.open and any(_has_union(arm) for arm in overlay.arms):
        # Nobody has needed more; decoding tells open unions as their bytes.
        yield f"{here.at(names)}: a union inside of an arm, where the arms are decided; give the arm a structure's name"
    if not overlay.open and sum(arm.when is None for arm in overlay.arms) > 1:
        yield f"{here.at(names)}: two arms without a rule; say when each is in effect"


def _has_union(arm: t.Field) -> bool:
    unnamed = not arm.name and isinstance(arm.type, t.Struct)
    return unnamed and any(isinstance(member, t.Union) for member in arm.type.members)  # type: ignore[union-attr]


def _check_field(field: t.Field, here: _Here) -> Iterator[str]:
    if not field.name.isidentifier():
        yield f"{here.at(repr(field.name))} is no name"
    if field.fence_handle is not None:
        try:
            paths.find(here.struct, field.fence_handle)
        except KeyError:
            yield f"{here.at(field.name)}: belongs to {field.fence_handle}, which does not exist there"
    yield from _check_lengths(field, here)
    yield from _check_type(field.type, field.name, here)


def _check_lengths(field: t.Field, here: _Here) -> Iterator[str]:
    type_ = field.type
    lengths = [t.length_of(type_)]
    if isinstance(type_, t.Array):
        lengths = [t.count_of(type_.used) if type_.used else None]
        if not 0 < type_.count <= ARRAY_LIMIT:
            yield f"{here.at(field.name)}: an array of {type_.count} elements; {ARRAY_LIMIT} at most"
    if isinstance(type_, t.VariableRecords):
        lengths.append(t.count_of(type_.number))
        if not isinstance(_target(type_.to, t.Length(type_.size)), t.Integer):
            yield f"{here.at(field.name)}: {type_.size} is no integer field of {type_.to.name}"
    if isinstance(type_, t.Payload):
        by = _target(here.struct, t.Length(type_.by))
        if not isinstance(by, (t.Integer, t.Enum)):
            yield f"{here.at(field.name)}: its form follows from {type_.by}, which is no number of {here.struct.name}"
        for value, name, _ in type_.cases:
            if isinstance(by, t.Enum) and (name, value) not in by.members:
                yield f"{here.at(field.name)}: {by.name} has no {name} = {value}"
    for length in lengths:
        if length is None:
            continue
        holder = here.outwards(length.parent)
        target = _target(holder, length) if holder else None
        if not isinstance(target, t.Integer):
            name = holder.name if holder else "what led here"
            yield f"{here.at(field.name)}: its length {length.path} is no integer field of {name}"


def _target(struct: t.Struct, length: t.Length) -> t.Type | None:
    try:
        type_ = paths.find(struct, length.path).type
    except KeyError:
        return None
    return type_.to if length.deref and isinstance(type_, t.Pointer) else type_


def _check_type(type_: t.Type, name: str, here: _Here) -> Iterator[str]:
    match type_:
        case t.Flags():
            yield from _check_flags(type_, here.at(name))
        case t.Enum():
            yield from _check_names([type_.name], here.at(name))
            yield from _check_names([member for member, _ in type_.members], here.at(name))
        case t.Integer(size=size) if size not in (1, 2, 4, 8, None):
            yield f"{here.at(name)}: an integer of {size} bytes"
        case t.Float(size=size) if size not in (4, 8):
            yield f"{here.at(name)}: a floating point number of {size} bytes"
        case t.ByteArray(size=size) if size < 1:
            yield f"{here.at(name)}: has no bytes"
        case t.StructSize() if here.struct.parameters:
            yield f"{here.at(name)}: parameters have no size of their own"
        case t.Pointer(to=to):
            yield from _check_type(to, name, here)
        case t.Array(of=of):
            yield from _check_type(of, name, here)
        case t.Union():
            yield from _check_overlay(type_, here)
            for arm in type_.arms:
                yield from _check_field(arm, here)
        case t.Payload(cases=cases) if any(not isinstance(case, t.Struct) for _, _, case in cases):
            for _, _, case in cases:
                yield from _check_type(case, name, here)
        case t.Struct() | t.VariableRecords() | t.Payload():
            for struct in _inside(type_):
                where = f"{here.where}: {struct.name}"
                yield from _check_struct(_Here(struct, (here.struct, *here.outer), here.arms, where))
        case _:
            pass


def _inside(type_: t.Struct | t.VariableRecords | t.Payload) -> list[t.Struct]:
    if isinstance(type_, t.Struct):
        return [type_]
    return (
        [type_.to]
        if isinstance(type_, t.VariableRecords)
        else [c for _, _, c in type_.cases if isinstance(c, t.Struct)]
    )


def _check_flags(flags: t.Flags, where: str) -> Iterator[str]:
    yield from _check_names(flags.name.split("."), where)
    yield from _check_names([bit.name for bit in flags.bits], where)
    if flags.size not in (1, 2, 4, 8):
        yield f"{where}: a word of {flags.size} bytes"
    taken = 0
    known = {bit.name: bit for bit in flags.bits}
    for bit in flags.bits:
        for other in filter(None, (bit.when, bit.unless)):
            if other not in known or known[other].when or known[other].unless:
                yield f"{where}.{bit.name}: depends on {other}, which is no bit that is always there"
                return
    for bit in flags.bits:
        mask = ((1 << max(bit.width, 0)) - 1) << max(bit.position, 0)
        if bit.position < 0 or bit.width < 1 or bit.position + bit.width > 8 * flags.size:
            yield f"{where}.{bit.name}: lies outside a word of {8 * flags.size} bits"
        elif taken & mask and not _takes_turns(bit, flags):
            yield f"{where}.{bit.name}: shares bits with another name"
        taken |= mask
    if flags.has_bitfields and taken != (1 << 8 * flags.size) - 1:
        yield f"{where}: has a field wider than one bit, so all of its bits need names; add the reserved ones"


def _takes_turns(bit: t.Bit, flags: t.Flags) -> bool:
    """Whether those that share a bit's place have it when this one has not."""
    place = (bit.position, bit.width)
    others = [each for each in flags.bits if each is not bit and flags.mask(each.name) & flags.mask(bit.name)]
    return all(
        (each.position, each.width) == place
        and (each.unless, each.when) == (bit.when, bit.unless)
        and bit.when != bit.unless
        for each in others
    )


_TAKEN = ("mro", "name", "value")
"""What members of an enumeration cannot be called in Python."""


def _check_names(names: list[str], where: str) -> Iterator[str]:
    for name in names:
        if not name.isidentifier() or name.startswith("_") or name in _TAKEN or names.count(name) > 1:
            yield f"{where}: {name!r} is no name, or stands twice"


def _check_when(when: t.Condition, here: _Here, what: str) -> Iterator[str]:
    holder = here.outwards(when.parent)
    if when == t.NEVER:
        return
    if holder is None:
        yield f"{here.at(what)}: its condition looks {when.parent} outwards, where there is nothing"
        return
    path, _, last = when.path.rpartition(".")
    word = _target(holder, t.Length(path)) if path else None
    if isinstance(word, t.Flags):
        if not any(bit.name == last for bit in word.bits):
            yield f"{here.at(what)}: its condition names {when.path}, but {path} has no such bit"
        return
    target = _target(holder, t.Length(when.path)) or _target(holder, t.Length(f"{when.path}[]"))
    if target is None:
        yield f"{here.at(what)}: its condition names {when.path}, which does not exist there"
    elif when.kind is not None and kind_of(target) is None:
        yield f"{here.at(what)}: its condition asks for the kind of {when.path}, which holds no handle"


def _check_life(call: t.CallSpec, part: t.Creates | t.Destroys) -> Iterator[str]:
    wanted: list[tuple[str, t.Kind | None]] = [(part.path, part.kind)]
    if isinstance(part, t.Creates):
        wanted += [(path, None) for path in part.within]
        if part.size is not None and not isinstance(_target(call.argument, t.Length(part.size)), t.Integer):
            yield f"{call.name}: {part.path}: its size {part.size} is no integer field of {call.argument.name}"
    for path, kind in wanted:
        try:
            found = kind_of(paths.find(call.argument, path).type)
        except KeyError:
            yield f"{call.name}: {path} leads to no field of {call.argument.name}"
            continue
        if found is None or (kind is not None and not _family(found) & {kind, kind.space}):
            name = kind.name if kind else "a handle"
            yield f"{call.name}: {path} holds {found.name if found else 'no handle'}, not {name}"
