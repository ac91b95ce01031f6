"""One call's two outcomes held against each other, and the handles that follow from it.

For every call: `enter` translates its inputs for the other side, `leave` compares the outcomes, binds what was born
and ends what was destroyed. What is compared follows from the descriptions: the status, and the fields that the call
writes; handles by identity, addresses by being null or not, what only a driver can answer as opaque.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from tracekmt.codec import Leaf, Unreadable, json_form, leaves
from tracekmt.handles import HandleMap, Identity
from tracekmt.ntstatus import Status
from tracekmt.report.findings import Finding, FindingKind, Report
from tracekmt.spec.checks import kind_of
from tracekmt.spec.types import Bytes, Creates, Flags, Kind, Struct, When
from tracekmt.trace.reader import TracedCall

NO_HANDLE = 0x0BAD0000
"""Given where an object does not exist on the other side: never a handle, since its top bits are zero."""

Adopt = Callable[[Kind, dict[Kind, int]], int | None]


@dataclass(frozen=True)
class Outcome:
    """How a call ended on the other side: `outputs` are values of the structure `argument`, index is the call's there.
    reason: why it ended so, where the target can tell."""

    status: Status | None
    argument: Struct
    outputs: Any
    index: int
    reason: str | None = None


@dataclass
class Entered:
    """A call on its way: its translated inputs, and what is known of the handles in them."""

    call: TracedCall
    inputs: Any
    cause: int | None = None
    ending: list[Identity] = field(default_factory=list)


class Comparison:
    """The state of a comparison: living handles on both sides, and the report so far."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.handles = HandleMap()

    def enter(self, call: TracedCall, adopt: Adopt) -> Entered:
        """Translate a call's inputs. `adopt` gives a live handle for one that is older than the trace, or None; it is
        told the kind, and the live handles of other kinds in the same call."""
        entered = Entered(call, deepcopy(call.inputs))
        given: dict[Kind, int] = {}
        for leaf, kind in handles_in(leaves(call.call.argument, entered.inputs)):
            if leaf.field.direction == "out":
                continue
            identity = self.handles.find(kind, leaf.value)
            if identity is None and not self.handles.died(kind, leaf.value):
                identity = self._adopt(call, leaf, kind, lambda kind: adopt(kind, given))
            if identity is not None and identity.cause is not None and entered.cause is None:
                entered.cause = identity.cause
            leaf.values[leaf.key] = given[kind] = identity.live if identity and identity.live else NO_HANDLE
        if isinstance(call.inputs, dict):
            entered.ending = list(self._ending(call))
        return entered

    def leave(self, entered: Entered, outcome: Outcome) -> None:
        """Compare a call that returned in the recording with its outcome on the other side."""
        call = entered.call
        assert call.status is not None
        self.report.calls.compared += 1
        mine = list(leaves(call.call.argument, call.outputs))
        theirs = {leaf.path: leaf for leaf in leaves(outcome.argument, outcome.outputs)}
        found: list[Finding] = []
        if outcome.status != call.status:
            found.append(self._status_finding(call, outcome))
        else:
            found += self._compare_outputs(call, outcome, mine, theirs)
        if call.status.succeeded:
            found += self._bind(entered, outcome, mine, theirs)
            for identity in entered.ending:
                self.handles.end(identity)
        self.report.findings += [replace(finding, cause=entered.cause) for finding in found]

    def _adopt(self, call: TracedCall, leaf: Leaf, kind: Kind, adopt: Callable[[Kind], int | None]) -> Identity | None:
        """An object that was never seen born. A call that failed may have been given nonsense: it gets nonsense."""
        if call.status is not None and not call.status.succeeded:
            return None
        self.report.calls.ambient_handles += 1
        identity = Identity(kind, leaf.value, None, leaf.path, adopt(kind))
        self.handles.bind(identity)
        return identity

    def _ending(self, call: TracedCall) -> Iterator[Identity]:
        for destroys in call.call.destroys:
            if all(holds(when, call.call.argument, call.inputs) for when in destroys.when):
                for leaf, kind in handles_in(leaves(call.call.argument, call.inputs)):
                    identity = self.handles.find(kind, leaf.value)
                    if leaf.pattern == destroys.path and identity is not None:
                        yield identity

    def _bind(self, entered: Entered, outcome: Outcome, mine: list[Leaf], theirs: dict[str, Leaf]) -> Iterator[Finding]:
        """What the call made on the recorded side, with what it made on the other."""
        call = entered.call
        done = outcome.status is not None and outcome.status.succeeded
        for creates in call.call.creates:
            if not isinstance(call.inputs, dict) or not all(
                holds(when, call.call.argument, call.inputs) for when in creates.when
            ):
                continue
            owners = self._owners(creates, mine)
            for leaf, _ in handles_in(mine):
                if leaf.pattern != creates.path:
                    continue
                live = theirs[leaf.path].value if done and leaf.path in theirs else None
                identity = Identity(
                    creates.kind,
                    leaf.value,
                    call.index,
                    leaf.path,
                    live or None,
                    cause=None if live else entered.cause if entered.cause is not None else call.index,
                    within=owners,
                )
                yield from self._clashes(call, leaf, identity, outcome)

    def _owners(self, creates: Creates, mine: list[Leaf]) -> tuple[Identity, ...]:
        """What an object dies with: the nearest living owner."""
        for path in creates.within:
            for leaf, kind in handles_in(mine):
                if leaf.pattern == path and kind in creates.kind.dies_with:
                    owner = self.handles.find(kind, leaf.value)
                    return (owner,) if owner else ()
        return ()

    def _clashes(self, call: TracedCall, leaf: Leaf, identity: Identity, outcome: Outcome) -> Iterator[Finding]:
        recorded, live = self.handles.bind(identity)
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

    def _compare_outputs(
        self, call: TracedCall, outcome: Outcome, mine: list[Leaf], theirs: dict[str, Leaf]
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
        self, call: TracedCall, outcome: Outcome, leaf: Leaf, mine: Any, theirs: Any
    ) -> Iterator[Finding]:
        assert call.status is not None
        kind = kind_of(leaf.type)
        if kind is not None and kind.binding in ("handle", "address"):
            # What a failed call leaves in its handles means nothing on Windows either.
            if bool(mine) != bool(theirs) and call.status.succeeded:
                pair = ("live", "null") if mine else ("null", "live")
                sort: FindingKind = "handle" if kind.binding == "handle" else "field"
                yield finding_at(call, outcome.index, sort, leaf, pair, f"{leaf.path} is {pair[1]}")
        elif isinstance(leaf.type, Flags):
            yield from self._compare_bits(call, outcome, leaf, leaf.type, int(mine), int(theirs))
        elif isinstance(leaf.type, Bytes):
            if mine != theirs:
                sort = "opaque" if leaf.type.opaque else "data"
                what = f"{leaf.path} differs{_first_difference(mine, theirs)}"
                yield finding_at(call, outcome.index, sort, leaf, (_size(mine), _size(theirs)), what)
        elif mine != theirs:
            shown = str(json_form(leaf.type, mine)), str(json_form(leaf.type, theirs))
            yield finding_at(call, outcome.index, "field", leaf, shown, f"{leaf.path} differs")

    def _compare_bits(
        self, call: TracedCall, outcome: Outcome, leaf: Leaf, flags: Flags, mine: int, theirs: int
    ) -> Iterator[Finding]:
        for bit in flags.bits:
            mask = flags.mask(bit.name)
            if bit.direction != "in" and mine & mask != theirs & mask:
                place = replace(leaf, path=f"{leaf.path}.{bit.name}", pattern=f"{leaf.pattern}.{bit.name}")
                shown = str((mine & mask) >> bit.position), str((theirs & mask) >> bit.position)
                bit_sort: FindingKind = "opaque" if bit.opaque else "field"
                yield finding_at(call, outcome.index, bit_sort, place, shown, f"{place.path} differs")

    def _status_finding(self, call: TracedCall, outcome: Outcome) -> Finding:
        assert call.status is not None
        replayed = outcome.status.name if outcome.status is not None else "did not return"
        return Finding(
            kind="status",
            call=call.name,
            index=call.index,
            other_index=outcome.index,
            thread=call.thread,
            recorded=call.status.name,
            replayed=replayed,
            message=outcome.reason or "",
        )


def handles_in(found: Iterable[Leaf]) -> Iterator[tuple[Leaf, Kind]]:
    """The leaves that are handles and not null, with their kinds."""
    for leaf in found:
        kind = kind_of(leaf.type)
        if kind is not None and kind.binding == "handle" and leaf.value and not isinstance(leaf.value, Unreadable):
            yield leaf, kind


def finding_at(
    call: TracedCall, other_index: int, sort: FindingKind, leaf: Leaf, pair: tuple[str, str], message: str
) -> Finding:
    """A finding about one field of a call; `pair` is how it was recorded and replayed."""
    kind = kind_of(leaf.type)
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


def holds(when: When, struct: Struct, values: Any) -> bool:
    """Whether a condition on an argument is true of its values."""
    name, _, bit = when.path.partition(".")
    value = int(values.get(name) or 0)
    type_ = struct.field(name).type
    if bit and isinstance(type_, Flags):
        value &= type_.mask(bit)
    return (value == when.equals if when.equals is not None else value != 0) == when.holds


def _size(data: bytes | None) -> str:
    return "null" if data is None else f"{len(data)} bytes"


def _first_difference(mine: bytes | None, theirs: bytes | None) -> str:
    if mine is None or theirs is None:
        return ""
    for at, (a, b) in enumerate(zip(mine, theirs, strict=False)):
        if a != b:
            return f" from byte {at} on: {mine[at : at + 8].hex()} recorded, {theirs[at : at + 8].hex()} replayed"
    return " in length"
