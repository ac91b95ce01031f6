"""A check of failures: the same function that fails again and again in one thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracekmt.checker.rule import Check, misuse
from tracekmt.findings import Finding
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.trace.call import TracedCall

STORM = 20
"""Number of equal failures in a row that make a storm."""


@dataclass
class _Run:
    first: TracedCall
    status: str
    count: int = 1


class Storms(Check):
    """Finds runs of equal failures of one function in one thread."""

    def __init__(self) -> None:
        self._runs: dict[tuple[int, str], _Run] = {}

    def on_leave(
        self, call: TracedCall, bindings: Bindings, created: list[Identity], destroyed: list[Identity]
    ) -> Iterator[Finding]:
        """Yield a finding for a run that ends."""
        key = call.thread, call.name
        run = self._runs.get(key)
        if run is not None and not call.succeeded and run.status == call.outcome_text:
            run.count += 1
            return
        if run is not None:
            yield from _storm(self._runs.pop(key))
        if not call.succeeded:
            self._runs[key] = _Run(call, call.outcome_text)

    def at_end(self, bindings: Bindings, *, is_complete: bool) -> Iterator[Finding]:
        """Yield a finding for each run that has not ended."""
        for run in self._runs.values():
            yield from _storm(run)


def _storm(run: _Run) -> Iterator[Finding]:
    if run.count >= STORM:
        message = f"the function fails {run.count} times in a row in thread {run.first.thread}"
        yield misuse(run.first, "storm of failures", message)
