"""One call's two outcomes held against each other, and the handles that follow from it.

For every call: `enter` translates its inputs for the other side, `leave` compares the outcomes, binds what was born
and ends what was destroyed. What is compared follows from the descriptions: the status, and the fields that the call
writes; handles by identity, addresses by being null or not, what only a driver can answer as opaque.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from tracekmt.codec import BoundLocation, Unreadable, flags_to_int, iter_values, json_form
from tracekmt.findings import Finding, FindingKind, Report
from tracekmt.ntstatus import Status
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import created_objects, destroyed_objects, fence_owners
from tracekmt.spec.types import Bytes, Flags, Kind, Payload, Struct
from tracekmt.trace.call import BoundValue, TracedCall

NO_HANDLE = 0x0BAD0000
"""Given where an object does not exist on the other side: never a handle, since its top bits are zero."""

_TAKEN = "only a driver can say whether it refuses this; the recorded outcome was taken"

Adopt = Callable[[Kind, dict[Kind, int]], int | None]


@dataclass(frozen=True)
class Outcome:
    """How a call ended on the other side: `outputs` are values of the structure `argument`, index is the call's there.
    reason: why it ended so, where the target can tell. result: what a function gave that gives no NTSTATUS. modelled:
    the target claims that it would end so; else only handles mean anything. taken: the status is the recording's, since
    only a driver can say. injected: what was made to happen at this call.
    same: nothing but what stands for something is other than what was recorded: `outputs` is not told then, and `bound`
    holds those values by their paths."""

    status: Status | None
    argument: Struct
    outputs: Any
    index: int
    reason: str | None = None
    result: int | None = None
    returned: bool = True
    modelled: bool = True
    taken: bool = False
    injected: tuple[str, ...] = ()
    same: bool = False
    bound: Mapping[str, BoundValue] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether the call came back and did what it was asked."""
        return self.returned and (self.status is None or self.status.succeeded)


@dataclass
class Entered:
    """A call on its way: which of its inputs are others on the other side, and what is known of the handles in them."""

    call: TracedCall
    changes: list[tuple[BoundValue, Any]] = field(default_factory=list)
    cause: int | None = None
    destroyed: list[Identity] = field(default_factory=list)

    def inputs(self) -> Any:
        """The inputs for the other side."""
        call = self.call
        if not self.changes:
            return call.inputs
        inputs = deepcopy(call.inputs)
        there = {leaf.path: leaf for leaf in iter_values(call.spec.argument, inputs)}
        for place, value in self.changes:
            leaf = there[place.path]
            leaf.values[leaf.key] = value
        return inputs

    def patches(self) -> list[tuple[int, bytes]] | None:
        """The same as bytes to be put into the recorded memory, each with its address; None where that is not
        enough."""
        if not all(isinstance(place, BoundLocation) and isinstance(value, int) for place, value in self.changes):
            return None
        return [
            (place.address, place.packed(value)) for place, value in self.changes if isinstance(place, BoundLocation)
        ]


class Comparison:
    """The state of a comparison: living handles on both sides, and the report so far."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.bindings = Bindings()

    def on_enter(self, call: TracedCall, adopt: Adopt) -> Entered:
        """Translate a call's inputs. `adopt` gives a live handle for one that is older than the trace, or None; it is
        told the kind, and the live handles of other kinds in the same call."""
        entered = Entered(call)
        given: dict[Kind, int] = {}
        found = call.bound_inputs
        known = fence_owners(self.bindings, found)
        for leaf in found:
            kind = leaf.kind
            if kind is None or not leaf.value or leaf.field.direction == "out" or isinstance(leaf.value, Unreadable):
                continue
            if kind.binding == "handle":
                value = given[kind] = self._live_handle(entered, leaf, kind, given, adopt)
            else:
                value = self.bindings.translate(kind, leaf.value, known.get(leaf.path))
                if entered.cause is None:
                    entered.cause = self.bindings.cause(kind, leaf.value, known.get(leaf.path))
            if value != leaf.value:
                entered.changes.append((leaf, value))
        entered.destroyed = list(destroyed_objects(self.bindings, call))
        return entered

    def _live_handle(self, entered: Entered, leaf: BoundValue, kind: Kind, given: dict[Kind, int], adopt: Adopt) -> int:
        call = entered.call
        identity = self.bindings.find(kind, leaf.value)
        if identity is None and self.bindings.handles.died(kind, leaf.value) is None:
            identity = self._adopt(call, leaf, kind, lambda kind: adopt(kind, given))
        if identity is not None and identity.cause is not None and entered.cause is None:
            entered.cause = identity.cause
        return identity.live if identity and identity.live else NO_HANDLE

    def on_leave(self, entered: Entered, outcome: Outcome) -> None:
        """Compare a call that returned in the recording with its outcome on the other side."""
        call = entered.call
        mine: Sequence[BoundValue] = call.bound_outputs
        theirs = outcome.bound
        if not outcome.same:
            mine = list(iter_values(call.spec.argument, call.outputs))
            theirs = {leaf.path: leaf for leaf in iter_values(outcome.argument, outcome.outputs)}
        found: list[Finding] = []
        if outcome.injected:
            self.report.calls.injected += len(outcome.injected)
            self.report.notes += [f"injected at call {call.index}: {what}" for what in outcome.injected]
        if not outcome.modelled and not outcome.injected:
            self.report.calls.unmodelled += 1
            if call.succeeded and not outcome.succeeded:
                found.append(self._status_finding(call, outcome))
        elif outcome.taken:
            found.append(replace(self._status_finding(call, outcome), kind="opaque", message=_TAKEN))
        else:
            self.report.calls.compared += 1
            self.report.functions[call.name] += 1
            if outcome.status != call.status or outcome.result != call.result:
                found.append(self._status_finding(call, outcome))
            elif outcome.same:
                found += self._compare_all_bound(call, outcome, mine, theirs)
            else:
                found += self._compare_outputs(call, outcome, mine, theirs)
        if call.succeeded:
            found += self._bind(entered, outcome, mine, theirs)
            for identity in entered.destroyed:
                self.bindings.end(identity, call.index)
        if found:
            self.report.findings += [replace(finding, cause=entered.cause) for finding in found]

    def skip_call(self, entered: Entered) -> None:
        """A call that was not made on the other side: what it made in the recording does not exist there."""
        call = entered.call
        if call.succeeded:
            cause = call.index if entered.cause is None else entered.cause
            for birth in created_objects(self.bindings, call):
                self.bindings.bind(birth.identity(call.index, None, cause))
            for identity in entered.destroyed:
                self.bindings.end(identity, call.index)

    def rebind(self, bindings: Bindings, under_way: Iterable[Entered]) -> None:
        """Everything was made anew on the other side, and is bound so; what never came to be there is not there now."""
        bindings.inherit_missing(self.bindings)
        self.bindings = bindings
        for entered in under_way:
            entered.destroyed = list(destroyed_objects(bindings, entered.call))

    def _adopt(
        self, call: TracedCall, leaf: BoundValue, kind: Kind, adopt: Callable[[Kind], int | None]
    ) -> Identity | None:
        """An object that was never seen born. A call that failed may have been given nonsense: it gets nonsense. What
        may come from elsewhere is passed on."""
        if call.returned and not call.succeeded and not kind.external:
            return None
        self.report.calls.ambient_handles += 1
        identity = Identity(kind, leaf.value, None, leaf.path, leaf.value if kind.external else adopt(kind))
        self.bindings.bind(identity)
        return identity

    def _bind(
        self, entered: Entered, outcome: Outcome, mine: Sequence[BoundValue], theirs: Mapping[str, BoundValue]
    ) -> Iterator[Finding]:
        """What the call made on the recorded side, with what it made on the other."""
        call = entered.call
        done = outcome.succeeded
        known = fence_owners(self.bindings, mine)
        for leaf in mine:
            kind = leaf.kind
            if kind is None or kind.binding not in ("fence", "per_machine") or leaf.field.direction == "in":
                continue
            if not done:
                self._lose(entered, leaf, kind, known.get(leaf.path))
            elif leaf.path in theirs:
                yield from self._learn(call, outcome, leaf, kind, theirs[leaf.path].value, known.get(leaf.path))
        if not done and call.spec.may_block_when is None:
            given = fence_owners(self.bindings, call.bound_inputs)  # what was to be signalled is not
            for leaf in call.bound_inputs:
                if leaf.path in given and leaf.kind is not None:
                    self._lose(entered, leaf, leaf.kind, given[leaf.path])
        for birth in created_objects(self.bindings, call):
            leaf = birth.leaf
            live = theirs[leaf.path].value if done and leaf.path in theirs else None
            cause = None if live else entered.cause if entered.cause is not None else call.index
            identity = birth.identity(call.index, live if isinstance(live, int) and live else None, cause)
            yield from self._clashes(call, leaf, identity, outcome)

    def _lose(self, entered: Entered, leaf: BoundValue, kind: Kind, clock: Identity | None) -> None:
        if leaf.value and not isinstance(leaf.value, Unreadable):
            self.bindings.mark_missing(
                kind, leaf.value, clock, entered.call.index if entered.cause is None else entered.cause
            )

    def _learn(
        self, call: TracedCall, outcome: Outcome, leaf: BoundValue, kind: Kind, live: Any, clock: Identity | None
    ) -> Iterator[Finding]:
        """A value that the call handed out on both sides, if it is of a kind that is bound so."""
        if not leaf.value or isinstance(leaf.value, Unreadable) or isinstance(live, Unreadable):
            return
        before = self.bindings.learn(kind, leaf.value, live, clock)
        if before is not None and kind.binding == "per_machine":
            pair = str(json_form(leaf.type, leaf.value)), str(json_form(leaf.type, live))
            message = f"{leaf.path} was {json_form(leaf.type, before)} there before"
            yield finding_at(call, outcome.index, "field", leaf, pair, message)

    def _clashes(self, call: TracedCall, leaf: BoundValue, identity: Identity, outcome: Outcome) -> Iterator[Finding]:
        recorded, live = self.bindings.bind(identity)
        for older, side in ((recorded, "recording"), (live, "replay")):
            if older is not None:
                yield finding_at(
                    call,
                    outcome.index,
                    "handle",
                    leaf,
                    ("a new object", str(older)),
                    f"in the {side}, {leaf.path} is the handle of {older}, which was never destroyed",
                )

    def _compare_all_bound(
        self, call: TracedCall, outcome: Outcome, mine: Sequence[BoundValue], theirs: Mapping[str, BoundValue]
    ) -> Iterator[Finding]:
        """What stands for something, where all else is known to be the same."""
        for leaf in mine:
            kind, there = leaf.kind, theirs[leaf.path].value
            # A handle with the same number needs no look: whether it is live or null is all that is compared.
            if kind is not None and leaf.field.direction != "in" and (kind.binding == "range" or there != leaf.value):
                yield from self._compare_bound(call, outcome, leaf, kind, leaf.value, there)

    def _compare_outputs(
        self, call: TracedCall, outcome: Outcome, mine: Sequence[BoundValue], theirs: Mapping[str, BoundValue]
    ) -> Iterator[Finding]:
        for leaf in mine:
            if leaf.field.direction == "in":
                continue
            other = theirs.get(leaf.path)
            if other is None and isinstance(leaf.value, Unreadable):
                pair = ("unreadable", "readable")
                yield finding_at(call, outcome.index, "opaque", leaf, pair, f"{leaf.path} could not be recorded")
            elif other is None:
                yield finding_at(call, outcome.index, "data", leaf, ("present", "absent"), f"{leaf.path} is not there")
            elif isinstance(leaf.value, Unreadable) != isinstance(other.value, Unreadable):
                pair = ("unreadable", "readable") if isinstance(leaf.value, Unreadable) else ("readable", "unreadable")
                yield finding_at(call, outcome.index, "opaque", leaf, pair, f"{leaf.path} is unreadable on one side")
            elif not isinstance(leaf.value, Unreadable):
                yield from self._compare_leaf(call, outcome, leaf, leaf.value, other.value)
        paths = {leaf.path for leaf in mine}
        if not any(isinstance(leaf.value, Unreadable) for leaf in mine):
            for path, leaf in theirs.items():
                if path not in paths and leaf.field.direction != "in" and not isinstance(leaf.value, Unreadable):
                    yield finding_at(call, outcome.index, "data", leaf, ("absent", "present"), f"{path} is new there")

    def _compare_leaf(
        self, call: TracedCall, outcome: Outcome, leaf: BoundValue, mine: Any, theirs: Any
    ) -> Iterator[Finding]:
        kind = leaf.kind
        if kind is not None and kind.binding != "literal":
            yield from self._compare_bound(call, outcome, leaf, kind, mine, theirs)
        elif isinstance(leaf.type, Flags):
            yield from self._compare_bits(
                call, outcome, leaf, leaf.type, flags_to_int(leaf.type, mine), flags_to_int(leaf.type, theirs)
            )
        elif isinstance(mine, bytes) or isinstance(theirs, bytes):
            if mine != theirs:
                only_a_driver = isinstance(leaf.type, Payload) or (isinstance(leaf.type, Bytes) and leaf.type.opaque)
                sort: FindingKind = "opaque" if only_a_driver else "data"
                what = f"{leaf.path} differs{_first_difference(mine, theirs)}"
                yield finding_at(call, outcome.index, sort, leaf, (_size(mine), _size(theirs)), what)
        elif mine != theirs:
            shown = str(json_form(leaf.type, mine)), str(json_form(leaf.type, theirs))
            yield finding_at(call, outcome.index, "field", leaf, shown, f"{leaf.path} differs")

    def _compare_bound(
        self, call: TracedCall, outcome: Outcome, leaf: BoundValue, kind: Kind, mine: Any, theirs: Any
    ) -> Iterator[Finding]:
        """Values that are bound are compared by what they are bound to; see `Binding`."""
        if not call.succeeded or kind.binding not in ("handle", "range"):
            # What a failed call leaves in its handles means nothing on Windows either. Fence values depend on how far
            # the other side's queues are; the machine's own names are held against each other as they are learned.
            return
        sort: FindingKind = "handle" if kind.binding == "handle" else "field"
        if bool(mine) != bool(theirs):
            pair = ("live", "null") if mine else ("null", "live")
            yield finding_at(call, outcome.index, sort, leaf, pair, f"{leaf.path} is {pair[1]}")
        elif kind.binding == "range" and mine:
            found = self.bindings.find(kind, mine)
            if found is not None and found.live is not None and self._asked_there(call, leaf, kind, found):
                expected = self.bindings.translate(kind, mine)
                if expected != theirs:
                    pair = (f"{found} + {mine - found.recorded:#x}", "elsewhere")
                    yield finding_at(call, outcome.index, sort, leaf, pair, f"{leaf.path} lies elsewhere")

    def _asked_there(self, call: TracedCall, leaf: BoundValue, kind: Kind, found: Identity) -> bool:
        if all(creates.path != leaf.pattern for creates in call.spec.creates):
            return found.index != call.index
        given = (each for each in call.bound_inputs if each.kind == kind and each.value)
        return any(each.path != leaf.path and self.bindings.find(kind, each.value) is found for each in given)

    def _compare_bits(
        self, call: TracedCall, outcome: Outcome, leaf: BoundValue, flags: Flags, mine: int, theirs: int
    ) -> Iterator[Finding]:
        for bit in flags.in_effect(mine):
            mask = flags.mask(bit.name)
            if (bit.direction or leaf.field.direction) != "in" and mine & mask != theirs & mask:
                place = leaf._replace(path=f"{leaf.path}.{bit.name}", pattern=f"{leaf.pattern}.{bit.name}")
                shown = str((mine & mask) >> bit.position), str((theirs & mask) >> bit.position)
                bit_sort: FindingKind = "opaque" if bit.opaque else "field"
                yield finding_at(call, outcome.index, bit_sort, place, shown, f"{place.path} differs")

    def _status_finding(self, call: TracedCall, outcome: Outcome) -> Finding:
        return Finding(
            kind="status",
            call=call.name,
            index=call.index,
            other_index=outcome.index,
            thread=call.thread,
            recorded=_answer(call.status, call.result),
            replayed=_answer(outcome.status, outcome.result),
            message=outcome.reason or "",
        )


def finding_at(
    call: TracedCall, other_index: int, sort: FindingKind, leaf: BoundValue, pair: tuple[str, str], message: str
) -> Finding:
    """A finding about one field of a call; `pair` is how it was recorded and replayed."""
    kind = leaf.kind
    return Finding(
        kind=sort,
        call=call.name,
        index=call.index,
        other_index=other_index,
        thread=call.thread,
        recorded=pair[0],
        replayed=pair[1],
        message=message,
        path=leaf.path,
        pattern=leaf.pattern,
        handle_kind=kind.name if kind is not None and kind.binding == "handle" else None,
    )


def _answer(status: Status | None, result: int | None) -> str:
    if status is not None:
        return status.name
    return "did not return" if result is None else str(result)


def _size(data: bytes | None) -> str:
    return "null" if data is None else f"{len(data)} bytes"


def _first_difference(mine: bytes | None, theirs: bytes | None) -> str:
    if mine is None or theirs is None:
        return ""
    for at, (a, b) in enumerate(zip(mine, theirs, strict=False)):
        if a != b:
            return f" from byte {at} on: {mine[at : at + 8].hex()} recorded, {theirs[at : at + 8].hex()} replayed"
    return " in length"
