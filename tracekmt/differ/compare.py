"""Compares the outcomes of one call on two sides, and binds the handles that the call returned.

`Comparison.on_enter` translates the inputs of a call for the other side. `Comparison.on_leave` compares the outcomes,
binds created objects and removes destroyed ones.

The descriptions define what is compared: the status, and the fields that the call writes. Handles are compared by
identity, addresses by null or not. Values that only a driver can compute are opaque.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tracekmt.codec import Unreadable, iter_values, json_form
from tracekmt.differ.fields import FieldComparison, finding_at
from tracekmt.differ.folding import EqualFindings
from tracekmt.differ.outcome import NO_HANDLE, Adopt, EnteredCall, Outcome
from tracekmt.findings import Finding, FindingKind, NotCompared, Report
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import created_objects, destroyed_objects, fence_owners, has_fence_values
from tracekmt.spec.paths import has_bound_outputs
from tracekmt.spec.types import CallSpec, Kind
from tracekmt.trace.call import BoundValue, TracedCall, format_outcome


class Comparison:
    """State of a comparison.

    Attributes:
        report: The report so far.
        bindings: Live objects and values of both sides.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.bindings = Bindings()
        self._taken = EqualFindings()

    def on_enter(self, call: TracedCall, adopt: Adopt) -> EnteredCall:
        """Translate the inputs of a call for the other side.

        Args:
            call: The recorded call.
            adopt: Returns live handles for objects that are older than the trace.
        """
        entered = EnteredCall(call)
        bound_inputs = call.bound_inputs
        owners = fence_owners(self.bindings, bound_inputs) if has_fence_values(call.spec) else {}
        for bound in bound_inputs:
            kind = bound.kind
            if kind is None or not bound.value or bound.field.direction == "out" or isinstance(bound.value, Unreadable):
                continue
            if kind.binding == "handle":
                value = entered.handles[kind] = self._live_handle(entered, bound, kind, adopt)
            else:
                value = self.bindings.translate(kind, bound.value, owners.get(bound.path))
                if entered.cause is None:
                    entered.cause = self.bindings.cause(kind, bound.value, owners.get(bound.path))
            if value != bound.value:
                entered.changes.append((bound, value))
        if call.spec.destroys:
            entered.destroyed = list(destroyed_objects(self.bindings, call))
        return entered

    def _live_handle(self, entered: EnteredCall, bound: BoundValue, kind: Kind, adopt: Adopt) -> int:
        identity = self.bindings.find(kind, bound.value)
        if identity is None and not kind.external:
            # The handle of an object of another kind. The kinds share one table of handles.
            identity = self.bindings.handles.find_local(bound.value)
        # Another process may have opened an object that its creator has destroyed, and its handle stays valid.
        if identity is None and (kind.external or self.bindings.handles.destroyed_by(kind, bound.value) is None):
            identity = self._adopt(entered, bound, kind, adopt)
            if identity is None:
                entered.unborn.append((bound.path, kind))
        if identity is not None and identity.is_unborn:
            entered.unborn.append((bound.path, kind))
        if identity is not None and identity.cause is not None and entered.cause is None:
            entered.cause = identity.cause
        return identity.live if identity and identity.live else NO_HANDLE

    def on_leave(self, entered: EnteredCall, outcome: Outcome) -> None:
        """Compare a call that returned in the recording with its outcome on the other side."""
        call = entered.call
        recorded: Sequence[BoundValue] = call.bound_outputs
        replayed = outcome.bound_outputs
        if not outcome.unchanged:
            recorded = list(iter_values(call.spec.argument, call.outputs))
            replayed = {bound.path: bound for bound in iter_values(outcome.argument, outcome.outputs)}
        findings: list[Finding] = []
        if outcome.injected:
            self.report.calls.injected += len(outcome.injected)
            self.report.notes += [f"injected at call {call.index}: {failure}" for failure in outcome.injected]
        if not outcome.modelled and not outcome.injected:
            self.report.calls.unmodelled += 1
            self.report.not_compared["unmodelled"][call.name] += 1
            if call.succeeded and not outcome.succeeded:
                findings.append(self._status_finding(call, outcome))
        elif outcome.taken is not None:
            self.report.calls.taken += 1
            if outcome.status_judged:
                self.report.calls.compared += 1
                self.report.functions[call.name] += 1
            taken: NotCompared = "outputs taken" if outcome.status_judged else "taken"
            self.report.not_compared[taken][call.name] += 1
            key = call.name, call.status, outcome.status, outcome.taken, outcome.status_judged, entered.cause
            if not self._taken.fold(key, call.index):
                part = "outputs are" if outcome.status_judged else "outcome is"
                message = f"{outcome.taken}; the {part} taken from the recording"
                finding = replace(self._status_finding(call, outcome), kind="opaque", message=message)
                findings.append(finding)
                self._taken.add(key, finding)
        else:
            self.report.calls.compared += 1
            self.report.functions[call.name] += 1
            if outcome.status != call.status or outcome.result != call.result:
                findings.append(self._status_finding(call, outcome))
            else:
                compare_outputs = self._compare_all_bound if outcome.unchanged else self._compare_outputs
                differences = compare_outputs(call, outcome, recorded, replayed)
                uncertain = outcome.uncertain_outputs
                findings += (_with_uncertainty(each, uncertain) for each in differences) if uncertain else differences
        if call.succeeded:
            if _may_bind(call.spec):
                findings += self._bind(entered, outcome, recorded, replayed)
            for identity in entered.destroyed:
                self.bindings.destroy(identity, call.index)
        if findings:
            self.report.findings += [replace(finding, cause=entered.cause) for finding in findings]

    def finish(self) -> None:
        """Complete the report after the last call."""
        self._taken.finish(self.report.findings)

    def skip_call(self, entered: EnteredCall) -> None:
        """Handle a call that was not made on the other side: objects that it created do not exist there."""
        call = entered.call
        if call.succeeded:
            cause = call.index if entered.cause is None else entered.cause
            for created in created_objects(self.bindings, call):
                self.bindings.bind(created.identity(call.index, None, cause))
            for identity in entered.destroyed:
                self.bindings.destroy(identity, call.index)

    def rebind(self, bindings: Bindings, under_way: Iterable[EnteredCall]) -> None:
        """Adopt the bindings of a restarted target. Objects that never existed there stay missing."""
        bindings.inherit_missing(self.bindings)
        self.bindings = bindings
        for entered in under_way:
            entered.destroyed = list(destroyed_objects(bindings, entered.call))

    def _adopt(self, entered: EnteredCall, bound: BoundValue, kind: Kind, adopt: Adopt) -> Identity | None:
        """Bind a handle whose creation was not recorded.

        A failed call may have been given an invalid handle, so its handle is replaced by an invalid one.
        """
        if entered.call.returned and not entered.call.succeeded and not kind.external:
            return None
        self.report.calls.ambient_handles += 1
        identity = Identity(kind, bound.value, None, bound.path, adopt(kind, bound.value, entered.handles))
        self.bindings.bind(identity)
        return identity

    def _bind(
        self,
        entered: EnteredCall,
        outcome: Outcome,
        recorded: Sequence[BoundValue],
        replayed: Mapping[str, BoundValue],
    ) -> Iterator[Finding]:
        """Bind the objects and values that the call created in the recording to those of the other side."""
        call = entered.call
        succeeded = outcome.succeeded
        owners = fence_owners(self.bindings, recorded)
        for bound in recorded:
            kind = bound.kind
            if kind is None or kind.binding not in ("fence", "per_machine") or bound.field.direction == "in":
                continue
            if not succeeded:
                self._mark_missing(entered, bound, kind, owners.get(bound.path))
            elif bound.path in replayed:
                live = replayed[bound.path].value
                yield from self._bind_value(call, outcome, bound, kind, live, owners.get(bound.path))
        if not succeeded and call.spec.may_block_when is None:
            # A failed signal: its fence values will not be reached.
            signalled = fence_owners(self.bindings, call.bound_inputs)
            for bound in call.bound_inputs:
                if bound.path in signalled and bound.kind is not None:
                    self._mark_missing(entered, bound, bound.kind, signalled[bound.path])
        for created in created_objects(self.bindings, call):
            bound = created.bound_value
            live = replayed[bound.path].value if succeeded and bound.path in replayed else None
            cause = None if live else entered.cause if entered.cause is not None else call.index
            identity = created.identity(call.index, live if isinstance(live, int) and live else None, cause)
            identity.adopted = not outcome.performed
            yield from self._bind_object(call, bound, identity, outcome)

    def _mark_missing(self, entered: EnteredCall, bound: BoundValue, kind: Kind, fence_owner: Identity | None) -> None:
        if bound.value and not isinstance(bound.value, Unreadable):
            self.bindings.mark_missing(
                kind, bound.value, fence_owner, entered.call.index if entered.cause is None else entered.cause
            )

    def _bind_value(
        self,
        call: TracedCall,
        outcome: Outcome,
        bound: BoundValue,
        kind: Kind,
        live: Any,
        fence_owner: Identity | None,
    ) -> Iterator[Finding]:
        """Bind a fence value or a per-machine value that the call returned on both sides."""
        if not bound.value or isinstance(bound.value, Unreadable) or isinstance(live, Unreadable):
            return
        earlier = self.bindings.bind_value(kind, bound.value, live, fence_owner)
        if earlier is not None and kind.binding == "per_machine":
            pair = str(json_form(bound.type, bound.value)), str(json_form(bound.type, live))
            message = f"{bound.path} was {json_form(bound.type, earlier)} in an earlier call"
            yield finding_at(call, outcome.index, "field", bound, pair, message)

    def _bind_object(
        self, call: TracedCall, bound: BoundValue, identity: Identity, outcome: Outcome
    ) -> Iterator[Finding]:
        """Bind a created object. A handle that still refers to another live object is a finding.

        Unrecorded calls close external handles, such as CloseHandle. Then the system gives the number to a new object.
        """
        recorded_clash, live_clash = self.bindings.bind(identity)
        for older, side in ((recorded_clash, "recording"), (live_clash, "replay")):
            # An object that is older than the trace may have been destroyed with an owner that no call names.
            is_expected = side == "recording" and (identity.kind.external or (older is not None and older.is_unborn))
            if older is not None and not is_expected:
                yield finding_at(
                    call,
                    outcome.index,
                    "handle",
                    bound,
                    ("a new object", str(older)),
                    f"in the {side}, {bound.path} is the handle of {older}, which was never destroyed",
                )

    def _compare_all_bound(
        self, call: TracedCall, outcome: Outcome, recorded: Sequence[BoundValue], replayed: Mapping[str, BoundValue]
    ) -> Iterator[Finding]:
        """Compare the bound values of outputs that are equal otherwise."""
        for bound in recorded:
            kind, live = bound.kind, replayed[bound.path].value
            # Handles are compared only by null or live, so equal numbers need no comparison.
            if kind is not None and bound.field.direction != "in" and (kind.binding == "range" or live != bound.value):
                yield from self._compare_bound(call, outcome, bound, kind, bound.value, live)

    def _compare_outputs(
        self, call: TracedCall, outcome: Outcome, recorded: Sequence[BoundValue], replayed: Mapping[str, BoundValue]
    ) -> Iterator[Finding]:
        def compare_bound(bound: BoundValue, kind: Kind, recorded: Any, replayed: Any) -> Iterator[Finding]:
            if kind.binding != "literal":
                yield from self._compare_bound(call, outcome, bound, kind, recorded, replayed)
            elif recorded != replayed:
                yield comparison.number(bound, recorded, replayed)

        comparison = FieldComparison(call, outcome.index, compare_bound)
        yield from comparison.fields(recorded, replayed)

    def _compare_bound(
        self, call: TracedCall, outcome: Outcome, bound: BoundValue, kind: Kind, recorded: Any, replayed: Any
    ) -> Iterator[Finding]:
        """Compare the objects or ranges that two bound values refer to; see `Binding`."""
        if not call.succeeded or kind.binding not in ("handle", "range"):
            # On Windows too, handles have no defined value after a failed call. Fence values depend on the progress of
            # the queues on the other side. Per-machine values are compared when they are bound.
            return
        finding_kind: FindingKind = "handle" if kind.binding == "handle" else "field"
        if bool(recorded) != bool(replayed):
            pair = ("live", "null") if recorded else ("null", "live")
            yield finding_at(call, outcome.index, finding_kind, bound, pair, f"{bound.path} is {pair[1]}")
        elif kind.binding == "range" and recorded:
            owner = self.bindings.find(kind, recorded)
            if owner is not None and owner.live is not None and self._is_comparable(call, bound, kind, owner):
                expected = self.bindings.translate(kind, recorded)
                if expected != replayed:
                    pair = (f"{owner} + {recorded - owner.recorded:#x}", "elsewhere")
                    message = f"{bound.path} is another address"
                    yield finding_at(call, outcome.index, finding_kind, bound, pair, message)

    def _is_comparable(self, call: TracedCall, bound: BoundValue, kind: Kind, owner: Identity) -> bool:
        """Return True if the caller chose the address in a range, so that both sides have the same offset."""
        if all(creates.path != bound.pattern for creates in call.spec.creates):
            return owner.index != call.index
        same_kind = (value for value in call.bound_inputs if value.kind == kind and value.value)
        return any(value.path != bound.path and self.bindings.find(kind, value.value) is owner for value in same_kind)

    def _status_finding(self, call: TracedCall, outcome: Outcome) -> Finding:
        return Finding(
            kind="status",
            call=call.name,
            index=call.index,
            other_index=outcome.index,
            thread=call.thread,
            recorded=call.outcome_text,
            replayed=format_outcome(outcome.status, outcome.result, returned=outcome.returned),
            message=outcome.reason or "",
        )


def _may_bind(spec: CallSpec) -> bool:
    """Return True if a call may create an object, return a value that is bound, or signal a fence."""
    return bool(spec.creates) or has_bound_outputs(spec.argument) or has_fence_values(spec)


def _with_uncertainty(finding: Finding, uncertain_outputs: Mapping[str, str]) -> Finding:
    """Make a finding opaque whose value the target does not know. The reason at "" applies to every output."""
    reason = uncertain_outputs.get(finding.pattern or "", uncertain_outputs.get(""))
    if reason is None or finding.kind == "opaque":
        return finding
    return replace(finding, kind="opaque", message=f"{finding.message}; {reason}")
