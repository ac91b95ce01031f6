"""Reads Perfetto traces with Perfetto's own protos, as its trace processor does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import DebugAnnotation, Trace, TracePacket, TrackEvent


@dataclass
class Slice:
    """A slice. Its end is None if it has none."""

    track: int
    name: str
    category: str
    begin: int
    depth: int
    values: dict[str, Any]
    end: int | None = None


@dataclass
class PerfettoTrace:
    """Contents of a Perfetto trace.

    Attributes:
        tracks: Descriptors of the tracks by number.
        slices: Slices in the order of their begins.
        counters: Times and values of each counter, by its name.
        flows: Slices that each flow passes, in order.
    """

    tracks: dict[int, Any] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    counters: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    flows: dict[int, list[Slice]] = field(default_factory=lambda: defaultdict(list))
    clocks: dict[int, int] = field(default_factory=dict)

    def thread_slices(self) -> list[Slice]:
        return [found for found in self.slices if self.tracks[found.track].HasField("thread")]

    def object_slices(self, kind: str) -> list[Slice]:
        return [found for found in self.slices if self.tracks[found.track].name == kind]


def read_perfetto(source: Path | bytes) -> PerfettoTrace:
    """Read a Perfetto trace. Events are applied in the order of their times, and of the file for equal times."""
    trace = Trace()
    trace.ParseFromString(source if isinstance(source, bytes) else source.read_bytes())
    result = PerfettoTrace()
    names: dict[str, dict[int, str]] = {}
    events: list[TracePacket] = []
    for packet in trace.packet:
        assert packet.trusted_packet_sequence_id == 1
        if packet.HasField("interned_data"):
            assert packet.sequence_flags == TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
            assert packet.trace_packet_defaults.timestamp_clock_id == 3
            interned = packet.interned_data
            for kind in ("event_categories", "event_names", "debug_annotation_names"):
                names[kind] = {entry.iid: entry.name for entry in getattr(interned, kind)}
                assert 0 not in names[kind]
        elif packet.HasField("track_descriptor"):
            descriptor = packet.track_descriptor
            assert descriptor.uuid not in result.tracks
            assert not descriptor.parent_uuid or descriptor.parent_uuid in result.tracks
            result.tracks[descriptor.uuid] = descriptor
        elif packet.HasField("clock_snapshot"):
            result.clocks = {clock.clock_id: clock.timestamp for clock in packet.clock_snapshot.clocks}
        else:
            assert packet.sequence_flags == TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
            assert packet.track_event.track_uuid in result.tracks
            events.append(packet)
    _apply(result, sorted(events, key=lambda packet: packet.timestamp), names)
    return result


def _apply(result: PerfettoTrace, packets: list[Any], names: dict[str, dict[int, str]]) -> None:
    open_slices: dict[int, list[Slice]] = defaultdict(list)
    closed_flows = set()
    for packet in packets:
        event = packet.track_event
        stack = open_slices[event.track_uuid]
        if event.type == TrackEvent.TYPE_COUNTER:
            result.counters[result.tracks[event.track_uuid].name].append((packet.timestamp, event.counter_value))
            continue
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            name = event.name if event.HasField("name") else names["event_names"][event.name_iid]
            (category,) = (names["event_categories"][number] for number in event.category_iids)
            stack.append(Slice(event.track_uuid, name, category, packet.timestamp, len(stack), {}))
            result.slices.append(stack[-1])
            current = stack[-1]
        else:
            assert event.type == TrackEvent.TYPE_SLICE_END
            current = stack.pop()
            current.end = packet.timestamp
        for annotation in event.debug_annotations:
            key, value = _annotation(annotation, names["debug_annotation_names"])
            assert key not in current.values
            current.values[key] = value
        for flow in event.flow_ids:
            assert flow not in closed_flows
            result.flows[flow].append(current)
        for flow in event.terminating_flow_ids:
            assert flow in result.flows
            closed_flows.add(flow)
            result.flows[flow].append(current)


def _annotation(annotation: DebugAnnotation, names: dict[int, str]) -> tuple[str, Any]:
    name = names[annotation.name_iid] if annotation.name_iid else annotation.name
    if annotation.dict_entries:
        return name, dict(_annotation(entry, names) for entry in annotation.dict_entries)
    if annotation.array_values:
        return name, [_annotation(entry, names)[1] for entry in annotation.array_values]
    kind = annotation.WhichOneof("value")
    assert kind in ("string_value", "int_value", "double_value")
    return name, getattr(annotation, kind)
