"""Numbers of the objects of a trace: live objects by kind over time, and the objects that no call destroyed."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from tracekmt.activity.follow import Step
from tracekmt.activity.memory import Memory
from tracekmt.objects.identity import Identity
from tracekmt.overview.clock import Intervals, Level


@dataclass
class _Leak:
    """Live objects of one kind that calls of one function created."""

    first: int
    external: bool
    count: int = 0
    bytes: int = 0


class _Kind:
    """Objects of one kind."""

    def __init__(self, intervals: Intervals) -> None:
        self.created = self.destroyed = 0
        self.live = Level(intervals)


class ObjectNumbers:
    """Numbers of objects. Memory grows with the number of live objects only."""

    def __init__(self, intervals: Intervals) -> None:
        self._kinds: dict[str, _Kind] = defaultdict(lambda: _Kind(intervals))
        self._live: dict[Identity, str] = {}

    def add(self, step: Step, time: int) -> None:
        """Count the objects that a call created and destroyed, at the time of its return."""
        changes: Counter[str] = Counter()
        for identity in step.created:
            self._live[identity] = step.call.name
            self._kinds[identity.kind.name].created += 1
            changes[identity.kind.name] += 1
        for identity in step.destroyed:
            if self._live.pop(identity, None) is not None:
                self._kinds[identity.kind.name].destroyed += 1
                changes[identity.kind.name] -= 1
        for name, change in changes.items():
            live = self._kinds[name].live
            live.set(live.value + change, time)

    def to_data(self, memory: Memory | None) -> dict[str, Any]:
        """Return the numbers as plain data. over_time has the maximum of live objects in each interval.

        Args:
            memory: Memory of the program at the end. None if no call returned.
        """
        leaks: dict[tuple[str, str], _Leak] = {}
        for identity, name in self._live.items():
            index = identity.index or 0
            leak = leaks.setdefault((identity.kind.name, name), _Leak(index, identity.kind.external))
            leak.count += 1
            leak.bytes += memory.size(identity) if memory is not None else 0
            leak.first = min(leak.first, index)
        return {
            "objects": [
                {
                    "kind": name,
                    "created": kind.created,
                    "destroyed": kind.destroyed,
                    "left": kind.live.value,
                    "peak": kind.live.peak,
                    "peak_ns": str(kind.live.peak_time),
                    "over_time": kind.live.over_time(),
                }
                for name, kind in sorted(self._kinds.items(), key=lambda item: (-item[1].created, item[0]))
            ],
            "leaks": [
                {
                    "kind": kind,
                    "call": name,
                    "count": leak.count,
                    "first": leak.first,
                    "bytes": leak.bytes,
                    "external": leak.external,
                }
                for (kind, name), leak in sorted(
                    leaks.items(), key=lambda item: (item[1].external, -item[1].bytes, -item[1].count, item[0])
                )
            ],
        }
