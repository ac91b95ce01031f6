"""Plans: what the core needs to read the calls of a function into a history; see `read_history`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracekmt import core
from tracekmt.codec import finder
from tracekmt.codec.programs import selector_of, span_of
from tracekmt.codec.selection import selecting_handle
from tracekmt.differ.forms import native_form
from tracekmt.differ.keys import return_kind
from tracekmt.spec.layout import Layout, lay_out
from tracekmt.spec.types import Abi, CallSpec, Condition
from tracekmt.trace.handle_kinds import depends_on_objects


def plan_of(native: core.Core, spec: CallSpec, abi: Abi, function: int, resolved: CallSpec | None = None) -> Any:
    """Return the plan of a function. None for a function whose calls are left to Python.

    Args:
        native: The core.
        spec: Description of the function. If objects select its arms, the plan only says which handle selects another.
        abi: ABI of the recorded process.
        function: Number of the function.
        resolved: The description with the arms that an object of one kind selects, for the plan of that kind.
    """
    if resolved is None and depends_on_objects(spec):
        handle = selecting_handle(spec, abi)
        return None if handle is None else native.history_choice(*handle)
    search = finder(resolved or spec, abi)
    layout = lay_out(spec.argument, abi)
    creates = [_effect(layout, creates.when, creates.size) for creates in spec.creates]
    destroys = [_effect(layout, destroys.when) for destroys in spec.destroys]
    # Freed is the largest range at an address, which may be gone already.
    frees_ranges = any(destroys.kind.binding == "range" for destroys in spec.destroys)
    if search is None or search.program is None or frees_ranges or None in creates + destroys:
        return None
    inputs, outputs = native_form(spec, abi, "in"), native_form(spec, abi, "out")
    creates_ranges = any(creates.kind.binding == "range" for creates in spec.creates)
    return native.history_plan(
        *(spec, inputs.form, inputs.is_exact, outputs.form, outputs.is_exact, search.program),
        *(return_kind(spec), function, tuple(creates), tuple(destroys), creates_ranges, resolved is not None),
    )


def _effect(layout: Layout, when: Sequence[Condition], size: str | None = None) -> tuple[Any, Any] | None:
    """Return conditions and the size of a range for the core. None for what is left to Python."""
    conditions = tuple(selector_of(layout, condition) for condition in when)
    span = None if size is None else span_of(layout, size)
    if None in conditions or (size is not None and span is None):
        return None
    return conditions, span
