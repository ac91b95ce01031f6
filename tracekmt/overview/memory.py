"""Numbers of the memory of a program: over time, against its budgets, and for its largest allocations."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

from tracekmt.activity.follow import Step
from tracekmt.activity.memory import MemoryChange, VideoMemory, bytes_to_trim, video_memory
from tracekmt.calls.kinds import ADAPTER, ALLOCATION
from tracekmt.codec.luid import Luid
from tracekmt.objects.adapters import opened_adapters
from tracekmt.objects.identity import Identity
from tracekmt.overview.clock import Intervals, Level

TRIMS = 12
"""Number of requests to trim that are kept: those for the most bytes."""

LARGEST_ALLOCATIONS = 12
BUDGETS = 16
"""Number of budgets, one for each adapter and memory group, that are kept: the first ones."""

NOT_RESIDENT, RESIDENT, OFFERED = "not resident", "resident", "offered"


@dataclass
class _Budget:
    """Answers about one memory group of one adapter."""

    answers: int = 0
    least: int = 0
    over: int = 0
    budget: list[int | None] = field(default_factory=list)
    usage: list[int | None] = field(default_factory=list)


@dataclass
class _Allocation:
    """One of the largest allocations. Each state has the number of the interval in which it began."""

    call: str
    size: int
    created: int
    states: list[tuple[int, str]]
    times_resident: int = 0
    evictions: int = 0
    destroyed: int | None = None


class MemoryNumbers:
    """Numbers of memory. Memory grows with the number of live allocations only."""

    def __init__(self, intervals: Intervals) -> None:
        self._intervals = intervals
        self._requested, self._resident, self._offered = (Level(intervals) for _ in range(3))
        self._unsized = 0
        self._bytes = {"resident": 0, "evicted": 0, "offered": 0, "discarded": 0}
        self._adapters: dict[int, str] = {}
        self._budgets: dict[tuple[str, str], _Budget] = {}
        self._trims: list[tuple[int, int, dict[str, Any]]] = []
        self._trim_count = self._trim_bytes = 0
        self._last_trim: dict[str, Any] = {}
        self._live_resident: set[Identity] = set()
        self._live_offered: set[Identity] = set()
        self._largest: dict[Identity, _Allocation] = {}

    def add(self, step: Step, time: int) -> None:
        """Count the memory that a call changed, at the time of its return."""
        if step.created or step.destroyed or step.changes:
            self._add_changes(step, time)
        answer = video_memory(step.call)
        if answer is not None:
            self._add_answer(answer, time)
        size = bytes_to_trim(step.call)
        if size:
            self._add_trim(step, size, time)
        elif step.call.name == "D3DKMTMakeResident":
            self._last_trim = {}

    def _add_changes(self, step: Step, time: int) -> None:
        for identity in step.created:
            if identity.kind.name == ADAPTER.name:
                self._adapters.update(
                    (handle, str(Luid(luid["LowPart"], luid["HighPart"])))
                    for handle, luid in opened_adapters(step.call, ADAPTER)
                    if luid is not None
                )
        for change in step.changes:
            self._change(step, change, time)
        for identity in step.destroyed:
            if identity.kind.name == ALLOCATION.name:
                self._live_resident.discard(identity)
                self._live_offered.discard(identity)
                if identity in self._largest:
                    self._largest[identity].destroyed = time
        memory = step.memory
        for level, value in (
            (self._requested, memory.requested),
            (self._resident, memory.resident),
            (self._offered, memory.offered),
        ):
            if value != level.value:
                level.set(value, time)
        self._unsized = max(self._unsized, memory.unsized)

    def _change(self, step: Step, change: MemoryChange, time: int) -> None:
        if change.action == "evicted" and step.call.name != "D3DKMTEvict":
            return  # The allocation was destroyed.
        if change.action in self._bytes:
            self._bytes[change.action] += change.size
        if change.action in ("evicted", "offered") and self._last_trim:
            self._last_trim["released"] += change.size
        match change.action:
            case "sized":
                self._add_size(step, change, time)
                return
            case "resident":
                self._live_resident.add(change.allocation)
            case "evicted":
                self._live_resident.discard(change.allocation)
            case "offered":
                self._live_offered.add(change.allocation)
            case _:
                self._live_offered.discard(change.allocation)
        allocation = self._largest.get(change.allocation)
        if allocation is not None:
            allocation.times_resident += change.action == "resident"
            allocation.evictions += change.action == "evicted"
            if allocation.states[-1][0] == self._intervals.at(time):
                del allocation.states[-1]  # The last state of an interval is kept.
            allocation.states.append((self._intervals.at(time), self._state(change.allocation)))

    def _state(self, allocation: Identity) -> str:
        if allocation in self._live_offered:
            return OFFERED
        return RESIDENT if allocation in self._live_resident else NOT_RESIDENT

    def _add_size(self, step: Step, change: MemoryChange, time: int) -> None:
        if change.allocation in self._largest:
            self._largest[change.allocation].size = change.size
            return
        if len(self._largest) == LARGEST_ALLOCATIONS:
            smallest = min(self._largest, key=lambda identity: self._largest[identity].size)
            if self._largest[smallest].size >= change.size:
                return
            del self._largest[smallest]
        state = self._state(change.allocation)
        self._largest[change.allocation] = _Allocation(
            step.call.name,
            change.size,
            time,
            [(self._intervals.at(time), state)],
            int(change.allocation in self._live_resident),
        )

    def _add_answer(self, answer: VideoMemory, time: int) -> None:
        key = self._adapters.get(answer.adapter, f"0x{answer.adapter:x}"), answer.group
        if key not in self._budgets:
            if len(self._budgets) == BUDGETS:
                return
            empty: list[int | None] = [None] * self._intervals.count
            self._budgets[key] = _Budget(0, answer.budget, 0, empty, [*empty])
        budget, interval = self._budgets[key], self._intervals.at(time)
        budget.answers += 1
        budget.least = min(budget.least, answer.budget)
        budget.over += answer.usage > answer.budget
        # The tightest budget and the highest usage of an interval are kept.
        tightest, highest = budget.budget[interval], budget.usage[interval]
        budget.budget[interval] = answer.budget if tightest is None else min(answer.budget, tightest)
        budget.usage[interval] = answer.usage if highest is None else max(answer.usage, highest)

    def _add_trim(self, step: Step, size: int, time: int) -> None:
        self._trim_count += 1
        self._trim_bytes += size
        self._last_trim = {
            "index": step.call.index,
            "call": step.call.name,
            "time_ns": str(time),
            "bytes": size,
            "resident": step.memory.resident,
            "released": 0,
        }
        push = heapq.heappush if len(self._trims) < TRIMS else heapq.heappushpop
        push(self._trims, (size, -step.call.index, self._last_trim))

    def to_data(self) -> dict[str, Any]:
        """Return the numbers as plain data, in bytes."""
        levels = {"requested": self._requested, "resident": self._resident, "offered": self._offered}
        return {
            **{
                name: {"peak": level.peak, "peak_ns": str(level.peak_time), "over_time": level.over_time()}
                for name, level in levels.items()
            },
            "unsized": self._unsized,
            "bytes": self._bytes,
            "budgets": [
                {
                    "adapter": adapter,
                    "group": group,
                    "answers": budget.answers,
                    "least": budget.least,
                    "over": budget.over,
                    "budget": budget.budget,
                    "usage": budget.usage,
                }
                for (adapter, group), budget in self._budgets.items()
            ],
            "trims": {
                "count": self._trim_count,
                "bytes": self._trim_bytes,
                "largest": sorted((trim for _, _, trim in self._trims), key=lambda trim: int(trim["time_ns"])),
            },
            "largest": [
                {
                    "allocation": str(identity),
                    "call": allocation.call,
                    "bytes": allocation.size,
                    "created_ns": str(allocation.created),
                    "destroyed_ns": None if allocation.destroyed is None else str(allocation.destroyed),
                    "times_resident": allocation.times_resident,
                    "evictions": allocation.evictions,
                    "states": [{"interval": interval, "state": state} for interval, state in allocation.states],
                }
                for identity, allocation in sorted(self._largest.items(), key=lambda item: -item[1].size)
            ],
        }
