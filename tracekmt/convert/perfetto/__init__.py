"""Conversion of traces for the Perfetto UI: calls, objects, memory and flows on a time line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from tracekmt.activity.follow import Step, follow
from tracekmt.activity.memory import video_memory
from tracekmt.calls.kinds import ADAPTER
from tracekmt.convert.perfetto.arguments import FIRST_THREAD_TRACK, Names, annotation_names, call_events
from tracekmt.convert.perfetto.counters import CallRate, Counters
from tracekmt.convert.perfetto.objects import ObjectTracks
from tracekmt.convert.perfetto.packets import (
    SLICE_END,
    clock_packet,
    event_packet,
    first_packet,
    named_track,
    process_track,
    thread_track,
    track_event,
)
from tracekmt.objects.adapters import adapter_luid
from tracekmt.objects.identity import Bindings
from tracekmt.trace.parallel import results_of_calls
from tracekmt.trace.reader import Trace, TracedCall

_PROCESS_TRACK, _OBJECTS_TRACK, _FIRST_FREE_TRACK = 1, 2, 1 << 40
_MAX_ID = (1 << 31) - 1

Progress = Callable[[int, int], None]


def perfetto_packets(
    trace: Trace, on_progress: Progress = lambda done, total: None, jobs: int | None = None
) -> Iterator[bytes]:
    """Yield a trace as the packets of a Perfetto trace.

    Args:
        trace: The trace.
        on_progress: Called with the number of calls done and their total.
        jobs: Number of processes that encode arguments, see `results_of_calls`.
    """
    names = annotation_names(trace.specs)
    spec_numbers = {spec_id: number for number, spec_id in enumerate(trace.specs, 1)}
    yield first_packet((spec.name for spec in trace.specs.values()), names)
    yield from _origin(trace)
    begin_events = results_of_calls(trace, call_events, names, spec_numbers, jobs=jobs)
    timeline = _Timeline(trace, begin_events, names)
    for step in follow(trace, (), on_progress, timeline.on_enter):
        timeline.on_leave(step)
        yield timeline.take()
    yield timeline.end()


def _origin(trace: Trace) -> Iterator[bytes]:
    """Yield the packets of the clock, the process and the threads. A trace made by hand has no ids of the system."""
    header = trace.header
    anchor = header.clock_anchor
    yield clock_packet(anchor["time"], anchor["wall"]) if anchor is not None else clock_packet(trace.start_time, None)
    recorded_pid, name = header.process.get("pid"), header.process.get("name")
    has_ids = isinstance(recorded_pid, int) and 0 < recorded_pid <= _MAX_ID
    pid = recorded_pid if isinstance(recorded_pid, int) and has_ids else 1
    yield process_track(_PROCESS_TRACK, pid, name if isinstance(name, str) else trace.path.name)
    for thread_id, number in trace.threads.items():
        tid = thread_id if has_ids and 0 < thread_id <= _MAX_ID else number + 1
        yield thread_track(FIRST_THREAD_TRACK + number, _PROCESS_TRACK, pid, tid, f"thread {number}")
    yield named_track(_OBJECTS_TRACK, _PROCESS_TRACK, "objects")


class _Timeline:
    """Events of a trace, call by call.

    Args:
        trace: The trace.
        begin_events: Encoded events in which the slices of the calls begin, see `call_events`.
        names: Names of debug annotations.
    """

    def __init__(self, trace: Trace, begin_events: Iterator[bytes], names: Names) -> None:
        new_tracks = itertools.count(_FIRST_FREE_TRACK)
        self._begin_events = begin_events
        self._objects = ObjectTracks(_OBJECTS_TRACK, new_tracks, names)
        self._counters = Counters(_PROCESS_TRACK, new_tracks)
        self._call_rate = CallRate(self._counters, trace.start_time, trace.duration)
        self._abandoned = set(trace.abandoned_calls())
        self._adapters: dict[int, str] = {}
        self._now = trace.start_time
        self._packets: list[bytes] = []

    def on_enter(self, call: TracedCall, bindings: Bindings) -> None:
        """Begin the slice of a call."""
        time = call.enter.time
        event = next(self._begin_events) + self._objects.uses(call, bindings)
        self._packets += (self._call_rate.add(time), event_packet(time, event))
        if call.index in self._abandoned:  # its thread went on at an unknown time
            self._packets.append(event_packet(time, _end_event(call)))

    def on_leave(self, step: Step) -> None:
        """End the slice of a call that returned, and update objects and counters."""
        call = step.call
        if call.leave is None:
            return
        # The times of threads may differ from the order of the events by a few nanoseconds.
        self._now = time = max(self._now, call.leave.time)
        flows = self._objects.changes(step) if step.created or step.destroyed else b""
        self._packets.append(event_packet(max(call.leave.time, call.enter.time), _end_event(call) + flows))
        if step.created or step.destroyed or step.changes:
            self._packets += self._objects.packets(step, time)
            self._count_objects(step, time)
        self._count_budget(step, time)

    def take(self) -> bytes:
        """Return the packets that were added since the last one."""
        packets = b"".join(self._packets)
        self._packets.clear()
        return packets

    def end(self) -> bytes:
        """Return the last packets."""
        self._packets.append(self._call_rate.end())
        return self.take()

    def _count_objects(self, step: Step, time: int) -> None:
        counters, memory = self._counters, step.memory
        for name, size in (
            ("memory requested", memory.requested),
            ("memory resident", memory.resident),
            ("memory offered", memory.offered),
        ):
            self._packets.append(counters.set(name, size, time, "bytes"))
        for kind in dict.fromkeys(identity.kind.name for identity in (*step.created, *step.destroyed)):
            self._packets.append(counters.set(f"live objects: {kind}", self._objects.living[kind], time))
        for identity in step.created:
            if identity.kind == ADAPTER and (luid := adapter_luid(step.call, identity)) is not None:
                self._adapters[identity.recorded] = f"LUID {luid}"

    def _count_budget(self, step: Step, time: int) -> None:
        answer = video_memory(step.call)
        if answer is not None:
            adapter = self._adapters.get(answer.adapter, f"0x{answer.adapter:x}")
            for name, size in (("budget", answer.budget), ("usage", answer.usage)):
                title = f"{name}: adapter {adapter}, {answer.group}"
                self._packets.append(self._counters.set(title, size, time, "bytes"))


def _end_event(call: TracedCall) -> bytes:
    return track_event(SLICE_END, FIRST_THREAD_TRACK + call.thread)
