"""What a trace's calls amount to: how often, how long, how much, and which objects lived through it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import Lifetimes
from tracekmt.report.calls import duration
from tracekmt.spec.types import Kind
from tracekmt.trace.reader import Trace, TracedCall

STEPS = 24
"""Into how many stretches of time a trace is cut, to say how many objects lived in each."""

LEAKS_SHOWN = 20
_RAMP = " .:-=+*#%@"


@dataclass
class _Answers:
    """The calls of one function that ended with one status."""

    count: int = 0
    time: int = 0
    longest: int = 0
    bytes: int = 0


@dataclass
class _Living:
    """The objects of one kind."""

    born: int = 0
    died: int = 0
    peak: int = 0
    peak_at: int = 0
    over_time: list[int] = field(default_factory=lambda: [0] * STEPS)


def measure(trace: Trace, on_progress: Callable[[int, int], None] = lambda done, of: None) -> dict[str, Any]:
    """A trace's statistics as plain data: times in nanoseconds, bytes of memory recorded before and after calls."""
    answers: dict[tuple[str, str], _Answers] = defaultdict(_Answers)
    lifetimes, objects = Lifetimes(), _Objects(trace.duration)
    under_way: dict[int, TracedCall] = {}
    for index, left in trace.timeline():
        if not left:
            call = under_way[index] = trace[index]
            lifetimes.on_enter(call)
            continue
        call = under_way.pop(index)
        assert call.leave is not None
        assert call.leave_ns is not None
        told = answers[call.name, call.answer]
        on_progress(index, len(trace))
        told.count += 1
        told.time += call.leave_ns - call.enter_ns
        told.longest = max(told.longest, call.leave_ns - call.enter_ns)
        told.bytes += call.size
        objects.change(call.leave_ns, *lifetimes.on_leave(call))
    for call in under_way.values():
        told = answers[call.name, call.answer]
        told.count += 1
        told.bytes += call.size
    return {
        "trace": str(trace.path),
        "calls": len(trace),
        "lost": trace.lost,
        "duration_ns": str(trace.duration),
        "bytes": sum(each.bytes for each in answers.values()),
        "functions": [
            {
                "call": name,
                "status": answer,
                "count": each.count,
                "time_ns": str(each.time),
                "longest_ns": str(each.longest),
                "bytes": each.bytes,
            }
            for (name, answer), each in sorted(answers.items())
        ],
        "objects": objects.to_data(),
        "leaks": objects.leaks(trace),
    }


class _Objects:
    """The living objects by kind, as calls go by."""

    def __init__(self, length: int) -> None:
        self._length = length + 1
        self._at = 0
        self._kinds: dict[str, _Living] = defaultdict(_Living)
        self._now: Counter[str] = Counter()
        self._living: dict[Identity, None] = {}

    def change(self, time: int, born: list[Identity], dead: list[Identity]) -> None:
        """What a call made and ended, at the time of its return."""
        if not born and not dead:
            return
        self._pass(time * STEPS // self._length)
        for identity in born:
            self._living[identity] = None
            self._count(identity.kind, 1, time).born += 1
        for identity in dead:
            if identity in self._living:
                del self._living[identity]
                self._count(identity.kind, -1, time).died += 1

    def _count(self, kind: Kind, by: int, time: int) -> _Living:
        self._now[kind.name] += by
        told, now = self._kinds[kind.name], self._now[kind.name]
        if now > told.peak:
            told.peak, told.peak_at = now, time
        told.over_time[self._at] = max(told.over_time[self._at], now)
        return told

    def _pass(self, stretch: int) -> None:
        """Stretches that begin with what lived before them."""
        while self._at < min(stretch, STEPS - 1):
            self._at += 1
            for name, told in self._kinds.items():
                told.over_time[self._at] = self._now[name]

    def to_data(self) -> list[dict[str, Any]]:
        """Every kind with its numbers; over_time has the most that lived in each stretch of time."""
        self._pass(STEPS)
        return [
            {
                "kind": name,
                "born": each.born,
                "died": each.died,
                "left": self._now[name],
                "peak": each.peak,
                "peak_ns": str(each.peak_at),
                "over_time": each.over_time,
            }
            for name, each in self._kinds.items()
        ]

    def leaks(self, trace: Trace) -> list[dict[str, Any]]:
        """What was never ended, with the call that made it. external: it may end in calls that are not recorded."""
        return [
            {
                "kind": identity.kind.name,
                "index": identity.index,
                "call": trace.description(trace[identity.index].enter.spec_id).name,
                "path": identity.path,
                "external": identity.kind.external,
            }
            for identity in self._living
            if identity.index is not None
        ]


def function_rows(told: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The rows of a table of functions, under each its statuses where there are several."""
    functions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in told["functions"]:
        functions[each["call"]].append(each)
    for name, answers in functions.items():
        yield (name, *_numbers(answers))
        for each in answers:
            if len(answers) > 1 or each["status"] != "STATUS_SUCCESS":
                yield (f"    {each['status']}", *_numbers([each]))


def _numbers(answers: list[dict[str, Any]]) -> tuple[str, ...]:
    count, time = sum(each["count"] for each in answers), sum(int(each["time_ns"]) for each in answers)
    return str(count), duration(time), duration(time // count), f"{sum(each['bytes'] for each in answers):,}"


def object_rows(told: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The rows of a table of kinds. How many lived is drawn from the start of the trace to its end."""
    for each in told["objects"]:
        most = max(each["peak"], 1)
        drawn = "".join(_RAMP[-(-number * (len(_RAMP) - 1) // most)] for number in each["over_time"])
        peak = f"{each['peak']} at {duration(int(each['peak_ns']))}"
        yield each["kind"], str(each["born"]), str(each["died"]), peak, f"|{drawn}|"


def leak_lines(told: dict[str, Any]) -> Iterator[str]:
    """What was never ended."""
    leaks = sorted(told["leaks"], key=lambda leak: leak["external"])
    if leaks:
        yield f"never ended: {len(leaks)}"
    for leak in leaks[:LEAKS_SHOWN]:
        elsewhere = " (it may have been elsewhere)" if leak["external"] else ""
        yield f"    {leak['kind']} of #{leak['index']} {leak['call']}  {leak['path']}{elsewhere}"
    if len(leaks) > LEAKS_SHOWN:
        yield f"    and {len(leaks) - LEAKS_SHOWN} more; --json has them all"
