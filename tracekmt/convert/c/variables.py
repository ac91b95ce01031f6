"""Variables of a reproducer for handles, addresses, fence values and LUIDs.

The call that returns such a value sets its variable. Later calls use the variable. A value is matched with an object
by the rules of a replay.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tracekmt.calls.nt_calls import CURRENT_PROCESS
from tracekmt.codec.luid import Luid
from tracekmt.convert.c.text import Names, constant, identifier
from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import Lifetimes, fence_owners, is_live_value
from tracekmt.objects.undescribed import UndescribedResults
from tracekmt.spec.types import Integer, Kind, Struct
from tracekmt.trace.call import BoundValue
from tracekmt.trace.reader import TracedCall


@dataclass(eq=False)
class Variable:
    """A global variable of the program.

    Attributes:
        name: Name in C.
        type: Type in C.
        comment: Description of the value, for a comment.
        used: True if a call uses the variable as input. Unused variables are omitted from the program.
    """

    name: str
    type: str
    comment: str
    used: bool = False


@dataclass(eq=False)
class LuidVariable(Variable):
    """A variable for the LUID of an adapter.

    Attributes:
        low: Recorded LowPart.
        high: Recorded HighPart.
        needs_lookup: True if a call takes the LUID before any call returns it. The program then looks for an adapter.
    """

    low: int = 0
    high: int = 0
    needs_lookup: bool = False


class InputExpression(NamedTuple):
    """C expression that replaces a recorded input value.

    Attributes:
        text: The expression.
        note: Remark on the replacement, empty if there is none.
    """

    text: str
    note: str = ""


_CONSTRUCTORS = {"event": "new_event()", "semaphore": "new_semaphore()", "section": "new_section()"}
"""C expressions that create an object of an external kind."""


class Variables:
    """Variables of a reproducer, collected from the calls of a trace in their order.

    Attributes:
        all: All variables except LUIDs.
        luids: Variables of LUIDs.
        external: Variables of handles created outside the trace, by handle space and value. Each has the C expression
            of its initial value.
    """

    def __init__(self, names: Names) -> None:
        self.all: list[Variable] = []
        self.luids: dict[Luid, LuidVariable] = {}
        self.external: dict[tuple[str, int], tuple[Variable, str]] = {}
        self._names = names
        self._lifetimes = Lifetimes()
        self._undescribed = UndescribedResults()
        self._object_variables: dict[Identity, Variable] = {}
        self._last_objects: dict[tuple[str, int], Identity] = {}
        self._fence_variables: dict[Hashable, Variable] = {}

    def on_enter(self, call: TracedCall) -> dict[str, InputExpression]:
        """Track the enter event of a call. Return the expressions for its inputs by path."""
        owners = fence_owners(self._lifetimes.bindings, call.bound_inputs)
        expressions: dict[str, InputExpression] = {}
        for bound in call.bound_inputs:
            if bound.kind is not None and is_live_value(bound) and bound.field.direction != "out":
                expression = self._input_expression(call, bound, bound.kind, owners.get(bound.path))
                if expression is not None:
                    expressions[bound.path] = expression
        self._lifetimes.on_enter(call)
        return expressions

    def on_leave(self, call: TracedCall) -> dict[str, Variable]:
        """Track the leave event of a call. Return the variables that its outputs set, by path."""
        self._undescribed.on_leave(call)
        created, _ = self._lifetimes.on_leave(call)
        variables: dict[str, Variable] = {}
        if not call.succeeded:
            return variables
        types = {bound.path: bound.type for bound in call.bound_outputs}
        for identity in created:
            comment = f"{identity.kind.name} of #{call.index}"
            variable = self._variable(call, identity.path, types[identity.path], comment)
            self._object_variables[identity] = variable
            variables[identity.path] = variable
            if identity.kind.binding != "range":
                self._last_objects[identity.kind.space.name, identity.recorded] = identity
        owners = fence_owners(self._lifetimes.bindings, call.bound_outputs)
        for bound in call.bound_outputs:
            if bound.kind is None or bound.path in variables:
                continue
            if is_live_value(bound) and bound.field.direction != "in":
                variables.update(self._output_variable(call, bound, bound.kind, owners.get(bound.path)))
        return variables

    def _input_expression(
        self, call: TracedCall, bound: BoundValue, kind: Kind, fence_owner: Identity | None
    ) -> InputExpression | None:
        if isinstance(bound.value, dict):
            if kind.binding != "per_machine" or not _is_luid(bound) or self._is_unknown_luid(call, bound.value):
                return None
            return InputExpression(self._luid(bound.value, is_input=True).name)
        if kind.binding == "range":
            identity = self._lifetimes.bindings.find(kind, bound.value)
            if identity is None or identity not in self._object_variables:
                return None
            return self._use(self._object_variables[identity], bound.value - identity.recorded)
        if kind.binding == "fence":
            variable = self._fence_variables.get(_fence_key(bound, kind, fence_owner))
            return self._use(variable) if variable is not None else None
        return self._handle(call, bound, kind) if kind.binding == "handle" else None

    def _handle(self, call: TracedCall, bound: BoundValue, kind: Kind) -> InputExpression:
        keys = [(space, bound.value) for space in kind.spaces]
        identity = self._lifetimes.bindings.find(kind, bound.value)
        if identity is None:
            # A destroyed object: the call uses its stale handle.
            identity = next((self._last_objects[key] for key in keys if key in self._last_objects), None)
        if identity is not None and identity in self._object_variables:
            return self._use(self._object_variables[identity])
        if kind.external:
            is_own_process = bound.value in CURRENT_PROCESS
            return InputExpression("(ULONG_PTR)-1") if is_own_process else self._external_handle(bound, kind)
        signed = isinstance(bound.type, Integer) and bound.type.signed
        size = bound.type.size if isinstance(bound.type, Integer) else None
        text = constant(bound.value, size, signed=signed, hexadecimal=True)
        creator = self._undescribed.creator(bound.value)
        if creator is not None:
            return InputExpression(text, f"may come from the undescribed {creator.name} (#{creator.index})")
        if call.returned and not call.succeeded:
            return InputExpression(text, "never seen created")
        return InputExpression("0", f"{bound.value:#x} is older than the trace")

    def _external_handle(self, bound: BoundValue, kind: Kind) -> InputExpression:
        """Return the variable of a handle that no call of the trace created."""
        key = kind.space.name, bound.value
        if key not in self.external:
            number = bound.value & (1 << 64) - 1
            name = self._names.new(f"{identifier(kind.name.replace(' ', ''))}{number:x}")
            variable = Variable(name, "ULONG_PTR", f"{kind.name} {number:#x}, created outside the trace")
            self.external[key] = variable, _CONSTRUCTORS.get(kind.name, "0")
            self.all.append(variable)
        return self._use(self.external[key][0])

    def _use(self, variable: Variable, offset: int = 0) -> InputExpression:
        variable.used = True
        sign = "+" if offset >= 0 else "-"
        return InputExpression(f"{variable.name} {sign} 0x{abs(offset):x}" if offset else variable.name)

    def _variable(self, call: TracedCall, path: str, type_: object, comment: str) -> Variable:
        """Create a variable, named after the last field of a path, the index of its call and the array indexes."""
        field_name, _, _ = path.rpartition(".")[2].partition("[")
        array_indexes = [part.split("]")[0] for part in path.split("[")[1:]]
        size = type_.size if isinstance(type_, Integer) else None
        name = "_".join([identifier(field_name), str(call.index), *array_indexes])
        c_type = {4: "UINT", 8: "UINT64"}.get(size or 0, "ULONG_PTR")
        variable = Variable(self._names.new(name), c_type, comment)
        self.all.append(variable)
        return variable

    def _output_variable(
        self, call: TracedCall, bound: BoundValue, kind: Kind, fence_owner: Identity | None
    ) -> Iterator[tuple[str, Variable]]:
        """Yield path and variable of an output that is a new fence value or a LUID."""
        if kind.binding == "fence" and fence_owner is not None:
            key = _fence_key(bound, kind, fence_owner)
            if key not in self._fence_variables:
                comment = f"{kind.name} of #{call.index}"
                self._fence_variables[key] = self._variable(call, bound.path, bound.type, comment)
                yield bound.path, self._fence_variables[key]
        elif kind.binding == "per_machine" and _is_luid(bound):
            yield bound.path, self._luid(bound.value, is_input=False)

    def _is_unknown_luid(self, call: TracedCall, value: dict[str, int]) -> bool:
        """Return True for the LUID of a failed call that no other call has. It must stay that of no adapter."""
        return call.returned and not call.succeeded and Luid(value["LowPart"], value["HighPart"]) not in self.luids

    def _luid(self, value: dict[str, int], *, is_input: bool) -> LuidVariable:
        luid = Luid(value["LowPart"], value["HighPart"])
        if luid not in self.luids:
            name = self._names.new(f"luid_{str(luid).replace(':', '_')}")
            variable = LuidVariable(name, "struct luid", f"adapter {luid}", low=luid.low_part, high=luid.high_part)
            variable.needs_lookup = is_input
            self.luids[luid] = variable
        self.luids[luid].used |= is_input
        return self.luids[luid]


def _is_luid(bound: BoundValue) -> bool:
    if not isinstance(bound.type, Struct):
        return False
    fields = list(bound.type.fields())
    has_words = all(isinstance(field.type, Integer) and field.type.size == 4 for field in fields)
    return has_words and [field.name for field in fields] == ["LowPart", "HighPart"]


def _fence_key(bound: BoundValue, kind: Kind, fence_owner: Identity | None) -> Hashable:
    return (kind.space.name, fence_owner.fence_owner() if fence_owner is not None else None, bound.value)
