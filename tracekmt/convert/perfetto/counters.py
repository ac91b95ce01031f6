"""Counters of a Perfetto trace: memory, budgets, live objects, and calls a second."""

from __future__ import annotations

from collections.abc import Iterator

from tracekmt.convert.perfetto.packets import Unit, counter_event, counter_track, event_packet

_SECOND = 1_000_000_000
_MIN_WIDTH = 1_000_000
_BUCKETS = 50


class Counters:
    """Counters below a process. Each gets its track with its first value, and an event where its value changes.

    Args:
        process: Track of the process.
        new_tracks: Numbers for the tracks.
    """

    def __init__(self, process: int, new_tracks: Iterator[int]) -> None:
        self._process = process
        self._new_tracks = new_tracks
        self._tracks: dict[str, int] = {}
        self._values: dict[str, int] = {}

    def set(self, name: str, value: int, time: int, unit: Unit = "") -> bytes:
        """Return the packets of a value of a counter, none if the counter has this value."""
        if self._values.get(name) == value:
            return b""
        self._values[name] = value
        packets = b""
        if name not in self._tracks:
            self._tracks[name] = next(self._new_tracks)
            packets = counter_track(self._tracks[name], self._process, name, unit)
        return packets + event_packet(time, counter_event(self._tracks[name], value))


class CallRate:
    """Counter of calls a second, with a value for each period of time.

    Args:
        counters: The counters.
        start: Time of the first event.
        duration: Duration of the trace. Periods have one second, or less in a short trace.
    """

    def __init__(self, counters: Counters, start: int, duration: int) -> None:
        self._counters = counters
        self._start = start
        self._calls = 0
        self.width = _SECOND
        while self.width > _MIN_WIDTH and self.width * _BUCKETS > duration:
            self.width //= 10

    def add(self, time: int) -> bytes:
        """Count a call that was entered at a time. Return the packets of the periods before."""
        packets = b""
        if time >= self._start + self.width:
            packets = self.end()
            periods = (time - self._start) // self.width
            if periods > 1:
                packets += self._counters.set("calls a second", 0, self._start + self.width)
            self._start += periods * self.width
        self._calls += 1
        return packets

    def end(self) -> bytes:
        """Return the packets of the period in progress, and begin the next one."""
        calls, self._calls = self._calls, 0
        return self._counters.set("calls a second", calls * _SECOND // self.width, self._start)
