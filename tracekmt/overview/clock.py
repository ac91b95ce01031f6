"""The time of a trace in equal intervals, for values over time."""

from __future__ import annotations

from dataclasses import dataclass

MAX_INTERVALS, MIN_INTERVALS = 240, 60
_CALLS_PER_INTERVAL = 20


@dataclass(frozen=True)
class Intervals:
    """Equal intervals of the time of a trace.

    Attributes:
        count: Number of intervals.
        duration: Nanoseconds of all intervals, at least 1.
    """

    count: int
    duration: int

    @classmethod
    def of(cls, duration: int, calls: int) -> Intervals:
        """Return the intervals of a trace. Few calls have wider intervals, so that each one can be seen.

        Args:
            duration: Nanoseconds between the first event and the last.
            calls: Number of calls.
        """
        return cls(min(max(calls // _CALLS_PER_INTERVAL, MIN_INTERVALS), MAX_INTERVALS), duration + 1)

    def at(self, time: int) -> int:
        """Return the number of the interval of a time. Times outside of the trace have the nearest interval."""
        return min(max(time * self.count // self.duration, 0), self.count - 1)


class Level:
    """Value that stays until it changes, with its maximum in each interval."""

    def __init__(self, intervals: Intervals) -> None:
        self.value = self.peak = self.peak_time = 0
        self._intervals = intervals
        self._maxima = [0]

    def set(self, value: int, time: int) -> None:
        """Change the value at a time, which is not before the time of the last change."""
        self._advance(self._intervals.at(time))
        self.value = value
        self._maxima[-1] = max(self._maxima[-1], value)
        if value > self.peak:
            self.peak, self.peak_time = value, time

    def _advance(self, interval: int) -> None:
        self._maxima += [self.value] * (interval + 1 - len(self._maxima))

    def over_time(self) -> list[int]:
        """Return the maximum of each interval."""
        self._advance(self._intervals.count - 1)
        return self._maxima
