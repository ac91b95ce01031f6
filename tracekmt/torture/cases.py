"""Cases: which call of a program fails, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice, zip_longest
from typing import NamedTuple

from tracekmt import ntstatus
from tracekmt.simulator.behaviours import describe_rules
from tracekmt.spec.types import CallSpec
from tracekmt.text.functions import matches_function
from tracekmt.trace.reader import Trace

COMMON = ("STATUS_INVALID_PARAMETER", "STATUS_NO_MEMORY", "STATUS_DEVICE_REMOVED", "STATUS_INVALID_HANDLE")
"""Statuses that any call may return."""


class Case(NamedTuple):
    """One run of the program with one fault.

    Attributes:
        number: Number of the case, from 1.
        function: The function that fails.
        occurrence: Number of the failing call among those of its function, from 1.
        status: The status that it returns.
    """

    number: int
    function: str
    occurrence: int
    status: str

    @property
    def fault(self) -> str:
        """The fault in the form of `record --inject`."""
        return f"{self.function}@{self.occurrence}={self.status}"


def choose_cases(trace: Trace, functions: Sequence[str], limit: int) -> list[Case]:
    """Choose the cases of a program: the first, the last and the middle call of each function, with each status.

    Every function comes before a second case of any. Its other calls follow, as far as the limit allows.

    Args:
        trace: A recording of the program without faults.
        functions: Patterns of the functions that fail. Empty: all.
        limit: Number of cases at most.
    """
    counts: Counter[CallSpec] = Counter()
    for (spec_id, _), count in trace.tally().items():
        counts[trace.spec(spec_id)] += count
    chosen = sorted(counts, key=lambda spec: spec.name)
    by_function = [
        _of_function(spec.name, counts[spec])
        for spec in chosen
        if not spec.raw
        and spec.returns == "NTSTATUS"
        and (not functions or any(matches_function(pattern, spec.name) for pattern in functions))
    ]
    cases = (case for each in zip_longest(*by_function) for case in each if case is not None)
    return [Case(number, *case) for number, case in enumerate(islice(cases, limit), 1)]


def _of_function(name: str, count: int) -> Iterator[tuple[str, int, str]]:
    """Yield the cases of one function, the statuses of its first call before those of the others."""
    chosen = dict.fromkeys((1, count, (count + 1) // 2))
    for occurrence in chain(chosen, (number for number in range(1, count) if number not in chosen)):
        for status in statuses_of(name):
            yield name, occurrence, status


def statuses_of(name: str) -> list[str]:
    """Return the error statuses in the simulator's rules of a function, the most frequent one first, and `COMMON`."""
    counts = Counter(rule["status"] for rule in describe_rules(name)["rules"])
    documented = [status for status, _ in counts.most_common() if not ntstatus.status(status).succeeded]
    return list(dict.fromkeys((*documented, *COMMON)))
