"""Slices of objects, and flows from the creation of an object through its uses to its destruction."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tracekmt.activity.follow import Step
from tracekmt.convert.perfetto.arguments import Names, encode_annotations
from tracekmt.convert.perfetto.packets import (
    SLICE_BEGIN,
    SLICE_END,
    category,
    event_packet,
    flow,
    last_flow,
    named_track,
    own_name,
    track_event,
)
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import is_live_value
from tracekmt.trace.reader import TracedCall

MAX_FLOWS = 64
"""Objects that a call uses with flows."""


@dataclass(slots=True)
class _ObjectSlice:
    """Slice of a live object.

    Attributes:
        number: Number of the object, from 0.
        lane: Its track.
        first_size: Size of its memory in bytes when it was created, 0 if it was unknown.
        size: Size of its memory in bytes now.
    """

    number: int
    lane: int
    first_size: int
    size: int


class ObjectTracks:
    """Slices and flows of the objects of a trace while its calls pass.

    A track has one object at a time. The tracks of a kind have one name, so that Perfetto shows them as one.

    Args:
        group: Track that contains the tracks of the kinds.
        new_tracks: Numbers for further tracks.
        names: Names of debug annotations.

    Attributes:
        living: Number of live objects by the name of their kind.
    """

    def __init__(self, group: int, new_tracks: Iterator[int], names: Names) -> None:
        self.living: Counter[str] = Counter()
        self._group = group
        self._new_tracks = new_tracks
        self._names = names
        self._free_lanes: dict[str, list[int]] = defaultdict(list)
        self._slices: dict[Identity, _ObjectSlice] = {}
        self._created = 0

    def uses(self, call: TracedCall, bindings: Bindings) -> bytes:
        """Return the flows of the objects that a call uses, as fields of the event that begins its slice.

        Args:
            call: The call.
            bindings: The objects that are live when the call is entered.
        """
        destroyed = {destroys.path: destroys.kind.space for destroys in call.spec.destroys if call.succeeded}
        numbers: dict[int, None] = {}
        for bound in call.bound_inputs:
            kind = bound.kind
            if kind is None or kind.binding not in ("handle", "range") or not is_live_value(bound):
                continue
            identity = bindings.find(kind, bound.value)
            used = None if identity is None else self._slices.get(identity)
            if identity is None or used is None or destroyed.get(bound.pattern) == identity.kind.space:
                continue
            numbers[used.number] = None
            if len(numbers) == MAX_FLOWS:
                break
        return b"".join([flow(_use_flow(number)) for number in numbers])

    def changes(self, step: Step) -> bytes:
        """Return the flows of the objects that a call created and destroyed, as fields of its last event.

        The slices of the created objects are added.
        """
        flows = []
        for identity in step.created:
            size = step.memory.size(identity)
            self._slices[identity] = added = _ObjectSlice(self._created, 0, size, size)
            self._created += 1
            flows += [flow(_use_flow(added.number)), flow(_slice_flow(added.number))]
        for identity in step.destroyed:
            if identity in self._slices:
                flows.append(last_flow(_use_flow(self._slices[identity].number)))
        return b"".join(flows)

    def packets(self, step: Step, time: int) -> Iterator[bytes]:
        """Yield the packets of the objects that a call created, changed and destroyed.

        Args:
            step: The call. `changes` was called with it.
            time: Time of the packets. It never decreases.
        """
        for change in step.changes:
            if change.action == "sized" and change.allocation in self._slices:
                self._slices[change.allocation].size = change.size
        for identity in step.created:
            yield from self._begin(identity, step, time)
        for identity in step.destroyed:
            if identity in self._slices:
                yield self._end(identity, time)

    def _begin(self, identity: Identity, step: Step, time: int) -> Iterator[bytes]:
        kind, added = identity.kind.name, self._slices[identity]
        free_lanes = self._free_lanes[kind]
        if free_lanes:
            added.lane = heapq.heappop(free_lanes)
        else:
            added.lane = next(self._new_tracks)
            yield named_track(added.lane, self._group, kind)
        self.living[kind] += 1
        facts = {"created by call": step.call.index, "path": identity.path}
        size = added.first_size or identity.size
        yield event_packet(
            time,
            b"".join(
                (
                    track_event(SLICE_BEGIN, added.lane),
                    category("object"),
                    own_name(f"{kind} 0x{identity.recorded:x}"),
                    encode_annotations(self._names, {**facts, "size": size} if size else facts),
                    last_flow(_slice_flow(added.number)),
                )
            ),
        )

    def _end(self, identity: Identity, time: int) -> bytes:
        ended = self._slices.pop(identity)
        heapq.heappush(self._free_lanes[identity.kind.name], ended.lane)
        self.living[identity.kind.name] -= 1
        facts = {"last size": ended.size} if ended.size != ended.first_size else {}
        return event_packet(time, track_event(SLICE_END, ended.lane) + encode_annotations(self._names, facts))


def _use_flow(number: int) -> int:
    """Return the flow through the calls that use an object."""
    return 2 * number + 1


def _slice_flow(number: int) -> int:
    """Return the flow from the call that created an object to the slice of the object."""
    return 2 * number + 2
