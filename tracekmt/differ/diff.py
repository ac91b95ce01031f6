"""Compares the outcomes of two traces, call by call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from tracekmt.differ.align import NO_PARTNER, Pairs, align
from tracekmt.differ.compare import Comparison, finding_at
from tracekmt.differ.fast_path import same_spec, unchanged_except_bound_values
from tracekmt.differ.outcome import EnteredCall, Outcome
from tracekmt.findings import Finding, Report
from tracekmt.objects.lifetimes import iter_handles
from tracekmt.spec.types import Kind
from tracekmt.trace.reader import Trace, TracedCall


def diff_traces(a: Path, b: Path) -> Report:
    """Compare the outcomes of two traces."""
    report = Report(names=(str(a), str(b)))
    with Trace(a) as left, Trace(b) as right:
        report.calls.lost = left.lost + right.lost
        for trace in (left, right):
            report.notes += [trace.warning] if trace.warning else []
        pairs, extra = align(left, right)
        report.total = len(left) + len(extra)
        _compare(left, right, pairs, report)
        report.findings += [_unpaired("extra", right[index]) for index in sorted(extra)]
    return report


def _compare(left: Trace, right: Trace, pairs: Pairs, report: Report) -> None:
    comparison = Comparison(report)
    under_way: dict[int, tuple[EnteredCall, TracedCall | None]] = {}
    for index, is_leave in left.timeline():
        if not is_leave:
            partner_index = pairs[index]
            partner = right[partner_index] if partner_index != NO_PARTNER else None
            entered = comparison.on_enter(left[index], _Counterpart(partner).adopt)
            if partner is not None:
                report.findings += _compare_handles(comparison, entered, partner)
            under_way[index] = entered, partner
            continue
        entered, partner = under_way.pop(index)
        if partner is None:
            report.findings.append(_unpaired("missing", entered.call))
        else:
            comparison.on_leave(entered, _outcome(entered.call, partner))
    report.calls.in_flight = len(under_way)


def _outcome(call: TracedCall, partner: TracedCall) -> Outcome:
    """Return the outcome of a call in the other trace. Outputs are decoded only if their bytes differ."""
    bound_outputs = None
    if call.abi == partner.abi and partner.leave is not None and same_spec(call.spec, partner.spec):
        bound_outputs = unchanged_except_bound_values(call, partner.abi, sorted(partner.leave.regions))
    return Outcome(
        partner.status,
        partner.spec.argument,
        partner.outputs if bound_outputs is None else None,
        partner.index,
        result=partner.result,
        returned=partner.returned,
        unchanged=bound_outputs is not None,
        bound_outputs=bound_outputs or {},
    )


class _Counterpart:
    """Pairs handles that are older than both traces by their position in a pair of calls."""

    def __init__(self, call: TracedCall | None) -> None:
        self._call = call

    def adopt(self, kind: Kind, handle: int, call_handles: dict[Kind, int]) -> int | None:
        """Return the first handle of a kind in the counterpart; see `Adopt`."""
        if kind.external or self._call is None:
            return handle if kind.external else None
        for bound, handle_kind in iter_handles(self._call.bound_inputs):
            if handle_kind == kind:
                return int(bound.value)
        return None


def _compare_handles(comparison: Comparison, entered: EnteredCall, partner: TracedCall) -> Iterator[Finding]:
    """Yield a finding for each input handle that refers to different objects on the two sides.

    An object that does not exist on the other side already has a finding at its creation.
    """
    call = entered.call
    partner_values = {bound.path: bound.value for bound in partner.bound_inputs}
    for bound, kind in iter_handles(call.bound_inputs):
        if bound.field.direction == "out" or bound.path not in partner_values:
            continue
        identity = comparison.bindings.find(kind, bound.value)
        value = partner_values[bound.path]
        if identity is None or identity.live is None or identity.live == value:
            continue
        partner_identity = comparison.bindings.handles.find_by_live_handle(kind, value)
        partner_text = str(partner_identity) if partner_identity else "live" if value else "null"
        message = f"{bound.path} is another object"
        finding = finding_at(call, partner.index, "handle", bound, (str(identity), partner_text), message)
        yield replace(finding, cause=entered.cause)


def _unpaired(kind: Literal["missing", "extra"], call: TracedCall) -> Finding:
    is_missing = kind == "missing"
    status = call.status.name if call.status is not None else None
    return Finding(
        kind=kind,
        call=call.name,
        index=call.index if is_missing else None,
        other_index=None if is_missing else call.index,
        thread=call.thread,
        recorded=status if is_missing else None,
        replayed=None if is_missing else status,
        message=f"the call {'is missing' if is_missing else 'exists only'} in the second trace",
    )
