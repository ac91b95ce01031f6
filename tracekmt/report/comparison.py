"""Compares two traces as a whole: origin, answers about adapters, and numbers by function and by kind of object."""

from __future__ import annotations

import itertools
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist

from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.calls.kinds import ADAPTER
from tracekmt.findings import DIFF_SIDES
from tracekmt.objects.adapters import answer_lines, find_adapters
from tracekmt.objects.identity import Identity
from tracekmt.objects.lifetimes import Lifetimes
from tracekmt.report.calls import format_duration
from tracekmt.trace.reader import Trace

CERTAIN = 0.01
"""Probability of a false alarm over all functions, below which a change of times is shown."""

LEAST_TIMES = 8
"""Number of calls on each side, below which times are not tested. Below it the test cannot tell anything."""

Row = tuple[str, ...]


@dataclass
class _FunctionNumbers:
    """Numbers of the calls of one function on one side.

    Attributes:
        calls: Number of calls.
        failures: Number of calls that returned a failure.
        times: Time in each call that returned, in nanoseconds.
        bytes: Recorded memory before and after the calls.
    """

    calls: int = 0
    failures: int = 0
    times: array[int] = field(default_factory=lambda: array("Q"))
    bytes: int = 0


@dataclass
class _ObjectNumbers:
    """Numbers of the objects of one kind on one side.

    Attributes:
        created: Number of created objects.
        peak: Largest number of live objects.
        peak_bytes: Largest sum of the sizes of live ranges.
        lives: Time from creation to destruction of each destroyed object, in nanoseconds.
    """

    created: int = 0
    peak: int = 0
    peak_bytes: int = 0
    lives: array[int] = field(default_factory=lambda: array("Q"))
    live: int = 0
    live_bytes: int = 0


class TraceNumbers:
    """Numbers of one trace.

    Attributes:
        origin: Label and text of what the trace is, in the order for a table.
        facts: Answers that the program received about its adapters, by adapter and field.
        functions: Numbers by function.
        objects: Numbers by kind of object.
    """

    def __init__(self, trace: Trace, on_call: Callable[[], None] = lambda: None) -> None:
        adapters = find_adapters(trace, ADAPTER, IDENTITY)
        self.facts = {
            f"adapter {number} {line.partition(': ')[0]}": line.partition(": ")[2]
            for number, adapter in enumerate(adapters)
            for line in answer_lines(adapter["told"])
        }
        self.origin = _origin(trace, self.facts)
        self.functions: dict[str, _FunctionNumbers] = defaultdict(_FunctionNumbers)
        self.objects: dict[str, _ObjectNumbers] = defaultdict(_ObjectNumbers)
        self._births: dict[Identity, int] = {}
        self._read(trace, on_call)

    def _read(self, trace: Trace, on_call: Callable[[], None]) -> None:
        lifetimes = Lifetimes()
        for call, is_leave in trace.call_events():
            if not is_leave:
                lifetimes.on_enter(call)
                numbers = self.functions[call.name]
                numbers.calls += 1
                numbers.bytes += call.size
                on_call()
                continue
            assert call.leave_ns is not None
            numbers = self.functions[call.name]
            numbers.failures += not call.succeeded
            numbers.times.append(max(call.leave_ns - call.enter_ns, 0))
            self._change(call.leave_ns, *lifetimes.on_leave(call))

    def _change(self, time: int, created: Sequence[Identity], destroyed: Sequence[Identity]) -> None:
        for identity in created:
            numbers = self.objects[identity.kind.name]
            numbers.created += 1
            numbers.live += 1
            numbers.live_bytes += identity.size
            numbers.peak = max(numbers.peak, numbers.live)
            numbers.peak_bytes = max(numbers.peak_bytes, numbers.live_bytes)
            self._births[identity] = time
        for identity in destroyed:
            birth = self._births.pop(identity, None)
            if birth is not None:
                numbers = self.objects[identity.kind.name]
                numbers.live -= 1
                numbers.live_bytes -= identity.size
                numbers.lives.append(max(time - birth, 0))


def _origin(trace: Trace, facts: Mapping[str, str]) -> dict[str, str]:
    header = trace.header
    described = {name: [value for key, value in facts.items() if key.endswith(f" {name}")] for name in _FACTS}
    return {
        "file": str(trace.path),
        "program": str(header.process.get("name", "unknown")),
        "adapter": ", ".join(described["AdapterString"]) or "unknown",
        "driver": ", ".join(described["DriverVersion"]) or "unknown",
        "recorded": header.created or "unknown",
        "by": header.tool or "unknown",
        "calls": f"{len(trace):,}",
    }


_FACTS = ("AdapterString", "DriverVersion")


class Comparison:
    """Two traces beside each other, as rows of tables.

    Attributes:
        left: Numbers of the first trace.
        right: Numbers of the second trace.
    """

    def __init__(self, left: TraceNumbers, right: TraceNumbers) -> None:
        self.left, self.right = left, right

    def origin_rows(self) -> Iterator[Row]:
        """Yield what the traces are: label, first trace, second trace."""
        for label, text in self.left.origin.items():
            yield label, text, self.right.origin[label]

    def fact_rows(self) -> Iterator[Row]:
        """Yield the answers about adapters that differ: field, first trace, second trace."""
        for name in {**self.left.facts, **self.right.facts}:
            texts = self.left.facts.get(name, "-"), self.right.facts.get(name, "-")
            if texts[0] != texts[1]:
                yield name, *texts

    def function_rows(self) -> Iterator[Row]:
        """Yield the functions, those with the most time first. The columns are FUNCTION_COLUMNS.

        Each function has a row for each trace. The last column says whether the times differ by more than chance.
        """
        names = {**self.left.functions, **self.right.functions}
        tested = sum(self._is_tested(name) for name in names)
        for name in sorted(names, key=self._total_time, reverse=True):
            verdict = self._time_verdict(name, tested)
            yield name, DIFF_SIDES[0], *_function_cells(self.left.functions[name]), ""
            yield "", DIFF_SIDES[1], *_function_cells(self.right.functions[name]), verdict

    def _is_tested(self, name: str) -> bool:
        return all(len(side.functions[name].times) >= LEAST_TIMES for side in (self.left, self.right))

    def _total_time(self, name: str) -> int:
        return sum(sum(side.functions[name].times) for side in (self.left, self.right))

    def _time_verdict(self, name: str, tested: int) -> str:
        """Return "slower" or "faster" if the times of the second trace are, with the correction for many tests."""
        if not self._is_tested(name):
            return ""
        shift, probability = rank_test(self.left.functions[name].times, self.right.functions[name].times)
        if probability * tested > CERTAIN:
            return "same"
        return "slower" if shift > 0 else "faster"

    def object_rows(self) -> Iterator[Row]:
        """Yield the kinds of objects, with a row for each trace. The columns are OBJECT_COLUMNS."""
        for kind in sorted({**self.left.objects, **self.right.objects}):
            yield kind, DIFF_SIDES[0], *_object_cells(self.left.objects[kind])
            yield "", DIFF_SIDES[1], *_object_cells(self.right.objects[kind])


def compare_numbers(first: Path, second: Path, on_progress: Callable[[int, int], None]) -> Comparison:
    """Read the numbers of two traces.

    Args:
        first: The first trace.
        second: The second trace.
        on_progress: Receives the number of counted calls and the number of all calls.
    """
    with Trace(first) as left, Trace(second) as right:
        total, done = len(left) + len(right), itertools.count(1)
        numbers = [TraceNumbers(trace, lambda: on_progress(next(done), total)) for trace in (left, right)]
    return Comparison(*numbers)


FUNCTION_COLUMNS = ("function", "", "calls", "failed", "median", "95 %", "bytes", "times")
OBJECT_COLUMNS = ("objects", "", "created", "most alive", "median life", "most bytes")


def _function_cells(numbers: _FunctionNumbers) -> Row:
    times = _time(numbers.times, 0.5), _time(numbers.times, 0.95)
    return f"{numbers.calls:,}", f"{numbers.failures:,}", *times, f"{numbers.bytes:,}"


def _object_cells(numbers: _ObjectNumbers) -> Row:
    peak_bytes = f"{numbers.peak_bytes:,}" if numbers.peak_bytes else "-"
    return f"{numbers.created:,}", f"{numbers.peak:,}", _time(numbers.lives, 0.5), peak_bytes


def _time(times: array[int], share: float) -> str:
    if not times:
        return "-"
    return format_duration(sorted(times)[min(int(share * len(times)), len(times) - 1)], decimals=1)


def rank_test(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    """Test whether one of two samples tends to larger values (Mann and Whitney's test, with the correction for ties).

    Returns:
        The z score, above 0 if the second sample tends to larger values. The probability of such a score by chance.
    """
    merged = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    count, rank_sum, ties = len(merged), 0.0, 0
    start = 0
    while start < count:
        end = start
        while end < count and merged[end][0] == merged[start][0]:
            end += 1
        rank_sum += sum(side for _, side in merged[start:end]) * (start + end + 1) / 2
        ties += (end - start) ** 3 - (end - start)
        start = end
    n, m = len(first), len(second)
    variance = n * m / 12 * (count + 1 - ties / (count * (count - 1)))
    if variance <= 0:
        return 0.0, 1.0
    score = (rank_sum - m * (m + 1) / 2 - n * m / 2) / variance**0.5
    return score, 2 * NormalDist().cdf(-abs(score))
