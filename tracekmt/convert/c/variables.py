"""What stands for something, as a variable of the reproducer: set by the call that made it, used by those that follow.

Which value is which object is told by the same rules as in a replay.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tracekmt.codec.luid import Luid
from tracekmt.convert.c.text import Names, constant, identifier
from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import Lifetimes, fence_owners, is_live_value
from tracekmt.spec.types import Integer, Kind, Struct
from tracekmt.trace.call import BoundValue
from tracekmt.trace.reader import TracedCall


@dataclass(eq=False)
class Variable:
    """A variable of the whole program. comment: what it stands for. used: a call is given it."""

    name: str
    type: str
    comment: str
    used: bool = False


@dataclass(eq=False)
class LuidVariable(Variable):
    """An adapter's LUID. asked: the program was given it by nobody that the trace has, so it is looked for."""

    low: int = 0
    high: int = 0
    asked: bool = False


class Given(NamedTuple):
    """What a call is given in place of a recorded number. note: what to know of it."""

    text: str
    note: str = ""


class Made(NamedTuple):
    """What a call handed out: the variable that takes it, and whether only the first value is kept."""

    variable: Variable
    once: bool = False


_MADE_BY_US = {"event": "new_event()", "semaphore": "new_semaphore()", "section": "new_section()"}


class Variables:
    """The variables, as a trace's calls go by."""

    def __init__(self, names: Names) -> None:
        self.all: list[Variable] = []
        self.luids: dict[Luid, LuidVariable] = {}
        self.outside: dict[tuple[str, int], tuple[Variable, str]] = {}
        self._names = names
        self._lifetimes = Lifetimes()
        self._of: dict[Identity, Variable] = {}
        self._last: dict[tuple[str, int], Identity] = {}
        self._told: dict[Hashable, Variable] = {}

    def enter(self, call: TracedCall) -> dict[str, Given]:
        """A call is entered: what it is given, by the paths of the inputs."""
        found = call.bound_inputs
        known = fence_owners(self._lifetimes.bindings, found)
        given: dict[str, Given] = {}
        for leaf in found:
            if leaf.kind is not None and is_live_value(leaf) and leaf.field.direction != "out":
                told = self._given(call, leaf, leaf.kind, known.get(leaf.path))
                if told is not None:
                    given[leaf.path] = told
        self._lifetimes.on_enter(call)
        return given

    def leave(self, call: TracedCall) -> dict[str, Made]:
        """A call returned: what it handed out, by the paths of the outputs."""
        born, _ = self._lifetimes.on_leave(call)
        made: dict[str, Made] = {}
        if not call.succeeded:
            return made
        types = {leaf.path: leaf.type for leaf in call.bound_outputs}
        for identity in born:
            variable = self._variable(
                call, identity.path, types[identity.path], f"{identity.kind.name} of #{call.index}"
            )
            self._of[identity] = variable
            made[identity.path] = Made(variable)
            if identity.kind.binding != "range":
                self._last[identity.kind.space.name, identity.recorded] = identity
        known = fence_owners(self._lifetimes.bindings, call.bound_outputs)
        for leaf in call.bound_outputs:
            if leaf.kind is not None and is_live_value(leaf) and leaf.field.direction != "in" and leaf.path not in made:
                made.update(self._told_by(call, leaf, leaf.kind, known.get(leaf.path)))
        return made

    def _given(self, call: TracedCall, leaf: BoundValue, kind: Kind, clock: Identity | None) -> Given | None:
        if isinstance(leaf.value, dict):
            luid = kind.binding == "per_machine" and _is_luid(leaf)
            return Given(self._luid(leaf.value, asked=True).name) if luid else None
        if kind.binding == "range":
            found = self._lifetimes.bindings.find(kind, leaf.value)
            return self._use(self._of[found], leaf.value - found.recorded) if found in self._of else None
        if kind.binding == "fence":
            variable = self._told.get(_fence(leaf, kind, clock))
            return self._use(variable) if variable is not None else None
        return self._handle(call, leaf, kind) if kind.binding == "handle" else None

    def _handle(self, call: TracedCall, leaf: BoundValue, kind: Kind) -> Given:
        spaces = [(space, leaf.value) for space in kind.spaces]
        identity = self._lifetimes.bindings.find(kind, leaf.value)
        if identity is None:
            identity = next((self._last[each] for each in spaces if each in self._last), None)
        if identity is not None and identity in self._of:
            return self._use(self._of[identity])
        if kind.external:
            return self._from_outside(leaf, kind)
        if call.returned and not call.succeeded:
            signed = isinstance(leaf.type, Integer) and leaf.type.signed
            size = leaf.type.size if isinstance(leaf.type, Integer) else None
            return Given(constant(leaf.value, size, signed=signed, hexadecimal=True), "never seen born")
        return Given("0", f"{leaf.value:#x} is older than the trace")

    def _from_outside(self, leaf: BoundValue, kind: Kind) -> Given:
        """A handle of the system that the trace has not seen born: one of its sort is made, if we can."""
        key = kind.space.name, leaf.value
        if key not in self.outside:
            number = leaf.value & (1 << 64) - 1
            name = self._names.new(f"{identifier(kind.name.replace(' ', ''))}{number:x}")
            variable = Variable(name, "ULONG_PTR", f"{kind.name} {number:#x}, from outside of the trace")
            self.outside[key] = variable, _MADE_BY_US.get(kind.name, "0")
            self.all.append(variable)
        return self._use(self.outside[key][0])

    def _use(self, variable: Variable, offset: int = 0) -> Given:
        variable.used = True
        sign = "+" if offset >= 0 else "-"
        return Given(f"{variable.name} {sign} 0x{abs(offset):x}" if offset else variable.name)

    def _variable(self, call: TracedCall, path: str, type_: object, comment: str) -> Variable:
        name, _, _ = path.rpartition(".")[2].partition("[")
        numbers = [part.split("]")[0] for part in path.split("[")[1:]]
        size = type_.size if isinstance(type_, Integer) else None
        wanted = "_".join([identifier(name), str(call.index), *numbers])
        c_type = {4: "UINT", 8: "UINT64"}.get(size or 0, "ULONG_PTR")
        variable = Variable(self._names.new(wanted), c_type, comment)
        self.all.append(variable)
        return variable

    def _told_by(
        self, call: TracedCall, leaf: BoundValue, kind: Kind, clock: Identity | None
    ) -> Iterator[tuple[str, Made]]:
        if kind.binding == "fence" and clock is not None:
            key = _fence(leaf, kind, clock)
            if key not in self._told:
                self._told[key] = self._variable(call, leaf.path, leaf.type, f"{kind.name} of #{call.index}")
                yield leaf.path, Made(self._told[key])
        elif kind.binding == "per_machine" and _is_luid(leaf):
            yield leaf.path, Made(self._luid(leaf.value, asked=False), once=True)

    def _luid(self, value: dict[str, int], *, asked: bool) -> LuidVariable:
        luid = Luid(value["LowPart"], value["HighPart"])
        if luid not in self.luids:
            name = self._names.new(f"luid_{str(luid).replace(':', '_')}")
            self.luids[luid] = LuidVariable(
                name, "struct luid", f"adapter {luid}", low=luid.low_part, high=luid.high_part, asked=asked
            )
        self.luids[luid].used |= asked
        return self.luids[luid]


def _is_luid(leaf: BoundValue) -> bool:
    if not isinstance(leaf.type, Struct):
        return False
    found = [(each.name, each.type) for each in leaf.type.fields()]
    words = all(isinstance(type_, Integer) and type_.size == 4 for _, type_ in found)
    return words and [name for name, _ in found] == ["LowPart", "HighPart"]


def _fence(leaf: BoundValue, kind: Kind, clock: Identity | None) -> Hashable:
    return (kind.space.name, clock.fence_owner() if clock is not None else None, leaf.value)
