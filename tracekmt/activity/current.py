"""Activity of a program in the present, from the events of its recording: calls, failures, memory and objects."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekmt import codec
from tracekmt.activity.memory import Memory, is_followed
from tracekmt.objects.lifetimes import Lifetimes
from tracekmt.spec.types import Abi, CallSpec
from tracekmt.trace.call import TracedCall, outcome_of
from tracekmt.trace.events import Enter, Leave, Lost

BEHIND_SECONDS = 0.5
"""Delay of an event from which on the program counts as too fast."""
_SHORTEST_SECONDS = 0.01


@dataclass(frozen=True)
class FunctionActivity:
    """Calls of one function.

    Attributes:
        name: Name of the function.
        rate: Calls a second since the last snapshot.
        calls: Calls since the start.
        failed: Calls that returned an error status since the start.
    """

    name: str
    rate: float
    calls: int
    failed: int


@dataclass(frozen=True)
class Snapshot:
    """Activity at one moment.

    Attributes:
        elapsed: Seconds since the start.
        rate: Calls a second since the last snapshot.
        behind: Seconds between the latest events and their arrival here, if the program is too fast.
        calls: Calls since the start.
        lost: Lost events since the start.
        functions: Activity of the functions, the most frequent one since the last snapshot first.
        failing: Number of calls by function and name of the error status, the most frequent one first.
        memory: Bytes of memory "requested", "resident" and "offered", and number of "unsized" allocations.
        objects: Number of live objects by kind.
        last_failed: The last call that failed, in the form of `dump --json`. None if no call failed.
        ended: Reason for the end of the recording, None while it runs.
    """

    elapsed: float
    rate: float
    behind: float
    calls: int
    lost: int
    functions: Sequence[FunctionActivity]
    failing: Sequence[tuple[str, str, int]]
    memory: Mapping[str, int]
    objects: Mapping[str, int]
    last_failed: Mapping[str, Any] | None
    ended: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as a line of `top --json`."""
        failing: dict[str, dict[str, int]] = {}
        for function, status, count in self.failing:
            failing.setdefault(function, {})[status] = count
        return {
            "elapsed_s": round(self.elapsed, 3),
            "calls_per_s": round(self.rate, 1),
            "behind_s": round(self.behind, 1),
            "calls": self.calls,
            "lost": self.lost,
            "functions": {
                function.name: {
                    "calls_per_s": round(function.rate, 1),
                    "calls": function.calls,
                    "failed": function.failed,
                }
                for function in self.functions
            },
            "failing": failing,
            "memory": dict(self.memory),
            "objects": dict(self.objects),
            "last_failed": self.last_failed,
            "ended": self.ended,
        }


class _Process:
    """Recorded process, as the origin of its calls."""

    path = Path("the recording")
    faults: Sequence[str] = ()

    def __init__(self, specs: Mapping[int, CallSpec], abi: Abi, start_time: int) -> None:
        self.abi = abi
        self.start_time = start_time
        self.threads: dict[int, int] = {}
        self.specs = specs

    def kinds_at(self, index: int) -> codec.KindOf | None:
        return None

    def module_offset(self, address: int) -> str | None:
        return None


class CurrentActivity:
    """Counts the events of a recording while they arrive.

    The objects and the memory are those that the program created since the start of the recording.
    """

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._failing: Counter[tuple[str, str]] = Counter()
        self._objects: Counter[str] = Counter()
        self._lifetimes = Lifetimes()
        self._memory = Memory(self._lifetimes.bindings)
        self._process: _Process | None = None
        self._in_flight: dict[int, tuple[int, Enter]] = {}
        self._index = 0
        self._last_failed: TracedCall | None = None
        self._last_time = self._last_elapsed = 0.0
        self._clock_offset: float | None = None
        self._latest_event = 0.0
        self._is_behind = False
        self._last_calls: Counter[str] = Counter()

    def on_events(self, specs: Mapping[int, CallSpec], abi: Abi, events: Sequence[Enter | Leave | Lost]) -> None:
        """Count events.

        Args:
            specs: Descriptions of the functions by the id that events use.
            abi: ABI of the process.
            events: The events, in order.
        """
        times = [event.time for event in events if not isinstance(event, Lost)]
        if times:
            self._note_arrival(max(times) / 1e9)
        for event in events:
            process = self._process
            if isinstance(event, Enter):
                if process is None or process.abi != abi:
                    process = self._process = _Process(specs, abi, event.time)
                self._on_enter(process, event)
            elif isinstance(event, Leave) and process is not None:
                self._on_leave(process, event)
            else:
                self._in_flight.clear()  # The returns of these calls may be lost.

    def _note_arrival(self, event_time: float) -> None:
        """Note if an event arrives late. The fastest arrival so far relates its clock to that of this process."""
        offset = time.monotonic() - event_time
        self._clock_offset = offset if self._clock_offset is None else min(offset, self._clock_offset)
        self._latest_event = event_time
        self._is_behind = offset - self._clock_offset > BEHIND_SECONDS

    def _take_delay(self) -> float:
        """Return the seconds since the latest event, 0 if it arrived in time or before the last snapshot."""
        is_behind, self._is_behind = self._is_behind, False
        return time.monotonic() - (self._clock_offset or 0.0) - self._latest_event if is_behind else 0.0

    def _on_enter(self, process: _Process, enter: Enter) -> None:
        spec = process.specs[enter.spec_id]
        process.threads.setdefault(enter.thread, len(process.threads))
        self._calls[spec.name] += 1
        self._in_flight[enter.sequence] = (self._index, enter)
        if is_followed(spec):
            self._lifetimes.on_enter(TracedCall(process, self._index, spec, enter, None))
        self._index += 1

    def _on_leave(self, process: _Process, leave: Leave) -> None:
        index, enter = self._in_flight.pop(leave.enter, (0, None))
        if enter is None:
            return
        spec = process.specs[enter.spec_id]
        status, _ = outcome_of(spec, leave.result)
        if status is not None and not spec.raw and not status.succeeded:
            self._failing[spec.name, status.name] += 1
            self._last_failed = TracedCall(process, index, spec, enter, leave)
        if is_followed(spec):
            call = TracedCall(process, index, spec, enter, leave)
            created, destroyed = self._lifetimes.on_leave(call)
            self._memory.on_leave(call, created, destroyed)
            self._objects.update(identity.kind.name for identity in created)
            self._objects.subtract(identity.kind.name for identity in destroyed)

    def snapshot(self, elapsed: float, lost: int, ended: str | None) -> Snapshot:
        """Return the activity now, and begin the next period.

        Args:
            elapsed: Seconds since the start.
            lost: Lost events since the start.
            ended: Reason for the end of the recording, None while it runs.
        """
        behind = self._take_delay()
        seconds = elapsed - behind - self._last_time  # the time of these events, as far as it is known
        if seconds < _SHORTEST_SECONDS:
            seconds = max(elapsed - self._last_elapsed, _SHORTEST_SECONDS)
        failed: Counter[str] = Counter()
        for (name, _), count in self._failing.items():
            failed[name] += count
        functions = [
            FunctionActivity(name, (calls - self._last_calls[name]) / seconds, calls, failed[name])
            for name, calls in self._calls.items()
        ]
        functions.sort(key=lambda function: (-function.rate, -function.calls, function.name))
        memory = self._memory
        snapshot = Snapshot(
            elapsed=elapsed,
            rate=(self._calls.total() - self._last_calls.total()) / seconds,
            behind=behind,
            calls=self._calls.total(),
            lost=lost,
            functions=functions,
            failing=[(*names, count) for names, count in self._failing.most_common()],
            memory={name: getattr(memory, name) for name in ("requested", "resident", "offered", "unsized")},
            objects={kind: count for kind, count in sorted(self._objects.items()) if count > 0},
            last_failed=self._last_failed.to_json() if self._last_failed is not None else None,
            ended=ended,
        )
        self._last_time, self._last_elapsed = elapsed - behind, elapsed
        self._last_calls = self._calls.copy()
        return snapshot
