"""Plans: what the core needs to read the calls of a function into a history; see `read_history`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracekmt import core
from tracekmt.codec import finder
from tracekmt.codec.programs import selector_of, span_of
from tracekmt.codec.selection import selecting_handle
from tracekmt.differ.forms import native_form
from tracekmt.differ.keys import return_kind
from tracekmt.spec.layout import Layout, lay_out
from tracekmt.spec.paths import element_kind, find
from tracekmt.spec.types import Abi, CallSpec, Condition, Creates, Destroys, Kind
from tracekmt.trace.handle_kinds import depends_on_objects

_UNTRACKED = -1
"""In place of the number of a kind, where no call asks for the kinds of handles."""


def plan_of(
    native: core.Core,
    spec: CallSpec,
    abi: Abi,
    function: int,
    number_of_kind: Callable[[Kind], int] | None,
    resolved: CallSpec | None = None,
) -> Any:
    """Return the plan of a function. None for a function whose calls are left to Python.

    Args:
        native: The core.
        spec: Description of the function. If objects select its arms, the plan only says which handle selects another.
        abi: ABI of the recorded process.
        function: Number of the function.
        number_of_kind: Returns the number of the kind of a new handle. None if no call asks for it.
        resolved: The description with the arms that an object of one kind selects, for the plan of that kind.
    """
    if resolved is None and depends_on_objects(spec):
        handle = selecting_handle(spec, abi)
        return None if handle is None else native.history_choice(*handle)
    search = finder(resolved or spec, abi)
    # Freed is the largest range at an address, which may be gone already.
    frees_ranges = any("range" in _bindings(spec, destroys) for destroys in spec.destroys)
    if search is None or search.program is None or frees_ranges:
        return None
    patterns: dict[str, int] = {}
    creates = [_creates(lay_out(spec.argument, abi), each, patterns, number_of_kind) for each in spec.creates]
    destroys = [_destroys(lay_out(spec.argument, abi), each, patterns) for each in spec.destroys]
    if None in creates + destroys:
        return None
    inputs, outputs = native_form(spec, abi, "in"), native_form(spec, abi, "out")
    creates_ranges = any(creates.kind.binding == "range" for creates in spec.creates)
    return native.history_plan(
        *(spec, inputs.form, inputs.is_exact, outputs.form, outputs.is_exact, search.program),
        *(return_kind(spec), function, tuple(creates), tuple(destroys), creates_ranges, resolved is not None),
        tuple(patterns),
    )


def _bindings(spec: CallSpec, destroys: Destroys) -> set[str]:
    """Return the bindings of what is destroyed, and of the field that names it."""
    kind = element_kind(find(spec.argument, destroys.path).type)
    return {destroys.kind.binding} if kind is None else {destroys.kind.binding, kind.binding}


def _creates(
    layout: Layout, creates: Creates, patterns: dict[str, int], number_of_kind: Callable[[Kind], int] | None
) -> tuple[Any, ...] | None:
    """Return a creation for the core. None for what is left to Python."""
    conditions, kind = _conditions(layout, creates.when), creates.kind
    size = None if creates.size is None else span_of(layout, creates.size)
    if None in conditions or (creates.size is not None and size is None) or not 0 < creates.unit < 1 << 64:
        return None
    owners = tuple(_number(patterns, path) for path in creates.within)
    number = number_of_kind(kind) if number_of_kind is not None and kind.binding == "handle" else _UNTRACKED
    return (
        *(conditions, size, creates.unit, _number(patterns, creates.path), owners, tuple(kind.owner_spaces)),
        *(kind.spaces, kind.binding == "range", kind.external, number),
    )


def _destroys(layout: Layout, destroys: Destroys, patterns: dict[str, int]) -> tuple[Any, ...] | None:
    """Return a destruction for the core. None for what is left to Python."""
    conditions, kind = _conditions(layout, destroys.when), destroys.kind
    if None in conditions:
        return None
    number = _number(patterns, destroys.path)
    return conditions, None, 1, number, (), (), kind.spaces, False, kind.external, _UNTRACKED


def _conditions(layout: Layout, when: Sequence[Condition]) -> tuple[Any, ...]:
    return tuple(selector_of(layout, condition) for condition in when)


def _number(patterns: dict[str, int], pattern: str) -> int:
    return patterns.setdefault(pattern, len(patterns) + 1)
