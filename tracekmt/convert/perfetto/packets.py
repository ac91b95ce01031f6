"""Packets of a Perfetto trace: tracks, events, names and clocks.

The numbers are those of the fields in Perfetto's protos (protos/perfetto/trace). All packets are one sequence, whose
first packet has the names that the others refer to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tracekmt.convert.perfetto.wire import fixed64_field, key, message_field, number_field, text_field, varint

SLICE_BEGIN, SLICE_END, _COUNTER = 1, 2, 4
CATEGORIES = ("call", "failed", "object")
Category = Literal["call", "failed", "object"]
Unit = Literal["", "bytes"]

_PACKET, _TIMESTAMP, _TRACK_EVENT, _INTERNED, _DEFAULTS, _TRACK, _CLOCKS = 1, 8, 11, 12, 59, 60, 6
_SEQUENCE = number_field(10, 1)
_NAMES_CLEARED, _NAMES_NEEDED = number_field(13, 1), number_field(13, 2)
_CLOCK_ID, _REALTIME, _MONOTONIC, _BOOTTIME = 58, 1, 3, 6
_UNIT_COUNT, _UNIT_BYTES = 2, 3
_MERGE_BY_NAME = number_field(15, 1)
_MAX_TIME = (1 << 63) - 1
_EVENT_BEGIN = _SEQUENCE + _NAMES_NEEDED + key(_TRACK_EVENT)
_TIMESTAMP_KEY = key(_TIMESTAMP, 0)
_PACKET_KEY = key(_PACKET)


def first_packet(names: Iterable[str], annotation_names: Iterable[str]) -> bytes:
    """Return the packet with the clock and the names of a sequence.

    Args:
        names: Names of slices, from number 1.
        annotation_names: Names of debug annotations, from number 1.
    """
    interned = [_name(1, number, name) for number, name in enumerate(CATEGORIES, 1)]
    interned += [_name(2, number, name) for number, name in enumerate(names, 1)]
    interned += [_name(3, number, name) for number, name in enumerate(annotation_names, 1)]
    defaults = message_field(_DEFAULTS, number_field(_CLOCK_ID, _MONOTONIC))
    return message_field(_PACKET, _SEQUENCE, _NAMES_CLEARED, defaults, message_field(_INTERNED, *interned))


def _name(field: int, number: int, name: str) -> bytes:
    return message_field(field, number_field(1, number), text_field(2, name))


def clock_packet(time: int, wall: int | None) -> bytes:
    """Return the packet that relates the clock of a trace to others.

    Args:
        time: A time of the trace in nanoseconds.
        wall: The same moment in nanoseconds since 1970, if it is known.
    """
    readings = {_MONOTONIC: time, _BOOTTIME: time, **({} if wall is None else {_REALTIME: wall})}
    clocks = [message_field(1, number_field(1, clock), number_field(2, now)) for clock, now in readings.items()]
    return message_field(_PACKET, _SEQUENCE, message_field(_CLOCKS, *clocks, number_field(2, _MONOTONIC)))


def process_track(uuid: int, pid: int, name: str) -> bytes:
    """Return the packet of a process."""
    return _track(uuid, message_field(3, number_field(1, pid), text_field(6, name)))


def thread_track(uuid: int, process: int, pid: int, tid: int, name: str) -> bytes:
    """Return the packet of a thread."""
    thread = message_field(4, number_field(1, pid), number_field(2, tid), text_field(5, name))
    return _track(uuid, number_field(5, process), thread)


def named_track(uuid: int, parent: int, name: str) -> bytes:
    """Return the packet of a track. Perfetto merges tracks with one name and one parent."""
    return _track(uuid, number_field(5, parent), text_field(2, name), _MERGE_BY_NAME)


def counter_track(uuid: int, parent: int, name: str, unit: Unit) -> bytes:
    """Return the packet of a counter."""
    counter = message_field(8, number_field(3, _UNIT_BYTES if unit == "bytes" else _UNIT_COUNT))
    return _track(uuid, number_field(5, parent), text_field(2, name), counter)


def _track(uuid: int, *parts: bytes) -> bytes:
    return message_field(_PACKET, _SEQUENCE, message_field(_TRACK, number_field(1, uuid), *parts))


def track_event(event_type: int, track: int) -> bytes:
    """Return the first fields of an event on a track."""
    return number_field(9, event_type) + number_field(11, track)


def interned_name(number: int) -> bytes:
    """Return the field of an event with the number of its name."""
    return number_field(10, number)


def own_name(name: str) -> bytes:
    """Return the field of an event with its name."""
    return text_field(23, name)


def category(name: Category) -> bytes:
    """Return the field of an event with its category."""
    return number_field(3, CATEGORIES.index(name) + 1)


def flow(number: int) -> bytes:
    """Return the field of an event with a flow, which begins or passes here."""
    return fixed64_field(47, number)


def last_flow(number: int) -> bytes:
    """Return the field of an event with a flow that ends here."""
    return fixed64_field(48, number)


def counter_event(track: int, value: int) -> bytes:
    """Return the fields of an event with a value of a counter."""
    return track_event(_COUNTER, track) + number_field(30, value)


def event_packet(time: int, event: bytes) -> bytes:
    """Return the packet of an event.

    Args:
        time: Time in nanoseconds. Perfetto has signed numbers of 64 bits for it.
        event: The encoded fields of the event.
    """
    packet = b"".join((_TIMESTAMP_KEY, varint(min(max(time, 0), _MAX_TIME)), _EVENT_BEGIN, varint(len(event)), event))
    return _PACKET_KEY + varint(len(packet)) + packet
