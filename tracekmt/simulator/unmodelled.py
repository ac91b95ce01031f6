"""How a described call is answered that has no rules of its own: its handles must lead to living objects of their kind,
what it makes is made, what it ends is ended, and plain outputs are zero. Nobody claims that Windows answers so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from tracekmt import codec
from tracekmt.codec import FieldValue, Unreadable
from tracekmt.simulator.model.nt_handles import NtObject
from tracekmt.simulator.model.objects import KernelObject, make_bare_object
from tracekmt.simulator.request import Behaviour, Request, View
from tracekmt.simulator.rule import invalid
from tracekmt.spec.layout import lay_out, measure
from tracekmt.spec.types import Address, Array, Creates, Enum, Flags, Integer, Kind, Pointer, Struct, Union

_INDEXED = re.compile(r"(\w+)\[(\d+)\]")
_NT, _GLOBAL = "nt handle", "global share"


class Described(Request):
    """A call of which only the description is known."""

    @cached_property
    def values(self) -> Any:
        """The argument as it was given."""
        return codec.decode(self.spec, self.abi, self.memory, self.arguments, None)

    @cached_property
    def leaves(self) -> list[FieldValue]:
        """Its parts."""
        return list(codec.iter_values(self.spec.argument, self.values))

    @property
    def given(self) -> Iterator[tuple[FieldValue, Kind]]:
        """The handles that it is given, as far as they can be read, and are not null."""
        for leaf in self.leaves:
            kind = leaf.kind
            if kind is None or kind.binding != "handle" or leaf.field.direction == "out":
                continue
            if leaf.value and not isinstance(leaf.value, Unreadable):
                yield leaf, kind

    @cached_property
    def dead(self) -> str | None:
        """The first handle that leads nowhere. NT handles may come from elsewhere, global ones from other machines'
        processes that are not played."""
        for leaf, kind in self.given:
            if kind.space.name not in (_NT, _GLOBAL) and not kind.external and self._node(leaf.value, kind) is None:
                return leaf.path
        return None

    def _node(self, handle: int, kind: Kind) -> KernelObject | None:
        node = self.process.find(handle, KernelObject)
        return node if node is not None and _is(node, kind) else None

    def object_at(self, path: str) -> KernelObject | None:
        """What the handle at a path leads to, whether the call was given it or has just made it."""
        place = locate(self.args, path)
        return self.process.find(int.from_bytes(self.memory.read(*place), "little"), KernelObject) if place else None

    def holds(self, creates: Creates) -> bool:
        """Whether the call makes something at all."""
        return all(codec.condition_holds(when, self.spec.argument, self.values) for when in creates.when)


def _is(node: KernelObject, kind: Kind) -> bool:
    names = {kind.name, *(each.name for each in kind.any_of), kind.space.name}
    return node.kind in names


def locate(view: View, path: str) -> tuple[int, int] | None:
    """The address and size of what stands at a path of a decoded argument; None where nothing in memory does."""
    name, _, rest = path.partition(".")
    indexed = _INDEXED.fullmatch(name)
    name, index = (indexed[1], int(indexed[2])) if indexed else (name, 0)
    slot = view.layout.slot(name)
    type_, address = slot.field.type, view.address + slot.offset
    if isinstance(type_, Pointer):
        type_, address = type_.to, view[name]
    elif isinstance(type_, Array):
        type_ = type_.of
    elif view.layout.struct.parameters:
        return None
    if not address:
        return None
    size, _ = measure(type_, view.layout.abi)
    address += index * size
    if not rest:
        return address, size
    if isinstance(type_, Union):
        arm, _, rest = rest.partition(".")
        type_ = next(each.type for each in type_.arms if each.name == arm)
        if not rest:
            return address, measure(type_, view.layout.abi)[0]
    assert isinstance(type_, Struct)
    return locate(View(view.memory, lay_out(type_, view.layout.abi), address), rest)


def answer(request: Described) -> None:
    """End what is ended, zero what is plain, make what is made."""
    _end(request)
    _zero(request)
    for creates in request.spec.creates:
        if request.holds(creates):
            for leaf in [each for each in request.leaves if each.pattern == creates.path]:
                place = locate(request.args, leaf.path)
                if place is not None:
                    value = _make(request, creates, leaf)
                    request.memory.write(place[0], value.to_bytes(place[1], "little"))


def _end(request: Described) -> None:
    for destroys in request.spec.destroys:
        if not all(codec.condition_holds(when, request.spec.argument, request.values) for when in destroys.when):
            continue
        for leaf in [each for each in request.leaves if each.pattern == destroys.path]:
            if not isinstance(leaf.value, int) or destroys.kind.binding != "handle":
                continue
            node = request.process.find(leaf.value, KernelObject)
            if destroys.kind.space.name == _NT:
                if request.process.nt.get(leaf.value) is not None:
                    request.process.close(leaf.value)
            elif node is not None and _is(node, destroys.kind):
                request.process.end(node)


def _zero(request: Described) -> None:
    """Numbers that the call writes in its own structure; buffers stay as they are."""
    if request.spec.argument.parameters:
        return
    for slot in request.args.layout.slots:
        plain = isinstance(slot.field.type, (Integer, Enum, Flags, Address))
        if plain and slot.field.direction == "out" and slot.overlay is None:
            request.args[slot.field.name] = 0


def _make(request: Described, creates: Creates, leaf: FieldValue) -> int:
    """A new object, range or fence value."""
    kind, process = creates.kind, request.process
    if kind.binding == "range":
        return process.range("cpu" if kind.name.startswith("cpu") else "gpu", 1 << 20, request.pointer_size)
    if kind.binding == "fence":
        return process.fence()
    if kind.binding != "handle":
        return leaf.value if isinstance(leaf.value, int) else 0
    if kind.space.name == _NT:
        return process.open(NtObject(kind.name), 0)
    owners = [request.object_at(_beside(path, leaf.path)) for path in creates.within]
    owner = next((each for each in owners if each is not None), None)
    if kind.space.name == _GLOBAL:
        return request.machine.share(owner.holds[0]) if owner is not None and owner.holds else 0
    return process.add(make_bare_object(kind.name), owner)


def _beside(pattern: str, path: str) -> str:
    """A path of a description with the indexes of another."""
    indexes = re.findall(r"\[(\d+)\]", path)
    for index in indexes:
        pattern = pattern.replace("[]", f"[{index}]", 1)
    return pattern.replace("[]", "[0]")


DEFAULT = Behaviour(
    request=Described,
    rules=(
        invalid(
            "a handle leads to no living object of its kind",
            lambda request: request.dead is not None,
            "the rule of every call that has one",
            "assumption",
        ),
    ),
    effect=answer,
    modelled=False,
)
